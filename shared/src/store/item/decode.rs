//! Reading a head: by matching the attributes that its state must have and must not have.
//!
//! Any other combination is corrupt, and the error names the attribute. It is never repaired by
//! guessing.

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::stored::{StoredAttempt, StoredEntry, StoredError, StoredLastError};
use super::{Item, name};
use crate::domain::callback::{Callback, CallbackEvent, DeliveryAttempt};
use crate::domain::fingerprint::RequestHash;
use crate::domain::history::AttemptEntry;
use crate::domain::json::Json;
use crate::domain::limits::{FORMAT_READ, GONE_RETENTION};
use crate::domain::operation::{
    LastError, Operation, OperationError, Origin, Owner, Payload, Progress, SavedState, State,
    Trace,
};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;
use crate::store::error::StoreError;
use crate::store::list::Position;
use crate::store::payload;

/// Reads a head.
///
/// # Errors
///
/// When it has a newer format, or is corrupt.
pub(in crate::store) fn operation(item: &Item) -> Result<Operation, StoreError> {
    let fields = Fields { item };
    fields.require_format()?;
    let created_at = fields.time(name::CREATED_AT)?;
    Ok(Operation {
        id: fields.parsed(name::PK)?,
        create_id: fields.parsed(name::CREATE_ID)?,
        owner: Owner::from_stored(fields.text(name::OWNER)?.to_owned()),
        function: fields.text(name::FUNCTION)?.to_owned(),
        function_version: fields.text(name::FUNCTION_VERSION)?.to_owned(),
        request_hash: fields.request_hash()?,
        state: fields.state()?,
        lock_version: fields.number(name::LOCK_VERSION)?,
        attempt: fields.number(name::ATTEMPT)?,
        attempts_max: fields.number(name::ATTEMPTS_MAX)?,
        created_at,
        updated_at: fields.time(name::UPDATED_AT)?,
        starts_at: fields.optional_time(name::STARTS_AT)?,
        deadline_at: fields.time(name::DEADLINE_AT)?,
        expires_at: fields.expires_at()?,
        retention_secs: fields.number(name::RETENTION_SECS)?,
        started_at: fields.optional_time(name::STARTED_AT)?,
        attempt_started_at: fields.optional_time(name::ATTEMPT_STARTED_AT)?,
        attempts: fields.attempts(created_at)?,
        progress: fields.progress()?,
        last_error: fields.last_error()?,
        saved_state: fields.saved_state()?,
        arguments: fields.payload(name::ARGUMENTS)?.unwrap_or_else(empty),
        metadata: fields.payload(name::METADATA)?.unwrap_or_else(empty),
        callback: fields.callback()?,
        origin: fields.origin()?,
    })
}

fn empty() -> Payload {
    Payload::Inline(Json::empty_object())
}

/// When a head expires, also one of a newer format.
pub(in crate::store) fn expires_at(item: &Item) -> Result<Timestamp, StoreError> {
    Fields { item }.expires_at()
}

