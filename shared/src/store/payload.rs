//! Arguments, metadata, states and results: inline in the head while it stays within one billed
//! unit, in payload items otherwise.
//!
//! A payload item is written before the head names it, so the head is the commit point. It is never
//! overwritten: its key holds the incarnation and, for a state or a result, the attempt. DynamoDB's
//! TTL deletes an item that no head names, or names any more.
//!
//! In the head, an absent attribute is the empty object, NULL means an external payload, a
//! string is JSON text, and a binary is the same text deflated.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::expression::Expression;
use super::item::{self, Item, name};
use super::outcome::Held;
use super::table::TABLE_KEYS;
use super::{Store, StoreError};
use crate::domain::id::CreateId;
use crate::domain::json::Json;
use crate::domain::limits::{
    ARGUMENTS_BYTES_MAX, FORMAT, GONE_RETENTION, HEAD_ATTEMPT_BYTES, HEAD_BYTES_MAX,
    HEAD_END_BYTES, HEAD_GROWTH_BYTES, PAYLOAD_MARGIN, RESULT_MARGIN,
};
use crate::domain::operation::{Operation, Payload, SavedState};
use crate::domain::time::Timestamp;
use crate::telemetry::chain;

/// Compressing shorter text saves nothing.
const COMPRESSED_BYTES_MIN: usize = 256;

/// An accepted operation, laid out in items but not yet written.
#[derive(Debug)]
pub struct Draft {
    pub(super) create_id: CreateId,
    /// When the submit began.
    pub(super) begun_at: Timestamp,
    pub(super) head: Item,
    payloads: Vec<Item>,
}

impl Draft {
    /// Lays an operation out. Metadata takes the room in the head first, since every poll shows it
    /// and only the worker reads the arguments.
    #[must_use]
    pub fn new(operation: &Operation) -> Self {
        let mut head = item::new_head(operation);
        let mut payloads = Vec::new();
        let room = |head: &Item| {
            (HEAD_BYTES_MAX - HEAD_GROWTH_BYTES).saturating_sub(item::size_bytes(head))
        };
        let submitted = [
            (name::METADATA, &operation.metadata),
            (name::ARGUMENTS, &operation.arguments),
        ];
        // An absent attribute is the empty object.
        let submitted = submitted.into_iter().filter_map(|(name, payload)| {
            let json = payload.json().filter(|json| !json.is_empty_object())?;
            Some((name, json, submitted_key(name, &operation.create_id)))
        });
        let saved = operation.saved_state.iter().filter_map(|saved| {
            let sk = state_key(&operation.create_id, saved);
            Some((name::STATE, saved.value.json()?, sk))
        });
        for (name, json, sk) in submitted.chain(saved) {
            let (inline, external) = lay_out(json, name, room(&head), |body| {
                payload_item(operation, &sk, body, submitted_expiry(operation))
            });
            head.insert(name.to_owned(), inline);
            payloads.extend(external);
        }
        Self {
            create_id: operation.create_id.clone(),
            begun_at: operation.created_at,
            head,
            payloads,
        }
    }
}

impl Store {
    /// Writes the payload items of a draft, in parallel: one request each, none for ordinary
    /// operations. Call it before [`Store::create`].
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn write_payloads(&self, draft: &Draft) -> Result<(), StoreError> {
        let writes = draft
            .payloads
            .iter()
            .map(|payload| self.write_payload(payload.clone()));
        futures_util::future::try_join_all(writes).await.map(|_| ())
    }

    /// Deletes the payload items of a draft whose create was refused, in parallel: one request
    /// each, none for ordinary operations. DynamoDB's TTL deletes an item that this call could not
    /// delete.
    pub async fn delete_payloads(&self, draft: &Draft) {
        let deletes = draft.payloads.iter().map(async |payload| {
            let key = TABLE_KEYS.map(|name| (name.to_owned(), payload[name].clone()));
            if let Err(error) = self.delete(key.into()).await {
                tracing::warn!(
                    "payload item not deleted; DynamoDB's TTL deletes it: {}",
                    chain(&error)
                );
            }
        });
        futures_util::future::join_all(deletes).await;
    }

