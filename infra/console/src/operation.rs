//! One operation.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::operation::Operation;
use shared::view::ErrorView;

use crate::list::Row;
use crate::refusal::Refusal;
use crate::{Console, json, polled};

/// What a worker finds, and what the store has.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    /// What a worker could do with the operation now.
    availability: &'static str,
    /// No worker may claim the operation before.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_until: Option<String>,
    has_state: bool,
    /// Of the last attempt that was retried; earlier messages are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastErrorView<'a>>,
    /// In all rounds of the callback, while only the last ones are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries_made: Option<u32>,
}

#[derive(Serialize)]
struct LastErrorView<'a> {
    attempt: u32,
    #[serde(flatten)]
    error: ErrorView<'a>,
}

/// `GET /api/operation/{id}`: its head, one read unit.
pub(crate) async fn read(
    State(console): State<Console>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let operation = console.operation(&id).await?;
    let now = console.0.clock.now();
    let body = Body {
        availability: operation.availability(now).as_str(),
        lease_until: operation.lease_until().map(|until| until.to_string()),
        has_state: operation.saved_state.is_some(),
        last_error: operation.last_error.as_ref().map(|last| LastErrorView {
            attempt: last.attempt,
            error: ErrorView::from(&last.error),
        }),
        deliveries_made: operation
            .callback
            .as_ref()
            .map(|callback| callback.attempts_made),
        row: Row::new(&operation, now),
    };
    Ok(polled(&headers, &body))
}

/// `GET /api/operation/{id}/stored`: its arguments, metadata and result, a read for each that is
/// not in its head.
pub(crate) async fn stored(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    /// As texts, since the page's JSON would change numbers.
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        arguments: Option<&'a str>,
        metadata: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a str>,
    }
    let operation = console.operation(&id).await?;
    let payloads = console.0.operations.payloads_with_arguments(&operation);
    let payloads = payloads.await?.ok_or_else(Refusal::no_such_operation)?;
    Ok(json(&Body {
        arguments: payloads.arguments.as_ref().map(Json::as_str),
        metadata: payloads.metadata.as_str(),
        result: payloads.result.as_ref().map(Json::as_str),
    }))
}

impl Console {
    /// An operation of any owner. A malformed id is that of no operation.
    pub(crate) async fn operation(&self, id: &str) -> Result<Operation, Refusal> {
        let id: OperationId = id.parse().map_err(|_| Refusal::no_such_operation())?;
        let operation = self.0.store.get(&id, self.0.clock.now()).await?;
        operation.ok_or_else(Refusal::no_such_operation)
    }
}
