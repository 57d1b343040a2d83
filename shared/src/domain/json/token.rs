//! JSON text as a stream of tokens. It reads each byte once.
//!
//! A reader that descends level by level reads the innermost level once for each level around it.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// A token of text that is known to be JSON. Strings are as they were sent, in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    /// A member's name; its value follows.
    Name(&'a str),
    Text(&'a str),
    /// A number, `true`, `false` or `null`.
    Scalar(&'a str),
}

/// The tokens of one value, in order.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(raw: &'a RawValue) -> Self {
        Self {
            text: raw.get(),
            at: 0,
        }
    }

    /// Skips bytes, and returns the first that is not skipped.
    fn skip(&mut self, passed: impl Fn(u8) -> bool) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| passed(*byte)) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Skips a string, whose opening quote is next, and returns it.
    fn string(&mut self) -> &'a str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.skip(|byte| byte != b'"' && byte != b'\\') {
            // An escape has at least one more character; the hex digits of `\u` are not quotes.
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        &self.text[start..self.at.min(self.text.len())]
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let token = match self.skip(|byte| is_space(byte) || byte == b',')? {
            b'{' => Token::BeginObject,
            b'}' => Token::EndObject,
            b'[' => Token::BeginArray,
            b']' => Token::EndArray,
            b'"' => {
                let string = self.string();
                if self.skip(is_space) != Some(b':') {
                    return Some(Token::Text(string));
                }
                self.at += 1;
                return Some(Token::Name(string));
            }
            _ => {
                let start = self.at;
                self.skip(|byte| !is_space(byte) && !b",]}".contains(&byte));
                return Some(Token::Scalar(&self.text[start..self.at]));
            }
        };
        self.at += 1;
        Some(token)
    }
}

/// The text of a string; `None` when it has an unpaired surrogate.
pub(super) fn decoded(string: &str) -> Option<Cow<'_, str>> {
    if string.contains('\\') {
        return serde_json::from_str(string).ok().map(Cow::Owned);
    }
    let text = string.strip_prefix('"')?.strip_suffix('"')?;
    Some(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_appears_once_in_the_order_of_the_text() {
        use Token::{BeginArray, BeginObject, EndArray, EndObject, Name, Scalar, Text};
        let text =
            " { \"a\\\"\" : [1e5,-2 ,\"b\\\\\", \":\"],\r\n\"c\":{\"d\" :null} , \"e\":[] } ";
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let tokens: Vec<_> = Tokens::of(raw).collect();
        assert_eq!(
            tokens,
            [
                BeginObject,
                Name(r#""a\"""#),
                BeginArray,
                Scalar("1e5"),
                Scalar("-2"),
                Text(r#""b\\""#),
                Text(r#"":""#),
                EndArray,
                Name(r#""c""#),
                BeginObject,
                Name(r#""d""#),
                Scalar("null"),
                EndObject,
                Name(r#""e""#),
                BeginArray,
                EndArray,
                EndObject,
            ]
        );
        let scalar: &RawValue = serde_json::from_str("true").unwrap();
        assert_eq!(Tokens::of(scalar).collect::<Vec<_>>(), [Scalar("true")]);
    }
}
