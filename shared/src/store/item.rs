//! The items. No other module spells the name of a stored attribute.

mod decode;
mod stored;

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

pub(super) use self::decode::{expires_at, operation, position};
pub(super) use self::stored::{attempts, callback_attempts, errors, last_error};
use crate::domain::callback::CallbackEvent;
use crate::domain::id::OperationId;
use crate::domain::limits::{FORMAT, FORMAT_LONG_WORK, GONE_RETENTION};
use crate::domain::operation::{Operation, Progress};
use crate::domain::time::Timestamp;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Attribute names. They count towards the billed size, so they are plain but short.
pub(super) mod name {
    pub(in crate::store) const PK: &str = "pk";
    pub(in crate::store) const SK: &str = "sk";
    pub(in crate::store) const FORMAT: &str = "format";
    pub(in crate::store) const STATUS: &str = "status";
    pub(in crate::store) const LOCK_VERSION: &str = "lock_version";
    pub(in crate::store) const CREATE_ID: &str = "create_id";
    pub(in crate::store) const CLAIM_ID: &str = "claim_id";
    pub(in crate::store) const OWNER: &str = "owner";
    pub(in crate::store) const FUNCTION: &str = "function";
    pub(in crate::store) const FUNCTION_VERSION: &str = "function_version";
    pub(in crate::store) const REQUEST_HASH: &str = "request_hash";
    pub(in crate::store) const ATTEMPT: &str = "attempt";
    pub(in crate::store) const ATTEMPTS_MAX: &str = "attempts_max";
    /// When DynamoDB may delete the item: see [`delete_at`](super::delete_at). In seconds, as
    /// DynamoDB requires; all other times are in milliseconds.
    pub(in crate::store) const DELETE_AT: &str = "delete_at";
    pub(in crate::store) const CREATED_AT: &str = "created_at";
    pub(in crate::store) const UPDATED_AT: &str = "updated_at";
    pub(in crate::store) const DEADLINE_AT: &str = "deadline_at";
    /// Until then no worker claims it (format 2). Until its first attempt, `lease_until` is the
    /// same.
    pub(in crate::store) const STARTS_AT: &str = "starts_at";
    pub(in crate::store) const STARTED_AT: &str = "started_at";
    /// When the attempt began whose outcome is not on record yet.
    pub(in crate::store) const ATTEMPT_STARTED_AT: &str = "attempt_started_at";
    /// The attempts on record.
    pub(in crate::store) const ATTEMPTS: &str = "attempts";
    pub(in crate::store) const ENDED_AT: &str = "ended_at";
    pub(in crate::store) const LEASE_UNTIL: &str = "lease_until";
    pub(in crate::store) const RETENTION_SECS: &str = "retention_secs";
    pub(in crate::store) const PROGRESS: &str = "progress";
    pub(in crate::store) const PROGRESS_MESSAGE: &str = "progress_message";
    pub(in crate::store) const PROGRESS_AT: &str = "progress_at";
    pub(in crate::store) const ARGUMENTS: &str = "arguments";
    pub(in crate::store) const METADATA: &str = "metadata";
    pub(in crate::store) const RESULT: &str = "result";
    pub(in crate::store) const ERRORS: &str = "errors";
    pub(in crate::store) const LAST_ERROR: &str = "last_error";
    /// From which the next attempt continues (format 2).
    pub(in crate::store) const STATE: &str = "state";
    /// The attempt that wrote the state (format 2).
    pub(in crate::store) const STATE_ATTEMPT: &str = "state_attempt";
    pub(in crate::store) const CALLBACK_URL: &str = "callback_url";
    pub(in crate::store) const CALLBACK_EVENTS: &str = "callback_events";
    pub(in crate::store) const CALLBACK_STATUS: &str = "callback_status";
    pub(in crate::store) const CALLBACK_ATTEMPTS_MADE: &str = "callback_attempts_made";
    pub(in crate::store) const CALLBACK_ROUND_ATTEMPTS: &str = "callback_round_attempts";
    pub(in crate::store) const CALLBACK_ATTEMPTS: &str = "callback_attempts";
    pub(in crate::store) const CALLBACK_ATTEMPT_ID: &str = "callback_attempt_id";
    pub(in crate::store) const CALLBACK_NEXT_AT: &str = "callback_next_at";
    /// The failed operation that this one redrives.
    pub(in crate::store) const REDRIVE_OF: &str = "redrive_of";
    pub(in crate::store) const ORIGIN_REQUEST_ID: &str = "origin_request_id";
    pub(in crate::store) const TRACE_ID: &str = "trace_id";
    pub(in crate::store) const SPAN_ID: &str = "span_id";
    /// When the owner erased the operation: on a head that is being erased, and on the tombstone.
    pub(in crate::store) const ERASED_AT: &str = "erased_at";
    /// The payload of a payload item.
    pub(in crate::store) const BODY: &str = "body";
}

