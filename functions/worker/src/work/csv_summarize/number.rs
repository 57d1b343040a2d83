//! Fields that are numbers.

/// 2^53. From here on, the distance between two doubles is more than 1.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The number in a field: digits, optionally with a sign, a decimal point, an exponent, and blanks
/// around them. `None` for text.
///
/// A field that starts with a zero and another digit is a name (a postal code, an account), and so
/// is a number with more digits than a double can represent.
pub(super) fn parse(field: &str) -> Option<f64> {
    let written = field.trim();
    let digits = written.strip_prefix(['+', '-']).unwrap_or(written);
    let mut first = digits.bytes();
    if first.next() == Some(b'0') && first.next().is_some_and(|second| second.is_ascii_digit()) {
        return None;
    }
    let number: f64 = written.parse().ok()?;
    // Makes -0 a 0: most readers of JSON have one zero.
    is_shown_as_written(digits, number.abs()).then_some(number + 0.0)
}

/// Whether a double represents the digits: fractions may be rounded, whole numbers may not, and no
/// number may become zero or infinite.
fn is_shown_as_written(digits: &str, number: f64) -> bool {
    if !number.is_finite() {
        return false;
    }
    let is_exact = || Decimal::of(digits) == Decimal::of(&format!("{number:e}"));
    (number != 0.0 && number < EXACT_MAX) || is_exact()
}

/// The digits without zeros at either end, and the power of ten of the last one. Zero has none.
#[derive(PartialEq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// `None` when the exponent is out of range.
    fn of(written: &str) -> Option<Self> {
        let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((written, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole
            .bytes()
            .chain(fraction.bytes())
            .skip_while(|digit| *digit == b'0')
            .collect();
        let zeros = digits.iter().rev().take_while(|digit| **digit == b'0');
        let zeros = zeros.count();
        let digits = digits[..digits.len() - zeros].to_vec();
        if digits.is_empty() {
            return Some(Self {
                digits,
                exponent: 0,
            });
        }
        let exponent = exponent
            .parse::<i64>()
            .ok()?
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(zeros).ok()?)?;
        Some(Self { digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_field_that_a_double_represents() {
        for (field, expected) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("0.0", 0.0),
            ("0e9", 0.0),
            ("0e99999999999999999999", 0.0),
            ("0.5", 0.5),
            ("-0.5", -0.5),
            ("+5", 5.0),
            ("5.", 5.0),
            (".5", 0.5),
            ("-.5", -0.5),
            (" 5 ", 5.0),
            ("\t5\u{a0}", 5.0),
            ("10", 10.0),
            ("1e5", 1e5),
            ("1E+5", 1e5),
            ("1.5e-3", 0.0015),
            ("0.1", 0.1),
            // A fraction may be rounded.
            ("3.14159265358979323846", std::f64::consts::PI),
            ("0.30000000000000000000000001", 0.3),
            ("9007199254740991", 9_007_199_254_740_991.0),
            ("-9007199254740992", -9_007_199_254_740_992.0),
            ("9007199254740992.000", 9_007_199_254_740_992.0),
            ("9007199254740994", 9_007_199_254_740_994.0),
            ("1000000000000000000", 1e18),
            ("100000000000000000000000", 1e23),
            ("1e200", 1e200),
            ("-1.50e200", -1.5e200),
            ("0.00015e204", 1.5e200),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
        ] {
            let read = parse(field);
            assert_eq!(read, Some(expected), "{field}");
            assert_eq!(
                read.map(f64::is_sign_negative),
                Some(expected < 0.0),
                "{field}"
            );
        }
    }

    #[test]
    fn everything_else_is_text() {
        for field in [
            "",
            " ",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "--5",
            "+-5",
            "5-",
            "- 5",
            "1 000",
            "1,000",
            "1,5",
            "1_000",
            "1.2.3",
            "0x10",
            "0b1",
            "NaN",
            "nan",
            "inf",
            "-inf",
            "Infinity",
            "5%",
            "$5",
            "5 km",
            "1/2",
            "٣",
            "½",
            "−5",
            "true",
            "2025-01-01",
        ] {
            assert_eq!(parse(field), None, "{field}");
        }
        for field in ["007", "-007", "+007", " 007 ", "00", "00.5", "01e5", "0000"] {
            assert_eq!(parse(field), None, "{field} is a name");
        }
        for field in [
            "9007199254740993",
            "-9007199254740993",
            "+9007199254740993",
            "9007199254740993.0",
            "9007199254740992.5",
            "9007199254740993e0",
            "9.007199254740993e15",
            "900719925474099300e-2",
            "18446744073709551615",
            "1700000000123456789",
            "1e400",
            "1.8e308",
            "-1e309",
            "1e99999999999999999999",
            "1e-400",
            "0.1e-999",
            "1e-99999999999999999999",
        ] {
            assert_eq!(parse(field), None, "{field} would be shown as another");
        }
    }
}
