//! What both queues' messages have in common: being put back, being dropped, and the end of an operation.

use shared::domain::backoff::absent_return_secs;
use shared::domain::limits::{CALLBACK_ANNOUNCEMENT_SECS, MESSAGE_AGE_MAX, PHANTOM_AGE};
use shared::domain::operation::{Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::{Dispatch, MessageError, Queue, WakeUp};
use shared::store::{GivenUp, StoreError};
use shared::telemetry::chain;

use crate::Worker;

/// How soon a message looks again at an operation that moved on while it was being looked at, in seconds.
pub(crate) const LOOK_AGAIN_SECS: u32 = 1;
/// How soon a message is received again at the earliest after the store could not be reached or read, in seconds.
const STORE_RETURN_SECS: u32 = 10;

impl Worker {
    /// Puts a message back for `secs`. One that is old is sent afresh instead, long before retention would drop it.
    pub(crate) async fn return_after(
        &self,
        record: &Record,
        message: &Dispatch,
        secs: u32,
    ) -> Disposition {
        let age = self.clock.now().since(record.sent_at);
        if age <= MESSAGE_AGE_MAX {
            return self.change_visibility(record, secs).await;
        }
        self.send_afresh(message, secs).await
    }

    /// Sends a fresh message of the same incarnation, for a received one that is then acknowledged. A crash in between leaves
    /// two, which is harmless.
    pub(crate) async fn send_afresh(&self, message: &Dispatch, delay_secs: u32) -> Disposition {
        match self.dispatch.send(message, delay_secs).await {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::warn!("not sent afresh: {}", chain(&error));
                Disposition::Return
            }
        }
    }

    /// Puts a message back for `secs`, whatever is in it. If that cannot be said to the queue, the message comes back at the
    /// visibility timeout that it has.
    async fn change_visibility(&self, record: &Record, secs: u32) -> Disposition {
        if let Err(error) = self
            .queue_of(record)
            .change_visibility(&record.receipt_handle, secs)
            .await
        {
            tracing::warn!("visibility not changed: {}", chain(&error));
        }
        Disposition::Return
    }

    pub(crate) async fn return_until(
        &self,
        record: &Record,
        message: &Dispatch,
        until: Timestamp,
        now: Timestamp,
    ) -> Disposition {
        self.return_after(record, message, until.secs_from(now))
            .await
    }

    /// A message that this code cannot read is put back: newer code may be able to, and one that nobody can read ends in the
    /// dead-letter queue.
    pub(crate) async fn return_unread(&self, record: &Record, error: &MessageError) -> Disposition {
        tracing::error!(receive_count = record.receive_count, "{error}");
        self.change_visibility(record, absent_return_secs(record.receive_count))
            .await
    }

    /// The store could not be reached, or the record is of a newer format or corrupt: the message waits.
    pub(crate) async fn return_after_error(
        &self,
        record: &Record,
        message: &Dispatch,
        error: &StoreError,
    ) -> Disposition {
        tracing::error!("{}", chain(error));
        let secs = absent_return_secs(record.receive_count).max(STORE_RETURN_SECS);
        self.return_after(record, message, secs).await
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
            metrics::count(Metric::PhantomMessageDropped);
            tracing::info!("phantom message dropped");
            return Disposition::Acknowledge;
        }
        self.return_after(record, message, absent_return_secs(record.receive_count))
            .await
    }

    /// The operation expired before a worker came to send its callback's message, after an outage that
    /// outlasted its retention. The callback is lost, and counted once its message is no longer needed.
    pub(crate) async fn expired_with_callback(
        &self,
        record: &Record,
        message: &Dispatch,
        now: Timestamp,
    ) -> Disposition {
        if now.since(record.sent_at) > PHANTOM_AGE {
            metrics::count(Metric::CallbackDropped);
            tracing::error!("callback dropped: its operation expired before it was announced");
            return Disposition::Acknowledge;
        }
        self.absent(record, message, now).await
    }

    /// The record is another incarnation's: of a replay's message, whose own create was refused, or of an earlier one, whose
    /// record is gone. Only age tells that the message's own submit can no longer create anything: the record that is there now
    /// may be erased, or end early and expire, and then that create succeeds with this message alone to have it worked on.
    pub(crate) async fn other_incarnation(
        &self,
        record: &Record,
        message: &Dispatch,
        now: Timestamp,
    ) -> Disposition {
        let phantom_from = record.sent_at + PHANTOM_AGE;
        if now > phantom_from {
            return Disposition::Acknowledge;
        }
        // In one hop: it is hardly ever needed, and each receive costs a refused claim.
        self.return_after(record, message, phantom_from.secs_from(now) + 1)
            .await
    }

    /// The operation was ended here: its due callback gets its message, and only then is this one acknowledged. A crash in
    /// between brings this message back, to find the callback still due.
    pub(crate) async fn settle(&self, operation: &Operation) -> Disposition {
        self.announce(operation, 0).await
    }

    /// The operation was ended by somebody else, who died before its callback got its message, or is about to send it: a cancel
    /// of one that was waiting for a worker.
    pub(crate) async fn settle_for_another(&self, operation: &Operation) -> Disposition {
        self.announce(operation, CALLBACK_ANNOUNCEMENT_SECS).await
    }

    /// Once an attempt is on record its chain sees to itself.
    async fn announce(&self, operation: &Operation, delay_secs: u32) -> Disposition {
        if !operation.callback_is_unannounced() {
            return Disposition::Acknowledge;
        }
        match self
            .callbacks
            .send(&WakeUp::of(operation), delay_secs)
            .await
        {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::error!("callback not announced: {}", chain(&error));
                Disposition::Return
            }
        }
    }

    /// Ends an operation that nobody holds and that nobody may claim any more.
    pub(crate) async fn give_up(
        &self,
        record: &Record,
        message: &Dispatch,
        exhausted: &Operation,
        errors: &[OperationError],
        now: Timestamp,
    ) -> Disposition {
        match self.store.give_up(exhausted, errors, now).await {
            Ok(GivenUp::Ended {
                operation,
                by_us: true,
            }) => {
                let code = errors
                    .last()
                    .map(|error| error.code.as_str())
                    .unwrap_or_default();
                tracing::warn!(code, "operation given up");
                metrics::count(Metric::OperationGivenUp(&operation.function));
                self.settle(&operation).await
            }
            // Cancelled since it was looked at, or given up by the receiver of another message.
            Ok(GivenUp::Ended {
                operation,
                by_us: false,
            }) => {
                metrics::count(Metric::RaceLost);
                self.settle_for_another(&operation).await
            }
            Ok(GivenUp::MovedOn) => {
                metrics::count(Metric::RaceLost);
                self.return_after(record, message, LOOK_AGAIN_SECS).await
            }
            Err(error) => self.return_after_error(record, message, &error).await,
        }
    }

    /// Whether a message came from the dead-letter queue.
    pub(crate) fn is_dead_letter(&self, record: &Record) -> bool {
        record.queue_name == self.dead_letters.name()
    }

    fn queue_of(&self, record: &Record) -> &Queue {
        if self.is_dead_letter(record) {
            &self.dead_letters
        } else {
            &self.dispatch
        }
    }
}
