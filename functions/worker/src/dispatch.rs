//! Messages of the dispatch queue, by the state of their operations.

use shared::domain::attempt::NotDeployed;
use shared::domain::id::ClaimId;
use shared::domain::limits::INVOCATION_MARGIN;
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, ReceivedMessage};
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::{ClaimOutcome, Held};
use shared::telemetry::{chain, record_trace};

use crate::Handler;
use crate::absent::acknowledge_gone;
use crate::inspect::Inspection;
use crate::received::{INSPECT_AGAIN_SECS, ReceivedDispatch};

impl Handler {
    pub(crate) async fn serve_dispatch(
        &self,
        received: &ReceivedMessage,
        deadline: Timestamp,
    ) -> Disposition {
        let received = match self.read(received) {
            Ok(received) => received,
            Err(error) => return self.return_unread(received, &error).await,
        };
        // By the function that the message names: only a claim shows the record's, and a claim uses
        // up an attempt.
        if let Err(missing) = self.runners.find_for(&received.message) {
            return self.wait_for_deployment(&received, missing).await;
        }
        // An invocation that is about to end claims nothing. The message comes back to one that has
        // time.
        if self.clock.now() + INVOCATION_MARGIN >= deadline {
            return received.return_after(INSPECT_AGAIN_SECS).await;
        }
        if received.reads_first() {
            let inspected = self.inspect(&received, Operation::give_up_errors).await;
            if let Inspection::Served(disposition) = inspected {
                return disposition;
            }
        }
        self.claim(&received, deadline).await
    }

    async fn claim(&self, received: &ReceivedDispatch<'_>, deadline: Timestamp) -> Disposition {
        // Before the claim, so that the message of a worker that crashes right after the claim
        // stays hidden for no longer than the lease.
        if let Err(error) = received.extend_visibility(self.lease).await {
            tracing::warn!(
                "operation not claimed: the message's visibility was not changed: {}",
                chain(&error)
            );
            return Disposition::Return;
        }
        // A crash here has changed nothing; the message comes back after a lease.
        let now = self.clock.now();
        let claim_id = ClaimId::from_bytes(self.random.bytes());
        // With the same claim id each time: a claim whose response was lost is recognised as
        // applied, and no attempt is wasted.
        let claimed = self
            .retry_while_unavailable(now + self.lease, || {
                let Dispatch {
                    operation_id,
                    create_id,
                    ..
                } = &received.message;
                Box::pin(self.store.claim(
                    operation_id,
                    create_id,
                    claim_id.clone(),
                    self.lease,
                    now,
                ))
            })
            .await;
        match claimed {
            Ok(ClaimOutcome::Held(held)) => {
                self.begin_attempt(received, *held, now, deadline).await
            }
            Ok(ClaimOutcome::Absent) => received.wait_for_record(now).await,
            Ok(ClaimOutcome::Gone) => acknowledge_gone(),
            Ok(ClaimOutcome::ExpiredWithCallback) => received.expired_with_callback(now).await,
            Ok(ClaimOutcome::OtherIncarnation) => received.wait_for_incarnation(now).await,
            Ok(ClaimOutcome::Busy { until }) => received.wait_until(until, now).await,
            Ok(ClaimOutcome::Exhausted(operation)) => {
                let errors = operation.give_up_errors(now);
                self.give_up(received, &operation, errors, now).await
            }
            Ok(ClaimOutcome::Ended(operation)) => {
                self.acknowledge_ended_by_another(&operation).await
            }
            Err(error) => received.return_after_error(&error).await,
        }
    }

    /// Begins the claimed attempt with the record's function. The message only says which operation
    /// to claim: a sender to the queue cannot choose which function gets an operation's arguments.
    async fn begin_attempt(
        &self,
        received: &ReceivedDispatch<'_>,
        held: Held,
        claimed_at: Timestamp,
        deadline: Timestamp,
    ) -> Disposition {
        let operation = held.operation();
        record_trace(operation);
        if operation.attempt == 1 {
            let waited = claimed_at.since(operation.started_after());
            metrics::record_duration(Metric::QueueTime(&operation.function), waited);
        }
        log_other_function(&received.message, operation);
        let deployed = self
            .runners
            .find(&operation.function, &operation.function_version);
        match deployed {
            Ok(deployed) => self.attempt(received, deployed, held, deadline).await,
            Err(missing) => self.fail_not_deployed(received, &held, missing).await,
        }
    }

    /// This worker does not have the function, but a newer one may, as in the middle of a
    /// deployment. The message waits for it until the operation's deadline, and no attempt is used
    /// up.
    pub(crate) async fn wait_for_deployment(
        &self,
        received: &ReceivedDispatch<'_>,
        missing: NotDeployed,
    ) -> Disposition {
        tracing::warn!(
            function = received.message.function,
            version = received.message.function_version,
            "function not deployed: the message waits for a worker that has it"
        );
        self.serve_without_claim(received, |operation, now| {
            operation.give_up_errors_not_deployed(missing, now)
        })
        .await
    }
}

/// Whether a message and its operation's record name different functions. That is an error of the
/// message's sender: the record's function never changes.
pub(crate) fn names_another_function(message: &Dispatch, operation: &Operation) -> bool {
    (&message.function, &message.function_version)
        != (&operation.function, &operation.function_version)
}

pub(crate) fn log_other_function(message: &Dispatch, operation: &Operation) {
    if names_another_function(message, operation) {
        tracing::error!(
            function = operation.function,
            version = operation.function_version,
            message_function = message.function,
            message_version = message.function_version,
            "the message and the record name different functions; the record's is used"
        );
    }
}
