//! What the three batch actions share: the checks that refuse a whole batch, and the response with
//! a result for each entry.
//!
//! A refused batch has no effect. After these checks each entry succeeds or fails independently.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::error::SqsError;

const ENTRIES_MAX: usize = 10;
const ID_CHARS_MAX: usize = 80;

/// The entries of a batch request for one queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch<E> {
    #[serde(default)]
    pub(super) queue_url: String,
    #[serde(default = "Vec::new")]
    pub(super) entries: Vec<Entry<E>>,
}

/// The id is unique in its batch.
#[derive(Debug, Deserialize)]
pub(super) struct Entry<E> {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) request: E,
}

/// The result of each entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchResponse<T> {
    successful: Vec<Success<T>>,
    failed: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Success<T> {
    #[serde(rename = "Id")]
    id: String,
    #[serde(flatten)]
    response: T,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    id: String,
    sender_fault: bool,
    code: String,
    message: String,
}

impl<E> Batch<E> {
    /// Checks the number of entries and their ids.
    pub(super) fn check(&self) -> Result<(), SqsError> {
        if self.entries.is_empty() {
            return Err(SqsError::EmptyBatchRequest);
        }
        if self.entries.len() > ENTRIES_MAX {
            return Err(SqsError::TooManyEntriesInBatchRequest {
                limit: ENTRIES_MAX,
                sent: self.entries.len(),
            });
        }
        let mut seen = HashSet::new();
        for Entry { id, .. } in &self.entries {
            if !is_id(id) {
                return Err(SqsError::InvalidBatchEntryId);
            }
            if !seen.insert(id) {
                return Err(SqsError::BatchEntryIdsNotDistinct(id.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn each<T>(self, mut act: impl FnMut(E) -> Result<T, SqsError>) -> BatchResponse<T> {
        let mut response = BatchResponse {
            successful: Vec::new(),
            failed: Vec::new(),
        };
        for Entry { id, request } in self.entries {
            match act(request) {
                Ok(done) => response.successful.push(Success { id, response: done }),
                Err(error) => response.failed.push(Failure {
                    id,
                    sender_fault: true,
                    code: error.code(),
                    message: error.to_string(),
                }),
            }
        }
        response
    }
}

fn is_id(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