/// The position in a list that a key of the index names.
pub(in crate::store) fn position(key: &Item) -> Result<Position, StoreError> {
    let fields = Fields { item: key };
    Ok(Position {
        id: fields.parsed(name::PK)?,
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

    fn origin(&self) -> Result<Origin, StoreError> {
        let trace = match self.optional_text(name::TRACE_ID)? {
            Some(trace_id) => Some(Trace {
                trace_id: trace_id.to_owned(),
                span_id: self.text(name::SPAN_ID)?.to_owned(),
            }),
            None => None,
        };
        let request_id = self.optional_text(name::ORIGIN_REQUEST_ID)?;
        Ok(Origin {
            request_id: request_id.map(str::to_owned),
            trace,
        })
    }

    fn text(&self, name: &'static str) -> Result<&'a str, StoreError> {
        self.optional_text(name)?.ok_or_else(|| self.corrupt(name))
    }

    fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| self.corrupt(name))
    }

    fn optional_parsed<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        let text = self.optional_text(name)?;
        let parsed = text.map(str::parse).transpose();
        parsed.map_err(|_| self.corrupt(name))
    }

    fn optional_number<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => {
                digits.parse().map(Some).map_err(|_| self.corrupt(name))
            }
            Some(_) => Err(self.corrupt(name)),
        }
    }

    fn number<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.optional_number(name)?
            .ok_or_else(|| self.corrupt(name))
    }

    fn optional_time(&self, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_number(name)?.map(Timestamp::from_millis))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.number(name).map(Timestamp::from_millis)
    }

    /// The inverse of [`delete_at`](super::delete_at).
    fn expires_at(&self) -> Result<Timestamp, StoreError> {
        let delete_at = Timestamp::from_secs(self.number(name::DELETE_AT)?);
        Ok(delete_at - GONE_RETENTION)
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

    /// An error for a format that is newer than this code.
    fn require_format(&self) -> Result<(), StoreError> {
        let format: u32 = self.number(name::FORMAT)?;
        if format <= FORMAT_READ {
            return Ok(());
        }
        let id = self.id();
        Err(StoreError::NewerFormat { id, format })
    }

    /// The state, from all attributes that belong to one: those that the state must have are
    /// present, and no others.
    fn state(&self) -> Result<State, StoreError> {
        let status = self.parsed(name::STATUS)?;
        let claim_id = self.optional_parsed(name::CLAIM_ID)?;
        let lease_until = self.optional_time(name::LEASE_UNTIL)?;
        let ended_at = self.optional_time(name::ENDED_AT)?;
        let result = self.payload(name::RESULT)?;
        let errors: Option<Vec<StoredError>> = self.optional_json(name::ERRORS)?;
        match (status, claim_id, lease_until, ended_at, result, errors) {
            // Without a lease unless it starts later.
            (Status::Pending, None, lease_until, None, None, None)
                if lease_until == self.optional_time(name::STARTS_AT)? =>
            {
                Ok(State::Pending)
            }
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

    fn attempts(&self, created_at: Timestamp) -> Result<Vec<AttemptEntry>, StoreError> {
        let stored: Option<Vec<StoredEntry>> = self.optional_json(name::ATTEMPTS)?;
        let stored = stored.unwrap_or_default().into_iter();
        Ok(stored.map(|entry| entry.into_entry(created_at)).collect())
    }

    fn saved_state(&self) -> Result<Option<SavedState>, StoreError> {
        let attempt = self.optional_number(name::STATE_ATTEMPT)?;
        match (attempt, self.payload(name::STATE)?) {
            (Some(attempt), Some(value)) => Ok(Some(SavedState { attempt, value })),
            (None, None) => Ok(None),
            // Without its state the work would begin again.
            (Some(_), None) | (None, Some(_)) => Err(self.corrupt(name::STATE)),
        }
    }

    fn callback(&self) -> Result<Option<Callback>, StoreError> {
        let Some(url) = self.optional_text(name::CALLBACK_URL)? else {
            return Ok(None);
        };
        let events = match self.optional_text(name::CALLBACK_EVENTS)? {
            None => Some(CallbackEvent::ALL.to_vec()),
            Some(words) => words.split(',').map(|word| word.parse().ok()).collect(),
        };
        let attempts: Option<Vec<StoredAttempt>> = self.optional_json(name::CALLBACK_ATTEMPTS)?;
        Ok(Some(Callback {
            url: url.to_owned(),
            events: events.ok_or_else(|| self.corrupt(name::CALLBACK_EVENTS))?,
            recorded: self.optional_parsed(name::CALLBACK_STATUS)?,
            attempts_made: self
                .optional_number(name::CALLBACK_ATTEMPTS_MADE)?
                .unwrap_or(0),
            round_attempts: self
                .optional_number(name::CALLBACK_ROUND_ATTEMPTS)?
                .unwrap_or(0),
            attempts: attempts
                .unwrap_or_default()
                .into_iter()
                .map(|attempt| DeliveryAttempt {
                    at: Timestamp::from_millis(attempt.at),
                    status_code: attempt.status,
                    error: attempt.error,
                    duration_ms: attempt.ms,
                })
                .collect(),
            last_attempt_id: self.optional_parsed(name::CALLBACK_ATTEMPT_ID)?,
            next_attempt_at: self.optional_time(name::CALLBACK_NEXT_AT)?,
        }))
    }
}
