//! Cancelling an operation.

use super::{Operations, code_of};
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner};
use crate::domain::precondition::Preconditions;
use crate::metrics::{self, Metric};
use crate::queue::WakeUp;
use crate::request::ErrorCode;
use crate::store::{CancelOutcome, StoreError};
use crate::telemetry::{audit, chain};

/// What becomes of a cancel of an operation that is cancelled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedCancel {
    /// It succeeds like the first one. For REST, whose callers repeat a request when its response
    /// was lost.
    Succeeds,
    /// It is refused as of an ended operation. For Forrst, whose specification asks for it.
    Fails,
}

impl Operations {
    /// Cancels an operation: one write, and one message when a callback is due.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. The operation may or may not
    /// be cancelled.
    pub async fn cancel(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        repeated: RepeatedCancel,
    ) -> Result<CancelOutcome, StoreError> {
        let outcome = self.try_cancel(id, owner, preconditions, repeated).await;
        let refusal = match &outcome {
            Ok(CancelOutcome::Cancelled { .. }) => None,
            Ok(CancelOutcome::Ended(_)) => Some(ErrorCode::AsyncCannotCancel),
            Ok(CancelOutcome::PreconditionFailed) => Some(ErrorCode::AsyncVersionConflict),
            Ok(CancelOutcome::Absent) => Some(ErrorCode::AsyncOperationNotFound),
            Err(error) => Some(code_of(error)),
        };
        let actor = self.actor;
        audit(actor, "cancel", id, owner, refusal.map(ErrorCode::as_str));
        outcome
    }

    async fn try_cancel(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        repeated: RepeatedCancel,
    ) -> Result<CancelOutcome, StoreError> {
        let now = self.clock.now();
        let outcome = self.store.cancel(id, owner, preconditions, now).await?;
        let CancelOutcome::Cancelled { operation, by_us } = outcome else {
            return Ok(outcome);
        };
        if by_us {
            metrics::count(Metric::OperationCancelled(&operation.function));
            if operation.needs_first_wake_up() {
                self.wake_callback(&operation).await;
            }
        }
        // A lost response makes the SDK repeat the write, which then finds its own: the time in the
        // record is this call's.
        let is_first = by_us || operation.cancelled_at() == Some(now);
        Ok(match repeated {
            RepeatedCancel::Fails if !is_first => CancelOutcome::Ended(operation),
            RepeatedCancel::Succeeds | RepeatedCancel::Fails => {
                CancelOutcome::Cancelled { operation, by_us }
            }
        })
    }

    /// Outcome first, then the wake-up. The dispatch message recovers from a crash in
    /// between, from a lost response to the cancel and from a queue that cannot be reached: it
    /// still exists, and the worker that receives it finds the callback due and sends it.
    /// So a failure here is logged and does not change the response: the operation is cancelled.
    async fn wake_callback(&self, operation: &Operation) {
        if let Err(error) = self.callbacks.send(&WakeUp::of(operation), 0).await {
            tracing::warn!(
                "wake-up not sent; the worker that receives the dispatch message sends it: {}",
                chain(&error)
            );
        }
    }
}
