//! Smallest, largest, mean and standard deviation of doubles, whatever their size.

use shared::catalogue::csv_summarize::Numbers;

use super::exact_sum::{ExactSum, parts, power_of_two};

/// Describes finite numbers. `None` for an empty list.
///
/// The mean is the double nearest to the exact mean. The deviation takes a second pass (Chan, Golub
/// and `LeVeque`, "Algorithms for Computing the Sample Variance", 1983: the corrected two-pass
/// algorithm), scaled by a power of two so that no square is too large or too small.
pub(super) fn of(numbers: &[f64], sum: &mut ExactSum) -> Option<Numbers> {
    let first = *numbers.first()?;
    let (min, max) = numbers.iter().fold((first, first), |(min, max), number| {
        (min.min(*number), max.max(*number))
    });
    if min.to_bits() == max.to_bits() {
        return Some(Numbers {
            min,
            max,
            mean: min,
            standard_deviation: 0.0,
        });
    }
    let mean = sum.mean(numbers)?;
    Some(Numbers {
        min,
        max,
        mean,
        standard_deviation: deviation(numbers, mean, min.abs().max(max.abs())),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a table has fewer rows than a float has integers"
)]
fn deviation(numbers: &[f64], mean: f64, largest: f64) -> f64 {
    // Kept to exponents whose opposite is one of a normal double too.
    let exponent = (i32::from(parts(largest).0) - 1023).clamp(-1022, 1022);
    let scale = power_of_two(-exponent);
    let mut distances = 0.0;
    let mut squares = 0.0;
    for number in numbers {
        let distance = number * scale - mean * scale;
        distances += distance;
        squares += distance * distance;
    }
    let count = numbers.len() as f64;
    // The mean is rounded: what the distances leave over is its error.
    let variance = (squares - distances * distances / count).max(0.0) / count;
    // It is never more than half the range, but rounding could make it infinite.
    (variance.sqrt() * power_of_two(exponent)).min(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(numbers: &[f64]) -> Option<[f64; 4]> {
        let numbers = of(numbers, &mut ExactSum::new());
        numbers.map(|n| [n.min, n.max, n.mean, n.standard_deviation])
    }

    #[test]
    fn what_is_exact_stays_exact() {
        assert_eq!(described(&[]), None);
        for (numbers, expected) in [
            (vec![0.0], [0.0, 0.0, 0.0, 0.0]),
            (vec![600_000.0, 700_000.0], [6e5, 7e5, 6.5e5, 5e4]),
            (vec![1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 5.0, 3.0, 2_f64.sqrt()]),
            (vec![1e308, 1e308], [1e308, 1e308, 1e308, 0.0]),
            (vec![1e200, -1e200], [-1e200, 1e200, 0.0, 1e200]),
            (
                vec![f64::MAX, -f64::MAX],
                [-f64::MAX, f64::MAX, 0.0, f64::MAX],
            ),
            (vec![5e-324, -5e-324], [-5e-324, 5e-324, 0.0, 5e-324]),
            (vec![1e-200, 3e-200], [1e-200, 3e-200, 2e-200, 1e-200]),
            // A large mean does not hide a small deviation, though it is rounded itself.
            (vec![1e16, 1e16 + 2.0], [1e16, 1e16 + 2.0, 1e16, 1.0]),
            (
                vec![1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0],
                [1e9 + 4.0, 1e9 + 16.0, 1e9 + 10.0, 22.5_f64.sqrt()],
            ),
        ] {
            assert_eq!(described(&numbers), Some(expected), "{numbers:?}");
        }
    }

    #[test]
    fn a_constant_has_no_deviation_and_is_its_own_mean() {
        for constant in [
            0.1,
            1.0 / 3.0,
            1e308,
            f64::MAX,
            -5e-324,
            72_057_594_037_927_936.0,
        ] {
            for count in [1, 3, 7, 10, 49, 1000] {
                let expected = [constant, constant, constant, 0.0];
                assert_eq!(described(&vec![constant; count]), Some(expected), "{count}");
            }
        }
    }

    #[test]
    fn the_deviation_is_finite_at_the_edge_of_what_a_double_holds() {
        for numbers in [
            vec![f64::MAX, -f64::MAX, -f64::MAX],
            vec![f64::MAX, f64::MAX, -f64::MAX, 1.0, 5e-324],
            vec![1.7e308, -1.7e308, -1.7e308, -1.7e308],
        ] {
            let [min, max, mean, deviation] = described(&numbers).unwrap();
            assert!(min <= mean && mean <= max, "{numbers:?}");
            assert!(deviation > 1e307 && deviation.is_finite(), "{numbers:?}");
        }
    }
}
