//! JSON values of a given size that are expensive to parse, as text.

use std::fmt::Write as _;

/// Levels of nesting. It leaves room for the members around a value.
const LEVELS: usize = 58;

/// Builds a value's text of at most this many bytes.
pub(crate) type Grow = fn(usize) -> String;

/// Every value, with its name.
pub(crate) const VALUES: &[(&str, Grow)] = &[
    ("numbers", |bytes| array(bytes, "1")),
    ("empty arrays", |bytes| array(bytes, "[]")),
    ("empty objects", |bytes| array(bytes, "{}")),
    ("empty strings", |bytes| array(bytes, "\"\"")),
    ("objects of one member", |bytes| array(bytes, r#"{"a":1}"#)),
    ("objects with a member twice", |bytes| {
        array(bytes, r#"{"a":1,"a":1}"#)
    }),
    ("numbers beyond floating point", |bytes| {
        array(bytes, "1e400")
    }),
    ("numbers with exponents", |bytes| array(bytes, "1e1")),
    ("numbers with long exponents", |bytes| {
        array(bytes, "1e999999999")
    }),
    ("one number", |bytes| "9".repeat(bytes)),
    ("one number with a fraction", |bytes| {
        format!("0.{}", "9".repeat(bytes - 2))
    }),
    ("one number with a long exponent", |bytes| {
        format!("1e{}", "9".repeat(bytes - 2))
    }),
    ("one text", |bytes| format!("\"{}\"", "x".repeat(bytes - 2))),
    ("one text of escapes", |bytes| text(bytes, "\\n")),
    ("one text of escaped letters", |bytes| {
        text(bytes, "\\u0041")
    }),
    ("one text of surrogates", |bytes| {
        text(bytes, "\\ud83d\\ude00")
    }),
    ("one text of control characters", |bytes| {
        text(bytes, "\\u0001")
    }),
    ("half a surrogate at the end", |bytes| {
        format!("\"{}\\ud800\"", "x".repeat(bytes - 8))
    }),
    ("members", |bytes| members(bytes, "")),
    ("members with escapes in their names", |bytes| {
        members(bytes, "\\u0041")
    }),
    ("members with slashes in their names", |bytes| {
        members(bytes, "~/~/~/~/")
    }),
    ("one member repeatedly", |bytes| {
        format!("{{{}}}", repeated(bytes - 2, "\"a\":1", ","))
    }),
    ("one long name", |bytes| {
        format!("{{\"{}\":1}}", "x".repeat(bytes - 6))
    }),
    ("arrays too deep", |bytes| nested(bytes / 2, "[", "", "]")),
    ("objects too deep", |bytes| {
        nested(bytes / 6, "{\"a\":", "1", "}")
    }),
    ("deep arrays of numbers", |bytes| {
        nested(LEVELS, "[", &array(bytes - 2 * LEVELS, "1"), "]")
    }),
    ("deep objects of members", |bytes| {
        let inner = members(bytes - 6 * LEVELS, "");
        nested(LEVELS, "{\"a\":", &inner, "}")
    }),
    ("deep text", |bytes| {
        nested(LEVELS, "[", &text(bytes - 2 * LEVELS, "\\u0041"), "]")
    }),
    ("many deep arrays", |bytes| {
        array(bytes, &nested(LEVELS, "[", "", "]"))
    }),
    ("many deep objects", |bytes| {
        array(bytes, &nested(LEVELS, "{\"a\":", "1", "}"))
    }),
    ("white space", |bytes| {
        format!("[{}]", " ".repeat(bytes - 2))
    }),
    ("white space between numbers", |bytes| {
        array(bytes, "1 \n\t\r  ")
    }),
];

/// An array that repeats one element.
pub(crate) fn array(bytes: usize, element: &str) -> String {
    format!("[{}]", repeated(bytes - 2, element, ","))
}

/// An object of many members, whose different names start with the prefix.
pub(crate) fn members(bytes: usize, prefix: &str) -> String {
    let mut text = String::with_capacity(bytes);
    let mut number = 0_u32;
    loop {
        let before = text.len();
        let separator = if number == 0 { '{' } else { ',' };
        write!(text, "{separator}\"{prefix}{number:x}\":1").unwrap();
        if text.len() + 1 > bytes {
            text.truncate(before);
            text.push('}');
            return text;
        }
        number += 1;
    }
}

/// Repeats the unit as often as it fits, with separators.
pub(crate) fn repeated(bytes: usize, unit: &str, separator: &str) -> String {
    let count = (bytes + separator.len()) / (unit.len() + separator.len());
    vec![unit; count].join(separator)
}

fn text(bytes: usize, unit: &str) -> String {
    format!("\"{}\"", repeated(bytes - 2, unit, ""))
}

fn nested(levels: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}
