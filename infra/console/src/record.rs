//! What is stored of one operation, as the operator tool prints it, without payloads.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::id::{ClaimId, OperationId};
use shared::domain::json::Json;
use shared::domain::limits::GONE_RETENTION;
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::store::{Inspected, InspectedHead, Record};

use crate::refusal::Refusal;
use crate::{Console, json};

/// A line of the page.
#[derive(Serialize)]
struct Fact {
    name: &'static str,
    #[serde(flatten)]
    value: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Value {
    Text(String),
    /// A time, which the page shows in its own zone.
    At(String),
}

impl Fact {
    fn text(name: &'static str, text: impl Into<String>) -> Self {
        let value = Value::Text(text.into());
        Self { name, value }
    }

    fn at(name: &'static str, at: Timestamp) -> Self {
        let value = Value::At(at.to_string());
        Self { name, value }
    }
}

/// `GET /api/operation/{id}/record`: as many read units as everything stored for it takes.
pub(crate) async fn record(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let id: OperationId = id.parse().map_err(|_| Refusal::no_such_operation())?;
    let inspected = console.0.store.inspect(&id).await?;
    let head = inspected.head.as_ref();
    let head = head.ok_or_else(Refusal::no_such_operation)?;
    let Record::Operation(operation) = &head.record else {
        return Err(Refusal::no_such_operation());
    };
    Ok(json(&facts(operation, head, &inspected)))
}

fn facts(operation: &Operation, head: &InspectedHead, inspected: &Inspected) -> Vec<Fact> {
    let retention = format!("{} s", operation.retention_secs);
    let mut facts = vec![
        Fact::text("Saved state", saved_state(operation, inspected)),
        Fact::text("Kept after its end", retention),
        Fact::text(
            "Idempotency key",
            if operation.has_idempotency_key() {
                "yes"
            } else {
                "none"
            },
        ),
        Fact::text("lock_version", operation.lock_version.to_string()),
        Fact::text("create_id", operation.create_id.as_str()),
    ];
    facts.extend(
        operation
            .claim_id()
            .map(ClaimId::as_str)
            .map(|id| Fact::text("claim_id", id)),
    );
    if let Some(callback) = &operation.callback {
        let (made, round) = (callback.attempts_made, callback.round_attempts);
        let made = format!("{made}, {round} of them in the last round");
        facts.push(Fact::text("Callback attempts", made));
    }
    let (request_id, trace) = (&operation.origin.request_id, &operation.origin.trace);
    facts.extend(
        request_id
            .iter()
            .map(|id| Fact::text("Caller's request id", id)),
    );
    facts.extend(trace.iter().flat_map(|trace| {
        let (trace_id, span_id) = (&trace.trace_id, &trace.span_id);
        [
            Fact::text("trace_id", trace_id),
            Fact::text("span_id", span_id),
        ]
    }));
    let format = head
        .format
        .map_or_else(|| "none".to_owned(), |format| format.to_string());
    let record = format!("format {format}, {} bytes", head.bytes);
    facts.push(Fact::text("Record", record));
    facts.extend(inspected.payloads.iter().map(|item| {
        let problem = if item.body.is_some() {
            ""
        } else {
            ", not readable"
        };
        let item = format!("{}, {} bytes{problem}", item.key, item.bytes);
        Fact::text("Payload item", item)
    }));
    let delete_at = head.expires_at.map(|at| at + GONE_RETENTION);
    facts.extend(delete_at.map(|at| Fact::at("Deleted after", at)));
    facts
}

fn saved_state(operation: &Operation, inspected: &Inspected) -> String {
    let Some(saved) = &operation.saved_state else {
        return "none".to_owned();
    };
    let bytes = inspected.saved_state(operation).map(Json::len_bytes);
    let size = bytes.map_or_else(|| "lost".to_owned(), |bytes| format!("{bytes} bytes"));
    match saved.attempt {
        0 => format!("{size}, brought along by a redrive"),
        attempt => format!("{size}, by attempt {attempt}"),
    }
}
