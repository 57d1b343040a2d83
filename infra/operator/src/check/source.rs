//! Where the values of a JSON text are.

use std::collections::HashMap;

use serde_json::value::RawValue;
use shared::domain::json::{elements, members};

/// Both from 1. The column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

pub(super) struct Source<'a> {
    text: &'a str,
    root: Result<&'a RawValue, serde_json::Error>,
    /// The offset of each line.
    lines: Vec<usize>,
    /// The members or elements of values, by the value's offset: a file may have an error in each
    /// of its functions, and its root is a megabyte.
    children: HashMap<usize, Vec<(String, &'a RawValue)>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            text,
            root: serde_json::from_str(text),
            lines: std::iter::once(0).chain(ends).collect(),
            children: HashMap::new(),
        }
    }

    /// Why the text is not JSON.
    pub(super) fn syntax_error(&self) -> Option<(Position, String)> {
        let error = self.root.as_ref().err()?;
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        let detail = format!("is not JSON: {}", text.trim_end_matches(&place));
        // This column counts bytes, and is 0 when the line is empty.
        let offset = self.lines[line.saturating_sub(1)] + column.saturating_sub(1);
        let offset = self.text.floor_char_boundary(offset);
        Some((self.position(offset), detail))
    }

    /// Where the value at an RFC 6901 pointer begins; of a member that is missing, where its object
    /// begins; of one that is given several times, where the second begins.
    pub(super) fn locate(&mut self, pointer: &str) -> Position {
        let Ok(mut value) = self.root else {
            return self.position(0);
        };
        let mut tokens = pointer.split('/').skip(1).peekable();
        while let Some(token) = tokens.next() {
            let name = token.replace("~1", "/").replace("~0", "~");
            let named = self.children(value).iter();
            let mut named = named.filter(|(known, _)| *known == name);
            let (first, second) = (named.next(), named.next());
            let is_last = tokens.peek().is_none();
            let Some((_, child)) = second.filter(|_| is_last).or(first) else {
                break;
            };
            value = child;
        }
        let offset = self.offset(value);
        self.position(offset)
    }

    fn children(&mut self, value: &'a RawValue) -> &[(String, &'a RawValue)] {
        let offset = self.offset(value);
        self.children.entry(offset).or_insert_with(|| {
            let elements = || elements(value, usize::MAX).into_iter().enumerate();
            let numbered = || elements().map(|(index, element)| (index.to_string(), element));
            members(value).unwrap_or_else(|| numbered().collect())
        })
    }

    fn offset(&self, value: &RawValue) -> usize {
        value.get().as_ptr().addr() - self.text.as_ptr().addr()
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset);
        let before = &self.text[self.lines[line - 1]..offset];
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }
}
