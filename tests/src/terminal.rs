//! Text that a terminal interprets, which a program must escape when it prints it.

use std::process::Output;

/// A title, a C1 attribute, a right-to-left override, DEL and a line separator.
pub const HOSTILE: &str = "\x1b]0;title\x07\u{9b}1m\u{202e}\u{7f}\u{2028}";

/// Asserts that a program printed [`HOSTILE`] and escaped it.
///
/// # Panics
///
/// When the output has one of its control characters, or no escape of them.
pub fn assert_visible(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let raw = text
        .contains(|character: char| HOSTILE.contains(character) && !character.is_ascii_graphic());
    assert!(!raw, "{text:?}");
    assert!(text.contains("202e"), "{text}");
}