    /// Deletes the item that a holder wrote before an outcome which was refused because the
    /// operation is gone: one request. DynamoDB's TTL deletes it if this call could not.
    pub(super) async fn delete_unnamed(&self, held: &Held, sk: &str) {
        if let Err(error) = self.delete(item::key(&held.operation.id, sk)).await {
            tracing::warn!(
                "payload item not deleted; DynamoDB's TTL deletes it: {}",
                chain(&error)
            );
        }
    }

    pub(super) async fn delete(&self, key: Item) -> Result<(), StoreError> {
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .send();
        match Box::pin(sent).await {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::unreachable("DeleteItem", error)),
        }
    }

    /// Writes one payload item. When it is refused, the item is our own, whose response was lost:
    /// the key is random.
    pub(super) async fn write_payload(&self, payload: Item) -> Result<(), StoreError> {
        let absent = Expression::on_absent().render();
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(payload))
            .condition_expression(absent.condition)
            .set_expression_attribute_names(Some(absent.names))
            .send();
        match Box::pin(sent).await {
            Ok(_) => Ok(()),
            Err(error) => StoreError::refusal("PutItem", error).map(|_| ()),
        }
    }
}

/// The attributes of a claimed head that a result or a state removes or replaces, or that may only
/// take the room it leaves.
const REPLACED: [&str; 5] = [
    name::ATTEMPT_STARTED_AT,
    name::ATTEMPTS,
    name::LAST_ERROR,
    name::STATE,
    name::STATE_ATTEMPT,
];

/// A payload that a holder writes with its outcome.
pub(super) struct LaidOut {
    /// Its attribute in the head.
    pub(super) attribute: AttributeValue,
    /// The item that must be written first when the payload does not fit the head.
    pub(super) payload_item: Option<Item>,
    /// The sort key that such an item has.
    pub(super) sk: String,
    /// What the outcome leaves in the head besides the history, in bytes.
    pub(super) head_bytes: usize,
}

pub(super) fn lay_out_result(held: &Held, result: &Json, now: Timestamp) -> LaidOut {
    let operation = &held.operation;
    let expires_at = now + Duration::from_secs(u64::from(operation.retention_secs));
    let sk = result_key(&operation.create_id, operation.attempt);
    let head_bytes = item::size_bytes_without(&held.head, &REPLACED) + HEAD_END_BYTES;
    let room = HEAD_BYTES_MAX.saturating_sub(head_bytes);
    let (attribute, payload_item) = lay_out(result, name::RESULT, room, |body| {
        payload_item(operation, &sk, body, payload_expiry(expires_at))
    });
    LaidOut {
        head_bytes: head_bytes + name::RESULT.len() + item::value_bytes(&attribute),
        attribute,
        payload_item,
        sk,
    }
}

pub(super) fn lay_out_state(held: &Held, state: &Json) -> LaidOut {
    let operation = &held.operation;
    let sk = attempt_key(name::STATE, &operation.create_id, operation.attempt);
    let attempt_bytes = item::value_bytes(&item::number(operation.attempt));
    let head_bytes = item::size_bytes_without(&held.head, &REPLACED)
        + name::STATE_ATTEMPT.len()
        + attempt_bytes
        + HEAD_END_BYTES;
    let room = HEAD_BYTES_MAX.saturating_sub(head_bytes + HEAD_ATTEMPT_BYTES);
    let (attribute, payload_item) = lay_out(state, name::STATE, room, |body| {
        payload_item(operation, &sk, body, submitted_expiry(operation))
    });
    LaidOut {
        head_bytes: head_bytes + name::STATE.len() + item::value_bytes(&attribute),
        attribute,
        payload_item,
        sk,
    }
}

/// Reads an attribute that [`lay_out`] made; `None` when it is malformed.
pub(super) fn decode(value: &AttributeValue) -> Option<Payload> {
    match value {
        AttributeValue::Null(true) => Some(Payload::External),
        other => decode_text(other).map(Payload::Inline),
    }
}

/// Reads the text of a payload item.
pub(super) fn decode_text(value: &AttributeValue) -> Option<Json> {
    match value {
        AttributeValue::S(text) => text.parse().ok(),
        AttributeValue::B(blob) => {
            let mut text = String::new();
            // No larger text was ever written: a corrupt item must not exhaust the memory.
            let bytes_max = ARGUMENTS_BYTES_MAX as u64 + 1;
            DeflateDecoder::new(blob.as_ref())
                .take(bytes_max)
                .read_to_string(&mut text)
                .ok()?;
            text.parse().ok()
        }
        _ => None,
    }
}

