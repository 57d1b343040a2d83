//! Operations as the protocol's own functions show them: by REST's rules, with the protocol's
//! names.

use schemars::JsonSchema;
use serde::Serialize;

use shared::domain::json::Json;
use shared::domain::operation::{Operation, Owner};
use shared::domain::time::Timestamp;
use shared::request::ListRequest;
use shared::store::{ListPage, Payloads};
use shared::view::{AttemptView, ErrorView, OperationView, Quantity};

/// The result of `async:fn:status`, and each element of a list. The protocol's tables call an
/// operation's id `operation_id` in one and `id` in the other, so both have both. A failed
/// operation is a successful read, with its `errors` in the result.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusView<'a> {
    operation_id: &'a str,
    id: &'a str,
    function: &'a str,
    version: &'a str,
    status: &'static str,
    attempt: u32,
    /// From 0 to 1; null until reported.
    progress: Option<f64>,
    /// What the work reports it is doing; null until reported.
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ErrorView<'a>>>,
    created_at: String,
    updated_at: String,
    /// No attempt begins earlier; absent when it could start at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    /// When its next attempt continues the work; absent when it does not wait for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumes_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<String>,
    /// The failed operation that this one redrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_of: Option<&'a str>,
    deadline_at: String,
    expires_at: String,
    /// When to poll again; absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<Quantity>,
    /// The last attempts, at most ten, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    metadata: Option<&'a Json>,
}

impl<'a> StatusView<'a> {
    /// An operation in a list: without result and metadata.
    #[must_use]
    pub fn summary(operation: &'a Operation, now: Timestamp) -> Self {
        OperationView::summary(operation, now).into()
    }

    /// One operation, with metadata and result.
    #[must_use]
    pub fn whole(operation: &'a Operation, payloads: &'a Payloads, now: Timestamp) -> Self {
        OperationView::whole(operation, payloads, now).into()
    }
}

impl<'a> From<OperationView<'a>> for StatusView<'a> {
    fn from(view: OperationView<'a>) -> Self {
        Self {
            operation_id: view.id,
            id: view.id,
            function: view.function,
            version: view.version,
            status: view.status,
            attempt: view.attempt,
            progress: view.progress,
            message: view.progress_message,
            result: view.result,
            errors: view.errors,
            created_at: view.created_at,
            updated_at: view.updated_at,
            starts_at: view.starts_at,
            started_at: view.started_at,
            resumes_at: view.resumes_at,
            completed_at: view.completed_at,
            cancelled_at: view.cancelled_at,
            redrive_of: view.redrive_of,
            deadline_at: view.deadline_at,
            expires_at: view.expires_at,
            retry_after: view.retry_after,
            attempts: view.attempts,
            metadata: view.metadata,
        }
    }
}

/// The result of `async:fn:cancel`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CancelView<'a> {
    operation_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<String>,
}

impl<'a> CancelView<'a> {
    /// An operation that has just been cancelled.
    #[must_use]
    pub fn new(operation: &'a Operation) -> Self {
        Self {
            operation_id: operation.id.as_str(),
            status: operation.status().as_str(),
            cancelled_at: operation.cancelled_at().map(|at| at.to_string()),
        }
    }
}

/// The result of `async:fn:list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListView<'a> {
    operations: Vec<StatusView<'a>>,
    /// How many operations were examined for the page, those that the filters exclude included.
    examined: usize,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<'a> ListView<'a> {
    #[must_use]
    pub fn new(page: &'a ListPage, request: &ListRequest, owner: &Owner, now: Timestamp) -> Self {
        Self {
            operations: page
                .operations
                .iter()
                .map(|operation| StatusView::summary(operation, now))
                .collect(),
            examined: page.examined,
            next_cursor: request.next_cursor(page, owner),
        }
    }
}
