//! Operations as callers see them, whichever protocol they speak.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::callback::{Callback, CallbackStatus};
use crate::domain::caller_url::redacted;
use crate::domain::history::{AttemptEnd, AttemptEntry};
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
/// An operation cannot end before it starts or resumes, so a caller should poll again then, but
/// after at most this many seconds: it may be cancelled earlier.
const RETRY_AFTER_WAIT_SECS_MAX: u64 = 60;

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
    pub starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumes_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Quantity>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a Json>,
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

/// An attempt of an operation as callers see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttemptView {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Absent while no end of the attempt is on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// The code of its error.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl From<AttemptEntry> for AttemptView {
    fn from(entry: AttemptEntry) -> Self {
        Self {
            number: entry.number,
            started_at: entry.started_at.map(|at| at.to_string()),
            ended_at: entry.ended_at.map(|at| at.to_string()),
            outcome: entry.end.map(AttemptEnd::as_str),
            code: entry.code,
        }
    }
}

#[derive(Debug, Serialize)]
struct CallbackView<'a> {
    url: String,
    events: Vec<&'static str>,
    status: &'static str,
    attempts: Vec<DeliveryView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct DeliveryView<'a> {
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
            starts_at: operation.starts_at.map(|at| at.to_string()),
            started_at: operation.started_at.map(|at| at.to_string()),
            resumes_at: operation.resumes_at().map(|at| at.to_string()),
            completed_at: operation.completed_at().map(|at| at.to_string()),
            cancelled_at: operation.cancelled_at().map(|at| at.to_string()),
            redrive_of: operation.redrive_of.as_ref().map(OperationId::as_str),
            retry_after: retry_after.map(Quantity::seconds),
            attempts: operation.history().into_iter().map(Into::into).collect(),
            arguments: None,
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

    /// One operation, with metadata and result, and with arguments if they were read.
    #[must_use]
    pub fn whole(operation: &'a Operation, payloads: &'a Payloads, now: Timestamp) -> Self {
        Self {
            arguments: payloads.arguments.as_ref(),
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
                .map(|attempt| DeliveryView {
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
    if operation.status().is_terminal() {
        return None;
    }
    let (shortest, longest) = RETRY_AFTER_SECS;
    let age_secs = now.since(operation.started_after()).as_secs();
    let by_age = (age_secs / RETRY_AFTER_AGE_DIVISOR).clamp(shortest, longest);
    let begins_at = operation.begins_at();
    let wait_secs = begins_at.map_or(0, |at| u64::from(at.secs_from(now)));
    Some(by_age.max(wait_secs.min(RETRY_AFTER_WAIT_SECS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ClaimId;
    use crate::domain::operation::{Payload, SavedState, State};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_poll_comes_after_a_tenth_of_the_age_and_not_before_the_start() {
        for (starts_at, now, secs) in [
            (None, 0, 1),
            (None, 19, 1),
            (None, 20, 2),
            (None, 300, 30),
            (None, 10_000, 30),
            (Some(1), 0, 1),
            (Some(59), 0, 59),
            (Some(60), 0, 60),
            (Some(61), 0, 60),
            (Some(604_800), 0, 60),
            (Some(1000), 995, 5),
            // Its age counts from its start.
            (Some(1000), 1000, 1),
            (Some(1000), 1020, 2),
        ] {
            let operation = Operation {
                starts_at: starts_at.map(at),
                ..Operation::sample()
            };
            let found = retry_after_secs(&operation, at(now));
            assert_eq!(found, Some(secs), "{starts_at:?} at {now}");
        }
        let early = Operation {
            starts_at: Some(at(10)),
            ..Operation::sample()
        };
        let almost = Timestamp::from_millis(8_001);
        assert_eq!(retry_after_secs(&early, almost), Some(2), "rounded up");
        let cancelled = Operation {
            state: State::Cancelled { at: at(0) },
            ..early
        };
        assert_eq!(retry_after_secs(&cancelled, at(0)), None);
    }

    #[test]
    fn a_poll_comes_no_earlier_than_the_work_resumes() {
        // A lease and a backoff are no wait that the work asked for.
        for (attempt, lease_until, now, secs) in [
            (1, 100, 50, 50),
            (1, 1000, 50, 60),
            (1, 1000, 999, 30),
            (1, 1000, 2000, 30),
            (2, 100, 50, 5),
        ] {
            let operation = Operation {
                state: State::Processing {
                    claim_id: ClaimId::from_bytes([1; 16]),
                    lease_until: at(lease_until),
                },
                attempt,
                saved_state: Some(SavedState {
                    attempt: 1,
                    value: Payload::External,
                }),
                ..Operation::sample()
            };
            let found = retry_after_secs(&operation, at(now));
            assert_eq!(found, Some(secs), "{attempt} until {lease_until} at {now}");
        }
    }
}
