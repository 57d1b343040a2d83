//! A caller of the API: submits an operation and polls it.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use local::client::http_client;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::json;
use shared::http::Route;
use shared::terminal::visible;

use crate::demo::table;

/// The first wait between two polls. Each later one is twice as long, up to the wait that the
/// server asks for: a short operation's end is seen at once, and a long one is not polled too
/// often.
const POLL_FIRST: Duration = Duration::from_millis(50);

pub(super) struct Caller {
    url: String,
    client: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the API does not answer")]
    Unanswered(#[from] reqwest::Error),
    #[error("the API answers {status}: {body}")]
    Refused { status: StatusCode, body: String },
    #[error("the API's response is not an operation")]
    Malformed(#[from] serde_json::Error),
}

/// The members of an operation that the demonstration uses.
#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) status: String,
    progress: Option<f64>,
    pub(super) progress_message: Option<String>,
    retry_after: Option<RetryAfter>,
    pub(super) result: Option<Summary>,
    #[serde(default)]
    errors: Vec<OperationError>,
}

#[derive(Debug, Deserialize)]
struct RetryAfter {
    value: u64,
}

#[derive(Debug, Deserialize)]
struct OperationError {
    code: String,
    message: String,
}

/// The result of `csv.summarize`.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    pub(super) rows: u64,
    columns: Vec<Column>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    count: u64,
    distinct: u64,
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    standard_deviation: Option<f64>,
}

impl Caller {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client: http_client(),
        }
    }

    pub(super) async fn submit(
        &self,
        table: &table::Table,
        callback_url: &str,
    ) -> Result<Operation, CallError> {
        let body = json!({
            "function": "csv.summarize",
            "arguments": table.arguments(),
            "metadata": { "table": table.name },
            "callback_url": callback_url,
        });
        let url = format!("{}{}", self.url, Route::SubmitOperation.path());
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string());
        operation(request).await
    }

    pub(super) async fn read(&self, id: &str) -> Result<Operation, CallError> {
        let url = format!("{}{}", self.url, Route::ReadOperation.path_of(id));
        operation(self.client.get(url)).await
    }
}

async fn operation(request: RequestBuilder) -> Result<Operation, CallError> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        return Err(CallError::Refused { status, body });
    }
    Ok(serde_json::from_str(&body)?)
}

impl Operation {
    /// An operation has `retry_after` until it has ended.
    pub(super) const fn has_ended(&self) -> bool {
        self.retry_after.is_none()
    }

    pub(super) fn poll_again_after(&self, polls: u32) -> Duration {
        let retry_after_secs = self.retry_after.as_ref().map_or(0, |after| after.value);
        let backoff = POLL_FIRST.saturating_mul(2_u32.saturating_pow(polls));
        backoff.min(Duration::from_secs(retry_after_secs))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 1000"
    )]
    pub(super) fn progress_permille(&self) -> u64 {
        (self.progress.unwrap_or_default().clamp(0.0, 1.0) * 1000.0) as u64
    }

    /// Why there is no result: the first error, which is the function's, or the status.
    pub(super) fn failure(&self) -> String {
        match self.errors.first() {
            Some(error) => format!("{}: {}", error.code, error.message),
            None => self.status.clone(),
        }
    }
}

impl Summary {
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "column",
            "count",
            "distinct",
            "min",
            "max",
            "mean",
            "std. deviation",
        ]);
        for column in &self.columns {
            let number = |number: Option<f64>| number.map(rounded).unwrap_or_default();
            let numbers = [
                column.count.to_string(),
                column.distinct.to_string(),
                number(column.min),
                number(column.max),
                number(column.mean),
                number(column.standard_deviation),
            ];
            let numbers =
                numbers.map(|number| Cell::new(number).set_alignment(CellAlignment::Right));
            table.add_row(
                [Cell::new(visible(&column.name))]
                    .into_iter()
                    .chain(numbers),
            );
        }
        table
    }
}

/// At most three decimals, without trailing zeros; with an exponent where the decimals would be all
/// zeros, or the integer part too long for a table.
fn rounded(number: f64) -> String {
    let plain = number == 0.0 || (0.001..1e16).contains(&number.abs());
    let text = if plain {
        format!("{number:.3}")
    } else {
        format!("{number:.3e}")
    };
    let (digits, exponent) = text.find('e').map_or((&*text, ""), |at| text.split_at(at));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}{exponent}")
}
