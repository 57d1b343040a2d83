//! Operations as callers see them, whichever protocol they speak.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::callback::{Callback, CallbackStatus};
use crate::domain::callback_url::redacted;
use crate::domain::id::OperationId;
use crate::domain::json::Json;
use crate::domain::operation::{Operation, OperationError};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;
use crate::store::Payloads;

/// A caller should poll again after a tenth of the operation's age, within these bounds, in
/// seconds: often while it is young, and seldom once it has shown that it takes long.
const RETRY_AFTER_SECS: (u64, u64) = (1, 30);
const RETRY_AFTER_AGE_DIVISOR: u64 = 10;

/// An operation in REST's members. Forrst's `StatusView` is made from it.
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
    pub redrive_of: Option<&'a str>,
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

/// A duration as callers see it: a value and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quantity {
    pub value: u64,
    unit: &'static str,
}

impl Quantity {
    #[must_use]
    pub const fn seconds(value: u64) -> Self {
        Self {
            value,
            unit: "second",
        }
    }

    /// In milliseconds.
    #[must_use]
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
            redrive_of: operation.redrive_of.as_ref().map(OperationId::as_str),
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

    /// One operation, with metadata and result.
    #[must_use]
    pub fn whole(operation: &'a Operation, payloads: &'a Payloads, now: Timestamp) -> Self {
        Self {
            metadata: Some(&payloads.metadata),
            result: payloads.result.as_ref(),
            ..Self::summary(operation, now)
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

/// When the caller should poll again, in seconds; `None` once the operation has ended.
#[must_use]
pub fn retry_after_secs(operation: &Operation, now: Timestamp) -> Option<u64> {
    let (shortest, longest) = RETRY_AFTER_SECS;
    let age_secs = now.since(operation.created_at).as_secs();
    (!operation.status().is_terminal())
        .then(|| (age_secs / RETRY_AFTER_AGE_DIVISOR).clamp(shortest, longest))
}
