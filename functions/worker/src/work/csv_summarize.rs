//! The work of `csv.summarize`.

mod exact_sum;
mod number;
mod statistics;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use csv::StringRecord;
use shared::catalogue::csv_summarize::{Args, Column, CsvSummarize, Output};

use self::exact_sum::ExactSum;
use self::table::{Malformed, Table};
use super::{Work, WorkError};
use crate::context::Context;

/// Rows between two reports of progress, and between two checks whether the attempt was aborted.
const ROWS_PER_REPORT: u64 = 1000;

impl Work for CsvSummarize {
    async fn run(args: Args, context: Context) -> Result<Output, WorkError> {
        let mut table = Table::new(&args.csv, args.delimiter)?;
        let mut record = StringRecord::new();
        table.read(&mut record)?;
        let mut tallies: Vec<_> = record.iter().map(Tally::new).collect();
        let mut rows = 0;
        let mut report_at = ROWS_PER_REPORT;
        loop {
            // In a table of one column, an empty line is an empty field.
            if tallies.len() == 1 {
                rows += table.blank_lines();
            }
            if !table.read(&mut record)? {
                break;
            }
            rows += 1;
            for (tally, field) in tallies.iter_mut().zip(&record) {
                tally.add(field);
            }
            if rows >= report_at {
                if context.is_aborted() {
                    let message = "the attempt was aborted";
                    return Err(WorkError::permanent("ABORTED", message));
                }
                report_at = rows + ROWS_PER_REPORT;
                context.progress(table.fraction(), &format!("{rows} rows"));
            }
        }
        let mut sum = ExactSum::new();
        let columns = tallies.into_iter().map(|tally| tally.finish(&mut sum));
        Ok(Output {
            rows,
            columns: columns.collect(),
        })
    }
}

impl From<Malformed> for WorkError {
    fn from(Malformed { place, reason }: Malformed) -> Self {
        let message = format!("line {}, column {}: {reason}", place.line, place.column);
        Self::permanent("MALFORMED_CSV", &message).with_details(&place)
    }
}

/// Counts for one column so far.
struct Tally {
    name: String,
    count: u64,
    distinct: HashSet<String>,
    /// `None` once a field is not a number.
    numbers: Option<Vec<f64>>,
}

impl Tally {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            count: 0,
            distinct: HashSet::new(),
            numbers: Some(Vec::new()),
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
        if let Some(numbers) = &mut self.numbers {
            match number::parse(field) {
                Some(number) => numbers.push(number),
                None => self.numbers = None,
            }
        }
    }

    fn finish(self, sum: &mut ExactSum) -> Column {
        Column {
            name: self.name,
            count: self.count,
            distinct: self.distinct.len() as u64,
            numbers: self
                .numbers
                .and_then(|numbers| statistics::of(&numbers, sum)),
        }
    }
}
