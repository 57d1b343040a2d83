//! Errors of JSON-RPC.

use serde::Serialize;
use serde_json::json;
use shared::domain::json::Json;
use shared::http::Problem;

use super::version::{Era, SUPPORTED, TASKS};

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL_ERROR: i32 = -32603;
// MCP 2026-07-28, "Error Codes".
const HEADER_MISMATCH: i32 = -32020;
const MISSING_CLIENT_CAPABILITY: i32 = -32021;
const UNSUPPORTED_VERSION: i32 = -32022;

/// The longest message, in characters: it may quote a name that the caller chose.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Why a request has no result: the member `error` of a response, and of a task that failed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RpcError {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Json>,
    /// The HTTP status.
    #[serde(skip)]
    status: u16,
}

impl RpcError {
    fn new(code: i32, status: u16, message: impl Into<String>) -> Self {
        let message = message.into().chars().take(MESSAGE_CHARS_MAX).collect();
        Self {
            code,
            message,
            data: None,
            status,
        }
    }

    fn with_data(self, data: &impl Serialize) -> Self {
        let data = Json::of(data).expect("data have string keys, so a JSON form");
        Self {
            data: Some(data),
            ..self
        }
    }

    /// The body is not JSON.
    #[must_use]
    pub(super) fn parse_error(message: impl Into<String>) -> Self {
        Self::new(PARSE_ERROR, 400, message)
    }

    /// The body is JSON, but not a request of JSON-RPC.
    #[must_use]
    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, 400, message)
    }

    /// The method does not exist in this era.
    #[must_use]
    pub(super) fn method_not_found(era: Era, method: &str) -> Self {
        let status = match era {
            Era::Modern => 404,
            Era::Legacy => 200,
        };
        Self::new(METHOD_NOT_FOUND, status, format!("no method {method}"))
    }

    /// The parameters of a method are wrong. The specification fixes no HTTP status for it.
    #[must_use]
    pub(super) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, 200, message)
    }

    /// A member of `_meta` that every request must have is missing or wrong, or there is no place
    /// for it.
    #[must_use]
    pub(super) fn invalid_meta(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, 400, message)
    }

    /// A header is missing, malformed or contradicts the body.
    #[must_use]
    pub(super) fn header_mismatch(message: impl Into<String>) -> Self {
        Self::new(HEADER_MISMATCH, 400, message)
    }

    /// The server does not speak the requested revision.
    #[must_use]
    pub(super) fn unsupported_version(requested: &str) -> Self {
        Self::new(UNSUPPORTED_VERSION, 400, "unsupported protocol version")
            .with_data(&json!({"supported": SUPPORTED, "requested": requested}))
    }

    /// The client did not declare the tasks extension on this request.
    #[must_use]
    pub(super) fn missing_tasks_capability() -> Self {
        let message = format!("the request must declare the extension {TASKS}");
        Self::new(MISSING_CLIENT_CAPABILITY, 400, message)
            .with_data(&json!({"requiredCapabilities": {"extensions": {TASKS: {}}}}))
    }

    /// No operation of this caller has the id, or it is malformed: callers must not see a
    /// difference.
    #[must_use]
    pub(super) fn task_not_found() -> Self {
        Self::invalid_params("task not found")
    }

    /// The work failed for a reason that no other arguments change.
    #[must_use]
    pub(super) fn failed(message: &str, data: &impl Serialize) -> Self {
        Self::new(INTERNAL_ERROR, 200, message).with_data(data)
    }

    #[must_use]
    pub(super) const fn status(&self) -> u16 {
        self.status
    }
}

/// Ferry could not serve the request.
impl From<Problem> for RpcError {
    fn from(problem: Problem) -> Self {
        Self::new(INTERNAL_ERROR, 200, problem.detail)
    }
}
