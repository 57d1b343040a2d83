//! The steps of the state machine, each as one conditional write.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::expression::Expression;
use super::item::{self, name, number, text, time};
use super::outcome::{
    self, CancelOutcome, ClaimOutcome, CreateOutcome, FinishOutcome, GiveUpOutcome, Held,
    RenewOutcome,
};
use super::payload::{self, Draft, LaidOut, submitted_expiry};
use super::write::UpdateOutcome;
use super::{Store, StoreError, history};
use crate::domain::attempt::{AttemptFailure, Continuation};
use crate::domain::history::AttemptEnd;
use crate::domain::id::{ClaimId, CreateId, OperationId};
use crate::domain::json::Json;
use crate::domain::limits::FORMAT_LONG_WORK;
use crate::domain::operation::{Operation, OperationError, Owner, Progress};
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;
use crate::domain::transition::{Status, Step, target};

impl Store {
    /// Creates an operation: one write. Write its payload items ([`Store::write_payloads`]) and
    /// send its message first: that order makes a crash before this call harmless.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record under this id cannot be read.
    pub async fn create(&self, draft: &Draft, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let condition = Expression::creating(&draft.create_id, draft.begun_at, now).render();
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(draft.head.clone()))
            .condition_expression(condition.condition)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send();
        let Err(error) = Box::pin(sent).await else {
            return Ok(CreateOutcome::New);
        };
        let refused_by = StoreError::refusal("PutItem", error)?;
        outcome::of_refused_create(&refused_by.unwrap_or_default(), &draft.create_id)
    }

    /// Begins an attempt: one write.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn claim(
        &self,
        id: &OperationId,
        create_id: &CreateId,
        claim_id: ClaimId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<ClaimOutcome, StoreError> {
        let mut write = Expression::transition(Step::Claim, now);
        write.require(name::CREATE_ID, text(create_id.as_str()));
        write.require_attempts_and_time(now);
        write.increment(name::ATTEMPT);
        write.set(name::CLAIM_ID, text(claim_id.as_str()));
        write.set(name::LEASE_UNTIL, time(now + lease));
        write.set_once(name::STARTED_AT, time(now));
        write.set(name::ATTEMPT_STARTED_AT, time(now));
        match self.update(item::head_key(id), write).await? {
            UpdateOutcome::Applied(head) => Ok(ClaimOutcome::Held(Box::new(Held {
                operation: item::operation(&head)?,
                claim_id,
                head,
            }))),
            UpdateOutcome::Refused(old) => {
                outcome::of_refused_claim(old.as_ref(), create_id, claim_id, now)
            }
        }
    }

    /// Renews the holder's lease, with or without progress: one write. It never moves the lease
    /// back, so a late retry of an earlier heartbeat, whose progress is out of date, changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. The lease may or may not
    /// have been renewed.
    pub async fn renew(
        &self,
        held: &Held,
        lease: Duration,
        progress: Option<&Progress>,
        now: Timestamp,
    ) -> Result<RenewOutcome, StoreError> {
        let mut write = Expression::step(Step::Heartbeat, now);
        fence(&mut write, held);
        write.set_forward(name::LEASE_UNTIL, time(now + lease));
        if let Some(progress) = progress {
            write.set(name::UPDATED_AT, time(now));
            set_progress(&mut write, progress);
        }
        match self
            .update(item::head_key(&held.operation.id), write)
            .await?
        {
            UpdateOutcome::Applied(_) => Ok(RenewOutcome::Held),
            UpdateOutcome::Refused(old) => outcome::of_refused_renewal(old.as_ref(), held, now),
        }
    }

    /// Records the holder's result: one write. A result that does not fit the head takes one write
    /// more before it, which is deleted again when the operation is gone.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached. Call it again with the same result: it recognises its own
    /// write.
    pub async fn complete(
        &self,
        held: &Held,
        result: &Json,
        now: Timestamp,
    ) -> Result<FinishOutcome, StoreError> {
        let laid_out = payload::lay_out_result(held, result, now);
        let mut write = Expression::transition(Step::Complete, now);
        fence(&mut write, held);
        write.set(name::RESULT, laid_out.attribute.clone());
        let last = held.operation.progress.as_ref();
        let progress = Progress {
            fraction: 1.0,
            message: last.and_then(|last| last.message.clone()),
            at: now,
        };
        set_progress(&mut write, &progress);
        write.remove(name::STATE);
        write.remove(name::STATE_ATTEMPT);
        let bytes = laid_out.head_bytes;
        history::record(&mut write, held, AttemptEnd::Completed, None, bytes, now);
        self.finish_with(held, Step::Complete, laid_out, write, now)
            .await
    }

    /// Records the holder's failure and ends the operation: one write.
    ///
    /// # Errors
    ///
    /// As [`Store::complete`].
    pub async fn fail(
        &self,
        held: &Held,
        failure: &AttemptFailure,
        now: Timestamp,
    ) -> Result<FinishOutcome, StoreError> {
        let mut write = Expression::transition(Step::Fail, now);
        fence(&mut write, held);
        set_last_progress(&mut write, held);
        let errors = item::errors(&failure.errors);
        let bytes = history::head_bytes(held, name::ERRORS, &errors);
        write.set(name::ERRORS, errors);
        let code = Some(failure.code.as_str());
        history::record(&mut write, held, AttemptEnd::Failed, code, bytes, now);
        self.finish(held, Step::Fail, write, now).await
    }

    /// Releases an operation until `next_attempt_at`: one write. The claim's token stays in the
    /// record, so that a lost response is recognised; the incremented version fences the former
    /// holder off.
    ///
    /// # Errors
    ///
    /// As [`Store::complete`].
    pub async fn retry(
        &self,
        held: &Held,
        error: &OperationError,
        next_attempt_at: Timestamp,
        now: Timestamp,
    ) -> Result<FinishOutcome, StoreError> {
        let mut write = Expression::transition(Step::Retry, now);
        fence(&mut write, held);
        set_last_progress(&mut write, held);
        write.set(name::LEASE_UNTIL, time(next_attempt_at));
        let last_error = item::last_error(held.operation.attempt, error);
        let bytes = history::head_bytes(held, name::LAST_ERROR, &last_error);
        write.set(name::LAST_ERROR, last_error);
        let code = Some(error.code.as_str());
        history::record(&mut write, held, AttemptEnd::Retried, code, bytes, now);
        self.finish(held, Step::Retry, write, now).await
    }

    /// Saves a state and releases an operation, which continues from the state: one write. A state
    /// that does not fit the head takes one write more before it, as in [`Store::complete`]. The
    /// claim's token stays in the record, as in [`Store::retry`].
    ///
    /// # Errors
    ///
    /// As [`Store::complete`].
    pub async fn continue_from(
        &self,
        held: &Held,
        continuation: &Continuation,
        now: Timestamp,
    ) -> Result<FinishOutcome, StoreError> {
        let laid_out = payload::lay_out_state(held, &continuation.state);
        let mut write = Expression::transition(Step::Continue, now);
        fence(&mut write, held);
        set_last_progress(&mut write, held);
        // A release that knows no states would begin the work again.
        write.set(name::FORMAT, number(FORMAT_LONG_WORK));
        write.set(name::STATE, laid_out.attribute.clone());
        write.set(name::STATE_ATTEMPT, number(held.operation.attempt));
        write.set(name::ATTEMPTS_MAX, number(continuation.attempts_max));
        write.set(name::LEASE_UNTIL, time(continuation.resumes_at));
        write.remove(name::LAST_ERROR);
        let bytes = laid_out.head_bytes;
        history::record(&mut write, held, AttemptEnd::Continued, None, bytes, now);
        self.finish_with(held, Step::Continue, laid_out, write, now)
            .await
    }

    /// Ends an operation that no worker holds: one write, and one before it for metadata that would
    /// expire first. `exhausted` is the operation as a refused claim or a read found it.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn give_up(
        &self,
        exhausted: &Operation,
        errors: &[OperationError],
        now: Timestamp,
    ) -> Result<GiveUpOutcome, StoreError> {
        let kept_until = now + Duration::from_secs(u64::from(exhausted.retention_secs));
        if kept_until > submitted_expiry(exhausted) {
            // No worker was running for more than a day. The metadata first: the head must not
            // outlive it.
            self.extend_payloads(exhausted, kept_until).await?;
        }
        let mut write = Expression::transition(Step::GiveUp, now);
        write.require(name::CREATE_ID, text(exhausted.create_id.as_str()));
        // The errors were chosen for the record that was read, so they must still be true of the
        // record now.
        write.require(name::LOCK_VERSION, number(exhausted.lock_version));
        write.require_exhausted(now);
        write.set(name::ERRORS, item::errors(errors));
        write.remove(name::CLAIM_ID);
        match self.update(item::head_key(&exhausted.id), write).await? {
            UpdateOutcome::Applied(head) => Ok(GiveUpOutcome::Ended {
                operation: Box::new(item::operation(&head)?),
                by_us: true,
            }),
            UpdateOutcome::Refused(old) => match outcome::visible(old.as_ref(), now)? {
                Some(ended)
                    if ended.create_id == exhausted.create_id && ended.status().is_terminal() =>
                {
                    Ok(GiveUpOutcome::Ended {
                        operation: Box::new(ended),
                        by_us: false,
                    })
                }
                _ => Ok(GiveUpOutcome::Changed),
            },
        }
    }

    /// Ends an operation for its owner: one write, and one after it for metadata that would expire
    /// before it.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn cancel(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreError> {
        let mut write = Expression::transition(Step::Cancel, now);
        write.require(name::OWNER, text(owner.as_str()));
        write.require_preconditions(preconditions);
        // Without its claim in the record no holder can take this write for its own.
        write.remove(name::CLAIM_ID);
        // A cancelled operation never continues. `give_up` keeps the state for a redrive.
        write.remove(name::STATE);
        write.remove(name::STATE_ATTEMPT);
        let old = match self.update(item::head_key(id), write).await? {
            UpdateOutcome::Applied(head) => {
                let operation = item::operation(&head)?;
                if operation.expires_at > submitted_expiry(&operation) {
                    // Cancelled more than a day late, because no worker was running. After a crash
                    // or an error before this write, the metadata expires first.
                    self.extend_payloads(&operation, operation.expires_at)
                        .await?;
                }
                return Ok(CancelOutcome::Cancelled {
                    operation: Box::new(operation),
                    by_us: true,
                });
            }
            UpdateOutcome::Refused(old) => old,
        };
        let Some(operation) = outcome::visible(outcome::owned_by(old.as_ref(), owner), now)? else {
            return Ok(CancelOutcome::Absent);
        };
        Ok(match operation.status() {
            // A repeated cancel, or one whose response was lost, succeeds.
            Status::Cancelled if preconditions.allow_repeated_cancel(&operation) => {
                CancelOutcome::Cancelled {
                    operation: Box::new(operation),
                    by_us: false,
                }
            }
            // Checked before any other refusal.
            _ if !preconditions.are_met_by(&operation) => CancelOutcome::PreconditionFailed,
            status if status.is_terminal() => CancelOutcome::Ended(Box::new(operation)),
            _ => CancelOutcome::PreconditionFailed,
        })
    }

    /// As [`Store::finish`], after the item of a payload that does not fit the head.
    async fn finish_with(
        &self,
        held: &Held,
        step: Step,
        laid_out: LaidOut,
        write: Expression,
        now: Timestamp,
    ) -> Result<FinishOutcome, StoreError> {
        let LaidOut {
            payload_item, sk, ..
        } = laid_out;
        let is_external = payload_item.is_some();
        if let Some(payload_item) = payload_item {
            // A crash after this write leaves an item that no head names; DynamoDB's TTL deletes
            // it.
            self.write_payload(payload_item).await?;
        }
        let head_key = item::head_key(&held.operation.id);
        let old = match self.update(head_key, write).await? {
            UpdateOutcome::Applied(written) => {
                return Ok(FinishOutcome::Written(Box::new(item::operation(&written)?)));
            }
            UpdateOutcome::Refused(old) => outcome::visible(old.as_ref(), now)?,
        };
        let is_gone = old
            .as_ref()
            .is_none_or(|old| old.create_id != held.operation.create_id);
        if is_gone && is_external {
            // Its owner erased it, or it has expired: no later erase will find the item. After any
            // other refusal the item stays, since the head may name it: this write may have been
            // applied and its response lost.
            self.delete_unnamed(held, &sk).await;
        }
        Ok(outcome::of_refused_finish(old, held, target(step)))
    }

    async fn finish(
        &self,
        held: &Held,
        step: Step,
        write: Expression,
        now: Timestamp,
    ) -> Result<FinishOutcome, StoreError> {
        match self
            .update(item::head_key(&held.operation.id), write)
            .await?
        {
            UpdateOutcome::Applied(written) => {
                Ok(FinishOutcome::Written(Box::new(item::operation(&written)?)))
            }
            UpdateOutcome::Refused(old) => Ok(outcome::of_refused_finish(
                outcome::visible(old.as_ref(), now)?,
                held,
                target(step),
            )),
        }
    }
}

/// The condition of every write by a holder: its own claim, at the version that the claim made.
fn fence(write: &mut Expression, held: &Held) {
    write.require(name::CLAIM_ID, text(held.claim_id.as_str()));
    write.require(name::LOCK_VERSION, number(held.operation.lock_version));
}

fn set_progress(write: &mut Expression, progress: &Progress) {
    for (name, value) in item::progress(progress) {
        match value {
            Some(value) => write.set(name, value),
            None => write.remove(name),
        }
    }
}

/// Adds [`Held::set_progress`] to an outcome.
fn set_last_progress(write: &mut Expression, held: &Held) {
    if let Some(progress) = &held.operation.progress {
        set_progress(write, progress);
    }
}
