//! What the callback's sender records. Not steps of the state machine: a delivery never changes the operation's own state.
//!
//! Each write is conditional on the incarnation and on the number of attempts recorded so far. Of two senders that were woken at
//! once one is refused, so that no attempt counts twice, and no redelivery starts two rounds.

use super::expression::Expression;
use super::item::{self, name, number, text, time};
use super::payload::{kept_with, result_key, submitted_key};
use super::write::Written;
use super::{Store, StoreError, outcome};
use crate::domain::callback::{Attempt, Callback, CallbackStatus};
use crate::domain::delivery::{DeliveryOutcome, DueCallback};
use crate::domain::id::AttemptId;
use crate::domain::limits::CALLBACK_RETENTION_SECS;
use crate::domain::operation::{Operation, Payload, State};
use crate::domain::time::Timestamp;

/// An attempt to record.
#[derive(Debug)]
pub struct AttemptRecord {
    /// What tells this record from that of another sender.
    pub id: AttemptId,
    /// The attempt itself.
    pub attempt: Attempt,
    pub outcome: DeliveryOutcome,
    /// How many attempts are kept; the oldest go.
    pub kept_max: usize,
}

/// Of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Written.
    Written,
    /// Somebody else has recorded meanwhile, or the operation is gone.
    Refused,
}

impl Store {
    /// Records an attempt: one write, refused unless the operation's callback still stands as in `due`.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn record_attempt(
        &self,
        due: &DueCallback,
        record: &AttemptRecord,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let (read, callback) = (due.operation(), due.callback());
        let mut attempts = callback.attempts.clone();
        attempts.push(record.attempt.clone());
        attempts.drain(..attempts.len().saturating_sub(record.kept_max));

        let mut write = standing_as(read, callback, now);
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
        let Written::Refused(old) = self.update(item::head_key(&read.id), write).await? else {
            return Ok(Recorded::Written);
        };
        // A refused write may be our own, whose answer was lost. Taken for somebody else's, the chain would end with the
        // callback due and nobody to wake the next attempt.
        let last_attempt_id = outcome::met(old.as_ref(), now)?
            .filter(|standing| standing.create_id == read.create_id)
            .and_then(|standing| standing.callback?.last_attempt_id);
        Ok(if last_attempt_id.as_ref() == Some(&record.id) {
            Recorded::Written
        } else {
            Recorded::Refused
        })
    }

    /// Starts a round of its own for a redelivery: one write, refused unless the operation's callback is settled with as many
    /// attempts on record as `read` has, and one more for each payload item when the record has to be kept longer.
    ///
    /// What stands there then, if its callback is due: by this write, by this one before its answer was lost, or by that of another
    /// receive of the same message, which may have made attempts since. Who that was does not matter, for any wake-up serves a
    /// callback that is due; `None` once the round is over.
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
        let mut write = standing_as(read, callback, now);
        write.require_settled();
        write.set(name::CALLBACK_STATUS, text(CallbackStatus::Due.as_str()));
        write.set(name::CALLBACK_ROUND_ATTEMPTS, number(0));
        write.remove(name::CALLBACK_NEXT_AT);
        if read.expires_at < kept_until {
            // First what the head names, then the head: it must not outlive its payloads.
            self.keep_payloads(read, kept_until).await?;
            write.set(name::DELETE_AT, item::delete_at(kept_until));
        }
        let standing = match self.update(item::head_key(&read.id), write).await? {
            Written::Now(started) => Some(item::operation(&started)?),
            Written::Refused(old) => outcome::met(old.as_ref(), now)?,
        };
        Ok(standing
            .filter(|standing| standing.create_id == read.create_id)
            .and_then(DueCallback::of))
    }

    pub(super) async fn keep_payloads(
        &self,
        operation: &Operation,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let create_id = &operation.create_id;
        let mut apart = Vec::new();
        if operation.metadata == Payload::External {
            apart.push(submitted_key(name::METADATA, create_id));
        }
        if let State::Completed {
            result: Payload::External,
            ..
        } = operation.state
        {
            apart.push(result_key(create_id, operation.attempt));
        }
        for sk in apart {
            let mut write = Expression::default();
            // An erase may have come first; its payloads are not to be brought back as empty items.
            write.require_present(name::BODY);
            write.set(name::DELETE_AT, number(kept_with(until).as_secs()));
            self.update(item::key(&operation.id, &sk), write).await?;
        }
        Ok(())
    }
}

/// The record is the one that was read, and nobody has recorded an attempt of its callback since.
///
/// For whoever read it due, this says all: attempts are recorded while it is due and at no other time, so between a round's start
/// and its first record the number stands still, and a settled callback never has the number that it had while it was due.
fn standing_as(read: &Operation, callback: &Callback, now: Timestamp) -> Expression {
    let mut write = Expression::on_record(now);
    write.require_ended();
    write.require(name::CREATE_ID, text(read.create_id.as_str()));
    let attempts = (callback.attempts_made > 0).then(|| number(callback.attempts_made));
    write.require_optional(name::CALLBACK_ATTEMPTS_MADE, attempts);
    write
}
