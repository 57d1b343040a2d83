//! What becomes of a message whose work cannot be begun from here: one from the dead-letter queue, or for a function that this
//! worker does not know.

use shared::domain::operation::{Availability, Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::Lookup;

use crate::Worker;
use crate::dispatch::names_another_function;
use crate::settle::LOOK_AGAIN_SECS;

/// How soon a worker is asked again for a function that this one does not know, in seconds: a deployment takes minutes.
const UNKNOWN_RETURN_SECS: u32 = 60;

impl Worker {
    /// Acts on what the operation's record says: one read, and at most one write.
    pub(crate) async fn look(
        &self,
        record: &Record,
        message: &Dispatch,
        give_up_errors: impl Fn(&Operation, Timestamp) -> Option<Vec<OperationError>>,
    ) -> Disposition {
        let now = self.clock.now();
        let found = self
            .store
            .find(&message.operation_id, &message.create_id, now)
            .await;
        let operation = match found {
            Ok(Lookup::Present(operation)) => operation,
            Ok(Lookup::Replaced(_)) => return self.other_incarnation(record, message, now).await,
            Ok(Lookup::Expired(operation)) if operation.callback_is_unannounced() => {
                return self.expired_with_callback(record, message, now).await;
            }
            Ok(Lookup::Expired(_) | Lookup::Erased | Lookup::Absent) => {
                return self.absent(record, message, now).await;
            }
            Err(error) => return self.return_after_error(record, message, &error).await,
        };
        match operation.availability(now) {
            Availability::Busy { until } => self.return_until(record, message, until, now).await,
            Availability::Ended => self.settle_for_another(&operation).await,
            Availability::Exhausted => match give_up_errors(&operation, now) {
                Some(errors) => {
                    self.give_up(record, message, &operation, &errors, now)
                        .await
                }
                None => self.return_after(record, message, LOOK_AGAIN_SECS).await,
            },
            Availability::Claimable => {
                // Of all returns of a message, this alone knows that the operation could be claimed. The
                // others have not read the record, or come from trouble with reading it, and end in the
                // dead-letter queue after ten receives, whose messages come here or keep its alarm on.
                if let Some(since) = operation.claimable_since(now) {
                    metrics::time(Metric::UnclaimedTime, now.since(since));
                }
                self.begin_afresh(record, message, &operation).await
            }
        }
    }

    /// The operation has attempts and time left, so it is not given up. In the dispatch queue the message waits for a worker
    /// that knows the function; from the dead-letter queue it goes back there as a fresh one of the same incarnation. One that
    /// names another function than the record gives way to one that names the record's.
    async fn begin_afresh(
        &self,
        record: &Record,
        message: &Dispatch,
        operation: &Operation,
    ) -> Disposition {
        if names_another_function(message, operation) {
            return self.send_afresh(&Dispatch::of(operation), 0).await;
        }
        if !self.is_dead_letter(record) {
            return self
                .return_after(record, message, UNKNOWN_RETURN_SECS)
                .await;
        }
        self.send_afresh(message, 0).await
    }
}
