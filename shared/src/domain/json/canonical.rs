//! Comparing JSON by value, whatever its order, white space and spelling of numbers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::number::Decimal;
use super::{Shape, as_text, elements, members};

/// The text that is the same for two JSON values exactly when they are equal: members sorted, strings decoded, numbers reduced
/// to significant digits and exponent, so that `1`, `1.0` and `10e-1` agree and no two different integers do.
///
/// Expects text that [`check`](super::check) has passed; the output is for hashing, not for reading.
#[must_use]
pub fn canonical(raw: &RawValue) -> String {
    let mut out = String::with_capacity(raw.get().len());
    write_canonical(raw, &mut out);
    out
}

fn write_canonical(raw: &RawValue, out: &mut String) {
    match Shape::of(raw) {
        Shape::Scalar => out.push_str(&canonical_scalar(raw.get())),
        Shape::Text => match as_text(raw) {
            Ok(text) => push_text(out, &text),
            Err(_) => out.push_str(raw.get()),
        },
        Shape::Array => {
            out.push('[');
            for element in elements(raw) {
                write_canonical(element, out);
                out.push(',');
            }
            out.push(']');
        }
        Shape::Object => {
            let sorted: BTreeMap<_, _> = members(raw).unwrap_or_default().into_iter().collect();
            out.push('{');
            for (name, value) in sorted {
                push_text(out, &name);
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// A string with its length in front, so that no text can pass for the tokens around it.
fn push_text(out: &mut String, text: &str) {
    out.push_str(&text.len().to_string());
    out.push('"');
    out.push_str(text);
}

fn canonical_scalar(text: &str) -> String {
    if matches!(text, "true" | "false" | "null") {
        return text.to_owned();
    }
    match Decimal::read(text) {
        Some(number) if number.digits.is_empty() => "0".to_owned(),
        Some(number) => {
            let sign = if number.is_negative { "-" } else { "" };
            format!("{sign}{}e{}", number.digits, number.exponent)
        }
        // Such text equals only itself.
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn canonical_text_agrees_exactly_for_equal_values() {
        for (left, right, equal) in [
            (
                r#"{"a":1,"b":[true,null]}"#,
                r#"{ "b": [true, null], "a": 1.0 }"#,
                true,
            ),
            ("1", "10e-1", true),
            ("-0.0", "0", true),
            ("1200", "1.2E+3", true),
            ("9007199254740993", "9007199254740992", false),
            ("1e400", "1e401", false),
            ("-1", "1", false),
            (r#""A""#, r#""\u0041""#, true),
            (r#"["a","b"]"#, r#"["a,b"]"#, false),
            (r#"["1"]"#, "[1]", false),
            ("[[1],2]", "[[1,2]]", false),
        ] {
            assert_eq!(
                canonical(raw(left)) == canonical(raw(right)),
                equal,
                "{left} and {right}"
            );
        }
    }

    proptest! {
        #[test]
        fn integers_agree_only_with_themselves(left: u64, right: u64) {
            let (left_text, right_text) = (left.to_string(), format!("{right}.0"));
            prop_assert_eq!(canonical(raw(&left_text)) == canonical(raw(&right_text)), left == right);
        }
    }
}
