//! A JSON object from a caller, member by member.
//!
//! A caller sees every error at once, each with its pointer; an unknown member is an error too.
//! Members are kept as text until their type is known, so that what is passed through stays as it
//! was sent.

use semver::Version;
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt;

use crate::domain::json::{self, Json, push_token};
use crate::domain::limits::{ERRORS_LISTED_MAX, FUNCTION_NAME_CHARS_MAX, VERSION_CHARS_MAX};
use crate::domain::time::Timestamp;

/// The error of a text that is not a version. Completes a sentence that begins with the pointer.
pub const VERSION_RULE: &str = "must be a semantic version such as 1.0.0";

pub(super) const TIME_RULE: &str = "must be an RFC 3339 date and time";

/// The longest pointer that a response shows, in characters: names in it are the caller's, and a
/// response has a limit too.
const POINTER_CHARS_MAX: usize = 1000;

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// RFC 6901 pointer: from the body's root, or `/query/NAME` or `/headers/NAME` for what is not
    /// in the body.
    pub pointer: String,
    /// Completes a sentence that begins with the pointer.
    pub detail: String,
}

/// A sentence.
impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pointer of the whole is empty.
        if !self.pointer.is_empty() {
            write!(f, "{} ", self.pointer)?;
        }
        f.write_str(&self.detail)
    }
}

impl FieldError {
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut pointer = pointer.into();
        if let Some((end, _)) = pointer.char_indices().nth(POINTER_CHARS_MAX) {
            pointer.truncate(end);
            // With half of an escaped character it would not be a pointer.
            if pointer.ends_with('~') {
                pointer.pop();
            }
        }
        Self {
            pointer,
            detail: detail.into(),
        }
    }
}

