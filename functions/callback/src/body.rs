//! The body of a callback.

use serde::Serialize;
use shared::domain::delivery::DueCallback;
use shared::domain::json::{Json, encode};
use shared::domain::limits::CALLBACK_BODY_BYTES_MAX;
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

/// The same on every attempt: its timestamp is that of the operation's end. A result that would
/// make it longer than 64 KiB is left out.
pub(crate) fn body(due: &DueCallback, metadata: &Json, result: Option<&Json>) -> Vec<u8> {
    let body = write(due, metadata, result, None);
    if body.len() > CALLBACK_BODY_BYTES_MAX && result.is_some() {
        return write(due, metadata, None, Some(true));
    }
    body
}

fn write(
    due: &DueCallback,
    metadata: &Json,
    result: Option<&Json>,
    result_omitted: Option<bool>,
) -> Vec<u8> {
    let operation = due.operation();
    let status = operation.status();
    let body = Body {
        r#type: format!("forrst.operation.{status}"),
        timestamp: due.ended_at().to_string(),
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
