//! The records of a CSV text: its delimiter, its lines, and the errors in its quotes.

use csv::{ReaderBuilder, StringRecord};
use serde::Serialize;
use shared::catalogue::csv_summarize::Delimiter;

/// Where a table is malformed, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// As an editor counts lines: LF, CRLF and CR each end one.
    pub(super) line: u64,
    /// The number of the field in its record.
    pub(super) column: usize,
}

/// Why a table cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) place: Place,
    pub(super) reason: String,
}

/// A CSV text, read record by record.
pub(super) struct Table<'a> {
    /// Without byte order mark and `sep=` line.
    text: &'a str,
    lines_before_text: u64,
    delimiter: u8,
    reader: csv::Reader<&'a [u8]>,
    /// The number of fields of the first record.
    width: Option<usize>,
}

impl<'a> Table<'a> {
    /// The caller's delimiter takes precedence over a `sep=` line, and that over the header.
    pub(super) fn new(csv: &'a str, named: Option<Delimiter>) -> Result<Self, Malformed> {
        let csv = csv.trim_start_matches('\u{feff}');
        let (named_by_line, text) = match separator_line(csv) {
            Some((separator, rest)) => (Some(separator), rest),
            None => (None, csv),
        };
        let delimiter = match (named, named_by_line) {
            (Some(delimiter), _) => delimiter,
            (None, Some(separator)) => Delimiter::of(separator).ok_or_else(|| Malformed {
                place: Place { line: 1, column: 1 },
                reason: format!("the separator {separator:?} is not a comma, semicolon, tab or |"),
            })?,
            (None, None) => found_in_header(text),
        };
        let delimiter = delimiter.byte();
        Ok(Self {
            text,
            lines_before_text: named_by_line.map_or(0, |_| 1),
            delimiter,
            reader: ReaderBuilder::new()
                .delimiter(delimiter)
                .has_headers(false)
                .flexible(true)
                .from_reader(text.as_bytes()),
            width: None,
        })
    }

    /// Reads the next record; the first one names the columns. Returns whether there was one.
    pub(super) fn read(&mut self, record: &mut StringRecord) -> Result<bool, Malformed> {
        let start = self.next_record();
        match self.reader.read_record(record) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(_) => return Err(self.malformed(start, 1, "the record cannot be read")),
        }
        // The reader accepts any quotes. A missing one joins several records, so the number of
        // fields means nothing in a record whose quotes are wrong.
        let raw = &self.text.as_bytes()[start..self.position()];
        if raw.contains(&b'"')
            && let Some(error) = scan(raw, |byte| byte == self.delimiter, |_| ()).error
        {
            return Err(self.quote_error(start, error));
        }
        let width = *self.width.get_or_insert(record.len());
        if record.len() != width {
            let column = record.len().min(width).saturating_add(1);
            let reason = format!(
                "the record has {} fields, the first one {width}",
                record.len()
            );
            return Err(self.malformed(start, column, &reason));
        }
        Ok(true)
    }

    /// The number of empty lines before the next record, or before the end.
    pub(super) fn blank_lines(&self) -> u64 {
        line_breaks(&self.text.as_bytes()[self.next_line()..self.next_record()])
    }

    /// The part of the text that has been read.
    #[expect(clippy::cast_precision_loss, reason = "a fraction of progress")]
    pub(super) fn fraction(&self) -> f64 {
        self.position() as f64 / self.text.len().max(1) as f64
    }

    fn position(&self) -> usize {
        let length = self.text.len();
        usize::try_from(self.reader.position().byte()).map_or(length, |byte| byte.min(length))
    }

    /// The reader stops after the CR of a CRLF.
    fn next_line(&self) -> usize {
        let (bytes, position) = (self.text.as_bytes(), self.position());
        let within_break = position > 0
            && bytes[position - 1] == b'\r'
            && bytes.get(position).is_some_and(|byte| *byte == b'\n');
        position + usize::from(within_break)
    }

    fn next_record(&self) -> usize {
        let rest = &self.text.as_bytes()[self.next_line()..];
        self.text.len() - after_line_breaks(rest).len()
    }

    fn line(&self, offset: usize) -> u64 {
        self.lines_before_text + 1 + line_breaks(&self.text.as_bytes()[..offset])
    }

    fn malformed(&self, offset: usize, column: usize, reason: &str) -> Malformed {
        let line = self.line(offset);
        Malformed {
            place: Place { line, column },
            reason: reason.to_owned(),
        }
    }

    fn quote_error(&self, start: usize, error: QuoteError) -> Malformed {
        let (opening, reason) = match error {
            QuoteError::Unclosed(opening) => {
                let reason = "the quote that opens here is never closed".to_owned();
                (opening, reason)
            }
            QuoteError::TextAfter(opening, offset) => {
                let line = self.line(start + offset);
                let reason = format!(
                    "the quote that opens here closes on line {line}, where text follows it"
                );
                (opening, reason)
            }
        };
        self.malformed(start + opening.offset, opening.field, &reason)
    }
}

