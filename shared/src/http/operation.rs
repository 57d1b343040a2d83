//! The response that shows an operation.

use super::etag::ETag;
use super::response::Response;
use crate::domain::json::encode;
use crate::domain::operation::Operation;
use crate::domain::time::Timestamp;
use crate::store::Payloads;
use crate::view::{OperationView, Quantity};

/// Shows an operation with metadata and result, with its `ETag`, and with `Retry-After` until it
/// has ended.
#[must_use]
pub fn show(operation: &Operation, payloads: &Payloads, status: u16, now: Timestamp) -> Response {
    let view = OperationView::whole(operation, payloads, now);
    let response = Response::json(status, encode(&view))
        .with("cache-control", "private, no-cache")
        .with("etag", ETag::of(operation).to_string());
    match view.retry_after {
        Some(Quantity { value, .. }) => response.with("retry-after", value.to_string()),
        None => response,
    }
}
