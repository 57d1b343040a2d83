//! What a receiver is told.

use serde::Serialize;
use shared::domain::json::{Json, encode};
use shared::domain::limits::CALLBACK_BODY_BYTES_MAX;
use shared::domain::operation::Operation;
use shared::view::ErrorView;

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    operation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_request_id: Option<&'a str>,
    function: &'a str,
    version: &'a str,
    status: &'static str,
    attempt: u32,
    metadata: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_omitted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ErrorView<'a>>>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<String>,
}

/// The body for an operation that has ended. The same on every attempt: its time is that of the end. A result that would make it
/// longer than 64 KiB is left out.
pub(crate) fn body(operation: &Operation, metadata: &Json, result: Option<&Json>) -> Vec<u8> {
    let whole = write(operation, metadata, result, None);
    if whole.len() > CALLBACK_BODY_BYTES_MAX && result.is_some() {
        return write(operation, metadata, None, Some(true));
    }
    whole
}

fn write(
    operation: &Operation,
    metadata: &Json,
    result: Option<&Json>,
    result_omitted: Option<bool>,
) -> Vec<u8> {
    let status = operation.status();
    let ended_at = operation.ended_at().unwrap_or(operation.updated_at);
    let body = Body {
        r#type: format!("forrst.operation.{status}"),
        timestamp: ended_at.to_string(),
        data: Data {
            operation_id: operation.id.as_str(),
            original_request_id: operation.origin.request_id.as_deref(),
            function: &operation.function,
            version: &operation.function_version,
            status: status.as_str(),
            attempt: operation.attempt,
            metadata,
            result,
            result_omitted,
            errors: operation
                .errors()
                .map(|errors| errors.iter().map(ErrorView::from).collect()),
            created_at: operation.created_at.to_string(),
            completed_at: operation.completed_at().map(|at| at.to_string()),
            cancelled_at: operation.cancelled_at().map(|at| at.to_string()),
        },
    };
    encode(&body).into_bytes()
}