/// The sort key of an item with arguments or metadata.
pub(super) fn submitted_key(name: &str, create_id: &CreateId) -> String {
    format!("{name}#{}", create_id.as_str())
}

/// The sort key of an item with a result.
pub(super) fn result_key(create_id: &CreateId, attempt: u32) -> String {
    attempt_key(name::RESULT, create_id, attempt)
}

/// The sort key of an item with a state. The attempt is the one that saved it: attempts that were
/// lost since have saved none.
pub(super) fn state_key(create_id: &CreateId, saved: &SavedState) -> String {
    attempt_key(name::STATE, create_id, saved.attempt)
}

fn attempt_key(name: &str, create_id: &CreateId, attempt: u32) -> String {
    format!("{name}#{}#{attempt}", create_id.as_str())
}

fn lay_out(
    json: &Json,
    name: &str,
    room_bytes: usize,
    payload_item: impl FnOnce(AttributeValue) -> Item,
) -> (AttributeValue, Option<Item>) {
    let body = encode(json);
    if name.len() + item::value_bytes(&body) <= room_bytes {
        (body, None)
    } else {
        (AttributeValue::Null(true), Some(payload_item(body)))
    }
}

/// When arguments, metadata and states expire. The retention counts from the operation's end, which
/// is its deadline at the latest, unless no worker was running.
pub(super) fn submitted_expiry(operation: &Operation) -> Timestamp {
    let retention = Duration::from_secs(u64::from(operation.retention_secs));
    operation.deadline_at + retention + PAYLOAD_MARGIN
}

/// When a payload item expires whose head expires at this time.
pub(super) fn payload_expiry(head_expires_at: Timestamp) -> Timestamp {
    head_expires_at + GONE_RETENTION + RESULT_MARGIN
}

fn payload_item(operation: &Operation, sk: &str, body: AttributeValue, until: Timestamp) -> Item {
    let mut payload = item::key(&operation.id, sk);
    payload.insert(name::FORMAT.to_owned(), item::number(FORMAT));
    payload.insert(name::BODY.to_owned(), body);
    // An erase compares this time with its mark and deletes the items that are older. The index
    // leaves payload items out, since they have no owner.
    let created_at = item::time(operation.created_at);
    payload.insert(name::CREATED_AT.to_owned(), created_at);
    let delete_at = item::number(until.as_secs());
    payload.insert(name::DELETE_AT.to_owned(), delete_at);
    payload
}

fn encode(json: &Json) -> AttributeValue {
    if json.len_bytes() >= COMPRESSED_BYTES_MIN {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        // Writing to memory cannot fail. If it did, the text would be stored uncompressed.
        let written = encoder.write_all(json.as_str().as_bytes());
        if let (Ok(()), Ok(deflated)) = (written, encoder.finish())
            && deflated.len() < json.len_bytes()
        {
            return AttributeValue::B(Blob::new(deflated));
        }
    }
    item::text(json.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(json: &Json) -> AttributeValue {
        let encoded = encode(json);
        assert_eq!(decode(&encoded), Some(Payload::Inline(json.clone())));
        encoded
    }

    #[test]
    fn short_text_is_stored_as_it_is_and_long_repetitive_text_deflated() {
        assert!(round_trip(&r#"{"n":9007199254740993}"#.parse::<Json>().unwrap()).is_s());
        let long = Json::of(&"ferry ".repeat(1000)).unwrap();
        let AttributeValue::B(blob) = round_trip(&long) else {
            panic!("not deflated")
        };
        assert!(blob.as_ref().len() < long.len_bytes() / 10);
    }

    #[test]
    fn a_payload_that_does_not_fit_the_head_becomes_an_item() {
        let json = Json::of(&"abc").unwrap();
        let lay_out = |room| lay_out(&json, "result", room, |_| Item::new());
        assert_eq!(lay_out(11), (AttributeValue::S("\"abc\"".into()), None));
        assert_eq!(lay_out(10), (AttributeValue::Null(true), Some(Item::new())));
    }

    #[test]
    fn a_corrupt_payload_decodes_to_none() {
        assert_eq!(decode(&AttributeValue::N("1".into())), None);
        assert_eq!(decode(&AttributeValue::S("{".into())), None);
        assert_eq!(decode(&AttributeValue::B(Blob::new([0xff, 0xff]))), None);
    }
}
