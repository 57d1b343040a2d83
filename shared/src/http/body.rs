//! A JSON object from a caller, member by member.
//!
//! Every wrong member is told at once, each with its pointer; unknown ones are wrong too. Members are kept as text until their
//! own type is known, so that what is passed through stays as it was sent.

use semver::Version;
use serde_json::value::RawValue;

use super::problem::{Code, FieldError, Problem};
use crate::domain::json::{self, Json, push_token};
use crate::domain::limits::{FAULTS_MAX, FUNCTION_NAME_CHARS_MAX, NESTING_MAX, VERSION_CHARS_MAX};

/// What a caller is told of a version that is none.
pub const VERSION_RULE: &str = "must be a semantic version such as 1.0.0";

/// The members of an object, each to be taken once.
#[derive(Debug, Default)]
pub struct Members<'a> {
    left: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// Reads a body that must be an object.
    ///
    /// # Errors
    ///
    /// When it is not JSON, not an object, nested too deeply, or has a member twice.
    pub fn read(body: &'a [u8]) -> Result<Self, Problem> {
        let raw = json::read(body)
            .map_err(|not_json| Problem::new(Code::ParseError, format!("the body {not_json}")))?;
        if !raw.get().starts_with('{') {
            return Err(Problem::new(
                Code::InvalidRequest,
                "the body must be a JSON object",
            ));
        }
        json::check(raw, NESTING_MAX)
            .map_err(|fault| Problem::field(fault.pointer, fault.kind.to_string()))?;
        Ok(Self::of(raw).unwrap_or_default())
    }

    /// The members of what is an object already, duplicates included; `None` when it is none, or has a name that is not valid
    /// Unicode.
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        let left = json::members(raw)?;
        Some(Self { left })
    }

    /// Takes an optional member. One that is null counts as left out.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.take_any(name).filter(|raw| raw.get() != "null")
    }

    /// Takes a member, null or not.
    pub fn take_any(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.swap_remove(index).1)
    }

    /// Every member that was not taken is one that nobody knows.
    pub fn refuse_the_rest(mut self, fields: &mut Fields) {
        let by_name = |a: &(String, _), b: &(String, _)| a.0.cmp(&b.0);
        // Of very many, those that are named need no order among the others.
        if self.left.len() > FAULTS_MAX + 1 {
            self.left.select_nth_unstable_by(FAULTS_MAX, by_name);
            self.left.truncate(FAULTS_MAX + 1);
        }
        self.left.sort_by(by_name);
        for (name, _) in self.left {
            fields.wrong(&name, "is not a member of this request");
        }
    }
}

/// What was found wrong so far in one object: one fault more than are named, which says that there
/// are more.
#[derive(Debug, Default)]
pub struct Fields {
    /// RFC 6901 pointer to the object.
    base: String,
    errors: Vec<FieldError>,
}

