//! Untrusted text on a terminal.
//!
//! What callers, functions and receivers sent is stored and shown as it came. A terminal obeys the
//! control characters in it: it moves its cursor, changes its title, or types input. Bidirectional
//! controls and line separators make the text after them look different (Unicode Technical Report
//! 36, "Bidirectional Text Spoofing"). So the programs that print such text write all of these as
//! JSON escapes, `\u001b`: a JSON document keeps its value.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Escapes text within a line.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, is_invisible)
}

/// Escapes lines, and keeps their ends and tabs, which move the cursor forward only.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| {
        !matches!(character, '\n' | '\t') && is_invisible(character)
    })
}

/// Writes everything through [`visible_lines`]. A character must not be split between two writes.
#[derive(Debug)]
pub struct VisibleLines<W>(pub W);

impl<W: Write> Write for VisibleLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(visible_lines(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escape(text: &str, is_escaped: fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            // Writing to a `String` cannot fail. All of these characters have four hex digits.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// C0, DEL and C1; bidirectional controls; the separators of lines and paragraphs.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_characters_that_a_terminal_obeys_are_escaped() {
        let escaped = (0..=0x1f)
            .chain(0x7f..=0x9f)
            .chain([0x61c, 0x200e, 0x200f, 0x2028, 0x2029])
            .chain(0x202a..=0x202e)
            .chain(0x2066..=0x2069);
        let escaped: Vec<u32> = escaped.collect();
        for character in (0..=0x2_ffff).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let number = u32::from(character);
            let expected = if escaped.contains(&number) {
                format!("a\\u{number:04x}b")
            } else {
                text.clone()
            };
            assert_eq!(visible(&text), expected);
            let is_kept = matches!(character, '\n' | '\t');
            let lines = if is_kept { &text } else { &expected };
            assert_eq!(visible_lines(&text), *lines);
        }
    }

    #[test]
    fn a_json_document_keeps_its_value() {
        let value = serde_json::json!({"\u{9b}": ["\x1b]0;x\x07", "\u{202e}\u{7f}\n\t\\"]});
        for text in [
            value.to_string(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            assert_ne!(visible_lines(&text), text);
            let read: serde_json::Value = serde_json::from_str(&visible_lines(&text)).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let mut written = Vec::new();
        VisibleLines(&mut written)
            .write_all(b"a\x9b1m\x1b[1m\n")
            .unwrap();
        assert_eq!(written, "a\u{fffd}1m\\u001b[1m\n".as_bytes());
    }
}
