//! Errors and a callback's attempts, which a head stores as JSON text.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::text;
use crate::domain::callback::DeliveryAttempt;
use crate::domain::json::{Json, encode};
use crate::domain::operation::OperationError;

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