impl Fields {
    /// For the object at `base`, an RFC 6901 pointer.
    pub fn at(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            errors: Vec::new(),
        }
    }

    /// A member of the object is wrong.
    pub fn wrong(&mut self, member: &str, detail: impl Into<String>) {
        if self.is_full() {
            return;
        }
        let mut pointer = self.base.clone();
        push_token(&mut pointer, member);
        self.wrong_at(pointer, detail);
    }

    /// Something is wrong at `pointer`.
    pub fn wrong_at(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if !self.is_full() {
            self.errors.push(FieldError::new(pointer, detail));
        }
    }

    const fn is_full(&self) -> bool {
        self.errors.len() > FAULTS_MAX
    }

    /// Takes a member that must be there. One that is null is there, and is of the wrong type.
    pub fn required<'a>(
        &mut self,
        members: &mut Members<'a>,
        member: &str,
    ) -> Option<&'a RawValue> {
        let raw = members.take_any(member);
        if raw.is_none() {
            self.wrong(member, "is required");
        }
        raw
    }

    /// A member that must be a string.
    pub fn text(&mut self, member: &str, raw: &RawValue) -> Option<String> {
        let text = serde_json::from_str(raw.get()).ok();
        if text.is_none() {
            self.wrong(member, "must be a string");
        }
        text
    }

    /// A member that must be true or false.
    pub fn boolean(&mut self, member: &str, raw: &RawValue) -> Option<bool> {
        let boolean = raw.get().parse().ok();
        if boolean.is_none() {
            self.wrong(member, "must be true or false");
        }
        boolean
    }

    /// A member that must be the name of a function: letters, digits and `. _ : -`.
    pub fn function_name(&mut self, member: &str, raw: &RawValue) -> Option<String> {
        let name = self.text(member, raw)?;
        let first = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
        if first && rest && name.len() <= FUNCTION_NAME_CHARS_MAX {
            return Some(name);
        }
        self.wrong(
            member,
            format!(
                "must be letters, digits and . _ : -, beginning with a letter or digit, at most {FUNCTION_NAME_CHARS_MAX}"
            ),
        );
        None
    }

    /// A member that must be a version by Semantic Versioning.
    pub fn version(&mut self, member: &str, raw: &RawValue) -> Option<Version> {
        let text = self.text(member, raw)?;
        if text.len() > VERSION_CHARS_MAX {
            self.wrong(
                member,
                format!("must have at most {VERSION_CHARS_MAX} characters"),
            );
            return None;
        }
        let version = Version::parse(&text).ok();
        if version.is_none() {
            self.wrong(member, VERSION_RULE);
        }
        version
    }

    /// A member that must be a whole number within bounds, in any spelling of JSON's.
    pub fn number(
        &mut self,
        member: &str,
        raw: &RawValue,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = json::whole_number(raw)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            self.wrong(
                member,
                format!(
                    "must be a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                ),
            );
        }
        number
    }

    /// A member that must be an object.
    pub fn object(&mut self, member: &str, raw: &RawValue) -> Option<Json> {
        let json = Json::compact(raw);
        if !json.is_object() {
            self.wrong(member, "must be an object");
            return None;
        }
        Some(json)
    }

    /// JSON at `pointer` that may have so many bytes, white space not counted.
    pub fn bound(&mut self, pointer: &str, json: Json, bytes_max: usize) -> Option<Json> {
        let bytes = json.len_bytes();
        if bytes > bytes_max {
            let detail = format!("must have at most {bytes_max} bytes, and has {bytes}");
            self.wrong_at(pointer, detail);
            return None;
        }
        Some(json)
    }

    /// What was found wrong.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// What was found wrong, if anything.
    ///
    /// # Errors
    ///
    /// All of it.
    pub fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::fields(self.errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> Code {
        Members::read(body).unwrap_err().code
    }

    #[test]
    fn what_is_not_json_or_not_an_object_is_told_apart() {
        for body in [
            &b""[..],
            b" ",
            b"{",
            b"{\"a\":}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"nul",
            b"{} {}",
            b"\xff",
            b"{\"a\":\"\xc3\x28\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":01}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\x01\"}",
            b"[1,2",
            b"// x\n{}",
        ] {
            assert_eq!(
                code(body),
                Code::ParseError,
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
        for body in [&b"[]"[..], b"1", b"null", b"\"{}\"", b"true"] {
            assert_eq!(
                code(body),
                Code::InvalidRequest,
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn the_byte_that_is_wrong_is_named() {
        let detail = |body: &[u8]| Members::read(body).unwrap_err().detail;
        assert_eq!(detail(b"{\"a\":x}"), "the body is not JSON at byte 5");
        assert_eq!(detail(b"{\n\"a\":x}"), "the body is not JSON at byte 6");
        assert_eq!(
            detail(b"{\"a\":\"\xff\"}"),
            "the body is not UTF-8 from byte 6 on"
        );
    }

    #[test]
    fn depth_and_duplicates_are_pointed_at() {
        let nested = |levels: usize| {
            format!(
                "{}{}{}{}",
                r#"{"a":"#,
                "[".repeat(levels),
                "]".repeat(levels),
                "}"
            )
        };
        assert!(Members::read(nested(NESTING_MAX - 1).as_bytes()).is_ok());
        assert_eq!(code(nested(NESTING_MAX).as_bytes()), Code::InvalidArguments);
        let twice = Members::read(br#"{"a":{"b":1,"b":2}}"#).unwrap_err();
        assert_eq!(
            twice.errors,
            [FieldError::new("/a/b", "is given more than once")]
        );
    }
}
