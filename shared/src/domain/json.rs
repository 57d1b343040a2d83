//! JSON that comes back exactly as it was sent.
//!
//! Arguments, metadata and results are kept as text, so that every number and key survives: a parse
//! into floating point would turn 9007199254740993 into its neighbour. This module checks such text
//! and compares it by value without parsing numbers.

mod canonical;
mod number;
mod read;
mod token;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

pub use self::canonical::canonical;
pub use self::number::whole_number;
pub(crate) use self::number::{with_finite_numbers, with_plain_integers};
pub use self::read::{NotJson, read};
use self::token::{Token, Tokens, decoded};

/// Writes one of Ferry's own types as JSON.
///
/// # Panics
///
/// When the type has no JSON form: a map whose keys are not strings, or a `Serialize` that fails. A
/// type of Ferry's that did would fail in its first test, and never for a particular value.
#[must_use]
pub fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("Ferry's own types have string keys, so a JSON form")
}

/// One JSON value as text, as sent except for insignificant white space.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Writes a value as JSON.
    ///
    /// # Errors
    ///
    /// When the value has no JSON form, such as a map whose keys are not strings.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// `{}`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub fn empty_object() -> Self {
        Self(RawValue::from_string("{}".to_owned()).expect("an object without members is JSON"))
    }

    /// Drops white space between tokens, and leaves strings unchanged.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub fn compact(raw: &RawValue) -> Self {
        let given = raw.get();
        let mut text = String::with_capacity(given.len());
        let (mut in_string, mut escaped, mut kept_to) = (false, false, 0);
        for (index, byte) in given.bytes().enumerate() {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                text.push_str(&given[kept_to..index]);
                kept_to = index + 1;
            } else {
                in_string = byte == b'"';
            }
        }
        text.push_str(&given[kept_to..]);
        Self(RawValue::from_string(text).expect("JSON without white space is JSON"))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Its length in bytes of UTF-8.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.0.get().len()
    }

    /// Whether this is `{}`.
    #[must_use]
    pub fn is_empty_object(&self) -> bool {
        self.as_str() == "{}"
    }

    /// Whether this is an object, with or without members.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }
}

/// Reads exactly one JSON value.
impl FromStr for Json {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Ok(Self::compact(raw))
    }
}

/// Equality of text, not of value: `1.0` and `1` differ. [`canonical`] compares by value.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::compact(&Box::<RawValue>::deserialize(deserializer)?))
    }
}

/// What is wrong with syntactically valid JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureError {
    /// RFC 6901 pointer from the root of the checked text.
    pub pointer: String,
    pub kind: StructureErrorKind,
}

/// Why syntactically valid JSON is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructureErrorKind {
    /// Arrays and objects are nested deeper than allowed.
    TooDeep,
    /// An object has two members of one name: different readers would see different ones.
    DuplicateMember,
    /// A string has an unpaired surrogate, which UTF-8 cannot represent.
    NotUnicode,
}

impl fmt::Display for StructureErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooDeep => "is nested too deeply",
            Self::DuplicateMember => "is given more than once",
            Self::NotUnicode => "is not valid Unicode",
        })
    }
}

/// Checks what JSON's grammar leaves open: depth (the root counts as one), duplicate members, and
/// strings that are not Unicode.
///
/// Reads `raw` once, whatever its depth.
///
/// # Errors
///
/// The first error in document order.
pub fn check(raw: &RawValue, depth_max: usize) -> Result<(), StructureError> {
    let mut open: Vec<Open<'_>> = Vec::new();
    for token in Tokens::of(raw) {
        if !matches!(token, Token::Name(_) | Token::EndArray | Token::EndObject)
            && let Some(Open::Array { begun }) = open.last_mut()
        {
            *begun += 1;
        }
        match token {
            Token::BeginArray | Token::BeginObject if open.len() == depth_max => {
                return Err(StructureError::at(&open, StructureErrorKind::TooDeep));
            }
            Token::BeginArray => open.push(Open::Array { begun: 0 }),
            Token::BeginObject => open.push(Open::Object {
                names: HashSet::new(),
                name: "",
            }),
            Token::EndArray | Token::EndObject => {
                open.pop();
            }
            Token::Name(string) => {
                let Some(Open::Object { names, name }) = open.last_mut() else {
                    continue;
                };
                *name = string;
                let Some(text) = decoded(string) else {
                    // A pointer cannot contain this name, so it points to the object.
                    open.pop();
                    return Err(StructureError::at(&open, StructureErrorKind::NotUnicode));
                };
                if !names.insert(text) {
                    return Err(StructureError::at(
                        &open,
                        StructureErrorKind::DuplicateMember,
                    ));
                }
            }
            Token::Text(string) if decoded(string).is_none() => {
                return Err(StructureError::at(&open, StructureErrorKind::NotUnicode));
            }
            Token::Text(_) | Token::Scalar(_) => {}
        }
    }
    Ok(())
}

