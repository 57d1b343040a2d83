//! Everything that is stored for an operation, as JSON.
//!
//! The operations that need an operator are seldom ordinary ones, so this shows as much as there
//! is of an operation that has expired, was erased or cannot be read. It never shows a callback's
//! query, which may contain a secret, and shows arguments, metadata, saved state and result only on
//! request.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::domain::id::{ClaimId, OperationId};
use shared::domain::json::Json;
use shared::domain::limits::GONE_RETENTION;
use shared::domain::operation::{LastError, Operation};
use shared::domain::time::Timestamp;
use shared::store::{Inspected, InspectedHead, PayloadItem, Record};
use shared::view::{ErrorView, OperationView};

#[derive(Debug, Serialize)]
pub struct View<'a> {
    id: &'a str,
    /// The kind of record: `operation`, `tombstone`, `unreadable` or `none`.
    record: &'static str,
    /// Why the record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    /// Which incarnation of the id this is. The operation's messages contain it as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    create_id: Option<&'a str>,
    #[serde(flatten)]
    head: Option<HeadView>,
    /// What the API shows to the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<OperationView<'a>>,
    /// What the API shows to no one.
    #[serde(skip_serializing_if = "Option::is_none")]
    internal: Option<InternalView<'a>>,
    #[serde(flatten)]
    payloads: Option<PayloadsView<'a>>,
    payload_items: Vec<PayloadItemView<'a>>,
    /// Only for a record that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<String, Json>>,
}

#[derive(Debug, Serialize)]
struct HeadView {
    format: Option<u32>,
    bytes: usize,
    expired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<String>,
    /// When DynamoDB may delete it.
    delete_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct InternalView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_id: Option<&'a str>,
    /// What a worker could do with the operation now.
    availability: &'static str,
    /// No worker may claim the operation before.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_until: Option<String>,
    attempts_max: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_state: Option<SavedStateView>,
    retention_secs: u32,
    /// Whether it was submitted with an idempotency key.
    idempotent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastErrorView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct SavedStateView {
    /// The attempt that saved it; 0 when a redrive brought it along.
    attempt: u32,
    /// The size of its JSON; null when it is lost.
    bytes: Option<usize>,
}

#[derive(Debug, Serialize)]
struct LastErrorView<'a> {
    attempt: u32,
    error: ErrorView<'a>,
}

#[derive(Debug, Serialize)]
struct CallbackView {
    webhook_id: String,
    attempts_made: u32,
    round_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
}

/// A payload that is lost, or never existed, is null.
#[derive(Debug, Serialize)]
struct PayloadsView<'a> {
    arguments: Option<&'a Json>,
    metadata: Option<&'a Json>,
    state: Option<&'a Json>,
    result: Option<&'a Json>,
}

#[derive(Debug, Serialize)]
struct PayloadItemView<'a> {
    key: &'a str,
    bytes: usize,
    delete_at: Option<String>,
    readable: bool,
}

impl<'a> View<'a> {
    /// `None` when nothing is stored under the id.
    #[must_use]
    pub fn new(
        id: &'a OperationId,
        inspected: &'a Inspected,
        with_payloads: bool,
        now: Timestamp,
    ) -> Option<Self> {
        let mut view = Self {
            id: id.as_str(),
            record: "none",
            problem: None,
            owner: None,
            create_id: None,
            head: None,
            operation: None,
            internal: None,
            payloads: None,
            payload_items: inspected
                .payloads
                .iter()
                .map(PayloadItemView::new)
                .collect(),
            attributes: None,
        };
        let Some(head) = &inspected.head else {
            return (!inspected.payloads.is_empty()).then_some(view);
        };
        view.head = Some(HeadView::new(head, now));
        match &head.record {
            Record::Operation(operation) => {
                view.record = "operation";
                view.owner = Some(operation.owner.as_str());
                view.create_id = Some(operation.create_id.as_str());
                view.operation = Some(OperationView::summary(operation, now));
                view.internal = Some(InternalView::new(operation, inspected, now));
                view.payloads = with_payloads.then(|| PayloadsView {
                    arguments: inspected.arguments(operation),
                    metadata: inspected.metadata(operation),
                    state: inspected.saved_state(operation),
                    result: inspected.result(operation),
                });
            }
            Record::Tombstone { create_id } => {
                view.record = "tombstone";
                view.create_id = create_id.as_deref();
            }
            Record::Unreadable { error, attributes } => {
                view.record = "unreadable";
                view.problem = Some(error.to_string());
                view.attributes = Some(attributes);
            }
        }
        Some(view)
    }
}

impl HeadView {
    fn new(head: &InspectedHead, now: Timestamp) -> Self {
        let delete_at = head.expires_at.map(|at| at + GONE_RETENTION);
        Self {
            format: head.format,
            bytes: head.bytes,
            expired: head.expires_at.is_some_and(|at| at <= now),
            erased_at: head.erased_at.map(|at| at.to_string()),
            delete_at: delete_at.map(|at| at.to_string()),
        }
    }
}

impl<'a> InternalView<'a> {
    fn new(operation: &'a Operation, inspected: &'a Inspected, now: Timestamp) -> Self {
        let trace = operation.origin.trace.as_ref();
        let saved = operation.saved_state.as_ref();
        Self {
            claim_id: operation.claim_id().map(ClaimId::as_str),
            availability: operation.availability(now).as_str(),
            lease_until: operation.lease_until().map(|until| until.to_string()),
            attempts_max: operation.attempts_max,
            saved_state: saved.map(|saved| SavedStateView {
                attempt: saved.attempt,
                bytes: inspected.saved_state(operation).map(Json::len_bytes),
            }),
            retention_secs: operation.retention_secs,
            idempotent: operation.has_idempotency_key(),
            last_error: operation.last_error.as_ref().map(LastErrorView::new),
            callback: CallbackView::new(operation),
            origin_request_id: operation.origin.request_id.as_deref(),
            trace_id: trace.map(|trace| trace.trace_id.as_str()),
            span_id: trace.map(|trace| trace.span_id.as_str()),
        }
    }
}

impl<'a> LastErrorView<'a> {
    fn new(last: &'a LastError) -> Self {
        Self {
            attempt: last.attempt,
            error: ErrorView::from(&last.error),
        }
    }
}

impl CallbackView {
    fn new(operation: &Operation) -> Option<Self> {
        let callback = operation.callback.as_ref()?;
        Some(Self {
            webhook_id: operation.webhook_id(),
            attempts_made: callback.attempts_made,
            round_attempts: callback.round_attempts,
            next_attempt_at: callback.next_attempt_at.map(|at| at.to_string()),
        })
    }
}

impl<'a> PayloadItemView<'a> {
    fn new(item: &'a PayloadItem) -> Self {
        Self {
            key: &item.key,
            bytes: item.bytes,
            delete_at: item.delete_at.map(|at| at.to_string()),
            readable: item.body.is_some(),
        }
    }
}
