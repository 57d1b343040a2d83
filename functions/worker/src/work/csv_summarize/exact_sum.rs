//! The exact sum of doubles, and their mean, which is rounded once.

/// Binary digits after the point. A double has 1074; two more are kept for rounding.
const FRACTION_BITS: usize = 1076;
/// Bits of one digit. The rest of an `i64` holds the carries of 2^31 summands.
const DIGIT_BITS: usize = 32;
/// 1024 bits before the point, the fraction, and the carries of 2^31 summands.
const DIGITS: usize = (1024 + FRACTION_BITS + 31).div_ceil(DIGIT_BITS);
/// Digits of a quotient that are needed below the lowest digit of its dividend: up to one for the
/// divisor, and two for the 53 bits of a double and one bit for rounding.
const QUOTIENT_DIGITS: usize = 3;

/// A fixed-point number that holds any sum of doubles (Kulisch's accumulator; with digits that
/// carry late: Neal, "Fast Exact Summation Using Small and Large Superaccumulators", 2015).
///
/// It is used for many means, one after another, and clears only the digits that a mean used.
pub(super) struct ExactSum {
    /// Least significant first. All zero between two means.
    digits: [i64; DIGITS],
}

impl ExactSum {
    pub(super) const fn new() -> Self {
        Self {
            digits: [0; DIGITS],
        }
    }

    /// The double nearest to the mean of `numbers`, which are finite. `None` for an empty list.
    pub(super) fn mean(&mut self, numbers: &[f64]) -> Option<f64> {
        let count = i32::try_from(numbers.len()).expect("arguments hold fewer than 2^31 numbers");
        if count == 0 {
            return None;
        }
        let used = numbers.iter().filter_map(|number| self.add(*number));
        let (lowest, highest) = used.fold((DIGITS, 0), |(lowest, highest), digit| {
            (lowest.min(digit), highest.max(digit))
        });
        if lowest > highest {
            return Some(0.0);
        }
        let first = lowest.saturating_sub(QUOTIENT_DIGITS);
        // A summand occupies up to three digits, and its carries a fourth.
        let digits = &mut self.digits[first..highest + 4];
        let negative = carry(digits) < 0;
        if negative {
            for digit in &mut *digits {
                *digit = -*digit;
            }
            carry(digits);
        }
        let remains = divide(digits, count.into());
        let mean = rounded(digits, remains, first * DIGIT_BITS);
        digits.fill(0);
        Some(if negative { -mean } else { mean })
    }

    /// Returns the lowest digit that it used.
    fn add(&mut self, number: f64) -> Option<usize> {
        let (exponent, fraction) = parts(number);
        let mantissa = match (exponent, fraction) {
            (0, 0) => return None,
            (0, subnormal) => subnormal,
            (_, fraction) => fraction | 1 << 52,
        };
        // The last bit of the mantissa is worth 2^(exponent - 1075), and of a subnormal 2^-1074.
        let position = usize::from(exponent.max(1)) + FRACTION_BITS - 1075;
        let digit = position / DIGIT_BITS;
        let shifted = u128::from(mantissa) << (position % DIGIT_BITS);
        for (place, index) in self.digits[digit..digit + 3].iter_mut().zip(0..) {
            let part = low_digit(shifted >> (DIGIT_BITS * index));
            *place += if number.is_sign_negative() {
                -part
            } else {
                part
            };
        }
        Some(digit)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only the lowest digit is wanted"
)]
fn low_digit(number: u128) -> i64 {
    i64::from(number as u32)
}

/// The exponent as stored, which is 1023 more than its value, and the 52 bits of the fraction.
pub(super) const fn parts(number: f64) -> (u16, u64) {
    let bits = number.to_bits();
    ((bits >> 52 & 0x7ff) as u16, bits & ((1 << 52) - 1))
}

/// Brings every digit into 0 to 2^32 - 1. Returns the last carry: -1 for a negative number.
fn carry(digits: &mut [i64]) -> i64 {
    let mut carried = 0;
    for digit in digits {
        let sum = *digit + carried;
        *digit = sum & 0xffff_ffff;
        carried = sum >> DIGIT_BITS;
    }
    carried
}

/// Returns whether there is a remainder. The divisor is below 2^31.
fn divide(digits: &mut [i64], divisor: i64) -> bool {
    let mut remainder = 0;
    for digit in digits.iter_mut().rev() {
        let dividend = (remainder << DIGIT_BITS) | *digit;
        *digit = dividend / divisor;
        remainder = dividend % divisor;
    }
    remainder != 0
}

