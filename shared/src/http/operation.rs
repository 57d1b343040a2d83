//! An operation as callers see it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::Answer;
use super::etag::ETag;
use super::problem::Problem;
use crate::domain::callback::{Callback, CallbackStatus};
use crate::domain::callback_url::redacted;
use crate::domain::json::{Json, encode};
use crate::domain::operation::{Operation, OperationError};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;
use crate::store::{Payloads, Store};

/// A caller is asked to come back after a tenth of the operation's age, within these bounds, in seconds: often while it is
/// young, and seldom once it has shown that it takes its time.
const RETRY_AFTER_SECS: (u64, u64) = (1, 30);
const RETRY_AFTER_AGE_DIVISOR: u64 = 10;

/// The body that shows an operation.
#[derive(Debug, Serialize)]
pub struct OperationView<'a> {
    pub id: &'a str,
    pub function: &'a str,
    pub version: &'a str,
    pub status: &'static str,
    pub attempt: u32,
    lock_version: u64,
    pub created_at: String,
    pub updated_at: String,
    pub deadline_at: String,
    pub expires_at: String,
    pub progress: Option<f64>,
    pub progress_message: Option<&'a str>,
    progress_updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<ErrorView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackView<'a>>,
}

/// A length of time as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quantity {
    pub value: u64,
    unit: &'static str,
}

impl Quantity {
    pub const fn seconds(value: u64) -> Self {
        Self {
            value,
            unit: "second",
        }
    }

    /// In milliseconds.
    pub fn of(duration: Duration) -> Self {
        Self {
            value: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            unit: "millisecond",
        }
    }
}

/// An error of a failed operation as callers and receivers of callbacks see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorView<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    details: Option<&'a Json>,
}

impl<'a> From<&'a OperationError> for ErrorView<'a> {
    fn from(error: &'a OperationError) -> Self {
        Self {
            code: &error.code,
            message: &error.message,
            details: error.details.as_ref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct CallbackView<'a> {
    url: String,
    events: Vec<&'static str>,
    status: &'static str,
    attempts: Vec<AttemptView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct AttemptView<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    duration_ms: u64,
}

impl<'a> OperationView<'a> {
    /// An operation in a list: without result and metadata.
    #[must_use]
    pub fn summary(operation: &'a Operation, now: Timestamp) -> Self {
        let status = operation.status();
        let progress = operation.progress.as_ref();
        let retry_after = retry_after_secs(operation, now);
        Self {
            id: operation.id.as_str(),
            function: &operation.function,
            version: &operation.function_version,
            status: status.as_str(),
            attempt: operation.attempt,
            lock_version: operation.lock_version,
            created_at: operation.created_at.to_string(),
            updated_at: operation.updated_at.to_string(),
            deadline_at: operation.deadline_at.to_string(),
            expires_at: operation.expires_at.to_string(),
            progress: progress.map(|progress| progress.fraction),
            progress_message: progress.and_then(|progress| progress.message.as_deref()),
            progress_updated_at: progress.map(|progress| progress.at.to_string()),
            started_at: operation.started_at.map(|at| at.to_string()),
            completed_at: operation.completed_at().map(|at| at.to_string()),
            cancelled_at: operation.cancelled_at().map(|at| at.to_string()),
            retry_after: retry_after.map(Quantity::seconds),
            metadata: None,
            result: None,
            errors: operation
                .errors()
                .map(|errors| errors.iter().map(ErrorView::from).collect()),
            callback: operation
                .callback
                .as_ref()
                .map(|callback| CallbackView::new(callback, status)),
        }
    }

    /// An operation by itself, with everything.
    #[must_use]
    pub fn whole(
        operation: &'a Operation,
        metadata: &'a Json,
        result: Option<&'a Json>,
        now: Timestamp,
    ) -> Self {
        Self {
            metadata: Some(metadata),
            result,
            ..Self::summary(operation, now)
        }
    }

    /// The answer that shows this operation, with its ETag, and until it has ended `Retry-After`.
    #[must_use]
    pub fn answer(&self, status: u16, tag: &ETag) -> Answer {
        let body = encode(self);
        let answer = Answer::json(status, body)
            .with("cache-control", "private, no-cache")
            .with("etag", tag.to_string());
        match &self.retry_after {
            Some(Quantity { value, .. }) => answer.with("retry-after", value.to_string()),
            None => answer,
        }
    }
}

impl<'a> CallbackView<'a> {
    fn new(callback: &'a Callback, status: Status) -> Self {
        let status = callback.status(status);
        Self {
            url: redacted(&callback.url),
            events: callback.events.iter().map(|event| event.as_str()).collect(),
            status: status.as_str(),
            attempts: callback
                .attempts
                .iter()
                .map(|attempt| AttemptView {
                    at: attempt.at.to_string(),
                    status_code: attempt.status_code,
                    error: attempt.error.as_deref(),
                    duration_ms: attempt.duration_ms,
                })
                .collect(),
            next_attempt_at: callback
                .next_attempt_at
                .filter(|_| status == CallbackStatus::Due)
                .map(|at| at.to_string()),
        }
    }
}

/// When the caller may look again, in seconds; `None` once there is nothing to wait for.
pub fn retry_after_secs(operation: &Operation, now: Timestamp) -> Option<u64> {
    let (shortest, longest) = RETRY_AFTER_SECS;
    let age_secs = now.since(operation.created_at).as_secs();
    (!operation.status().is_terminal())
        .then(|| (age_secs / RETRY_AFTER_AGE_DIVISOR).clamp(shortest, longest))
}

/// The answer that shows an operation with everything; reads metadata and result when they are apart, none for ordinary ones.
///
/// # Errors
///
/// When the store cannot be reached, or the operation has gone with them meanwhile.
pub async fn show(
    store: &Store,
    operation: &Operation,
    status: u16,
    now: Timestamp,
) -> Result<Answer, Problem> {
    let payloads = store.payloads(operation, now).await?;
    let payloads = payloads.ok_or_else(Problem::no_such_operation)?;
    Ok(show_read(operation, &payloads, status, now))
}

/// [`show`] of what has been read.
#[must_use]
pub fn show_read(
    operation: &Operation,
    payloads: &Payloads,
    status: u16,
    now: Timestamp,
) -> Answer {
    let (metadata, result) = (&payloads.metadata, payloads.result.as_ref());
    let view = OperationView::whole(operation, metadata, result, now);
    view.answer(status, &ETag::of(operation))
}
