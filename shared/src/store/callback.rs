//! What the callback function records. These writes are not steps of the state machine: a delivery
//! never changes the operation's own state.
//!
//! Each write is conditional on the incarnation and on the number of attempts recorded so far. When
//! two senders wake up at once, one of them is refused, so no attempt counts twice and no
//! redelivery starts two rounds.

use super::expression::Expression;
use super::item::{self, name, number, text, time};
use super::payload::{payload_expiry, result_key, submitted_key};
use super::write::UpdateOutcome;
use super::{Store, StoreError, outcome};
use crate::domain::callback::{Callback, CallbackStatus, DeliveryAttempt};
use crate::domain::delivery::{DeliveryOutcome, DueCallback};
use crate::domain::id::DeliveryAttemptId;
use crate::domain::limits::CALLBACK_RETENTION_SECS;
use crate::domain::operation::{Operation, Payload, State};
use crate::domain::time::Timestamp;

/// An attempt to record.
#[derive(Debug)]
pub struct AttemptRecord {
    /// Distinguishes this record from another sender's.
    pub id: DeliveryAttemptId,
    pub attempt: DeliveryAttempt,
    pub outcome: DeliveryOutcome,
    /// How many attempts the record keeps; the oldest are dropped.
    pub kept_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    Written,
    /// Another sender has recorded an attempt meanwhile, or the operation is gone.
    Refused,
}

impl Store {
    /// Records an attempt: one write, refused unless the operation's callback is unchanged since
    /// `due` was read.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn record_attempt(
        &self,
        due: &DueCallback,
        record: &AttemptRecord,
        now: Timestamp,
    ) -> Result<RecordOutcome, StoreError> {
        let (read, callback) = (due.operation(), due.callback());
        let mut attempts = callback.attempts.clone();
        attempts.push(record.attempt.clone());
        attempts.drain(..attempts.len().saturating_sub(record.kept_max));

        let mut write = unchanged_since(read, callback, now);
        write.set(name::CALLBACK_ATTEMPTS, item::callback_attempts(&attempts));
        write.set(
            name::CALLBACK_ATTEMPTS_MADE,
            number(callback.attempts_made + 1),
        );
        write.set(
            name::CALLBACK_ROUND_ATTEMPTS,
            number(callback.round_attempts + 1),
        );
        write.set(name::CALLBACK_ATTEMPT_ID, text(record.id.as_str()));
        let status = record.outcome.status();
        write.set(name::CALLBACK_STATUS, text(status.as_str()));
        match record.outcome {
            DeliveryOutcome::RetryAt(at) => write.set(name::CALLBACK_NEXT_AT, time(at)),
            DeliveryOutcome::Delivered | DeliveryOutcome::Gone | DeliveryOutcome::Exhausted => {
                write.remove(name::CALLBACK_NEXT_AT);
            }
        }
        let UpdateOutcome::Refused(old) = self.update(item::head_key(&read.id), write).await?
        else {
            return Ok(RecordOutcome::Written);
        };
        // The refused write may be our own, applied by an earlier try whose response was lost. If
        // it were taken for another sender's, the callback would stay due with no message to
        // trigger the next attempt.
        let last_attempt_id = outcome::visible(old.as_ref(), now)?
            .filter(|current| current.create_id == read.create_id)
            .and_then(|current| current.callback?.last_attempt_id);
        Ok(if last_attempt_id.as_ref() == Some(&record.id) {
            RecordOutcome::Written
        } else {
            RecordOutcome::Refused
        })
    }

    /// Starts a new round for a redelivery: one write, and one more for each payload item when the
    /// record has to be kept longer. The write is refused unless the last round is over and the
    /// record still has as many attempts as `read`.
    ///
    /// Returns the operation as it is now if its callback is due, and `None` once the round is
    /// over. The callback may be due by this write, by an earlier try of it whose response was
    /// lost, or by another receive of the same message, which may have made attempts since. The
    /// caller need not know which: any wake-up serves a callback that is due.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn start_round(
        &self,
        read: &Operation,
        now: Timestamp,
    ) -> Result<Option<DueCallback>, StoreError> {
        let Some(callback) = &read.callback else {
            return Ok(None);
        };
        let kept_until = now + std::time::Duration::from_secs(u64::from(CALLBACK_RETENTION_SECS));
        let mut write = unchanged_since(read, callback, now);
        write.require_round_over();
        write.set(name::CALLBACK_STATUS, text(CallbackStatus::Due.as_str()));
        write.set(name::CALLBACK_ROUND_ATTEMPTS, number(0));
        write.remove(name::CALLBACK_NEXT_AT);
        if read.expires_at < kept_until {
            // The payload items first, then the head: the head must not outlive the items that it
            // names.
            self.extend_payloads(read, kept_until).await?;
            write.set(name::DELETE_AT, item::delete_at(kept_until));
        }
        let current = match self.update(item::head_key(&read.id), write).await? {
            UpdateOutcome::Applied(started) => Some(item::operation(&started)?),
            UpdateOutcome::Refused(old) => outcome::visible(old.as_ref(), now)?,
        };
        Ok(current
            .filter(|current| current.create_id == read.create_id)
            .and_then(DueCallback::of))
    }

    /// Extends the expiry of an operation's external metadata and result: one write each. Not of
    /// its arguments: no worker will read them.
    pub(super) async fn extend_payloads(
        &self,
        operation: &Operation,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let create_id = &operation.create_id;
        let mut keys = Vec::new();
        if operation.metadata == Payload::External {
            keys.push(submitted_key(name::METADATA, create_id));
        }
        if let State::Completed {
            result: Payload::External,
            ..
        } = operation.state
        {
            keys.push(result_key(create_id, operation.attempt));
        }
        for sk in keys {
            let mut write = Expression::default();
            // An erase may have deleted the item already: an update must not bring it back empty.
            write.require_present(name::BODY);
            write.set(name::DELETE_AT, number(payload_expiry(until).as_secs()));
            self.update(item::key(&operation.id, &sk), write).await?;
        }
        Ok(())
    }
}

/// The record is the one that was read, and no attempt of its callback has been recorded since.
///
/// For a caller who read the callback as due, this condition is enough. Attempts are recorded only
/// while the callback is due, so the number does not change between a round's start and its first
/// record, and once a round is over the callback never has the number again that it had while it
/// was due.
fn unchanged_since(read: &Operation, callback: &Callback, now: Timestamp) -> Expression {
    let mut write = Expression::on_record(now);
    write.require_ended();
    write.require(name::CREATE_ID, text(read.create_id.as_str()));
    let attempts = (callback.attempts_made > 0).then(|| number(callback.attempts_made));
    write.require_optional(name::CALLBACK_ATTEMPTS_MADE, attempts);
    write
}
