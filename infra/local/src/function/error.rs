//! Why an invocation has no response, and what Lambda's `Invoke` API says about it.

use std::time::Duration;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::json;

/// Lambda's error types for failures that the function does not report itself.
pub(super) const ENTRYPOINT_ERROR: &str = "Runtime.InvalidEntrypoint";
pub(super) const EXIT_ERROR: &str = "Runtime.ExitError";
pub(super) const TIMEOUT_ERROR: &str = "Sandbox.Timedout";
const RESPONSE_ERROR: &str = "Function.ResponseSizeTooLarge";

/// Why an invocation has no response. A caller of `Invoke` gets an error that has a
/// [document](FunctionError::document) as `X-Amz-Function-Error`.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The function returned an error, or it panicked.
    #[error("{error_type}: {message}")]
    Reported {
        error_type: String,
        message: String,
        /// What the runtime posted.
        document: Bytes,
        /// Whether the runtime posted the error as `Handled`. Current runtimes do not.
        is_handled: bool,
    },
    /// The process was killed.
    #[error("{TIMEOUT_ERROR}: no response within {} s", .timeout.as_secs_f64())]
    TimedOut {
        request_id: String,
        timeout: Duration,
    },
    #[error("{EXIT_ERROR}: the process ended ({status}) before it answered")]
    Exited { request_id: String, status: String },
    /// The process ended, gave up, or was killed before it asked for an invocation.
    #[error("the function did not start: {reason}")]
    Init {
        reason: String,
        /// What the runtime posted, else a document with the first lines of the process's standard
        /// error.
        document: Bytes,
    },
    /// The response is incomplete or larger than
    /// [`PAYLOAD_MAX_BYTES`](crate::function::PAYLOAD_MAX_BYTES).
    #[error("the response could not be read: {reason}")]
    Response { reason: String },
    /// The event is larger than [`PAYLOAD_MAX_BYTES`](crate::function::PAYLOAD_MAX_BYTES); the
    /// function was not invoked.
    #[error("an event of {bytes} bytes is too large to invoke a function with")]
    EventTooLarge { bytes: usize },
    /// All processes are busy; the function was not invoked.
    #[error("all processes of the function are busy")]
    Throttled,
    /// A remote function's endpoint did not answer, or answered with an HTTP error.
    #[error("the function's endpoint did not answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("the function was stopped")]
    Stopped,
}

impl FunctionError {
    /// Reads the error document that a runtime posts and `Invoke` returns. The function has failed
    /// whatever the document contains, so an unreadable document leaves type and message empty.
    pub(super) fn reported(document: Bytes, is_handled: bool) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct ErrorDocument {
            error_type: String,
            error_message: String,
        }
        let read: ErrorDocument = serde_json::from_slice(&document).unwrap_or_default();
        Self::Reported {
            error_type: read.error_type,
            message: read.error_message,
            document,
            is_handled,
        }
    }

    /// A failure before the first invocation. `first_errors` are lines of standard error. Lambda
    /// has them in the log only; on this machine an error names its cause.
    pub(super) fn init(error_type: &str, reason: String, first_errors: &str) -> Self {
        let message = format!("{reason}\n{first_errors}");
        let document = error_document(error_type, message.trim_end());
        Self::Init { reason, document }
    }

    /// The payload that `Invoke` returns for an error of the function: `errorType`, `errorMessage`,
    /// and what else its runtime posted. `None` when the function was not invoked.
    #[must_use]
    pub fn document(&self) -> Option<Bytes> {
        Some(match self {
            Self::Reported { document, .. } | Self::Init { document, .. } => document.clone(),
            Self::TimedOut {
                request_id,
                timeout,
            } => {
                let secs = timeout.as_secs_f64();
                let message = format!(
                    "RequestId: {request_id} Error: Task timed out after {secs:.2} seconds"
                );
                error_document(TIMEOUT_ERROR, &message)
            }
            Self::Exited { request_id, status } => {
                let message =
                    format!("RequestId: {request_id} Error: Runtime exited with error: {status}");
                error_document(EXIT_ERROR, &message)
            }
            Self::Response { reason } => error_document(RESPONSE_ERROR, reason),
            Self::EventTooLarge { .. } | Self::Throttled | Self::Unreachable(_) | Self::Stopped => {
                return None;
            }
        })
    }
}

fn error_document(error_type: &str, message: &str) -> Bytes {
    json!({"errorType": error_type, "errorMessage": message})
        .to_string()
        .into()
}
