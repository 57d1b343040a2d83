//! Reading one JSON value from bytes, with the position of the first error.

use std::str;

use serde_json::value::RawValue;

/// Bytes that are not JSON. The text follows the name of what they are, such as "the body".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    #[error("is not UTF-8 from byte {position_bytes} on")]
    NotUtf8 {
        /// The first invalid byte, from 0.
        position_bytes: usize,
    },
    /// They are text, but not one JSON value.
    #[error("is not JSON at byte {position_bytes}")]
    NotJson {
        /// Where the parser stopped, from 0; the length when the text ends too early.
        position_bytes: usize,
    },
}

impl NotJson {
    /// The first invalid byte, from 0; the length when the text ends too early.
    #[must_use]
    pub const fn position_bytes(self) -> usize {
        match self {
            Self::NotUtf8 { position_bytes } | Self::NotJson { position_bytes } => position_bytes,
        }
    }
}

/// Reads exactly one JSON value, with white space around it.
///
/// # Errors
///
/// The position of the first invalid byte.
pub fn read(bytes: &[u8]) -> Result<&RawValue, NotJson> {
    let text = str::from_utf8(bytes).map_err(|error| NotJson::NotUtf8 {
        position_bytes: error.valid_up_to(),
    })?;
    serde_json::from_str(text).map_err(|error| NotJson::NotJson {
        position_bytes: if error.is_eof() {
            text.len()
        } else {
            position_bytes(text, error.line(), error.column())
        },
    })
}

/// The parser counts lines and columns from 1. Callers see bytes from 0.
fn position_bytes(text: &str, line: usize, column: usize) -> usize {
    let lines_before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (lines_before + column.saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_position_of_the_first_invalid_byte() {
        for (bytes, position_bytes) in [
            (&b""[..], 0),
            (b"x", 0),
            (b"{\"a\":x}", 5),
            (b"{\"a\":1", 6),
            (b"{\"a\":\"b", 7),
            (b"{\n\"a\":1\n\n", 9),
            (b"[1,]", 3),
            (b"{} {}", 3),
            (b"[\"\xc3\xa9\",x]", 6),
            (b"nul", 3),
            (b"\n\n?", 2),
        ] {
            let not_json = NotJson::NotJson { position_bytes };
            assert_eq!(
                read(bytes).unwrap_err(),
                not_json,
                "{}",
                bytes.escape_ascii()
            );
        }
        let not_utf8 = NotJson::NotUtf8 { position_bytes: 2 };
        assert_eq!(read(b"[\"\xff\"]").unwrap_err(), not_utf8);
    }
}