/// An array or object that has begun and not ended.
enum Open<'a> {
    Array {
        /// Elements that have begun, including the current one.
        begun: usize,
    },
    Object {
        names: HashSet<Cow<'a, str>>,
        /// The current member's name, as it was sent.
        name: &'a str,
    },
}

impl StructureError {
    /// An error of the current value in the innermost of these.
    fn at(open: &[Open<'_>], kind: StructureErrorKind) -> Self {
        let mut pointer = String::new();
        for open in open {
            match open {
                Open::Array { begun } => {
                    push_token(&mut pointer, &begun.saturating_sub(1).to_string());
                }
                Open::Object { name, .. } => {
                    push_token(&mut pointer, &decoded(name).unwrap_or_default());
                }
            }
        }
        Self { pointer, kind }
    }
}

/// Appends one reference token to an RFC 6901 pointer, escaped.
pub fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// An object's members in order, duplicates included; `None` when a name is not valid Unicode.
#[must_use]
pub fn members(raw: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    let ObjectMembers(members) = serde_json::from_str(raw.get()).ok()?;
    members
}

/// What [`members`] returns, for values inside of others.
pub struct ObjectMembers<'a>(pub Option<Vec<(String, &'a RawValue)>>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = ObjectMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(ObjectMembers(Some(members)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(ObjectMembers(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(ObjectMembers(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(ObjectMembers(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(ObjectMembers(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(ObjectMembers(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(ObjectMembers(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(ObjectMembers(None))
    }
}

/// An array's first `count_max` elements in order; empty when the value is not an array.
#[must_use]
pub fn elements(raw: &RawValue, count_max: usize) -> Vec<&RawValue> {
    struct Elements<'e, 'de> {
        found: &'e mut Vec<&'de RawValue>,
        count_max: usize,
    }

    impl<'de> Visitor<'de> for Elements<'_, 'de> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while self.found.len() < self.count_max
                && let Some(element) = seq.next_element()?
            {
                self.found.push(element);
            }
            Ok(())
        }
    }

    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    // It fails when elements are left over, as intended.
    let _ = deserializer.deserialize_seq(Elements {
        found: &mut found,
        count_max,
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    fn error(text: &str) -> Option<(String, StructureErrorKind)> {
        check(raw(text), 3)
            .err()
            .map(|error| (error.pointer, error.kind))
    }

    #[test]
    fn compact_text_keeps_strings_numbers_and_order() {
        for (sent, kept) in [
            (
                " { \"b\" : 1.0e5 ,\n\"a\" : [ 1 , 2 ] } ",
                r#"{"b":1.0e5,"a":[1,2]}"#,
            ),
            (r#"{"a b":" c\" d \\"}"#, r#"{"a b":" c\" d \\"}"#),
            (
                "[9007199254740993, 18446744073709551615]",
                "[9007199254740993,18446744073709551615]",
            ),
        ] {
            assert_eq!(sent.parse::<Json>().unwrap().as_str(), kept);
        }
    }

    #[test]
    fn an_error_is_reported_with_the_pointer_to_it() {
        assert_eq!(error(r#"{"a":[[1]],"b":"x"}"#), None);
        assert_eq!(
            error(r#"{"a":[[[]]]}"#),
            Some(("/a/0/0".into(), StructureErrorKind::TooDeep))
        );
        assert_eq!(
            error(r#"{"a":1,"b":{"c/d":1,"c\/d":2}}"#),
            Some(("/b/c~1d".into(), StructureErrorKind::DuplicateMember))
        );
        assert_eq!(
            error(r#"{"a":["\ud800"]}"#),
            Some(("/a/0".into(), StructureErrorKind::NotUnicode))
        );
        assert_eq!(
            error(r#"{"a":{"\ud800":1}}"#),
            Some(("/a".into(), StructureErrorKind::NotUnicode))
        );
        assert_eq!(
            error(r#"{"a":1,"b":[{},[2,"x"],{"c":[3,{}]}]}"#),
            Some(("/b/2/c".into(), StructureErrorKind::TooDeep))
        );
        assert_eq!(
            error(r#"{"a":[1,[],"\ud83d\ude00","\udfff"]}"#),
            Some(("/a/3".into(), StructureErrorKind::NotUnicode))
        );
        assert_eq!(error(r#"[{"a":1},{"a":1,"b":{"a":1}}]"#), None);
    }

    #[test]
    fn very_deep_json_does_not_exhaust_the_stack() {
        let text = "[".repeat(200_000) + &"]".repeat(200_000);
        assert_eq!(
            check(raw(&text), 64).unwrap_err().kind,
            StructureErrorKind::TooDeep
        );
    }
}
