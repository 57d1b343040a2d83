//! `csv.summarize`: describes the columns of a table.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Function;
use crate::domain::backoff::RetryPolicy;

#[derive(Debug)]
pub struct CsvSummarize;

/// The arguments of `csv.summarize`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The table as CSV (RFC 4180). The first record names the columns. A byte order mark at the
    /// start is skipped, and so is a first line such as `sep=;`, which names the delimiter. Empty
    /// lines are skipped, except in a table of one column, where each empty line below the header
    /// is an empty field.
    pub csv: String,
    /// The field separator. Default: the one that a `sep=` line names; otherwise the one that
    /// splits the header into the most fields. Ties go to the one that splits the second record
    /// into as many, then to the first of `,` `;` tab `|`.
    pub delimiter: Option<Delimiter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Delimiter {
    /// As RFC 4180 has it.
    #[serde(rename = ",")]
    Comma,
    /// As spreadsheets write it where the comma is the decimal sign.
    #[serde(rename = ";")]
    Semicolon,
    /// As `text/tab-separated-values` has it.
    #[serde(rename = "\t")]
    Tab,
    /// As databases write it.
    #[serde(rename = "|")]
    Pipe,
}

impl Delimiter {
    /// The likeliest first.
    pub const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    #[must_use]
    pub fn of(character: char) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|delimiter| char::from(delimiter.byte()) == character)
    }
}

/// An enumeration of strings. The derived schema has one `oneOf` branch for each delimiter, and an
/// error about branches does not name the allowed values.
impl JsonSchema for Delimiter {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Delimiter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let characters = Self::ALL.map(|delimiter| char::from(delimiter.byte()));
        json_schema!({ "type": "string", "enum": characters })
    }
}

/// The result of `csv.summarize`.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Output {
    /// The number of records, not counting the header.
    pub rows: u64,
    /// The columns, in their order.
    pub columns: Vec<Column>,
}

/// A column of the table.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The number of fields that are not empty.
    pub count: u64,
    /// The number of distinct non-empty values.
    pub distinct: u64,
    /// Present only if every field is a number or empty.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// Statistics of a column of numbers. A number is digits, optionally with a sign, a decimal point
/// and an exponent.
///
/// A field with a leading zero (`007`) is text, and so is a number that a double cannot represent:
/// `1e400`, or a whole number beyond 2^53 such as 9007199254740993. Fractions are rounded.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Numbers {
    /// The smallest number.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// The double nearest to the exact mean.
    pub mean: f64,
    /// The population standard deviation.
    pub standard_deviation: f64,
}

impl Function for CsvSummarize {
    const NAME: &'static str = "csv.summarize";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Summarizes the columns of a CSV table.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
    const DEADLINE_SECS: u32 = 3600;
    const RETRY: RetryPolicy = RetryPolicy {
        initial: Duration::from_secs(2),
        max: Duration::from_secs(60),
    };

    type Args = Args;
    type Output = Output;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::schema_of;

    #[test]
    fn the_schema_lists_the_delimiters_and_null_means_none() {
        let schema = serde_json::to_value(schema_of::<Args>()).unwrap();
        let delimiter = &schema["properties"]["delimiter"];
        assert_eq!(delimiter["enum"], json!([",", ";", "\t", "|", null]));
        assert_eq!(delimiter["type"], json!(["string", "null"]));
        assert_eq!(schema["required"], json!(["csv"]));

        let read = |delimiter: &str| {
            let args = json!({"csv": "", "delimiter": delimiter});
            serde_json::from_value::<Args>(args).map(|args| args.delimiter)
        };
        for delimiter in Delimiter::ALL {
            let character = char::from(delimiter.byte());
            assert_eq!(read(&character.to_string()).unwrap(), Some(delimiter));
            assert_eq!(Delimiter::of(character), Some(delimiter));
        }
        for wrong in ["", ":", "comma", ",,", "\\t"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let args: Args = serde_json::from_value(json!({"csv": "", "delimiter": null})).unwrap();
        assert_eq!(args.delimiter, None);
    }
}
