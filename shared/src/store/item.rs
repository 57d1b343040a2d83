//! The head item: the one place that spells its attributes.
//!
//! A head is read by matching what its state must and must not have; anything else is corrupt, and the error names the
//! attribute. It is never repaired by guessing.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::list::Position;
use super::payload;
use crate::domain::callback::{Attempt, Callback, CallbackStatus, Event};
use crate::domain::fingerprint::RequestHash;
use crate::domain::id::{AttemptId, ClaimId, CreateId, OperationId, RedeliveryId};
use crate::domain::json::Json;
use crate::domain::limits::FORMAT;
use crate::domain::operation::{
    LastError, Operation, OperationError, Owner, Payload, Progress, State,
};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;

/// An item as DynamoDB has it.
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
    /// The only times in seconds are those that DynamoDB reads; all others are in milliseconds.
    pub(in crate::store) const EXPIRES_AT: &str = "expires_at";
    pub(in crate::store) const CREATED_AT: &str = "created_at";
    pub(in crate::store) const UPDATED_AT: &str = "updated_at";
    pub(in crate::store) const DEADLINE_AT: &str = "deadline_at";
    pub(in crate::store) const STARTED_AT: &str = "started_at";
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
    pub(in crate::store) const CALLBACK_URL: &str = "callback_url";
    pub(in crate::store) const CALLBACK_EVENTS: &str = "callback_events";
    pub(in crate::store) const CALLBACK_STATUS: &str = "callback_status";
    pub(in crate::store) const CALLBACK_TRIES: &str = "callback_tries";
    pub(in crate::store) const CALLBACK_ROUND_TRIES: &str = "callback_round_tries";
    pub(in crate::store) const CALLBACK_ATTEMPTS: &str = "callback_attempts";
    pub(in crate::store) const CALLBACK_ATTEMPT_ID: &str = "callback_attempt_id";
    pub(in crate::store) const CALLBACK_NEXT_AT: &str = "callback_next_at";
    pub(in crate::store) const REDELIVERY_ID: &str = "redelivery_id";
    /// Of a payload item: its text.
    pub(in crate::store) const BODY: &str = "body";
}

/// The sort key of heads.
pub(super) const HEAD: &str = "head";

/// A number as DynamoDB takes it.
#[expect(clippy::needless_pass_by_value, reason = "numbers are copied")]
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A string as DynamoDB takes it.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A time as heads hold it.
pub(super) fn time(value: Timestamp) -> AttributeValue {
    number(value.as_millis())
}

/// The head's key.
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

/// What DynamoDB bills an item by: the bytes of its names and values
/// (Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats").
pub(super) fn size_bytes(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

/// What DynamoDB bills a value by.
pub(super) fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // About one byte for two digits, and one more.
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(blob) => blob.as_ref().len(),
        _ => 1,
    }
}

/// Error objects as they are stored, in one attribute of JSON text.
#[derive(Serialize, Deserialize)]
struct StoredError {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Json>,
}

impl From<&OperationError> for StoredError {
    fn from(error: &OperationError) -> Self {
        let OperationError {
            code,
            message,
            details,
        } = error.clone();
        Self {
            code,
            message,
            details,
        }
    }
}

