//! Errors, an operation's attempts and a callback's attempts, which a head stores as JSON text.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::text;
use crate::domain::callback::DeliveryAttempt;
use crate::domain::history::{AttemptEnd, AttemptEntry};
use crate::domain::json::{Json, encode};
use crate::domain::operation::OperationError;
use crate::domain::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredError {
    pub(super) code: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<Json>,
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
pub(super) struct StoredLastError {
    pub(super) attempt: u32,
    pub(super) error: StoredError,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredAttempt {
    pub(super) at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    pub(super) ms: u64,
}

/// An attempt on record. It is a short array, since every update of a head writes it again: the
/// attempt's number, its start and its end in milliseconds after the operation's creation, how it
/// ended, and the code of its error.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum StoredEntry {
    WithCode(u32, Option<i64>, i64, StoredEnd, String),
    WithoutCode(u32, Option<i64>, i64, StoredEnd),
    Lost([u32; 1]),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum StoredEnd {
    #[serde(rename = "c")]
    Completed,
    #[serde(rename = "f")]
    Failed,
    #[serde(rename = "r")]
    Retried,
    /// `c` is taken.
    #[serde(rename = "s")]
    Continued,
}

impl StoredEntry {
    /// `None` for an attempt that has no recorded end: it still runs, or was cancelled.
    fn of(entry: &AttemptEntry, created_at: Timestamp) -> Option<Self> {
        let AttemptEntry { number, .. } = *entry;
        let end = match entry.end? {
            AttemptEnd::Completed => StoredEnd::Completed,
            AttemptEnd::Failed => StoredEnd::Failed,
            AttemptEnd::Retried => StoredEnd::Retried,
            AttemptEnd::Continued => StoredEnd::Continued,
            AttemptEnd::Lost => return Some(Self::Lost([number])),
            AttemptEnd::Cancelled => return None,
        };
        let after_creation = |at: Timestamp| at.as_millis() - created_at.as_millis();
        let started = entry.started_at.map(after_creation);
        let ended = after_creation(entry.ended_at?);
        Some(match &entry.code {
            Some(code) => Self::WithCode(number, started, ended, end, code.clone()),
            None => Self::WithoutCode(number, started, ended, end),
        })
    }

    pub(super) fn into_entry(self, created_at: Timestamp) -> AttemptEntry {
        let (number, started, ended, end, code) = match self {
            Self::WithCode(number, started, ended, end, code) => {
                (number, started, ended, end, Some(code))
            }
            Self::WithoutCode(number, started, ended, end) => (number, started, ended, end, None),
            Self::Lost([number]) => return AttemptEntry::lost(number),
        };
        let at = |millis| Timestamp::from_millis(created_at.as_millis().saturating_add(millis));
        AttemptEntry {
            number,
            started_at: started.map(at),
            ended_at: Some(at(ended)),
            end: Some(match end {
                StoredEnd::Completed => AttemptEnd::Completed,
                StoredEnd::Failed => AttemptEnd::Failed,
                StoredEnd::Retried => AttemptEnd::Retried,
                StoredEnd::Continued => AttemptEnd::Continued,
            }),
            code,
        }
    }
}

fn json_text(value: &impl Serialize) -> AttributeValue {
    text(encode(value))
}

pub(in crate::store) fn errors(errors: &[OperationError]) -> AttributeValue {
    let stored: Vec<_> = errors.iter().map(StoredError::from).collect();
    json_text(&stored)
}

/// The error of an attempt that will be retried.
pub(in crate::store) fn last_error(attempt: u32, error: &OperationError) -> AttributeValue {
    json_text(&StoredLastError {
        attempt,
        error: error.into(),
    })
}

/// The entries of a history that have ended.
pub(in crate::store) fn attempts(
    entries: &[AttemptEntry],
    created_at: Timestamp,
) -> AttributeValue {
    let stored: Vec<_> = entries
        .iter()
        .filter_map(|entry| StoredEntry::of(entry, created_at))
        .collect();
    json_text(&stored)
}

pub(in crate::store) fn callback_attempts(attempts: &[DeliveryAttempt]) -> AttributeValue {
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
