//! A JSON object from a caller, member by member.
//!
//! Every wrong member is told at once, each with its pointer; unknown ones are wrong too. Members are kept as text until their
//! own type is known, so that what is passed through stays as it was sent.

use serde_json::value::RawValue;

use super::problem::{Code, FieldError, Problem};
use crate::domain::json::{self, Json, push_token};
use crate::domain::limits::NESTING_MAX;

/// The members of an object, each to be taken once.
#[derive(Debug)]
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
        let raw = parse(body)?;
        if !raw.get().starts_with('{') {
            return Err(Problem::new(
                Code::InvalidRequest,
                "the body must be a JSON object",
            ));
        }
        json::check(raw, NESTING_MAX)
            .map_err(|fault| Problem::field(fault.pointer, fault.kind.to_string()))?;
        let left = json::members(raw).unwrap_or_default();
        Ok(Self { left })
    }

    /// Takes a member.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.swap_remove(index).1)
    }

    /// Every member that was not taken is one that nobody knows.
    pub fn refuse_the_rest(mut self, fields: &mut Fields) {
        self.left.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, _) in self.left {
            fields.wrong(&name, "is not a member of this request");
        }
    }
}

fn parse(body: &[u8]) -> Result<&RawValue, Problem> {
    let not_json = |detail: String| Problem::new(Code::ParseError, detail);
    let text = std::str::from_utf8(body).map_err(|error| {
        not_json(format!(
            "the body is not UTF-8 from byte {} on",
            error.valid_up_to()
        ))
    })?;
    serde_json::from_str(text).map_err(|error| {
        let position = position_bytes(text, error.line(), error.column());
        not_json(format!("the body is not JSON at byte {position}"))
    })
}

/// The parser counts lines and columns from 1; callers are told bytes from 0.
fn position_bytes(text: &str, line: usize, column: usize) -> usize {
    let lines_before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (lines_before + column.saturating_sub(1)).min(text.len())
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    /// A member of the body is wrong.
    pub fn wrong(&mut self, member: &str, detail: impl Into<String>) {
        let mut pointer = String::new();
        push_token(&mut pointer, member);
        self.wrong_at(pointer, detail);
    }

    /// Something is wrong at `pointer`.
    pub fn wrong_at(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// A member that must be a string.
    pub fn text(&mut self, member: &str, raw: &RawValue) -> Option<String> {
        let text = serde_json::from_str(raw.get()).ok();
        if text.is_none() {
            self.wrong(member, "must be a string");
        }
        text
    }

    /// A member that must be a whole number within bounds.
    pub fn number(
        &mut self,
        member: &str,
        raw: &RawValue,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = raw
            .get()
            .parse()
            .ok()
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

    /// A member that must be an object of at most so many bytes, white space not counted.
    pub fn object(&mut self, member: &str, raw: &RawValue, bytes_max: usize) -> Option<Json> {
        let json = Json::compact(raw);
        if !json.is_object() {
            self.wrong(member, "must be an object");
            return None;
        }
        if json.len_bytes() > bytes_max {
            self.wrong(
                member,
                format!(
                    "must have at most {bytes_max} bytes, and has {}",
                    json.len_bytes()
                ),
            );
            return None;
        }
        Some(json)
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