impl From<StoredError> for OperationError {
    fn from(
        StoredError {
            code,
            message,
            details,
        }: StoredError,
    ) -> Self {
        Self {
            code,
            message,
            details,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredLastError {
    attempt: u32,
    error: StoredError,
}

#[derive(Serialize, Deserialize)]
struct StoredAttempt {
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    ms: u64,
}

fn json_text(value: &impl Serialize) -> AttributeValue {
    // The types above have string keys and finite numbers only, so writing them cannot fail.
    text(serde_json::to_string(value).unwrap_or_default())
}

/// The attribute that holds a failed operation's errors.
pub(super) fn errors(errors: &[OperationError]) -> AttributeValue {
    let stored: Vec<_> = errors.iter().map(StoredError::from).collect();
    json_text(&stored)
}

/// The attribute that holds the error of an attempt that was let go.
pub(super) fn last_error(attempt: u32, error: &OperationError) -> AttributeValue {
    json_text(&StoredLastError {
        attempt,
        error: error.into(),
    })
}

/// The attribute that holds a callback's tries.
pub(super) fn callback_attempts(attempts: &[Attempt]) -> AttributeValue {
    let stored: Vec<_> = attempts
        .iter()
        .map(|attempt| StoredAttempt {
            at: attempt.at.as_millis(),
            status: attempt.status_code,
            error: attempt.error.clone(),
            ms: attempt.duration_ms,
        })
        .collect();
    json_text(&stored)
}

/// The head of an operation that has just been accepted, without its payloads.
pub(super) fn new_head(operation: &Operation) -> Item {
    let mut head = head_key(&operation.id);
    let mut put = |name: &str, value| head.insert(name.to_owned(), value);
    put(name::FORMAT, number(FORMAT));
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
    put(name::EXPIRES_AT, number(operation.expires_at.as_secs()));
    put(name::RETENTION_SECS, number(operation.retention_secs));
    if let Some(hash) = operation.request_hash {
        put(name::REQUEST_HASH, AttributeValue::B(Blob::new(hash)));
    }
    if let Some(callback) = &operation.callback {
        put(name::CALLBACK_URL, text(&callback.url));
        if callback.events != Event::ALL {
            let words: Vec<_> = callback.events.iter().map(|event| event.as_str()).collect();
            put(name::CALLBACK_EVENTS, text(words.join(",")));
        }
    }
    head
}

/// Reads a head.
///
/// # Errors
///
/// When it is of a newer format, or corrupt.
pub(super) fn operation(item: &Item) -> Result<Operation, StoreError> {
    let fields = Fields { item };
    let format: u32 = fields.number(name::FORMAT)?;
    if format > FORMAT {
        return Err(StoreError::NewerFormat {
            id: fields.id(),
            format,
        });
    }
    Ok(Operation {
        id: fields.parsed(name::PK, OperationId::parse)?,
        create_id: fields.parsed(name::CREATE_ID, CreateId::parse)?,
        owner: Owner::from_stored(fields.text(name::OWNER)?.to_owned()),
        function: fields.text(name::FUNCTION)?.to_owned(),
        function_version: fields.text(name::FUNCTION_VERSION)?.to_owned(),
        request_hash: fields.request_hash()?,
        state: fields.state()?,
        lock_version: fields.number(name::LOCK_VERSION)?,
        attempt: fields.number(name::ATTEMPT)?,
        attempts_max: fields.number(name::ATTEMPTS_MAX)?,
        created_at: fields.time(name::CREATED_AT)?,
        updated_at: fields.time(name::UPDATED_AT)?,
        deadline_at: fields.time(name::DEADLINE_AT)?,
        expires_at: Timestamp::from_secs(fields.number(name::EXPIRES_AT)?),
        retention_secs: fields.number(name::RETENTION_SECS)?,
        started_at: fields.optional_time(name::STARTED_AT)?,
        progress: fields.progress()?,
        last_error: fields.last_error()?,
        arguments: fields.payload(name::ARGUMENTS)?.unwrap_or_else(empty),
        metadata: fields.payload(name::METADATA)?.unwrap_or_else(empty),
        callback: fields.callback()?,
    })
}

fn empty() -> Payload {
    Payload::Here(Json::empty_object())
}

/// When a head that may be of a newer format expires.
pub(super) fn expires_at(item: &Item) -> Result<Timestamp, StoreError> {
    Fields { item }
        .number(name::EXPIRES_AT)
        .map(Timestamp::from_secs)
}

/// The place in a list that a key of the index names.
pub(super) fn position(key: &Item) -> Result<Position, StoreError> {
    let fields = Fields { item: key };
    Ok(Position {
        id: fields.parsed(name::PK, OperationId::parse)?,
        created_at: fields.time(name::CREATED_AT)?,
    })
}

struct Fields<'a> {
    item: &'a Item,
}

impl<'a> Fields<'a> {
    fn id(&self) -> String {
        let pk = self.item.get(name::PK).and_then(|value| value.as_s().ok());
        pk.cloned().unwrap_or_default()
    }

    fn corrupt(&self, attribute: &'static str) -> StoreError {
        StoreError::Corrupt {
            id: self.id(),
            attribute,
        }
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<&'a str>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.corrupt(name)),
        }
    }

    fn text(&self, name: &'static str) -> Result<&'a str, StoreError> {
        self.optional_text(name)?.ok_or_else(|| self.corrupt(name))
    }

    fn parsed<T>(&self, name: &'static str, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
        parse(self.text(name)?).ok_or_else(|| self.corrupt(name))
    }

    fn optional_parsed<T>(
        &self,
        name: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(text) = self.optional_text(name)? else {
            return Ok(None);
        };
        parse(text).map(Some).ok_or_else(|| self.corrupt(name))
    }

    fn optional_number<T: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => {
                digits.parse().map(Some).map_err(|_| self.corrupt(name))
            }
            Some(_) => Err(self.corrupt(name)),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.optional_number(name)?
            .ok_or_else(|| self.corrupt(name))
    }

    fn optional_time(&self, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_number(name)?.map(Timestamp::from_millis))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.number(name).map(Timestamp::from_millis)
    }

