//! Finds the due callback that a wake-up is for.

use shared::domain::delivery::DueCallback;
use shared::domain::limits::CALLBACK_ERASED_AGE_MAX;
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::metrics::{self, Metric};
use shared::queue::WakeUp;
use shared::store::{Lookup, StoreError};
use shared::telemetry::record_trace;

use crate::Handler;
use crate::deliver::ServeError;

impl Handler {
    /// The callback that a wake-up names, if its next attempt may be made now. If it is too early,
    /// schedules a later wake-up and returns `None`.
    pub(crate) async fn due_callback(
        &self,
        wake_up: &WakeUp,
        sent_at: Timestamp,
    ) -> Result<Option<DueCallback>, ServeError> {
        let now = self.clock.now();
        let Some(operation) = self.find(wake_up, sent_at, now).await? else {
            return Ok(None);
        };
        let Some(due) = self.due_or_started(wake_up, operation, now).await? else {
            return Ok(None);
        };
        if let Some(at) = due.not_before(now) {
            // Too early: the queue cannot delay a message for longer than 15 minutes, so a long
            // wait takes several messages. A crash before the acknowledgement leaves two, which
            // record one chain of attempts.
            self.schedule_wake_up(&due, at, now).await?;
            return Ok(None);
        }
        Ok(Some(due))
    }

    /// The operation of a wake-up, if its record is there and of the message's incarnation.
    pub(crate) async fn find(
        &self,
        wake_up: &WakeUp,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        let found = self
            .store
            .find(&wake_up.operation_id, &wake_up.create_id, now)
            .await?;
        match found {
            Lookup::Present(operation) => {
                record_trace(&operation);
                return Ok(Some(*operation));
            }
            Lookup::Erased => tracing::info!("callback not sent: the owner erased the operation"),
            Lookup::Expired(operation)
                if operation.callback_is_due() || starts_round(wake_up, &operation) =>
            {
                drop_callback();
            }
            // A surplus wake-up: the callback was delivered, gone or exhausted before its record
            // expired.
            Lookup::Expired(_) => {}
            // An operation that expired leaves no tombstone. Nor does one that was erased, once
            // DynamoDB has deleted the tombstone or another submit has replaced it. Records outlive
            // their callbacks by days, so a callback lost with its record had a message that went
            // unserved for days.
            Lookup::Absent | Lookup::OtherIncarnation(_)
                if now.since(sent_at) > CALLBACK_ERASED_AGE_MAX =>
            {
                drop_callback();
            }
            Lookup::Absent => {
                tracing::info!("callback not sent: the operation is gone, probably erased");
            }
            Lookup::OtherIncarnation(_) => {
                tracing::info!("callback not sent: another operation now has this id");
            }
        }
        Ok(None)
    }

    /// The operation's callback, if it is due or becomes due because this message starts a round.
    async fn due_or_started(
        &self,
        wake_up: &WakeUp,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Option<DueCallback>, StoreError> {
        if !starts_round(wake_up, &operation) {
            return Ok(DueCallback::of(operation));
        }
        // A crash after this leaves the callback due, and this message to come back to it. If
        // another receive of the message started the round first, this one serves the callback all
        // the same while it is due: the other sender may have crashed, and its only message was
        // this one.
        self.store.start_round(&operation, now).await
    }
}

fn starts_round(wake_up: &WakeUp, operation: &Operation) -> bool {
    let attempts_made = wake_up.redeliver_after_attempts;
    attempts_made.is_some_and(|attempts_made| operation.starts_round(attempts_made))
}

/// Counts a due callback that can never be sent: its record is gone, and no tombstone shows that
/// its owner erased it.
fn drop_callback() {
    metrics::count(Metric::CallbackDropped);
    tracing::error!("callback dropped: the operation is gone, and no tombstone shows an erase");
}
