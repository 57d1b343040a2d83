//! Operations as tasks of the extension `io.modelcontextprotocol/tasks`.

use std::time::Duration;

use serde::Serialize;
use shared::domain::json::Json;
use shared::domain::operation::{Operation, State};
use shared::domain::time::Timestamp;
use shared::view::retry_after_secs;

use super::error::RpcError;
use super::tool_result::{ToolResult, ended};

/// A task: the answer to `tools/call` in the place of a result, and the result of `tasks/get`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView {
    task_id: String,
    status: TaskStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    created_at: String,
    last_updated_at: String,
    /// From its creation.
    ttl_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<TaskResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

/// What `tools/call` would have returned.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskResult {
    result_type: &'static str,
    #[serde(flatten)]
    result: ToolResult,
    #[serde(rename = "_meta")]
    meta: ResultMeta,
}

#[derive(Debug, Serialize)]
struct ResultMeta {
    #[serde(rename = "ferry/operationId")]
    operation_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum TaskStatus {
    Working,
    Completed,
    Failed,
    Cancelled,
}

impl TaskView {
    /// A task as it is `now`, with the operation's result if it has completed.
    #[must_use]
    pub(super) fn new(operation: &Operation, result: Option<&Json>, now: Timestamp) -> Self {
        let is_cancelled = matches!(operation.state, State::Cancelled { .. });
        let (status, result, error) = match ended(operation, result) {
            None => (TaskStatus::Working, None, None),
            Some(Ok(_)) if is_cancelled => (TaskStatus::Cancelled, None, None),
            Some(Ok(result)) => (TaskStatus::Completed, Some(result), None),
            // The status is for errors of the protocol only: a tool that ran and failed has a
            // result.
            Some(Err(error)) => (TaskStatus::Failed, None, Some(error)),
        };
        Self {
            task_id: operation.id.to_string(),
            status,
            status_message: status_message(operation),
            created_at: operation.created_at.to_string(),
            last_updated_at: operation.updated_at.to_string(),
            ttl_ms: milliseconds(kept_until(operation, now), operation.created_at),
            poll_interval_ms: retry_after_secs(operation, now).map(|secs| secs * 1000),
            result: result.map(|result| TaskResult {
                result_type: "complete",
                result,
                meta: ResultMeta {
                    operation_id: operation.id.to_string(),
                },
            }),
            error,
        }
    }
}

/// The function's own last error; of a task that works, what its work reports about itself.
fn status_message(operation: &Operation) -> Option<String> {
    if operation.status().is_terminal() {
        let error = operation.errors().and_then(<[_]>::first);
        return error.map(|error| error.message.clone());
    }
    let progress = operation.progress.as_ref();
    let retried = operation.last_error.as_ref();
    progress
        .and_then(|progress| progress.message.clone())
        .or_else(|| retried.map(|last| last.error.message.clone()))
}

/// Until when an operation can be read. The retention counts from the end, so of an operation that
/// has not ended only what an end right `now` would give is certain: it moves on until the end.
fn kept_until(operation: &Operation, now: Timestamp) -> Timestamp {
    if operation.status().is_terminal() {
        operation.expires_at
    } else {
        let retention = Duration::from_secs(operation.retention_secs.into());
        // Expiry is stored in whole seconds.
        Timestamp::from_secs((now + retention).as_secs())
    }
}

fn milliseconds(until: Timestamp, from: Timestamp) -> u64 {
    u64::try_from(until.since(from).as_millis()).unwrap_or(u64::MAX)
}