/// A value that could not be read. The [`Fields`] that read it has the error, and
/// [`Fields::finish`] returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// The members of an object, each to be taken once.
#[derive(Debug, Default)]
pub struct Members<'a> {
    left: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// An object's members, duplicates included; `None` when `raw` is not an object, or has a name
    /// that is not valid Unicode.
    #[must_use]
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        json::members(raw).map(Self::new)
    }

    #[must_use]
    pub const fn new(left: Vec<(String, &'a RawValue)>) -> Self {
        Self { left }
    }

    /// A name that several members have.
    #[must_use]
    pub fn repeated(&self) -> Option<&str> {
        let mut names: Vec<_> = self.left.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let repeated = names.windows(2).find(|pair| pair[0] == pair[1]);
        repeated.map(|pair| pair[0])
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

    /// Every member that was not taken is unknown, which is an error.
    pub fn reject_unknown(mut self, fields: &mut Fields) {
        let by_name = |a: &(String, _), b: &(String, _)| a.0.cmp(&b.0);
        // Sort only as many as a response lists.
        if self.left.len() > ERRORS_LISTED_MAX + 1 {
            self.left.select_nth_unstable_by(ERRORS_LISTED_MAX, by_name);
            self.left.truncate(ERRORS_LISTED_MAX + 1);
        }
        self.left.sort_by(by_name);
        for (name, _) in self.left {
            fields.reject(&name, "is not a known member");
        }
    }
}

/// Reads the members of one object and records their errors: one more than a response lists, which
/// shows that there are more.
#[derive(Debug, Default)]
pub struct Fields {
    /// RFC 6901 pointer to the object.
    base: String,
    errors: Vec<FieldError>,
}

impl Fields {
    /// For the object at `base`, an RFC 6901 pointer.
    #[must_use]
    pub fn at(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            errors: Vec::new(),
        }
    }

    /// Records an error of a member of the object.
    pub fn reject(&mut self, member: &str, detail: impl Into<String>) -> Invalid {
        if self.is_full() {
            return Invalid;
        }
        let mut pointer = self.base.clone();
        push_token(&mut pointer, member);
        self.reject_at(pointer, detail)
    }

    /// Records an error at `pointer`.
    pub fn reject_at(&mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Invalid {
        if !self.is_full() {
            self.errors.push(FieldError::new(pointer, detail));
        }
        Invalid
    }

    const fn is_full(&self) -> bool {
        self.errors.len() > ERRORS_LISTED_MAX
    }

    /// The errors so far.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// What was read, when nothing was wrong.
    ///
    /// # Errors
    ///
    /// Every error, including those of optional members that `read` does not show.
    pub fn finish<T>(self, read: Result<T, Invalid>) -> Result<T, Vec<FieldError>> {
        match read {
            Ok(read) if self.errors.is_empty() => Ok(read),
            Ok(_) | Err(Invalid) => Err(self.errors),
        }
    }
}

#[expect(clippy::missing_errors_doc, reason = "`Invalid`: `self` has the error")]
impl Fields {
    /// Takes a member that must be there. One that is null is there, and is of the wrong type.
    pub fn required<'a>(
        &mut self,
        members: &mut Members<'a>,
        member: &str,
    ) -> Result<&'a RawValue, Invalid> {
        let raw = members.take_any(member);
        raw.ok_or_else(|| self.reject(member, "is required"))
    }

    /// Reads a string.
    pub fn text(&mut self, member: &str, raw: &RawValue) -> Result<String, Invalid> {
        let text = serde_json::from_str(raw.get());
        text.map_err(|_| self.reject(member, "must be a string"))
    }

    /// Reads true or false.
    pub fn boolean(&mut self, member: &str, raw: &RawValue) -> Result<bool, Invalid> {
        let boolean = raw.get().parse();
        boolean.map_err(|_| self.reject(member, "must be true or false"))
    }

    /// Reads a function's name: letters, digits and `. _ : -`.
    pub fn function_name(&mut self, member: &str, raw: &RawValue) -> Result<String, Invalid> {
        let name = self.text(member, raw)?;
        let first = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
        if first && rest && name.len() <= FUNCTION_NAME_CHARS_MAX {
            return Ok(name);
        }
        let detail = format!(
            "must be 1 to {FUNCTION_NAME_CHARS_MAX} letters, digits or . _ : - \
             and begin with a letter or digit"
        );
        Err(self.reject(member, detail))
    }

    /// Reads a version by Semantic Versioning.
    pub fn version(&mut self, member: &str, raw: &RawValue) -> Result<Version, Invalid> {
        let text = self.text(member, raw)?;
        if text.len() > VERSION_CHARS_MAX {
            let detail = format!("must have at most {VERSION_CHARS_MAX} characters");
            return Err(self.reject(member, detail));
        }
        Version::parse(&text).map_err(|_| self.reject(member, VERSION_RULE))
    }

    /// Reads a whole number within bounds, in any spelling that JSON has for it.
    pub fn number(
        &mut self,
        member: &str,
        raw: &RawValue,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, Invalid> {
        let number = json::whole_number(raw)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| bounds.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (bounds.start(), bounds.end());
            let detail = if least == most {
                format!("must be {least}")
            } else {
                format!("must be a whole number from {least} to {most}")
            };
            self.reject(member, detail)
        })
    }

    /// Reads a date and time. Digits finer than a millisecond are cut off.
    pub fn time(&mut self, member: &str, raw: &RawValue) -> Result<Timestamp, Invalid> {
        let text: Option<String> = serde_json::from_str(raw.get()).ok();
        let time = text.and_then(|text| text.parse().ok());
        time.ok_or_else(|| self.reject(member, TIME_RULE))
    }

    /// Reads an object.
    pub fn object(&mut self, member: &str, raw: &RawValue) -> Result<Json, Invalid> {
        let json = Json::compact(raw);
        if json.is_object() {
            Ok(json)
        } else {
            Err(self.reject(member, "must be an object"))
        }
    }

    /// Holds JSON at `pointer` to a number of bytes, white space not counted.
    pub fn bound(&mut self, pointer: &str, json: Json, bytes_max: usize) -> Result<Json, Invalid> {
        let bytes = json.len_bytes();
        if bytes > bytes_max {
            let detail = format!("must be at most {bytes_max} bytes, but is {bytes}");
            return Err(self.reject_at(pointer, detail));
        }
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_pointer_is_still_a_pointer() {
        let long = format!("/{}~1", "x".repeat(POINTER_CHARS_MAX - 2));
        let error = FieldError::new(long, "is odd");
        let kept = format!("/{}", "x".repeat(POINTER_CHARS_MAX - 2));
        assert_eq!(error.pointer, kept);
    }

    #[test]
    fn what_was_read_is_returned_only_without_errors() {
        let raw: &RawValue = serde_json::from_str("7").unwrap();
        let mut fields = Fields::at("/a");
        let read = fields.number("n", raw, 1..=9);
        assert_eq!(fields.finish(read), Ok(7));

        let mut fields = Fields::at("/a");
        let read = fields.number("n", raw, 1..=9);
        let _optional = fields.text("t", raw).ok();
        let error = FieldError::new("/a/t", "must be a string");
        assert_eq!(fields.finish(read), Err(vec![error]));
    }
}