    fn optional_json<T: for<'de> Deserialize<'de>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let Some(text) = self.optional_text(name)? else {
            return Ok(None);
        };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|_| self.corrupt(name))
    }

    fn payload(&self, name: &'static str) -> Result<Option<Payload>, StoreError> {
        let Some(value) = self.item.get(name) else {
            return Ok(None);
        };
        payload::decode(value)
            .map(Some)
            .ok_or_else(|| self.corrupt(name))
    }

    fn request_hash(&self) -> Result<Option<RequestHash>, StoreError> {
        match self.item.get(name::REQUEST_HASH) {
            None => Ok(None),
            Some(AttributeValue::B(blob)) => RequestHash::try_from(blob.as_ref())
                .map(Some)
                .map_err(|_| self.corrupt(name::REQUEST_HASH)),
            Some(_) => Err(self.corrupt(name::REQUEST_HASH)),
        }
    }

    /// The state, from all attributes that belong to one: what a state must have is there, and nothing else.
    fn state(&self) -> Result<State, StoreError> {
        let status = self.parsed(name::STATUS, Status::parse)?;
        let claim_id = self.optional_parsed(name::CLAIM_ID, ClaimId::parse)?;
        let lease_until = self.optional_time(name::LEASE_UNTIL)?;
        let ended_at = self.optional_time(name::ENDED_AT)?;
        let result = self.payload(name::RESULT)?;
        let errors: Option<Vec<StoredError>> = self.optional_json(name::ERRORS)?;
        match (status, claim_id, lease_until, ended_at, result, errors) {
            (Status::Pending, None, None, None, None, None) => Ok(State::Pending),
            (Status::Processing, Some(claim_id), Some(lease_until), None, None, None) => {
                Ok(State::Processing {
                    claim_id,
                    lease_until,
                })
            }
            (Status::Completed, Some(claim_id), None, Some(at), Some(result), None) => {
                Ok(State::Completed {
                    at,
                    result,
                    claim_id,
                })
            }
            (Status::Failed, claim_id, None, Some(at), None, Some(errors)) => {
                let errors = errors.into_iter().map(OperationError::from).collect();
                Ok(State::Failed {
                    at,
                    errors,
                    claim_id,
                })
            }
            (Status::Cancelled, None, None, Some(at), None, None) => Ok(State::Cancelled { at }),
            _ => Err(self.corrupt(name::STATUS)),
        }
    }

    fn progress(&self) -> Result<Option<Progress>, StoreError> {
        let Some(fraction) = self.optional_number(name::PROGRESS)? else {
            return Ok(None);
        };
        Ok(Some(Progress {
            fraction,
            message: self
                .optional_text(name::PROGRESS_MESSAGE)?
                .map(str::to_owned),
            at: self.time(name::PROGRESS_AT)?,
        }))
    }

    fn last_error(&self) -> Result<Option<LastError>, StoreError> {
        let stored: Option<StoredLastError> = self.optional_json(name::LAST_ERROR)?;
        Ok(stored.map(|last| LastError {
            attempt: last.attempt,
            error: last.error.into(),
        }))
    }

    fn callback(&self) -> Result<Option<Callback>, StoreError> {
        let Some(url) = self.optional_text(name::CALLBACK_URL)? else {
            return Ok(None);
        };
        let events = match self.optional_text(name::CALLBACK_EVENTS)? {
            None => Some(Event::ALL.to_vec()),
            Some(words) => words.split(',').map(Event::parse).collect(),
        };
        let attempts: Option<Vec<StoredAttempt>> = self.optional_json(name::CALLBACK_ATTEMPTS)?;
        Ok(Some(Callback {
            url: url.to_owned(),
            events: events.ok_or_else(|| self.corrupt(name::CALLBACK_EVENTS))?,
            recorded: self.optional_parsed(name::CALLBACK_STATUS, CallbackStatus::parse)?,
            tries: self.optional_number(name::CALLBACK_TRIES)?.unwrap_or(0),
            round_tries: self
                .optional_number(name::CALLBACK_ROUND_TRIES)?
                .unwrap_or(0),
            attempts: attempts
                .unwrap_or_default()
                .into_iter()
                .map(|attempt| Attempt {
                    at: Timestamp::from_millis(attempt.at),
                    status_code: attempt.status,
                    error: attempt.error,
                    duration_ms: attempt.ms,
                })
                .collect(),
            last_attempt_id: self.optional_parsed(name::CALLBACK_ATTEMPT_ID, AttemptId::parse)?,
            next_attempt_at: self.optional_time(name::CALLBACK_NEXT_AT)?,
            redelivery_id: self.optional_parsed(name::REDELIVERY_ID, RedeliveryId::parse)?,
        }))
    }
}