/// The line that spreadsheets write before a table: `sep=;`, in any case, with or without quotes.
/// Returns the character and the text after the line. `None` for a letter or a digit, which cannot
/// separate fields: that line is the name of a column.
fn separator_line(text: &str) -> Option<(char, &str)> {
    let end = text.find(['\r', '\n']).unwrap_or(text.len());
    let (line, rest) = text.split_at(end);
    let rest = rest
        .strip_prefix("\r\n")
        .or_else(|| rest.strip_prefix(['\r', '\n']))
        .unwrap_or(rest);
    let line = line
        .strip_prefix('"')
        .and_then(|line| line.strip_suffix('"'))
        .unwrap_or(line);
    let (prefix, separator) = line.split_at_checked("sep=".len())?;
    let mut characters = separator.chars();
    let separator = characters
        .next()
        .filter(|character| !character.is_alphanumeric())?;
    let named = prefix.eq_ignore_ascii_case("sep=") && characters.next().is_none();
    named.then_some((separator, rest))
}

/// The delimiter that splits the header into the most fields. Of several, the one that splits the
/// second record into as many, then the first of [`Delimiter::ALL`]. A comma if the header has no
/// delimiter.
fn found_in_header(text: &str) -> Delimiter {
    let header = after_line_breaks(text.as_bytes());
    let (in_header, length) = separators(header);
    let most = in_header.iter().max().copied().unwrap_or_default();
    if most == 0 {
        return Delimiter::Comma;
    }
    let (in_record, _) = separators(after_line_breaks(&header[length..]));
    let candidates = || (0..Delimiter::ALL.len()).filter(|index| in_header[*index] == most);
    let chosen = candidates()
        .find(|index| in_record[*index] == most)
        .or_else(|| candidates().next());
    chosen.map_or(Delimiter::Comma, |index| Delimiter::ALL[index])
}

/// How often each of [`Delimiter::ALL`] occurs in the first record outside of quotes, and where
/// that record ends. Each of them ends a field, and so allows a quote to open.
fn separators(bytes: &[u8]) -> ([usize; Delimiter::ALL.len()], usize) {
    let index = |byte: u8| {
        Delimiter::ALL
            .iter()
            .position(|delimiter| delimiter.byte() == byte)
    };
    let mut counts = [0; Delimiter::ALL.len()];
    let scanned = scan(
        bytes,
        |byte| index(byte).is_some(),
        |byte| {
            if let Some(index) = index(byte) {
                counts[index] += 1;
            }
        },
    );
    (counts, scanned.length)
}

fn after_line_breaks(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().take_while(|byte| is_line_break(**byte));
    &bytes[blank.count()..]
}

const fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// LF, CRLF and CR each count once.
fn line_breaks(bytes: &[u8]) -> u64 {
    let mut count = 0;
    let mut after_return = false;
    for byte in bytes {
        count += u64::from(*byte == b'\r' || (*byte == b'\n' && !after_return));
        after_return = *byte == b'\r';
    }
    count
}

/// A quote that opens a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opening {
    offset: usize,
    field: usize,
    /// Whether a line ends within the quotes so far.
    several_lines: bool,
}

/// An error in a record's quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuoteError {
    /// The text ends within quotes.
    Unclosed(Opening),
    /// Text at this offset follows a closing quote.
    ///
    /// Within one line it is accepted as a matter of style (`5"` after a quoted word). After a line
    /// break it shows that an earlier quote was never closed, and that this one should open.
    TextAfter(Opening, usize),
}

struct Scanned {
    /// Without the line break.
    length: usize,
    error: Option<QuoteError>,
}

/// Follows the quotes of the first record as the reader does: a quote opens only at the start of a
/// field, and within quotes two quotes are one character.
fn scan(bytes: &[u8], separates: impl Fn(u8) -> bool, mut on_separator: impl FnMut(u8)) -> Scanned {
    enum State {
        FieldStart,
        Unquoted,
        Quoted(Opening),
        Closed(Opening),
        /// Blanks after a closing quote.
        Padded(Opening),
    }
    let mut state = State::FieldStart;
    let mut field = 1;
    for (offset, &byte) in bytes.iter().enumerate() {
        state = match state {
            State::Quoted(opening) if byte == b'"' => State::Closed(opening),
            State::Quoted(opening) => State::Quoted(Opening {
                several_lines: opening.several_lines || is_line_break(byte),
                ..opening
            }),
            State::Closed(opening) if byte == b'"' => State::Quoted(opening),
            State::FieldStart if byte == b'"' => State::Quoted(Opening {
                offset,
                field,
                several_lines: false,
            }),
            _ if separates(byte) => {
                on_separator(byte);
                field += 1;
                State::FieldStart
            }
            _ if is_line_break(byte) => {
                return Scanned {
                    length: offset,
                    error: None,
                };
            }
            State::Closed(opening) | State::Padded(opening) if opening.several_lines => {
                if !matches!(byte, b' ' | b'\t') {
                    return Scanned {
                        length: offset,
                        error: Some(QuoteError::TextAfter(opening, offset)),
                    };
                }
                State::Padded(opening)
            }
            _ => State::Unquoted,
        };
    }
    let error = match state {
        State::Quoted(opening) => Some(QuoteError::Unclosed(opening)),
        _ => None,
    };
    Scanned {
        length: bytes.len(),
        error,
    }
}
