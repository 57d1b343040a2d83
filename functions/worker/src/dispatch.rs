//! What becomes of a message of the dispatch queue, by what it finds.

use shared::catalogue::Unknown;
use shared::domain::id::ClaimId;
use shared::domain::limits::INVOCATION_MARGIN;
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::{Claimed, Held};
use shared::telemetry::{chain, record_operation_id, record_trace};

use crate::Worker;
use crate::settle::LOOK_AGAIN_SECS;

impl Worker {
    pub(crate) async fn serve_dispatch(&self, record: &Record, deadline: Timestamp) -> Disposition {
        let message = match Dispatch::parse(&record.body, record.group.clone()) {
            Ok(message) => message,
            Err(error) => return self.return_unread(record, &error).await,
        };
        record_operation_id(&message.operation_id);
        // By the message, since a claim to find out would use up an attempt.
        let known = self
            .works
            .find(&message.function, &message.function_version);
        if let Err(unknown) = known {
            return self.serve_unknown(record, &message, &unknown).await;
        }
        // An invocation that is about to end holds nothing: the message comes back to one that has time.
        if self.clock.now() + INVOCATION_MARGIN >= deadline {
            return self.return_after(record, &message, LOOK_AGAIN_SECS).await;
        }
        self.claim(record, &message, deadline).await
    }

    async fn claim(&self, record: &Record, message: &Dispatch, deadline: Timestamp) -> Disposition {
        // Before the claim: a worker that dies right after it must not keep the message hidden for longer than its lease.
        if let Err(error) = self.extend_visibility_by_lease(record).await {
            tracing::warn!("not claimed, visibility not set: {}", chain(&error));
            return Disposition::Return;
        }
        // A crash here leaves everything as it was; the message comes back after a lease.
        let now = self.clock.now();
        let claim_id = ClaimId::from_bytes(self.random.bytes());
        // With the same token each time: a claim whose answer was lost is known for its own, and no attempt is wasted.
        let claimed = self
            .retry_while_unavailable(|| {
                let (id, create_id) = (&message.operation_id, &message.create_id);
                Box::pin(
                    self.store
                        .claim(id, create_id, claim_id.clone(), self.lease, now),
                )
            })
            .await;
        match claimed {
            Ok(Claimed::Held(held)) => self.begin(record, message, *held, now, deadline).await,
            Ok(Claimed::Absent) => self.absent(record, message, now).await,
            Ok(Claimed::ExpiredWithCallback) => {
                self.expired_with_callback(record, message, now).await
            }
            Ok(Claimed::OtherIncarnation) => self.other_incarnation(record, message, now).await,
            Ok(Claimed::Busy { until }) => self.return_until(record, message, until, now).await,
            Ok(Claimed::Exhausted(operation)) => match operation.give_up_errors(now) {
                Some(errors) => {
                    self.give_up(record, message, &operation, &errors, now)
                        .await
                }
                None => self.return_after(record, message, LOOK_AGAIN_SECS).await,
            },
            Ok(Claimed::Ended(operation)) => self.settle_for_another(&operation).await,
            Err(error) => self.return_after_error(record, message, &error).await,
        }
    }

    /// Begins the attempt that was claimed, by what the record names. The message says what to
    /// claim and no more: who can send to the queue cannot choose which function gets an
    /// operation's arguments.
    async fn begin(
        &self,
        record: &Record,
        message: &Dispatch,
        held: Held,
        claimed_at: Timestamp,
        deadline: Timestamp,
    ) -> Disposition {
        let operation = held.operation();
        record_trace(operation);
        if operation.attempt == 1 {
            let waited = claimed_at.since(operation.created_at);
            metrics::time(Metric::QueueTime(&operation.function), waited);
        }
        // The record counts.
        let _ = names_another_function(message, operation);
        let runner = self
            .works
            .find(&operation.function, &operation.function_version);
        match runner {
            Ok(runner) => self.attempt(record, message, runner, held, deadline).await,
            Err(unknown) => self.let_go_unknown(&held, &unknown).await,
        }
    }

    /// A function that this worker does not know: perhaps a newer one does, as in the middle of a deployment. The message waits
    /// for it until the operation's deadline, and no attempt is used up.
    pub(crate) async fn serve_unknown(
        &self,
        record: &Record,
        message: &Dispatch,
        unknown: &Unknown,
    ) -> Disposition {
        tracing::warn!(
            function = message.function,
            version = message.function_version,
            "no such function here"
        );
        let (code, what) = not_found(unknown);
        let could_not_start = |operation: &Operation, now| {
            let mut errors = operation.give_up_errors(now)?;
            let message = format!("no worker knew the {what} before the deadline");
            // After the function's own last error, before the deadline's; a claim that found out
            // the same has said so.
            if errors[0].code != code.as_str() {
                errors.insert(errors.len() - 1, OperationError::of(code, &message));
            }
            Some(errors)
        };
        self.look(record, message, could_not_start).await
    }
}

/// Whether a message names another function than its operation's record, which is an error: the
/// record never changes.
pub(crate) fn names_another_function(message: &Dispatch, operation: &Operation) -> bool {
    let named = (&message.function, &message.function_version);
    let is_other = named != (&operation.function, &operation.function_version);
    if is_other {
        tracing::error!(
            function = operation.function,
            version = operation.function_version,
            message_function = message.function,
            message_version = message.function_version,
            "the message names another function than the operation's record, which counts"
        );
    }
    is_other
}

/// The code of an operation whose function no worker knew, and what that was.
pub(crate) const fn not_found(unknown: &Unknown) -> (FailureCode, &'static str) {
    match unknown {
        Unknown::Function => (FailureCode::FunctionNotFound, "function"),
        Unknown::Version { .. } => (FailureCode::VersionNotFound, "version of the function"),
    }
}
