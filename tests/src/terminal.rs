//! Text that a terminal would obey, and that no program may print as it came.

use std::process::Output;

/// A title, an attribute in C1, a right-to-left override, DEL, and a line of its own.
pub const HOSTILE: &str = "\x1b]0;title\x07\u{9b}1m\u{202e}\u{7f}\u{2028}";

/// Nothing of the kind is in what a program printed.
///
/// # Panics
///
/// When there is, or nothing has been escaped.
pub fn assert_visible(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let raw = said
        .contains(|character: char| HOSTILE.contains(character) && !character.is_ascii_graphic());
    assert!(!raw, "{said:?}");
    assert!(said.contains("202e"), "{said}");
}
