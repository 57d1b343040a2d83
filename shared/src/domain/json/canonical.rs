//! Comparing JSON by value, whatever its order, white space and spelling of numbers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::number::Decimal;
use super::token::{Token, Tokens, decoded};

/// A text that is the same for two JSON values exactly when they are equal: members are sorted,
/// strings decoded, numbers reduced to significant digits and exponent. `1`, `1.0` and `10e-1` are
/// equal, and two different integers never are.
///
/// Expects text that [`check`](super::check) has passed. The output is meant for hashing only.
#[must_use]
pub fn canonical(raw: &RawValue) -> String {
    let mut out = String::with_capacity(raw.get().len());
    let mut tokens = Tokens::of(raw);
    if let Some(token) = tokens.next() {
        write_canonical(token, &mut tokens, &mut out);
    }
    out
}

/// Writes the value that `token` begins. [`check`](super::check) limits the depth of the recursion.
fn write_canonical<'a>(token: Token<'a>, tokens: &mut Tokens<'a>, out: &mut String) {
    match token {
        Token::Scalar(text) => out.push_str(&canonical_scalar(text)),
        Token::Text(string) | Token::Name(string) => match decoded(string) {
            Some(text) => push_text(out, &text),
            None => out.push_str(string),
        },
        Token::BeginArray => {
            out.push('[');
            while let Some(element) = tokens.next().filter(|token| *token != Token::EndArray) {
                write_canonical(element, tokens, out);
                out.push(',');
            }
            out.push(']');
        }
        Token::BeginObject => {
            let mut sorted = BTreeMap::new();
            while let Some(Token::Name(name)) = tokens.next()
                && let Some(value) = tokens.next()
            {
                let mut text = String::new();
                write_canonical(value, tokens, &mut text);
                sorted.insert(decoded(name).unwrap_or_default(), text);
            }
            out.push('{');
            for (name, value) in sorted {
                push_text(out, &name);
                out.push(':');
                out.push_str(&value);
                out.push(',');
            }
            out.push('}');
        }
        Token::EndArray | Token::EndObject => {}
    }
}

/// A string with its length before it, so that no text looks like the tokens around it.
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
    fn canonical_texts_are_equal_exactly_when_the_values_are() {
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
            (
                r#"{"b":{"d":[],"c":{}},"a":0}"#,
                r#"{"a":0,"b":{"c":{},"d":[]}}"#,
                true,
            ),
            (r#"{"a":{},"b":1}"#, r#"{"a":{"b":1}}"#, false),
        ] {
            assert_eq!(
                canonical(raw(left)) == canonical(raw(right)),
                equal,
                "{left} and {right}"
            );
        }
    }

    /// A hash of this text is stored with an operation, and later releases compare with it.
    #[test]
    fn the_canonical_form_never_changes() {
        let text = r#"{"b":[1.50,"\u0041",{}],"a":{"é":null}, "c":[[]]}"#;
        assert_eq!(
            canonical(raw(text)),
            "{1\"a:{2\"é:null,},1\"b:[15e-1,1\"A,{},],1\"c:[[],],}"
        );
    }

    proptest! {
        #[test]
        fn two_integers_are_equal_exactly_when_their_values_are(left: u64, right: u64) {
            let (left_text, right_text) = (left.to_string(), format!("{right}.0"));
            let is_equal = canonical(raw(&left_text)) == canonical(raw(&right_text));
            prop_assert_eq!(is_equal, left == right);
        }
    }
}