/// The nearest double; of two, the even one. `first_bit` is the position of the first digit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "positions are below 2^12, a mantissa is at most 2^53"
)]
fn rounded(digits: &[i64], remains: bool, first_bit: usize) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit != 0) else {
        return 0.0;
    };
    // Three digits have at least 65 significant bits, or are all digits.
    let window = (0..3).fold(0, |window, below| {
        let digit = top.checked_sub(below).map_or(0, |index| digits[index]);
        window << DIGIT_BITS | u128::from(digit.unsigned_abs())
    });
    let below = &digits[..top.saturating_sub(2)];
    let inexact = remains || below.iter().any(|digit| *digit != 0);
    let window_bit = (first_bit + top * DIGIT_BITS) as i32 - 2 * DIGIT_BITS as i32;
    let length = 128 - window.leading_zeros() as i32;
    // All but 53 bits are dropped, and all bits below the smallest double.
    let dropped = (length - 53).max(2 - window_bit);
    let rest = window & ((1 << dropped) - 1);
    let half = 1 << (dropped - 1);
    let kept = window >> dropped;
    let up = rest > half || (rest == half && (inexact || kept & 1 == 1));
    let mantissa = (kept + u128::from(up)) as f64;
    mantissa * power_of_two(window_bit + dropped - FRACTION_BITS as i32)
}

/// 2 to the power of an exponent from -1074 to 1023, exactly.
#[expect(clippy::cast_sign_loss, reason = "not negative for these exponents")]
pub(super) const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(if exponent < -1022 {
        1 << (exponent + 1074)
    } else {
        ((exponent + 1023) as u64) << 52
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_rounded_once() {
        let mut sum = ExactSum::new();
        assert_eq!(sum.mean(&[]), None);
        for (numbers, expected) in [
            (vec![0.0, 0.0], 0.0),
            (vec![1.0, -1.0], 0.0),
            (vec![0.5, 0.25], 0.375),
            (vec![-3.0, 1.0], -1.0),
            (vec![1.0, 1.0, 2.0], 4.0 / 3.0),
            (vec![-1.0, -1.0, -2.0], -4.0 / 3.0),
            // A running sum of ten tenths is 0.9999999999999999.
            (vec![0.1; 10], 0.1),
            // Small numbers between large ones that cancel.
            (vec![1e16, 1.0, -1e16], 1.0 / 3.0),
            (vec![1e308, 3.0, -1e308], 1.0),
            (vec![1e200, 5e-324, -1e200, 0.0], 0.0),
            (vec![1e200, 8e-323, -1e200, 0.0], 2e-323),
            (vec![-1e200, -8e-323, 1e200, 0.0], -2e-323),
            // No sum is too large.
            (vec![f64::MAX; 1000], f64::MAX),
            (vec![-f64::MAX; 1000], -f64::MAX),
            // The sum is not a double, so rounding it before the division would show.
            (vec![9_007_199_254_740_994.0; 3], 9_007_199_254_740_994.0),
            (
                vec![9_007_199_254_740_993.0, 9_007_199_254_740_991.0, 1.0],
                6_004_799_503_160_661.0,
            ),
            // Halfway between two doubles: to the even one, unless a lower bit decides.
            (
                vec![9_007_199_254_740_992.0, 9_007_199_254_740_994.0],
                9_007_199_254_740_992.0,
            ),
            (
                vec![9_007_199_254_740_994.0, 9_007_199_254_740_996.0],
                9_007_199_254_740_996.0,
            ),
            (
                vec![
                    9_007_199_254_740_992.0,
                    9_007_199_254_740_994.0,
                    5e-324,
                    0.0,
                ],
                4_503_599_627_370_497.0,
            ),
            (vec![5e-324, 0.0], 0.0),
            (vec![1.5e-323, 0.0], 1e-323),
            (vec![5e-324, 0.0, 5e-324], 5e-324),
            (vec![5e-324, 5e-324], 5e-324),
            (vec![f64::MIN_POSITIVE, 5e-324], f64::MIN_POSITIVE / 2.0),
        ] {
            assert_eq!(sum.mean(&numbers), Some(expected), "{numbers:?}");
            let opposite: Vec<_> = numbers.iter().map(|number| -number).collect();
            assert_eq!(sum.mean(&opposite), Some(-expected), "{opposite:?}");
            assert!(sum.digits.iter().all(|digit| *digit == 0), "{numbers:?}");
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    fn double(number: i64) -> f64 {
        number as f64
    }

    #[test]
    fn the_mean_of_whole_numbers_equals_that_of_integer_arithmetic() {
        let mut sum = ExactSum::new();
        // Knuth's generator (The Art of Computer Programming, volume 2, 3.3.4).
        let mut state = 1_u64;
        for count in 1..400_i64 {
            let numbers: Vec<_> = (0..count)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 24).cast_signed() - (1 << 39)
                })
                .collect();
            let total: i64 = numbers.iter().sum();
            let doubles: Vec<_> = numbers.into_iter().map(double).collect();
            // Both are whole numbers below 2^53, so the division rounds once.
            assert_eq!(sum.mean(&doubles), Some(double(total) / double(count)));
        }
    }
}
