//! The data of each extension in a response.

use std::time::Duration;

use serde::Serialize;

use super::function::SystemFunction;
use super::options::{DeadlineOptions, Specified, WebhookOptions};
use super::retry::RetryData;
use super::urn::ExtensionName;
use shared::domain::callback::SignatureVersion;
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::domain::transition::Status;
use shared::view::{Quantity, retry_after_secs};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ExtensionData {
    Async(AsyncData),
    Webhook(WebhookData),
    Idempotency(IdempotencyData),
    Deadline(DeadlineData),
    Tracing(TracingData),
    Retry(RetryData),
}

impl ExtensionData {
    pub(super) const fn name(&self) -> ExtensionName {
        match self {
            Self::Async(_) => ExtensionName::Async,
            Self::Webhook(_) => ExtensionName::Webhook,
            Self::Idempotency(_) => ExtensionName::Idempotency,
            Self::Deadline(_) => ExtensionName::Deadline,
            Self::Tracing(_) => ExtensionName::Tracing,
            Self::Retry(_) => ExtensionName::Retry,
        }
    }
}

macro_rules! into_extension_data {
    ($($type:ident => $variant:ident),*) => {
        $(impl From<$type> for ExtensionData {
            fn from(data: $type) -> Self {
                Self::$variant(data)
            }
        })*
    };
}
into_extension_data!(
    AsyncData => Async,
    WebhookData => Webhook,
    IdempotencyData => Idempotency,
    DeadlineData => Deadline,
    TracingData => Tracing,
    RetryData => Retry
);

/// The operation that the call has become, and how to poll it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AsyncData {
    operation_id: String,
    status: &'static str,
    poll: Poll,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Poll {
    function: &'static str,
    version: &'static str,
    arguments: PollArguments,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct PollArguments {
    operation_id: String,
}

impl AsyncData {
    #[must_use]
    pub fn new(operation: &Operation, now: Timestamp) -> Self {
        let operation_id = operation.id.as_str().to_owned();
        Self {
            operation_id: operation_id.clone(),
            status: operation.status().as_str(),
            poll: Poll {
                function: SystemFunction::Status.name(),
                version: SystemFunction::VERSION,
                arguments: PollArguments { operation_id },
            },
            retry_after: retry_after_secs(operation, now).map(Quantity::seconds),
            progress: operation
                .progress
                .as_ref()
                .map(|progress| progress.fraction),
            started_at: operation.started_at.map(|at| at.to_string()),
        }
    }
}

/// The callback that will report the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookData {
    registered: bool,
    callback_url: String,
    events: Vec<String>,
    signature_version: &'static str,
}

impl WebhookData {
    /// An accepted callback. `signature_version` is the default, for a caller who asks for none.
    #[must_use]
    pub fn new(options: &WebhookOptions, signature_version: SignatureVersion) -> Self {
        Self {
            registered: true,
            callback_url: options.callback_url.clone(),
            events: options
                .events
                .iter()
                .map(|event| event.spelling.clone())
                .collect(),
            signature_version: options
                .signature_version
                .unwrap_or(signature_version)
                .as_str(),
        }
    }
}

/// What the call's idempotency key led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdempotencyData {
    key: String,
    status: IdempotencyStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdempotencyStatus {
    /// This is the first call with the key.
    Processed,
    /// A repeated call; its operation has not ended.
    Processing,
    /// A repeated call; its operation has ended.
    Cached,
    /// The key was first used for another request.
    Conflict,
}

impl IdempotencyData {
    /// The first call with this key, which has become `operation`.
    #[must_use]
    pub fn first(key: &str, request_id: &str, operation: &Operation, now: Timestamp) -> Self {
        Self {
            key: key.to_owned(),
            status: IdempotencyStatus::Processed,
            original_request_id: Some(request_id.to_owned()),
            cached_at: None,
            expires_at: Some(held_until(operation, now).to_string()),
        }
    }

    /// A repeated call of `operation`. The id of the first request is known when it was sent by
    /// this protocol.
    #[must_use]
    pub fn repeated(
        key: &str,
        original_request_id: Option<&str>,
        operation: &Operation,
        now: Timestamp,
    ) -> Self {
        let status = match operation.status() {
            Status::Pending | Status::Processing => IdempotencyStatus::Processing,
            Status::Completed | Status::Failed | Status::Cancelled => IdempotencyStatus::Cached,
        };
        Self {
            key: key.to_owned(),
            status,
            original_request_id: original_request_id.map(str::to_owned),
            cached_at: operation.ended_at().map(|at| at.to_string()),
            expires_at: Some(held_until(operation, now).to_string()),
        }
    }

    /// A key that was used for another request.
    #[must_use]
    pub fn conflict(key: &str, original_request_id: Option<&str>) -> Self {
        Self {
            key: key.to_owned(),
            status: IdempotencyStatus::Conflict,
            original_request_id: original_request_id.map(str::to_owned),
            cached_at: None,
            expires_at: None,
        }
    }
}

/// The time until which a key is valid at least. An operation is kept for its retention after its
/// end, which for one that has not ended is not before `now`: a later response never has an earlier
/// time.
fn held_until(operation: &Operation, now: Timestamp) -> Timestamp {
    if operation.status().is_terminal() {
        return operation.expires_at;
    }
    let retention = Duration::from_secs(u64::from(operation.retention_secs));
    // Whole seconds, as the table keeps them.
    Timestamp::from_secs((now + retention).as_secs())
}

/// The share of its time that a call has used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadlineData {
    specified: Specified,
    elapsed: Quantity,
    remaining: Quantity,
    utilization: f64,
}

impl DeadlineData {
    /// For a request that arrived at `arrived_at` and is answered at `now`.
    #[must_use]
    pub fn new(
        options: &DeadlineOptions,
        deadline_at: Timestamp,
        arrived_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let (elapsed, total) = (now.since(arrived_at), deadline_at.since(arrived_at));
        let utilization = if total.is_zero() {
            1.0
        } else {
            (elapsed.as_secs_f64() / total.as_secs_f64()).clamp(0.0, 1.0)
        };
        Self {
            specified: options.specified().clone(),
            elapsed: Quantity::of(elapsed),
            remaining: Quantity::of(deadline_at.since(now)),
            utilization,
        }
    }
}

/// Ferry's span in the caller's trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracingData {
    trace_id: String,
    span_id: String,
    duration: Quantity,
}

impl TracingData {
    #[must_use]
    pub fn new(trace_id: &str, span_id: &str, took: Duration) -> Self {
        Self {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            duration: Quantity::of(took),
        }
    }
}
