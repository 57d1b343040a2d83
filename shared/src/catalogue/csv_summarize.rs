//! `csv.summarize`: what is in a table.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Function;
use crate::domain::backoff::RetryPolicy;

/// The function.
#[derive(Debug)]
pub struct CsvSummarize;

/// What it is called with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The table as CSV (RFC 4180), its first record the names of its columns.
    pub csv: String,
}

/// What it returns.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Output {
    /// Records, the first not counted.
    pub rows: u64,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
}

/// What is in a column.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Fields that are not empty.
    pub count: u64,
    /// Different ones among them.
    pub distinct: u64,
    /// Of a column of numbers only.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// What is in a column whose fields are all numbers.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Numbers {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, as a whole population.
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
        first: Duration::from_secs(2),
        longest: Duration::from_secs(60),
    };

    type Args = Args;
    type Output = Output;
}
