//! Erasing an operation.

use std::time::Duration;

use super::{Error, Operations};
use crate::domain::id::OperationId;
use crate::domain::limits::ERASE_SECS_MAX;
use crate::domain::operation::Owner;
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;
use crate::request::ErrorCode;
use crate::store::{EraseOutcome, Store, StoreError};
use crate::telemetry::audit;

impl Operations {
    /// Erases an operation that has ended, within [`ERASE_SECS_MAX`]. See [`Store::erase`] for its
    /// requests.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, the record cannot be read, or the time is up. A repeated
    /// erase continues.
    pub async fn erase(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
    ) -> Result<EraseOutcome, Error> {
        let now = self.clock.now();
        let give_up_at = now + Duration::from_secs(ERASE_SECS_MAX.into());
        let outcome = tokio::select! {
            biased;
            erased = self.store.erase(id, owner, preconditions, now) => {
                erased.map_err(Error::from)
            }
            // The mark is written by now, and a repeated erase continues from it.
            () = self.clock.sleep_until(give_up_at) => Err(Error::EraseTooLong),
        };
        let refusal = match &outcome {
            Ok(EraseOutcome::Erased) => None,
            Ok(EraseOutcome::Live) => Some(ErrorCode::Conflict),
            Ok(EraseOutcome::PreconditionFailed) => Some(ErrorCode::AsyncVersionConflict),
            Ok(EraseOutcome::Absent) => Some(ErrorCode::AsyncOperationNotFound),
            Err(error) => Some(error.code()),
        };
        let actor = self.actor;
        audit(actor, "erase", id, owner, refusal.map(ErrorCode::as_str));
        outcome
    }
}

/// [`Operations::erase`] for the operator tool: without a time limit, without callbacks, and of
/// what has expired as well. It is tried on everything that an owner has, so the audit record says
/// only what it erased.
///
/// # Errors
///
/// When the store cannot be reached, or the record cannot be read. A repeated call continues.
pub async fn erase_for_operator(
    store: &Store,
    id: &OperationId,
    owner: &Owner,
    now: Timestamp,
) -> Result<EraseOutcome, StoreError> {
    let outcome = store.erase_including_expired(id, owner, now).await?;
    if outcome == EraseOutcome::Erased {
        audit(Some("operator"), "erase", id, owner, None);
    }
    Ok(outcome)
}
