//! The `Idempotency-Key` header.

use crate::request::{FieldError, IDEMPOTENCY_KEY_RULE, is_idempotency_key};

/// The pointer to a key in the errors of a request.
pub const IDEMPOTENCY_KEY_POINTER: &str = "/headers/idempotency-key";

/// Reads the header. A quoted string (RFC 8941, section 3.3.3) counts as its content, so that `abc`
/// and `"abc"` are one key.
///
/// # Errors
///
/// When it is anything else.
pub fn idempotency_key(header: &str) -> Result<String, FieldError> {
    let key = match header.strip_prefix('"') {
        Some(rest) => unquote(rest).ok_or_else(|| {
            FieldError::new(
                IDEMPOTENCY_KEY_POINTER,
                "is not a well-formed quoted string",
            )
        })?,
        None => header.to_owned(),
    };
    if is_idempotency_key(&key) {
        Ok(key)
    } else {
        Err(FieldError::new(
            IDEMPOTENCY_KEY_POINTER,
            IDEMPOTENCY_KEY_RULE,
        ))
    }
}

fn unquote(rest: &str) -> Option<String> {
    let mut content = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(content),
            '\\' => content.push(
                characters
                    .next()
                    .filter(|escaped| matches!(escaped, '"' | '\\'))?,
            ),
            character => content.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_is_its_content() {
        for (header, key) in [
            ("abc", "abc"),
            ("\"abc\"", "abc"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            ("a b", "a b"),
            ("a\"b", "a\"b"),
        ] {
            assert_eq!(idempotency_key(header).as_deref(), Ok(key));
        }
        assert!(idempotency_key(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn a_header_that_is_not_a_key_is_refused() {
        let long = "x".repeat(256);
        for header in [
            "",
            "\"\"",
            "\"abc",
            "\"abc\"d",
            r#""a\nb""#,
            "Zoë",
            "a\tb",
            &long,
        ] {
            let error = idempotency_key(header).unwrap_err();
            assert_eq!(error.pointer, IDEMPOTENCY_KEY_POINTER, "{header}");
        }
    }
}
