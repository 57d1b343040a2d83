//! The steps of the state machine, each as one conditional write.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::expression::Expression;
use super::item::{self, name, number, text, time};
use super::outcome::{self, CancelOutcome, Claimed, Created, Finished, GivenUp, Held, Renewed};
use super::payload::{self, Draft, submitted_until};
use super::write::Written;
use super::{Store, StoreError};
use crate::domain::id::{ClaimId, CreateId, OperationId};
use crate::domain::json::Json;
use crate::domain::operation::{Operation, OperationError, Owner, Progress};
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;
use crate::domain::transition::{Status, Step, target};

impl Store {
    /// Creates an operation: one write. Its payload items must have been written ([`Store::write_payloads`]), and its message
    /// sent, which is what makes a crash before this call harmless.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record under this name cannot be read.
    pub async fn create(&self, draft: &Draft, now: Timestamp) -> Result<Created, StoreError> {
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
            return Ok(Created::New);
        };
        let refused_by = StoreError::refusal("PutItem", error)?;
        outcome::created(&refused_by.unwrap_or_default(), &draft.create_id)
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
    ) -> Result<Claimed, StoreError> {
        let mut write = Expression::transition(Step::Claim, now);
        write.require(name::CREATE_ID, text(create_id.as_str()));
        write.require_attempts_and_time(now);
        write.increment(name::ATTEMPT);
        write.set(name::CLAIM_ID, text(claim_id.as_str()));
        write.set(name::LEASE_UNTIL, time(now + lease));
        write.set_once(name::STARTED_AT, time(now));
        match self.update(item::head_key(id), write).await? {
            Written::Now(head) => {
                let (operation, head_bytes) = (item::operation(&head)?, item::size_bytes(&head));
                Ok(Claimed::Held(Box::new(Held {
                    operation,
                    claim_id,
                    head_bytes,
                })))
            }
            Written::Refused(old) => outcome::claimed(old.as_ref(), create_id, claim_id, now),
        }
    }

    /// Renews the holder's lease, with progress or without: one write. It never moves the lease back, so that the late try of an
    /// earlier heartbeat, whose progress is long out of date, changes nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. The lease may or may not have been renewed.
    pub async fn renew(
        &self,
        held: &Held,
        lease: Duration,
        progress: Option<&Progress>,
        now: Timestamp,
    ) -> Result<Renewed, StoreError> {
        let mut write = Expression::step(Step::Heartbeat, now);
        fence(&mut write, held);
        write.set_forward(name::LEASE_UNTIL, time(now + lease));
        if let Some(progress) = progress {
            write.set(name::PROGRESS, number(progress.fraction));
            write.set(name::PROGRESS_AT, time(progress.at));
            write.set(name::UPDATED_AT, time(now));
            match &progress.message {
                Some(message) => write.set(name::PROGRESS_MESSAGE, text(message)),
                None => write.remove(name::PROGRESS_MESSAGE),
            }
        }
        match self
            .update(item::head_key(&held.operation.id), write)
            .await?
        {
            Written::Now(_) => Ok(Renewed::Held),
            Written::Refused(old) => outcome::renewed(old.as_ref(), held, now),
        }
    }

    /// Records the holder's result: one write, and one before it for a result that does not fit the head, which is deleted again
    /// when the operation is gone.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached. To be called again with the same result then; it tells its own write.
    pub async fn complete(
        &self,
        held: &Held,
        result: &Json,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let (inline, apart) = payload::lay_out_result(held, result, now);
        let is_external = apart.is_some();
        if let Some(apart) = apart {
            // A crash after this leaves an item that no head names; its own expiry deletes it.
            self.write_payload(apart).await?;
        }
        let mut write = Expression::transition(Step::Complete, now);
        fence(&mut write, held);
        write.set(name::RESULT, inline);
        write.set(name::PROGRESS, number(1));
        write.set(name::PROGRESS_AT, time(now));
        let head_key = item::head_key(&held.operation.id);
        let old = match self.update(head_key, write).await? {
            Written::Now(completed) => {
                return Ok(Finished::Written(Box::new(item::operation(&completed)?)));
            }
            Written::Refused(old) => outcome::met(old.as_ref(), now)?,
        };
        let is_gone = old
            .as_ref()
            .is_none_or(|there| there.create_id != held.operation.create_id);
        if is_gone && is_external {
            // Its owner erased it, or it has expired: no erase to come finds the item. On any other
            // refusal it stays, since the head may name it: this write may have been applied, and
            // its answer lost.
            self.delete_result(held).await;
        }
        Ok(outcome::finished(old, held, target(Step::Complete)))
    }

    /// Records the holder's errors for good: one write.
    ///
    /// # Errors
    ///
    /// As [`Store::complete`].
    pub async fn fail(
        &self,
        held: &Held,
        errors: &[OperationError],
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let mut write = Expression::transition(Step::Fail, now);
        fence(&mut write, held);
        write.set(name::ERRORS, item::errors(errors));
        self.finish(held, Step::Fail, write, now).await
    }

    /// Lets an operation go until `next_attempt_at`: one write. The claim's token stays in the record, so that a lost answer
    /// is recognised; the raised version is what makes the holder stop holding.
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
    ) -> Result<Finished, StoreError> {
        let mut write = Expression::transition(Step::Retry, now);
        fence(&mut write, held);
        write.set(name::LEASE_UNTIL, time(next_attempt_at));
        write.set(
            name::LAST_ERROR,
            item::last_error(held.operation.attempt, error),
        );
        self.finish(held, Step::Retry, write, now).await
    }

    /// Ends an operation without a holder: one write, and one before it for metadata that would expire first. `exhausted` is what the
    /// refused claim returned.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn give_up(
        &self,
        exhausted: &Operation,
        errors: &[OperationError],
        now: Timestamp,
    ) -> Result<GivenUp, StoreError> {
        let kept_until = now + Duration::from_secs(u64::from(exhausted.retention_secs));
        if kept_until > submitted_until(exhausted) {
            // No worker was there for more than a day. Before the head, which must not outlive them.
            self.keep_payloads(exhausted, kept_until).await?;
        }
        let mut write = Expression::transition(Step::GiveUp, now);
        write.require(name::CREATE_ID, text(exhausted.create_id.as_str()));
        // The errors were chosen from what was met: they must still be true of what is there.
        write.require(name::LOCK_VERSION, number(exhausted.lock_version));
        write.require_spent(now);
        write.set(name::ERRORS, item::errors(errors));
        write.remove(name::CLAIM_ID);
        match self.update(item::head_key(&exhausted.id), write).await? {
            Written::Now(head) => Ok(GivenUp::Ended {
                operation: Box::new(item::operation(&head)?),
                by_us: true,
            }),
            Written::Refused(old) => match outcome::met(old.as_ref(), now)? {
                Some(ended)
                    if ended.create_id == exhausted.create_id && ended.status().is_terminal() =>
                {
                    Ok(GivenUp::Ended {
                        operation: Box::new(ended),
                        by_us: false,
                    })
                }
                _ => Ok(GivenUp::MovedOn),
            },
        }
    }

    /// Ends an operation for its owner: one write, and one after it for metadata that would expire before it.
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
        // Without its claim in the record no holder can take this for its own write.
        write.remove(name::CLAIM_ID);
        let old = match self.update(item::head_key(id), write).await? {
            Written::Now(head) => {
                let operation = item::operation(&head)?;
                if operation.expires_at > submitted_until(&operation) {
                    // Cancelled more than a day late, when no worker was there. A crash before this, or
                    // an error, leaves the metadata to their expiry.
                    self.keep_payloads(&operation, operation.expires_at).await?;
                }
                return Ok(CancelOutcome::Cancelled {
                    operation: Box::new(operation),
                    by_us: true,
                });
            }
            Written::Refused(old) => old,
        };
        let Some(operation) = outcome::met(outcome::of_owner(old.as_ref(), owner), now)? else {
            return Ok(CancelOutcome::Absent);
        };
        Ok(match operation.status() {
            // A repeated cancel, or one whose answer was lost, succeeds.
            Status::Cancelled if preconditions.allow_repeated_cancel(&operation) => {
                CancelOutcome::Cancelled {
                    operation: Box::new(operation),
                    by_us: false,
                }
            }
            // Before any other refusal.
            _ if !preconditions.are_met_by(&operation) => CancelOutcome::OtherVersion,
            status if status.is_terminal() => CancelOutcome::Ended(Box::new(operation)),
            _ => CancelOutcome::OtherVersion,
        })
    }

    async fn finish(
        &self,
        held: &Held,
        step: Step,
        write: Expression,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        match self
            .update(item::head_key(&held.operation.id), write)
            .await?
        {
            Written::Now(now_there) => {
                Ok(Finished::Written(Box::new(item::operation(&now_there)?)))
            }
            Written::Refused(old) => Ok(outcome::finished(
                outcome::met(old.as_ref(), now)?,
                held,
                target(step),
            )),
        }
    }
}

/// What everything that a holder writes asks for: its own claim, at the version that it made.
fn fence(write: &mut Expression, held: &Held) {
    write.require(name::CLAIM_ID, text(held.claim_id.as_str()));
    write.require(name::LOCK_VERSION, number(held.operation.lock_version));
}
