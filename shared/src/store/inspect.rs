//! Everything that is stored under an operation's id: expired, erased and unreadable records as
//! well.
//!
//! For an operator who has to find out what is wrong. No caller may ever see what this reads,
//! because it does not check the owner.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{self, Item, name, number_of};
use super::payload::{decode_text, result_key, state_key, submitted_key};
use super::{Store, StoreError};
use crate::domain::caller_url::redacted;
use crate::domain::id::OperationId;
use crate::domain::json::Json;
use crate::domain::operation::{Operation, Payload, State};
use crate::domain::time::Timestamp;

/// Everything stored under one id.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The operation's record. `None` when only payload items exist: their submit crashed before it
    /// created the record, or DynamoDB deleted the record first.
    pub head: Option<InspectedHead>,
    /// The payload items with arguments, metadata, states and results, of any incarnation and
    /// attempt.
    pub payloads: Vec<PayloadItem>,
}

/// A record, as far as it can be read.
#[derive(Debug)]
pub struct InspectedHead {
    /// The size that DynamoDB bills, in bytes.
    pub bytes: usize,
    /// The format number; `None` when the record has none.
    pub format: Option<u32>,
    /// When its owner erased it.
    pub erased_at: Option<Timestamp>,
    /// When it becomes absent to callers; `None` when that cannot be read.
    pub expires_at: Option<Timestamp>,
    pub record: Record,
}

#[derive(Debug)]
pub enum Record {
    /// A complete record, possibly expired, or erased by a call that crashed.
    Operation(Box<Operation>),
    /// What is left of an operation that was erased.
    Tombstone { create_id: Option<String> },
    /// A record written by newer code, or corrupt.
    Unreadable {
        error: StoreError,
        /// Its attributes by name. An attribute that may hold a payload or a secret is replaced by
        /// its size.
        attributes: BTreeMap<String, Json>,
    },
}

#[derive(Debug)]
pub struct PayloadItem {
    /// The sort key: it names the kind of payload, the incarnation and the attempt.
    pub key: String,
    /// The size that DynamoDB bills, in bytes.
    pub bytes: usize,
    /// When DynamoDB may delete it.
    pub delete_at: Option<Timestamp>,
    /// The payload; `None` when it cannot be read.
    pub body: Option<Json>,
}

impl Store {
    /// Reads everything that is stored under an id: as many read units as the items take.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn inspect(&self, id: &OperationId) -> Result<Inspected, StoreError> {
        let mut inspected = Inspected::default();
        let mut from = None;
        loop {
            let (items, next) = self.query_items(id, &[], from).await?;
            for stored in items {
                match stored.get(name::SK) {
                    Some(AttributeValue::S(sk)) if sk != item::HEAD => {
                        inspected.payloads.push(payload_item(sk.clone(), &stored));
                    }
                    _ => inspected.head = Some(head(&stored)),
                }
            }
            from = next;
            if from.is_none() {
                return Ok(inspected);
            }
        }
    }
}

impl Inspected {
    /// The arguments of the operation that was read; `None` when they are lost.
    #[must_use]
    pub fn arguments<'a>(&'a self, operation: &'a Operation) -> Option<&'a Json> {
        let key = submitted_key(name::ARGUMENTS, &operation.create_id);
        self.find(&operation.arguments, &key)
    }

    /// Its metadata; `None` when they are lost.
    #[must_use]
    pub fn metadata<'a>(&'a self, operation: &'a Operation) -> Option<&'a Json> {
        let key = submitted_key(name::METADATA, &operation.create_id);
        self.find(&operation.metadata, &key)
    }

    /// Its result; `None` when it has not completed, or the result is lost.
    #[must_use]
    pub fn result<'a>(&'a self, operation: &'a Operation) -> Option<&'a Json> {
        let State::Completed { result, .. } = &operation.state else {
            return None;
        };
        self.find(result, &result_key(&operation.create_id, operation.attempt))
    }

    /// The state from which it continues; `None` when it has none, or the state is lost.
    #[must_use]
    pub fn saved_state<'a>(&'a self, operation: &'a Operation) -> Option<&'a Json> {
        let saved = operation.saved_state.as_ref()?;
        self.find(&saved.value, &state_key(&operation.create_id, saved))
    }

    fn find<'a>(&'a self, payload: &'a Payload, key: &str) -> Option<&'a Json> {
        let stored = || self.payloads.iter().find(|item| item.key == key);
        payload.json().or_else(|| stored()?.body.as_ref())
    }
}

fn head(stored: &Item) -> InspectedHead {
    let record = if item::is_erased(stored) && item::attributes_to_erase(stored).next().is_none() {
        let create_id = stored.get(name::CREATE_ID);
        let create_id = create_id.and_then(|create_id| create_id.as_s().ok());
        Record::Tombstone {
            create_id: create_id.cloned(),
        }
    } else {
        match item::operation(stored) {
            Ok(operation) => Record::Operation(Box::new(operation)),
            Err(error) => Record::Unreadable {
                error,
                attributes: attributes(stored),
            },
        }
    };
    InspectedHead {
        bytes: item::size_bytes(stored),
        format: number_of(stored, name::FORMAT),
        erased_at: number_of(stored, name::ERASED_AT).map(Timestamp::from_millis),
        expires_at: item::expires_at(stored).ok(),
        record,
    }
}

fn payload_item(key: String, stored: &Item) -> PayloadItem {
    PayloadItem {
        key,
        bytes: item::size_bytes(stored),
        delete_at: number_of(stored, name::DELETE_AT).map(Timestamp::from_secs),
        body: stored.get(name::BODY).and_then(decode_text),
    }
}

/// Shows only attributes that this code knows: one that newer code adds may be as secret as a
/// callback URL's query.
fn attributes(stored: &Item) -> BTreeMap<String, Json> {
    let shown = |(attribute, value): (&String, &AttributeValue)| {
        let size = || Json::of(&format!("{} bytes", item::value_bytes(value)));
        let json = match value {
            AttributeValue::S(url) if attribute == name::CALLBACK_URL => Json::of(&redacted(url)),
            _ if !item::is_shown(attribute) => size(),
            AttributeValue::S(text) => Json::of(text),
            AttributeValue::N(digits) => digits.parse(),
            _ => size(),
        };
        Some((attribute.clone(), json.ok()?))
    };
    stored.iter().filter_map(shown).collect()
}
