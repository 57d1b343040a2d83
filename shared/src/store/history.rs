//! The entries of a history, as far as the head has room for them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::Expression;
use super::item::{self, name};
use super::outcome::Held;
use crate::domain::history::{AttemptEnd, AttemptEntry};
use crate::domain::limits::{HEAD_BYTES_MAX, HEAD_END_BYTES};
use crate::domain::time::Timestamp;

/// What an outcome leaves in the head besides the history, in bytes, when it writes this attribute
/// in place of the last error.
pub(super) fn head_bytes(held: &Held, attribute: &str, value: &AttributeValue) -> usize {
    let replaced = [name::ATTEMPT_STARTED_AT, name::ATTEMPTS, name::LAST_ERROR];
    item::size_bytes_without(&held.head, &replaced)
        + attribute.len()
        + item::value_bytes(value)
        + HEAD_END_BYTES
}

/// Adds how the holder's attempt ended to its outcome. The oldest entries are dropped as long as
/// the head would cost a write unit more with them than without. `head_bytes` is what the outcome
/// leaves in it besides the history.
pub(super) fn record(
    write: &mut Expression,
    held: &Held,
    end: AttemptEnd,
    code: Option<&str>,
    head_bytes: usize,
    now: Timestamp,
) {
    let operation = &held.operation;
    let room = head_bytes.next_multiple_of(HEAD_BYTES_MAX) - head_bytes;
    let bytes_of = |entries: &[AttemptEntry]| {
        let attribute = item::attempts(entries, operation.created_at);
        name::ATTEMPTS.len() + item::value_bytes(&attribute)
    };
    let mut entries = operation.attempts_with(end, code, now);
    while !entries.is_empty() && bytes_of(&entries) > room {
        entries.remove(0);
    }
    if entries.is_empty() {
        write.remove(name::ATTEMPTS);
    } else {
        let attribute = item::attempts(&entries, operation.created_at);
        write.set(name::ATTEMPTS, attribute);
    }
    write.remove(name::ATTEMPT_STARTED_AT);
}
