//! Erasing an operation.

use std::time::Duration;

use super::{Operations, audit, code_of};
use crate::domain::id::OperationId;
use crate::domain::limits::ERASE_SECS_MAX;
use crate::domain::operation::Owner;
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;
use crate::request::Code;
use crate::store::{Erased, Store, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraseOutcome {
    Erased,
    /// It has not ended.
    Live,
    /// It does not meet the preconditions.
    OtherVersion,
    /// Reads do not find it any more, but not all of its items are deleted. A repeated erase
    /// continues.
    Unfinished,
    /// There is no such operation, it has expired, or it is another owner's.
    Absent,
}

impl EraseOutcome {
    const fn refusal(self) -> Option<Code> {
        match self {
            Self::Erased => None,
            Self::Live => Some(Code::Conflict),
            Self::OtherVersion => Some(Code::AsyncVersionConflict),
            Self::Unfinished => Some(Code::Unavailable),
            Self::Absent => Some(Code::AsyncOperationNotFound),
        }
    }
}

impl From<Erased> for EraseOutcome {
    fn from(erased: Erased) -> Self {
        match erased {
            Erased::Done => Self::Erased,
            Erased::Live => Self::Live,
            Erased::OtherVersion => Self::OtherVersion,
            Erased::Absent => Self::Absent,
        }
    }
}

impl Operations {
    /// Erases an operation that has ended, within [`ERASE_SECS_MAX`]. See [`Store::erase`] for its
    /// requests.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. A repeated erase continues.
    pub async fn erase(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
    ) -> Result<EraseOutcome, StoreError> {
        let now = self.clock.now();
        let give_up_at = now + Duration::from_secs(ERASE_SECS_MAX.into());
        let outcome = tokio::select! {
            biased;
            erased = self.store.erase(id, owner, preconditions, now) => {
                erased.map(EraseOutcome::from)
            }
            // The mark is written by now, and a repeated erase continues from it.
            () = self.clock.sleep_until(give_up_at) => {
                tracing::warn!("erase not finished within {ERASE_SECS_MAX} s");
                Ok(EraseOutcome::Unfinished)
            }
        };
        let refusal = match &outcome {
            Ok(outcome) => outcome.refusal(),
            Err(error) => Some(code_of(error)),
        };
        audit("erase", id, owner, refusal);
        outcome
    }
}

/// [`Operations::erase`] for the operator tool: without a time limit, without callbacks, and of
/// what has expired as well. It is tried on everything that an owner has, so the audit record says
/// only what it erased.
///
/// # Errors
///
/// As [`Operations::erase`].
pub async fn forget(
    store: &Store,
    id: &OperationId,
    owner: &Owner,
    now: Timestamp,
) -> Result<EraseOutcome, StoreError> {
    let outcome = EraseOutcome::from(store.forget(id, owner, now).await?);
    if outcome == EraseOutcome::Erased {
        audit("erase", id, owner, None);
    }
    Ok(outcome)
}