/// The sort key of heads.
pub(super) const HEAD: &str = "head";

#[expect(clippy::needless_pass_by_value, reason = "numbers are copied")]
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The number in an attribute; `None` when it is absent or not a number of this type.
pub(super) fn number_of<T: std::str::FromStr>(item: &Item, attribute: &str) -> Option<T> {
    item.get(attribute)?.as_n().ok()?.parse().ok()
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A time as heads store it.
pub(super) fn time(value: Timestamp) -> AttributeValue {
    number(value.as_millis())
}

/// The value of [`name::DELETE_AT`] for an item that expires at a time. At that time it becomes
/// absent to every caller. DynamoDB may delete it [`GONE_RETENTION`] later at the earliest, so that
/// a create that arrives late still finds it.
pub(super) fn delete_at(expires_at: Timestamp) -> AttributeValue {
    number((expires_at + GONE_RETENTION).as_secs())
}

pub(super) fn head_key(id: &OperationId) -> Item {
    key(id, HEAD)
}

/// The key of one of an operation's items.
pub(super) fn key(id: &OperationId, sk: &str) -> Item {
    HashMap::from([
        (name::PK.to_owned(), text(id.as_str())),
        (name::SK.to_owned(), text(sk)),
    ])
}

/// The attributes of progress; one without a value is absent.
pub(super) fn progress(progress: &Progress) -> [(&'static str, Option<AttributeValue>); 3] {
    [
        (name::PROGRESS, Some(number(progress.fraction))),
        (name::PROGRESS_AT, Some(time(progress.at))),
        (
            name::PROGRESS_MESSAGE,
            progress.message.as_deref().map(text),
        ),
    ]
}

/// The size of an item without these attributes: see [`size_bytes`].
pub(super) fn size_bytes_without(item: &Item, attributes: &[&str]) -> usize {
    item.iter()
        .filter(|(name, _)| !attributes.contains(&name.as_str()))
        .map(attribute_bytes)
        .sum()
}

/// The size of an item that DynamoDB bills, in bytes of its names and values (Amazon DynamoDB
/// Developer Guide, "DynamoDB item sizes and formats").
pub(super) fn size_bytes(item: &Item) -> usize {
    item.iter().map(attribute_bytes).sum()
}

fn attribute_bytes((name, value): (&String, &AttributeValue)) -> usize {
    name.len() + value_bytes(value)
}

/// The size of a value that DynamoDB bills, in bytes.
pub(super) fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // About one byte for two digits, and one more.
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(blob) => blob.as_ref().len(),
        _ => 1,
    }
}

/// Whether a head is marked as erased; true for a tombstone as well.
pub(super) fn is_erased(head: &Item) -> bool {
    head.contains_key(name::ERASED_AT)
}

/// The attributes of a head that its tombstone does not keep: all that say whose operation it was,
/// or what it was about.
pub(super) fn attributes_to_erase(head: &Item) -> impl Iterator<Item = &str> {
    let kept = [
        name::PK,
        name::SK,
        name::FORMAT,
        name::CREATE_ID,
        name::ERASED_AT,
        name::DELETE_AT,
    ];
    let attributes = head.keys().map(String::as_str);
    attributes.filter(move |name| !kept.contains(name))
}

