//! The work of `csv.summarize`.

use std::collections::HashSet;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde::Serialize;
use shared::catalogue::csv_summarize::{Args, Column, CsvSummarize, Numbers, Output};

use super::{Work, WorkError};
use crate::context::Context;

/// Rows between two reports, and between two looks at whether anybody still wants the result.
const ROWS_PER_REPORT: u64 = 1000;

/// Where a table is malformed, counted from 1.
#[derive(Debug, Serialize)]
struct Place {
    line: u64,
    column: usize,
}

impl Work for CsvSummarize {
    async fn run(args: Args, context: Context) -> Result<Output, WorkError> {
        let mut reader = ReaderBuilder::new().from_reader(args.csv.as_bytes());
        let mut columns: Vec<Tally> = {
            let names = reader.headers().map_err(|error| malformed(&error))?;
            names.iter().map(Tally::new).collect()
        };
        let bytes_total = args.csv.len().max(1);
        let mut record = StringRecord::new();
        let mut rows = 0_u64;
        while reader
            .read_record(&mut record)
            .map_err(|error| malformed(&error))?
        {
            rows += 1;
            for (column, field) in columns.iter_mut().zip(&record) {
                column.add(field);
            }
            if rows.is_multiple_of(ROWS_PER_REPORT) {
                if context.is_cancelled() {
                    return Err(WorkError::permanent(
                        "CANCELLED",
                        "nobody wants the result any more",
                    ));
                }
                #[expect(clippy::cast_precision_loss, reason = "a fraction of progress")]
                let fraction = reader.position().byte() as f64 / bytes_total as f64;
                context.progress(fraction, &format!("{rows} rows"));
            }
        }
        Ok(Output {
            rows,
            columns: columns.into_iter().map(Tally::finish).collect(),
        })
    }
}

/// The reader is lenient within a field (RFC 4180 is not everybody's), so what is malformed is a record of another length.
fn malformed(error: &csv::Error) -> WorkError {
    let message = |place: &Place, what: &str| {
        WorkError::permanent(
            "MALFORMED_CSV",
            &format!("line {}, column {}: {what}", place.line, place.column),
        )
        .with_details(place)
    };
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let column = usize::try_from((*len).min(*expected_len))
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            message(
                &Place { line, column },
                &format!("the record has {len} fields, the first one {expected_len}"),
            )
        }
        ErrorKind::Utf8 { err, .. } => message(
            &Place {
                line,
                column: err.field() + 1,
            },
            "the field is not UTF-8",
        ),
        _ => message(&Place { line, column: 1 }, "the record cannot be read"),
    }
}

/// A column so far. Mean and deviation by Welford's method, which does not lose digits to large sums.
struct Tally {
    name: String,
    count: u64,
    distinct: HashSet<String>,
    all_numbers: bool,
    min: f64,
    max: f64,
    mean: f64,
    squares: f64,
}

impl Tally {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            count: 0,
            distinct: HashSet::new(),
            all_numbers: true,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
        }
    }

    fn add(&mut self, field: &str) {
        if field.is_empty() {
            return;
        }
        self.count += 1;
        if !self.distinct.contains(field) {
            self.distinct.insert(field.to_owned());
        }
        // "inf" and "NaN" parse, but no column of numbers is meant by them, and JSON has no word for them.
        match field
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
        {
            Some(number) if self.all_numbers => self.add_number(number),
            Some(_) => {}
            None => self.all_numbers = false,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a table has fewer rows than a float has integers"
    )]
    fn add_number(&mut self, number: f64) {
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        let from_old_mean = number - self.mean;
        self.mean += from_old_mean / self.count as f64;
        self.squares += from_old_mean * (number - self.mean);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a table has fewer rows than a float has integers"
    )]
    fn finish(self) -> Column {
        let numbers = Numbers {
            min: self.min,
            max: self.max,
            mean: self.mean,
            standard_deviation: (self.squares / self.count as f64).sqrt(),
        };
        // Numbers at the edge of what a float holds have a deviation beyond it, and JSON has no word for that.
        let told = self.all_numbers
            && self.count > 0
            && numbers.standard_deviation.is_finite()
            && numbers.mean.is_finite();
        let numbers = told.then_some(numbers);
        Column {
            name: self.name,
            count: self.count,
            distinct: self.distinct.len() as u64,
            numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::context::test::TestContext;

    fn summarize(csv: &str) -> Result<Output, WorkError> {
        let args = Args {
            csv: csv.to_owned(),
        };
        CsvSummarize::run(args, TestContext::new().context())
            .now_or_never()
            .unwrap()
    }

    #[test]
    fn numbers_and_words_are_told_apart() {
        let output =
            summarize("city,population,note\nRiga,600000,\nOslo,700000,\"a, b\"\nRiga,800000,\n")
                .unwrap();
        assert_eq!(output.rows, 3);
        let [city, population, note] = output.columns.try_into().unwrap();
        assert_eq!((city.count, city.distinct, city.numbers), (3, 2, None));
        let numbers = population.numbers.unwrap();
        assert_eq!(
            (numbers.min, numbers.max, numbers.mean),
            (600_000.0, 800_000.0, 700_000.0)
        );
        assert!((numbers.standard_deviation - 81_649.658).abs() < 0.001);
        assert_eq!((note.count, note.distinct, note.numbers), (1, 1, None));
    }

    #[test]
    fn an_empty_table_has_no_columns_and_an_empty_column_no_numbers() {
        assert_eq!(
            summarize("").unwrap(),
            Output {
                rows: 0,
                columns: vec![]
            }
        );
        assert_eq!(summarize("a\n").unwrap().columns[0].numbers, None);
        assert_eq!(summarize("a\nNaN\n").unwrap().columns[0].numbers, None);
        assert_eq!(
            summarize("a\n-1e308\n1e308\n").unwrap().columns[0].numbers,
            None
        );
    }

    #[test]
    fn a_malformed_table_is_a_permanent_error_with_line_and_column() {
        let error = summarize("a,b\n1,2\n3\n").unwrap_err();
        assert!(!error.retryable);
        assert_eq!(error.error.code, "MALFORMED_CSV");
        assert_eq!(
            error.error.message,
            "line 3, column 2: the record has 1 fields, the first one 2"
        );
        assert_eq!(
            error.error.details.unwrap().as_str(),
            r#"{"line":3,"column":2}"#
        );
    }

    #[test]
    fn progress_is_reported_by_rows_and_cancellation_noticed() {
        let csv = format!("a\n{}", "1\n".repeat(2500));
        let run = |test: &TestContext| {
            CsvSummarize::run(Args { csv: csv.clone() }, test.context())
                .now_or_never()
                .unwrap()
        };
        let test = TestContext::new();
        assert_eq!(run(&test).unwrap().rows, 2500);
        let messages: Vec<_> = test
            .reports()
            .into_iter()
            .map(|(_, message)| message)
            .collect();
        assert_eq!(messages, ["1000 rows", "2000 rows"]);
        assert_eq!(
            run(&TestContext::new().cancel_at(1))
                .unwrap_err()
                .error
                .code,
            "CANCELLED"
        );
    }
}
