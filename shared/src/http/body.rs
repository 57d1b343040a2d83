//! The body of a request that must be a JSON object.

use super::problem::Problem;
use crate::domain::json;
use crate::domain::limits::NESTING_MAX;
use crate::request::{ErrorCode, Members};

/// Reads a body that must be an object.
///
/// # Errors
///
/// When it is not JSON, not an object, nested too deeply, or has a member twice.
pub fn read_object(body: &[u8]) -> Result<Members<'_>, Problem> {
    let raw = json::read(body)
        .map_err(|not_json| Problem::new(ErrorCode::ParseError, format!("the body {not_json}")))?;
    // In anything but an object, only that is reported.
    if raw.get().starts_with('{') {
        json::check(raw, NESTING_MAX)
            .map_err(|error| Problem::field(error.pointer, error.kind.to_string()))?;
    }
    Members::of(raw)
        .ok_or_else(|| Problem::new(ErrorCode::InvalidRequest, "the body must be a JSON object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::FieldError;

    fn code(body: &[u8]) -> ErrorCode {
        read_object(body).unwrap_err().code
    }

    #[test]
    fn a_body_that_is_not_json_and_one_that_is_not_an_object_have_two_codes() {
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
                ErrorCode::ParseError,
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
        for body in [&b"[]"[..], b"1", b"null", b"\"{}\"", b"true"] {
            assert_eq!(
                code(body),
                ErrorCode::InvalidRequest,
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn the_detail_names_the_first_wrong_byte() {
        let detail = |body: &[u8]| read_object(body).unwrap_err().detail;
        assert_eq!(detail(b"{\"a\":x}"), "the body is not JSON at byte 5");
        assert_eq!(detail(b"{\n\"a\":x}"), "the body is not JSON at byte 6");
        assert_eq!(
            detail(b"{\"a\":\"\xff\"}"),
            "the body is not UTF-8 from byte 6 on"
        );
    }

    #[test]
    fn deep_nesting_and_duplicates_are_refused_with_their_pointer() {
        let nested = |levels: usize| {
            format!(
                "{}{}{}{}",
                r#"{"a":"#,
                "[".repeat(levels),
                "]".repeat(levels),
                "}"
            )
        };
        assert!(read_object(nested(NESTING_MAX - 1).as_bytes()).is_ok());
        assert_eq!(
            code(nested(NESTING_MAX).as_bytes()),
            ErrorCode::InvalidArguments
        );
        let twice = read_object(br#"{"a":{"b":1,"b":2}}"#).unwrap_err();
        assert_eq!(
            twice.errors,
            [FieldError::new("/a/b", "is given more than once")]
        );
    }
}
