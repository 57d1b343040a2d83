//! A received dispatch message, and how it goes back to its queue.

use std::time::Duration;

use shared::clock::Clock;
use shared::domain::backoff::doubling_secs;
use shared::domain::limits::{
    MESSAGE_AGE_MAX, PHANTOM_AGE, QUEUE_DELAY_SECS_MAX, RETURN_BACKOFF_SECS_MAX,
};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, ReceivedMessage};
use shared::queue::{Dispatch, MessageError, Queue, QueueError};
use shared::store::StoreError;
use shared::telemetry::{chain, record_operation_id};

use crate::Handler;

/// The wait before another receive of a message whose operation changed while it was inspected, in
/// seconds.
pub(crate) const INSPECT_AGAIN_SECS: u32 = 1;
/// The shortest wait after the store could not be reached or read, in seconds.
const STORE_RETURN_SECS: u32 = 10;

/// A message that was received from the dispatch queue or from its dead-letter queue.
pub(crate) struct ReceivedDispatch<'a> {
    pub(crate) message: Dispatch,
    pub(crate) is_dead_letter: bool,
    received: &'a ReceivedMessage,
    /// The queue that it was received from.
    source: &'a Queue,
    dispatch: &'a Queue,
    lease: Duration,
    clock: &'a dyn Clock,
}

impl Handler {
    pub(crate) fn read<'a>(
        &'a self,
        received: &'a ReceivedMessage,
    ) -> Result<ReceivedDispatch<'a>, MessageError> {
        let message = Dispatch::parse(&received.body, received.group.clone())?;
        record_operation_id(&message.operation_id);
        Ok(ReceivedDispatch {
            message,
            is_dead_letter: self.is_dead_letter(received),
            received,
            source: self.source_of(received),
            dispatch: &self.dispatch,
            lease: self.lease,
            clock: &*self.clock,
        })
    }

    /// Returns a message that this release cannot read: a newer release may be able to. One that no
    /// release can read ends in the dead-letter queue.
    pub(crate) async fn return_unread(
        &self,
        received: &ReceivedMessage,
        error: &MessageError,
    ) -> Disposition {
        let secs = return_backoff_secs(received);
        tracing::error!(
            receive_count = received.receive_count,
            "{error}; it comes back after {secs} s"
        );
        received.return_to(self.source_of(received), secs).await
    }

    pub(crate) fn is_dead_letter(&self, received: &ReceivedMessage) -> bool {
        received.queue_name == self.dead_letters.name()
    }

    fn source_of(&self, received: &ReceivedMessage) -> &Queue {
        if self.is_dead_letter(received) {
            &self.dead_letters
        } else {
            &self.dispatch
        }
    }
}

impl ReceivedDispatch<'_> {
    pub(crate) fn sent_at(&self) -> Timestamp {
        self.received.sent_at
    }

    pub(crate) const fn receive_count(&self) -> u32 {
        self.received.receive_count
    }

    /// Whether no submit can create the message's incarnation any more.
    pub(crate) fn is_past_creation(&self, now: Timestamp) -> bool {
        now.since(self.received.sent_at) > PHANTOM_AGE
    }

    /// Returns the message for `secs`. An old one is sent afresh instead, long before the queue's
    /// retention would drop it.
    pub(crate) async fn return_after(&self, secs: u32) -> Disposition {
        let age = self.clock.now().since(self.received.sent_at);
        if age > MESSAGE_AGE_MAX {
            return self.replace(&self.message, secs).await;
        }
        self.received.return_to(self.source, secs).await
    }

    /// Whether the record is read before a claim: for messages of waits and legs, and for those
    /// that were received before.
    pub(crate) const fn reads_first(&self) -> bool {
        self.message.read_first || self.received.receive_count > 1
    }

    /// Waits until the message's own operation may be claimed. The message of a longer wait than a
    /// lease is sent on.
    pub(crate) async fn wait_until(&self, until: Timestamp, now: Timestamp) -> Disposition {
        if until.since(now) > self.lease {
            return self.send_on(until, now).await;
        }
        self.return_after(until.secs_from(now)).await
    }

    /// Sends a fresh message that arrives when the operation may be claimed, and after SQS's
    /// longest delay at the latest; then acknowledges this one.
    ///
    /// A delayed message is not in flight, of which SQS limits the number. It has not been received
    /// yet, so neither waits nor legs make a dead letter of it. And every operation is read again
    /// within 15 minutes, so that a cancel whose wake-up was not sent is found in time.
    pub(crate) async fn send_on(&self, until: Timestamp, now: Timestamp) -> Disposition {
        let fresh = Dispatch {
            read_first: true,
            ..self.message.clone()
        };
        let delay_secs = until.secs_from(now).min(QUEUE_DELAY_SECS_MAX);
        self.replace(&fresh, delay_secs).await
    }

    /// Returns the message for 1, 2, 4 … 300 seconds, by its receive count.
    pub(crate) async fn return_with_backoff(&self) -> Disposition {
        self.return_after(return_backoff_secs(self.received)).await
    }

    /// Returns the message when the store cannot be reached, or the record is of a newer format or
    /// corrupt.
    pub(crate) async fn return_after_error(&self, error: &StoreError) -> Disposition {
        let secs = return_backoff_secs(self.received).max(STORE_RETURN_SECS);
        tracing::error!("{}; the message comes back after {secs} s", chain(error));
        self.return_after(secs).await
    }

    /// Sends a fresh message of the same incarnation to the dispatch queue, then acknowledges this
    /// one. A crash in between leaves both, which is harmless.
    pub(crate) async fn replace(&self, fresh: &Dispatch, delay_secs: u32) -> Disposition {
        match self.dispatch.send(fresh, delay_secs).await {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::warn!(
                    "no fresh message sent, so this one comes back: {}",
                    chain(&error)
                );
                Disposition::Return
            }
        }
    }

    /// Sets the message's visibility timeout to a lease from now.
    pub(crate) async fn extend_visibility(&self, lease: Duration) -> Result<(), QueueError> {
        let lease_secs = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
        self.source
            .change_visibility(&self.received.receipt_handle, lease_secs)
            .await
    }
}

fn return_backoff_secs(received: &ReceivedMessage) -> u32 {
    doubling_secs(1, RETURN_BACKOFF_SECS_MAX, received.receive_count)
}
