//! The `Idempotency-Key` header.

use super::problem::Problem;
use crate::domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;

const POINTER: &str = "/headers/idempotency-key";

/// Reads the header: 1 to 255 printable ASCII characters. A quoted string (RFC 8941, section 3.3.3) counts as its content, so
/// that `abc` and `"abc"` are one key.
///
/// # Errors
///
/// When it is anything else.
pub fn idempotency_key(header: &str) -> Result<String, Problem> {
    let key = match header.strip_prefix('"') {
        Some(rest) => unquote(rest)
            .ok_or_else(|| Problem::field(POINTER, "is not a well-formed quoted string"))?,
        None => header.to_owned(),
    };
    let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) {
        Ok(key)
    } else {
        let detail =
            format!("must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters");
        Err(Problem::field(POINTER, detail))
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
    fn anything_else_is_refused() {
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
            let problem = idempotency_key(header).unwrap_err();
            assert_eq!(problem.errors[0].pointer, POINTER, "{header}");
        }
    }
}
