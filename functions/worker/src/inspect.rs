//! Messages whose operation is read before it is claimed, if it is claimed at all: those of waits,
//! those that were received before, those of the dead-letter queue, and those for a function that
//! this worker does not have.

use shared::domain::operation::{Availability, Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::Disposition;
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::Lookup;

use crate::Handler;
use crate::absent::acknowledge_gone;
use crate::dispatch::{log_other_function, names_another_function};
use crate::received::ReceivedDispatch;

/// The wait before another worker receives a message whose function this one does not have, in
/// seconds: a deployment takes minutes.
const NOT_DEPLOYED_RETURN_SECS: u32 = 60;

/// What was found of a message's operation.
pub(crate) enum Inspection {
    /// The message is served.
    Served(Disposition),
    /// The operation can be claimed.
    Claimable(Box<Operation>),
}

impl Handler {
    /// Serves a message for which this worker begins no attempt: one read, and at most one write.
    pub(crate) async fn serve_without_claim(
        &self,
        received: &ReceivedDispatch<'_>,
        give_up_errors: impl Fn(&Operation, Timestamp) -> Option<Vec<OperationError>>,
    ) -> Disposition {
        match self.inspect(received, give_up_errors).await {
            Inspection::Served(disposition) => disposition,
            Inspection::Claimable(operation) => {
                // `UnclaimedTime` is recorded here only: other returns have not read the record.
                // Their messages become dead letters after ten receives, and then arrive here or
                // keep the dead-letter alarm on.
                let now = self.clock.now();
                if let Some(since) = operation.claimable_since(now) {
                    metrics::record_duration(Metric::UnclaimedTime, now.since(since));
                }
                requeue(received, &operation).await
            }
        }
    }

    /// Acts on the state of the operation's record, unless it can be claimed: one read, and at most
    /// one write.
    pub(crate) async fn inspect(
        &self,
        received: &ReceivedDispatch<'_>,
        give_up_errors: impl Fn(&Operation, Timestamp) -> Option<Vec<OperationError>>,
    ) -> Inspection {
        let now = self.clock.now();
        let Dispatch {
            operation_id,
            create_id,
            ..
        } = &received.message;
        let operation = match self.store.find(operation_id, create_id, now).await {
            Ok(Lookup::Present(operation)) => operation,
            Ok(Lookup::OtherIncarnation(_)) => {
                return Inspection::Served(received.wait_for_incarnation(now).await);
            }
            Ok(Lookup::Expired(operation)) if operation.needs_first_wake_up() => {
                return Inspection::Served(received.expired_with_callback(now).await);
            }
            Ok(Lookup::Expired(_) | Lookup::Erased) => {
                return Inspection::Served(acknowledge_gone());
            }
            Ok(Lookup::Absent) => {
                return Inspection::Served(received.wait_for_record(now).await);
            }
            Err(error) => return Inspection::Served(received.return_after_error(&error).await),
        };
        Inspection::Served(match operation.availability(now) {
            Availability::Claimable => return Inspection::Claimable(operation),
            Availability::Busy { until } => received.wait_until(until, now).await,
            Availability::Ended => self.acknowledge_ended_by_another(&operation).await,
            Availability::Exhausted => {
                let errors = give_up_errors(&operation, now);
                self.give_up(received, &operation, errors, now).await
            }
        })
    }
}

/// The operation has attempts and time left, so it is not given up. In the dispatch queue the
/// message waits for a worker that has the function; from the dead-letter queue it goes back there
/// as a fresh message of the same incarnation. If message and record name different functions, a
/// message that names the record's replaces it.
async fn requeue(received: &ReceivedDispatch<'_>, operation: &Operation) -> Disposition {
    if names_another_function(&received.message, operation) {
        log_other_function(&received.message, operation);
        return received.replace(&Dispatch::of(operation), 0).await;
    }
    if received.is_dead_letter {
        return received.replace(&received.message, 0).await;
    }
    received.return_after(NOT_DEPLOYED_RETURN_SECS).await
}
