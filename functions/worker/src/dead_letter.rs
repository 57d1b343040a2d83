//! What becomes of a message of the dispatch queue's dead-letter queue. It is no grave: a message got here by being received
//! often, which says nothing about its operation.

use shared::domain::limits::LEASE_SECS_DEFAULT;
use shared::domain::operation::{Operation, OperationError, Standing};
use shared::lambda::{Disposition, Record};
use shared::queue::{Dispatch, MessageError};
use shared::telemetry::chain;

use crate::Worker;

impl Worker {
    pub(crate) async fn serve_dead_letter(&self, record: &Record) -> Disposition {
        let message = match Dispatch::parse(&record.body) {
            Ok(message) => message,
            Err(error @ MessageError::NewerFormat(_)) => {
                return self.put_back_unread(record, &error).await;
            }
            Err(MessageError::Malformed) => {
                // Nobody can read it, now or later: the log is all that it leaves.
                tracing::error!(message_id = record.message_id, "malformed message dropped");
                return Disposition::Acknowledge;
            }
        };
        let now = self.clock.now();
        self.look(record, &message, |operation| operation.give_up_errors(now))
            .await
    }

    /// What becomes of a message whose work cannot be begun from here: by one read, and at most one write.
    pub(crate) async fn look(
        &self,
        record: &Record,
        message: &Dispatch,
        give_up_errors: impl Fn(&Operation) -> Option<Vec<OperationError>>,
    ) -> Disposition {
        let now = self.clock.now();
        let operation = match self.store.get(&message.operation_id, now).await {
            Ok(Some(operation)) => operation,
            Ok(None) => return self.absent(record, message, now).await,
            Err(error) => return self.put_back_after(record, message, &error).await,
        };
        if operation.create_id != message.create_id {
            return self
                .other_incarnation(record, message, operation.expires_at, now)
                .await;
        }
        match operation.standing(now) {
            Standing::Busy { until } => self.put_back_until(record, message, until, now).await,
            Standing::Ended => self.settle(&operation).await,
            Standing::Spent => match give_up_errors(&operation) {
                Some(errors) => {
                    self.give_up(record, message, &operation, &errors, now)
                        .await
                }
                None => self.put_back(record, message, LEASE_SECS_DEFAULT).await,
            },
            Standing::Claimable => self.begin_afresh(record, message).await,
        }
    }

    /// The operation has attempts and time left, so it is not given up. In the dispatch queue the message waits for a worker
    /// that knows the function; from the dead-letter queue it goes back there as a fresh one of the same incarnation.
    async fn begin_afresh(&self, record: &Record, message: &Dispatch) -> Disposition {
        if record.queue_name != self.dead_letters.name() {
            return self.put_back(record, message, LEASE_SECS_DEFAULT).await;
        }
        match self.dispatch.send(message, 0).await {
            // A crash before the acknowledgement leaves two messages, which is harmless.
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::warn!(operation_id = %message.operation_id, "not sent afresh: {}", chain(&error));
                Disposition::Return
            }
        }
    }
}
