//! JSON numbers by their digits: a parse into floating point would confuse neighbouring numbers.

use serde_json::value::RawValue;

/// A number as its significant digits, without zeros at either end, times ten to the power of
/// `exponent`. Zero has no digits.
pub(super) struct Decimal {
    pub(super) is_negative: bool,
    pub(super) digits: String,
    pub(super) exponent: i128,
}

impl Decimal {
    /// Reads a number of JSON's grammar; `None` when its exponent exceeds 64 bits.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (is_negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text),
        };
        let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{whole}{fraction}");
        let written = digits.len();
        digits.truncate(digits.trim_end_matches('0').len());
        let trailing_zeros = written - digits.len();
        let digits = digits.trim_start_matches('0').to_owned();
        // Zero times any power of ten is zero.
        let exponent = match exponent.parse::<i64>() {
            Ok(exponent) => exponent,
            Err(_) if digits.is_empty() => 0,
            Err(_) => return None,
        };
        Some(Self {
            is_negative: is_negative && !digits.is_empty(),
            exponent: i128::from(exponent) + trailing_zeros as i128 - fraction.len() as i128,
            digits,
        })
    }
}

/// A whole number that is not negative, in any spelling: `5`, `5.0`, `50e-1` and `0.5E+1` are the
/// same. This is JSON Schema's `integer`. `None` for any other value, and above [`u64::MAX`].
#[must_use]
pub fn whole_number(raw: &RawValue) -> Option<u64> {
    let text = raw.get();
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    whole(text)?.parse().ok()
}

/// The digits of a whole number; `None` for a number with a fraction, and beyond 64 bits.
fn whole(number: &str) -> Option<String> {
    let Decimal {
        is_negative,
        digits,
        exponent,
    } = Decimal::read(number)?;
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let zeros = usize::try_from(exponent).ok()?;
    // The largest has 20 digits, so a number with more zeros is out of range.
    if zeros >= 20 {
        return None;
    }
    let sign = if is_negative { "-" } else { "" };
    Some(format!("{sign}{digits}{}", "0".repeat(zeros)))
}

/// JSON text whose whole numbers are written in digits only, for a reader that does not accept
/// `5.0` as an integer; `None` when they already are.
pub(crate) fn with_plain_integers(json: &str) -> Option<String> {
    map_numbers(json, |number| {
        number.contains(['.', 'e', 'E']).then(|| whole(number))?
    })
}

/// JSON text whose numbers all fit floating point, for a reader that fails at others: a number that
/// is too large becomes the largest that fits; `None` when all fit already.
pub(crate) fn with_finite_numbers(json: &str) -> Option<String> {
    map_numbers(json, |number| {
        let value: f64 = number.parse().ok()?;
        let largest = if value < 0.0 { f64::MIN } else { f64::MAX };
        value.is_infinite().then(|| format!("{largest:e}"))
    })
}

/// JSON text with some numbers replaced; `None` when none was. Strings stay unchanged.
fn map_numbers(json: &str, replace: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut mapped = String::new();
    // `mapped` has the text before this position.
    let mut copied = 0;
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        match byte {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let number = json[at..]
                    .find(|next: char| !u8::try_from(next).is_ok_and(|next| is_number(&next)));
                let end = number.map_or(json.len(), |length| at + length);
                if let Some(replaced) = replace(&json[at..end]) {
                    mapped.push_str(&json[copied..at]);
                    mapped.push_str(&replaced);
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    (copied > 0).then(|| mapped + &json[copied..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<u64> {
        whole_number(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_whole_number_is_read_in_every_spelling() {
        for (text, number) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
            ("0e999999999999999999999999", 0),
            ("0.000E-999999999999999999999999", 0),
            ("5", 5),
            ("5.0", 5),
            ("5.00000000000000000000000000", 5),
            ("50e-1", 5),
            ("0.5e1", 5),
            ("0.05E+2", 5),
            ("5e0", 5),
            ("5e-0", 5),
            ("6e1", 60),
            ("6E+1", 60),
            ("6.0e01", 60),
            ("604800.0", 604_800),
            ("6.048e5", 604_800),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551615.0", u64::MAX),
            ("1844674407370955161.5e1", u64::MAX),
            ("1e19", 10_000_000_000_000_000_000),
        ] {
            assert_eq!(read(text), Some(number), "{text}");
        }
        let long = format!("5{}e-100000", "0".repeat(100_000));
        assert_eq!(read(&long), Some(5));
        let long = format!("0.{}5e100001", "0".repeat(100_000));
        assert_eq!(read(&long), Some(5));
    }

    #[test]
    fn any_other_value_is_not_a_whole_number() {
        for text in [
            "-1",
            "-1.0",
            "5.5",
            "5.0000000000000000000000000000001",
            "5e-1",
            "55e-1",
            "1e-400",
            "1e400",
            "1e20",
            "18446744073709551616",
            "18446744073709551615.5",
            "1e99999999999999999999999999",
            "1e-99999999999999999999999999",
            "\"5\"",
            "null",
            "true",
            "[5]",
            "{}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_in_text_are_rewritten_and_strings_are_not() {
        for (text, plain) in [
            ("5", None),
            (r#"{"a":"5.0","b\\":"\"6e1"}"#, None),
            ("5.5", None),
            ("1e400", None),
            ("5.0", Some("5")),
            (
                r#"{"5.0":[5.0,-6e1,"7.0",-0.0]}"#,
                Some(r#"{"5.0":[5,-60,"7.0",0]}"#),
            ),
        ] {
            assert_eq!(with_plain_integers(text).as_deref(), plain, "{text}");
        }
        for (text, finite) in [
            ("[1e308,1e-400]", None),
            (r#"{"a":"1e400"}"#, None),
            (
                "[1e400,-1e400]",
                Some("[1.7976931348623157e308,-1.7976931348623157e308]"),
            ),
        ] {
            assert_eq!(with_finite_numbers(text).as_deref(), finite, "{text}");
        }
    }

    proptest! {
        #[test]
        fn moving_the_point_changes_nothing(number: u64, places in 0_usize..40) {
            let digits = format!("{number:0>40}");
            let (whole, fraction) = digits.split_at(40 - places);
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            let text = if fraction.is_empty() {
                whole.to_owned()
            } else {
                format!("{whole}.{fraction}e{places}")
            };
            prop_assert_eq!(read(&text), Some(number), "{}", text);
        }
    }
}