/// Whether an operator may see an attribute of a head: it holds no payload and no secret. The
/// errors of a function are shown, although it may quote anything in them, because an operator
/// needs them to find out why an operation failed.
pub(super) fn is_shown(attribute: &str) -> bool {
    let shown = [
        name::PK,
        name::SK,
        name::FORMAT,
        name::STATUS,
        name::LOCK_VERSION,
        name::CREATE_ID,
        name::CLAIM_ID,
        name::OWNER,
        name::FUNCTION,
        name::FUNCTION_VERSION,
        name::ATTEMPT,
        name::ATTEMPTS_MAX,
        name::DELETE_AT,
        name::CREATED_AT,
        name::UPDATED_AT,
        name::DEADLINE_AT,
        name::STARTS_AT,
        name::STARTED_AT,
        name::ATTEMPT_STARTED_AT,
        name::ATTEMPTS,
        name::ENDED_AT,
        name::LEASE_UNTIL,
        name::RETENTION_SECS,
        name::PROGRESS,
        name::PROGRESS_AT,
        name::ERRORS,
        name::LAST_ERROR,
        name::STATE_ATTEMPT,
        name::CALLBACK_EVENTS,
        name::CALLBACK_STATUS,
        name::CALLBACK_ATTEMPTS_MADE,
        name::CALLBACK_ROUND_ATTEMPTS,
        name::CALLBACK_ATTEMPTS,
        name::CALLBACK_ATTEMPT_ID,
        name::CALLBACK_NEXT_AT,
        name::REDRIVE_OF,
        name::ORIGIN_REQUEST_ID,
        name::TRACE_ID,
        name::SPAN_ID,
        name::ERASED_AT,
    ];
    shown.contains(&attribute)
}

/// The head of a newly accepted operation, without its payloads.
pub(super) fn new_head(operation: &Operation) -> Item {
    let mut head = head_key(&operation.id);
    let mut put = |name: &str, value| head.insert(name.to_owned(), value);
    let is_long_work = operation.starts_at.is_some() || operation.saved_state.is_some();
    let format = if is_long_work {
        FORMAT_LONG_WORK
    } else {
        FORMAT
    };
    put(name::FORMAT, number(format));
    put(name::STATUS, text(operation.status().as_str()));
    put(name::LOCK_VERSION, number(operation.lock_version));
    put(name::CREATE_ID, text(operation.create_id.as_str()));
    put(name::OWNER, text(operation.owner.as_str()));
    put(name::FUNCTION, text(&operation.function));
    put(name::FUNCTION_VERSION, text(&operation.function_version));
    put(name::ATTEMPT, number(operation.attempt));
    put(name::ATTEMPTS_MAX, number(operation.attempts_max));
    put(name::CREATED_AT, time(operation.created_at));
    put(name::UPDATED_AT, time(operation.updated_at));
    put(name::DEADLINE_AT, time(operation.deadline_at));
    put(name::DELETE_AT, delete_at(operation.expires_at));
    put(name::RETENTION_SECS, number(operation.retention_secs));
    if let Some(starts_at) = operation.starts_at {
        put(name::STARTS_AT, time(starts_at));
        put(name::LEASE_UNTIL, time(starts_at));
    }
    if let Some(saved) = &operation.saved_state {
        put(name::STATE_ATTEMPT, number(saved.attempt));
    }
    if let Some(hash) = operation.request_hash {
        put(name::REQUEST_HASH, AttributeValue::B(Blob::new(hash)));
    }
    if let Some(callback) = &operation.callback {
        put(name::CALLBACK_URL, text(&callback.url));
        if callback.events != CallbackEvent::ALL {
            let words: Vec<_> = callback.events.iter().map(|event| event.as_str()).collect();
            put(name::CALLBACK_EVENTS, text(words.join(",")));
        }
    }
    if let Some(failed) = &operation.redrive_of {
        put(name::REDRIVE_OF, text(failed.as_str()));
    }
    if let Some(request_id) = &operation.origin.request_id {
        put(name::ORIGIN_REQUEST_ID, text(request_id));
    }
    if let Some(trace) = &operation.origin.trace {
        put(name::TRACE_ID, text(&trace.trace_id));
        put(name::SPAN_ID, text(&trace.span_id));
    }
    head
}
