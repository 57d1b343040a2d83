//! Asking for another round of a callback.

use super::{Error, Operations};
use crate::domain::callback::CallbackStatus;
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner};
use crate::domain::precondition::Preconditions;
use crate::queue::WakeUp;
use crate::request::ErrorCode;
use crate::telemetry::audit;

#[derive(Debug)]
pub enum RedeliverOutcome {
    /// The message that starts the round is sent.
    Requested(Box<Operation>),
    /// The operation has no callback.
    NoCallback,
    /// The callback is in this state, in which no round is over.
    RoundNotOver(CallbackStatus),
    /// The operation does not meet the preconditions.
    PreconditionFailed,
    /// There is no such operation, it has expired, or it is another owner's.
    Absent,
}

impl RedeliverOutcome {
    const fn refusal(&self) -> Option<ErrorCode> {
        match self {
            Self::Requested(_) => None,
            Self::NoCallback | Self::RoundNotOver(_) => Some(ErrorCode::Conflict),
            Self::PreconditionFailed => Some(ErrorCode::AsyncVersionConflict),
            Self::Absent => Some(ErrorCode::AsyncOperationNotFound),
        }
    }
}

impl Operations {
    /// Requests another round of an operation's callback: one read and one message. Writes nothing:
    /// the message holds the number of attempts on record, and the sender starts the round if that
    /// number is still the same. So the message starts one round however often it is received, and
    /// two requests that find the same number ask for the same round.
    ///
    /// # Errors
    ///
    /// When the store or the queue cannot be reached, or the record cannot be read.
    pub async fn redeliver(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
    ) -> Result<RedeliverOutcome, Error> {
        let outcome = self.try_redeliver(id, owner, preconditions).await;
        let refusal = match &outcome {
            Ok(outcome) => outcome.refusal(),
            Err(error) => Some(error.code()),
        };
        let actor = self.actor;
        audit(
            actor,
            "redeliver",
            id,
            owner,
            refusal.map(ErrorCode::as_str),
        );
        outcome
    }

    async fn try_redeliver(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
    ) -> Result<RedeliverOutcome, Error> {
        let Some(operation) = self.read(id, owner).await? else {
            return Ok(RedeliverOutcome::Absent);
        };
        if !preconditions.are_met_by(&operation) {
            return Ok(RedeliverOutcome::PreconditionFailed);
        }
        let Some(callback) = &operation.callback else {
            return Ok(RedeliverOutcome::NoCallback);
        };
        let status = callback.status(operation.status());
        if !status.allows_redelivery() {
            return Ok(RedeliverOutcome::RoundNotOver(status));
        }
        let message = WakeUp {
            redeliver_after_attempts: Some(callback.attempts_made),
            ..WakeUp::of(&operation)
        };
        self.callbacks.send(&message, 0).await?;
        Ok(RedeliverOutcome::Requested(Box::new(operation)))
    }
}
