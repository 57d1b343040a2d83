//! Everything that is stored under an operation's name: expired, erased and unreadable records as well.
//!
//! For a person who has to find out what is wrong. No caller may ever be shown what this reads: it does not ask whose it is.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::Expression;
use super::item::{self, Item, name, number_of, text};
use super::payload::{decode_text, result_key, submitted_key};
use super::{Store, StoreError};
use crate::domain::callback_url::redacted;
use crate::domain::id::OperationId;
use crate::domain::json::Json;
use crate::domain::operation::{Operation, Payload, State};
use crate::domain::time::Timestamp;

/// What is stored under a name.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The operation's record. Without one there are payload items alone: their submit died before the record, or DynamoDB deleted
    /// that first.
    pub head: Option<InspectedHead>,
    /// Arguments, metadata and results that are apart, of whatever incarnation and attempt.
    pub payloads: Vec<PayloadItem>,
}

/// A record, as far as it can be read.
#[derive(Debug)]
pub struct InspectedHead {
    /// What DynamoDB bills it by, in bytes.
    pub bytes: usize,
    /// The number of its format; `None` when it has none.
    pub format: Option<u32>,
    /// When its owner erased it.
    pub erased_at: Option<Timestamp>,
    /// From when on it is absent to everybody; `None` when it does not say.
    pub expires_at: Option<Timestamp>,
    /// What it says.
    pub record: Record,
}

/// What a record says.
#[derive(Debug)]
pub enum Record {
    /// All of it; expired, or erased by a call that died, too.
    Operation(Box<Operation>),
    /// That there was an operation, which was erased.
    Mark {
        /// Which incarnation.
        create_id: Option<String>,
    },
    /// It was written by newer code, or by none.
    Unreadable {
        /// Why it cannot be read.
        error: StoreError,
        /// Its attributes by name: those that may be shown as they are, of all others the size.
        attributes: BTreeMap<String, Json>,
    },
}

/// An item with a payload.
#[derive(Debug)]
pub struct PayloadItem {
    /// What it is, and of which incarnation and attempt: its sort key.
    pub key: String,
    /// What DynamoDB bills it by.
    pub bytes: usize,
    /// When DynamoDB may delete it.
    pub delete_at: Option<Timestamp>,
    /// The payload; `None` when it cannot be read.
    pub body: Option<Json>,
}

impl Store {
    /// Reads everything that is stored under a name, at what all of it costs to read.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn inspect(&self, id: &OperationId) -> Result<Inspected, StoreError> {
        let mut inspected = Inspected::default();
        let mut from = None;
        loop {
            let mut query = Expression::default();
            query.require(name::PK, text(id.as_str()));
            let query = query.render();
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression(query.condition)
                .set_expression_attribute_names(Some(query.names))
                .set_expression_attribute_values(Some(query.values))
                .set_exclusive_start_key(from)
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| StoreError::unreachable("Query", error))?;
            for stored in page.items.unwrap_or_default() {
                match stored.get(name::SK) {
                    Some(AttributeValue::S(sk)) if sk != item::HEAD => {
                        inspected.payloads.push(payload_item(sk.clone(), &stored));
                    }
                    _ => inspected.head = Some(head(&stored)),
                }
            }
            from = page.last_evaluated_key;
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

    /// Its result; `None` when there is none yet, or it is lost.
    #[must_use]
    pub fn result<'a>(&'a self, operation: &'a Operation) -> Option<&'a Json> {
        let State::Completed { result, .. } = &operation.state else {
            return None;
        };
        self.find(result, &result_key(&operation.create_id, operation.attempt))
    }

    fn find<'a>(&'a self, payload: &'a Payload, key: &str) -> Option<&'a Json> {
        let apart = || self.payloads.iter().find(|item| item.key == key);
        payload.json().or_else(|| apart()?.body.as_ref())
    }
}

fn head(stored: &Item) -> InspectedHead {
    let record = if item::is_erased(stored) && item::beside_mark(stored).next().is_none() {
        let create_id = stored.get(name::CREATE_ID);
        let create_id = create_id.and_then(|create_id| create_id.as_s().ok());
        Record::Mark {
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

/// By the names that this code knows: what newer code adds may be as little for the eye as a callback's query is.
fn attributes(stored: &Item) -> BTreeMap<String, Json> {
    let shown = |(attribute, value): (&String, &AttributeValue)| {
        let size = || Json::of(&format!("{} bytes", item::value_bytes(value)));
        let json = match value {
            AttributeValue::S(url) if attribute == name::CALLBACK_URL => Json::of(&redacted(url)),
            _ if !item::is_shown(attribute) => size(),
            AttributeValue::S(text) => Json::of(text),
            AttributeValue::N(digits) => Json::parse(digits),
            _ => size(),
        };
        Some((attribute.clone(), json.ok()?))
    };
    stored.iter().filter_map(shown).collect()
}
