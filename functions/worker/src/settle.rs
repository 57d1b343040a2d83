//! What both queues' messages have in common: being put back, being dropped, and the end of an operation.

use std::time::Duration;

use shared::domain::backoff::absent_return_secs;
use shared::domain::limits::{MESSAGE_AGE_MAX, PHANTOM_AGE};
use shared::domain::operation::{Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::queue::{Dispatch, MessageError, Queue, WakeUp};
use shared::store::{GivenUp, StoreError};
use shared::telemetry::chain;

use crate::Worker;

/// How soon a message looks again at an operation that moved on while it was being looked at, in seconds.
pub(crate) const LOOK_AGAIN_SECS: u32 = 1;
/// How soon a message is received again after the store could not be reached or read, in seconds.
const STORE_RETURN_SECS: u32 = 10;

impl Worker {
    /// Puts a message back for `secs`. One that is old is sent afresh instead, long before retention would drop it, and then
    /// acknowledged: a crash in between leaves two messages, which is harmless.
    pub(crate) async fn put_back(
        &self,
        record: &Record,
        message: &Dispatch,
        secs: u32,
    ) -> Disposition {
        let age = self.clock.now().since(record.sent_at);
        if age <= MESSAGE_AGE_MAX {
            return self.hide(record, secs).await;
        }
        match self.dispatch.send(message, secs).await {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::warn!(operation_id = %message.operation_id, "not sent afresh: {}", chain(&error));
                Disposition::Return
            }
        }
    }

    /// Puts a message back for `secs`, whatever is in it. If that cannot be said to the queue, the message comes back at the
    /// visibility timeout that it has.
    async fn hide(&self, record: &Record, secs: u32) -> Disposition {
        if let Err(error) = self
            .queue_of(record)
            .hide(&record.receipt_handle, secs)
            .await
        {
            tracing::warn!(
                message_id = record.message_id,
                "visibility not changed: {}",
                chain(&error)
            );
        }
        Disposition::Return
    }

    pub(crate) async fn put_back_until(
        &self,
        record: &Record,
        message: &Dispatch,
        until: Timestamp,
        now: Timestamp,
    ) -> Disposition {
        self.put_back(record, message, secs_until(until, now)).await
    }

    /// A message that this code cannot read is put back: newer code may be able to, and one that nobody can read ends in the
    /// dead-letter queue.
    pub(crate) async fn put_back_unread(
        &self,
        record: &Record,
        error: &MessageError,
    ) -> Disposition {
        tracing::error!(
            message_id = record.message_id,
            receive_count = record.receive_count,
            "{error}"
        );
        self.hide(record, absent_return_secs(record.receive_count))
            .await
    }

    /// The store could not be reached, or the record is of a newer format or corrupt: the message waits.
    pub(crate) async fn put_back_after(
        &self,
        record: &Record,
        message: &Dispatch,
        error: &StoreError,
    ) -> Disposition {
        tracing::error!(operation_id = %message.operation_id, "{}", chain(error));
        self.put_back(record, message, STORE_RETURN_SECS).await
    }

    /// There is no record. While a submit may still create it the message waits; later it is a phantom, left by a submit that
    /// died or by an operation that is gone.
    pub(crate) async fn absent(
        &self,
        record: &Record,
        message: &Dispatch,
        now: Timestamp,
    ) -> Disposition {
        if now.since(record.sent_at) > PHANTOM_AGE {
            tracing::info!(operation_id = %message.operation_id, "phantom message dropped");
            return Disposition::Acknowledge;
        }
        self.put_back(record, message, absent_return_secs(record.receive_count))
            .await
    }

    /// The record is another incarnation's: of a replay's message, whose own create was refused, or of an earlier one, whose
    /// record is gone. It is dropped once its own submit can no longer create anything: by age, or because the record that is
    /// there outlives every chance of it.
    pub(crate) async fn other_incarnation(
        &self,
        record: &Record,
        message: &Dispatch,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Disposition {
        if expires_at > record.sent_at + PHANTOM_AGE {
            return Disposition::Acknowledge;
        }
        self.absent(record, message, now).await
    }

    /// The operation has ended: its due callback gets its message, and only then is this one acknowledged. A crash in between
    /// brings this message back, to find the callback still due.
    pub(crate) async fn settle(&self, operation: &Operation) -> Disposition {
        if !operation.callback_is_due() {
            return Disposition::Acknowledge;
        }
        let now = self.clock.now();
        let next_attempt_at = operation
            .callback
            .as_ref()
            .and_then(|callback| callback.next_attempt_at);
        let delay_secs = next_attempt_at.map_or(0, |at| secs_until(at, now));
        let message = WakeUp {
            operation_id: operation.id.clone(),
            create_id: operation.create_id.clone(),
            redelivery_id: None,
        };
        match self.callbacks.send(&message, delay_secs).await {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::error!(operation_id = %operation.id, "callback not announced: {}", chain(&error));
                Disposition::Return
            }
        }
    }

    /// Ends an operation that nobody holds and that nobody may claim any more.
    pub(crate) async fn give_up(
        &self,
        record: &Record,
        message: &Dispatch,
        spent: &Operation,
        errors: &[OperationError],
        now: Timestamp,
    ) -> Disposition {
        match self.store.give_up(spent, errors, now).await {
            Ok(GivenUp::Ended(operation)) => {
                let code = errors
                    .last()
                    .map(|error| error.code.as_str())
                    .unwrap_or_default();
                tracing::warn!(operation_id = %operation.id, code, "operation given up");
                self.settle(&operation).await
            }
            Ok(GivenUp::MovedOn) => self.put_back(record, message, LOOK_AGAIN_SECS).await,
            Err(error) => self.put_back_after(record, message, &error).await,
        }
    }

    pub(crate) fn queue_of(&self, record: &Record) -> &Queue {
        if record.queue_name == self.dead_letters.name() {
            &self.dead_letters
        } else {
            &self.dispatch
        }
    }
}

/// Whole seconds until then, rounded up: a message that came back too early would be put back once more.
pub(crate) fn secs_until(until: Timestamp, now: Timestamp) -> u32 {
    let wait = until.since(now) + Duration::from_millis(999);
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)
}
