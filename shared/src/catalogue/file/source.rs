//! Where the values of a file are, and why a text is not JSON, for the file's author.

use std::collections::HashMap;
use std::fmt;

use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::domain::json::{elements, members};

/// Both from 1. The column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

#[derive(Debug)]
pub struct Source<'a> {
    text: &'a str,
    root: Result<&'a RawValue, serde_json::Error>,
    /// The offset of each line.
    lines: Vec<usize>,
    /// The members or elements of values, by the value's offset: a file may have an error in each
    /// of its functions, and its root is a megabyte.
    children: HashMap<usize, Vec<(String, &'a RawValue)>>,
}

impl<'a> Source<'a> {
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            text,
            root: serde_json::from_str(text),
            lines: std::iter::once(0).chain(ends).collect(),
            children: HashMap::new(),
        }
    }

    /// Where the text stops being JSON, and why.
    #[must_use]
    pub fn syntax_error(&self) -> Option<(Position, String)> {
        let error = self.root.as_ref().err()?;
        let (line, column) = (error.line(), error.column());
        // This column counts bytes, and is 0 when the line is empty.
        let offset = self.lines[line.saturating_sub(1)] + column.saturating_sub(1);
        let offset = self.text.floor_char_boundary(offset);
        let detail = format!("is not JSON: {}", self.syntax_detail(error, offset));
        Some((self.position(offset), detail))
    }

    /// `serde_json` has an error's kind in its text alone, in the words of a parser's author.
    fn syntax_detail(&self, error: &serde_json::Error, offset: usize) -> String {
        if error.classify() == Category::Eof {
            return "it ends too early".to_owned();
        }
        let (before, after) = self.text.split_at(offset);
        if after.starts_with(['}', ']']) && before.trim_ascii_end().ends_with(',') {
            return "a comma must not come last".to_owned();
        }
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = text.trim_end_matches(&place);
        let detail = match text {
            "expected value" | "expected ident" => "a value is expected",
            "key must be a string" => "a name in double quotes is expected",
            "expected `:`" => "a colon is expected",
            "expected `,` or `}`" => "a comma or } is expected",
            "expected `,` or `]`" => "a comma or ] is expected",
            "trailing characters" => "nothing may follow the value",
            "invalid number" => "this is not a number of JSON's",
            "invalid escape" => "JSON does not have this escape",
            "recursion limit exceeded" => "it is nested too deeply",
            control if control.starts_with("control character") => {
                "a string must not have a line break or another control character"
            }
            other => other,
        };
        detail.to_owned()
    }

    /// Where the value at an RFC 6901 pointer begins; of a member that is missing, where its object
    /// begins; of one that is given several times, where the second begins.
    pub fn locate(&mut self, pointer: &str) -> Position {
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
