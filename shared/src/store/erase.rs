//! Erasing an operation with all its items. Only a tombstone is left.
//!
//! An erase takes three steps, so that a repeated erase can finish after a crash between any two of
//! them: it marks the head as erased, and from then on the operation is absent to every caller; it
//! deletes the payload items; it reduces the head to the tombstone. If no erase finishes, DynamoDB
//! deletes the items by TTL, and the tombstone as well.
//!
//! An erase reads before it writes, because its mark must name the incarnation that it means.
//! Suppose the mark named none, and the SDK retried it after a lost response. It could erase a
//! second operation that was created over the first meanwhile, or find that one live and report so,
//! although the first was erased.
//!
//! Without a tombstone, a create whose response was lost, and which the SDK retries, would bring
//! the operation back after all its messages are gone. It would stay pending for ever: see
//! [`Expression::creating`].
//!
//! Payload items of other submits under the same key are deleted as well: a submit that crashed or
//! was refused may have left copies of the arguments. A submit that began after the mark keeps its
//! own items, since its create may be about to name them. The mark refuses the create of a submit
//! that began before it.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::TryStreamExt as _;

use super::expression::Expression;
use super::item::{self, Item, name, text, time};
use super::outcome::{self, EraseOutcome};
use super::write::UpdateOutcome;
use super::{Store, StoreError};
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner};
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;

/// Deletes that one erase has in flight at once.
const DELETES_AT_ONCE: usize = 25;

impl Store {
    /// Deletes an operation that has ended, with all items under its id: a read, two writes for the
    /// head, a query of the items, and a delete for each payload item. It leaves a tombstone with
    /// the operation's id, its [`CreateId`](crate::domain::id::CreateId) and the time of the erase,
    /// which DynamoDB's TTL deletes.
    ///
    /// Safe to drop at any time: a repeated call continues where this one stopped.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. The operation may or may not
    /// be absent to callers by then. Call again to finish.
    pub async fn erase(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<EraseOutcome, StoreError> {
        match self.head_for(id, owner).await? {
            // Marked by a call that crashed, or still visible.
            Some(head) if item::is_erased(&head) || item::expires_at(&head)? > now => {
                self.erase_head(&head, preconditions, now).await
            }
            Some(_) | None => Ok(EraseOutcome::Absent),
        }
    }

    /// As [`Store::erase`], but also erases an expired operation, which no caller can see but
    /// DynamoDB has not deleted yet.
    ///
    /// # Errors
    ///
    /// As [`Store::erase`].
    pub async fn erase_including_expired(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<EraseOutcome, StoreError> {
        match self.head_for(id, owner).await? {
            Some(head) => self.erase_head(&head, &Preconditions::NONE, now).await,
            None => Ok(EraseOutcome::Absent),
        }
    }

    /// A tombstone has no owner, so a second erase finds the operation absent, as every caller
    /// does.
    async fn head_for(&self, id: &OperationId, owner: &Owner) -> Result<Option<Item>, StoreError> {
        let head = self.get_item(item::head_key(id)).await?;
        Ok(outcome::owned_by(head.as_ref(), owner).cloned())
    }

    async fn erase_head(
        &self,
        head: &Item,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<EraseOutcome, StoreError> {
        let operation = item::operation(head)?;
        // An operation that has ended keeps its version, so the write of the mark need not check it
        // again.
        if !preconditions.are_met_by(&operation) {
            return Ok(EraseOutcome::PreconditionFailed);
        }
        let marked = if item::is_erased(head) {
            Some(head.clone())
        } else {
            if !operation.status().is_terminal() && operation.expires_at > now {
                return Ok(EraseOutcome::Live);
            }
            self.mark_erased(&operation, now).await?
        };
        self.delete_items(&operation, marked.as_ref()).await?;
        if let Some(marked) = marked {
            self.leave_tombstone(&marked, &operation).await?;
        }
        Ok(EraseOutcome::Erased)
    }

    /// Marks the head of an operation that was read. Returns the head as marked, by this call or by
    /// another; `None` when it is gone: another erase has finished, and perhaps a new incarnation
    /// has taken its place.
    async fn mark_erased(
        &self,
        read: &Operation,
        now: Timestamp,
    ) -> Result<Option<Item>, StoreError> {
        let mut write = if read.expires_at > now {
            let mut write = Expression::on_record(now);
            write.require_ended();
            write
        } else {
            Expression::on_expired(read.expires_at)
        };
        write.require(name::CREATE_ID, text(read.create_id.as_str()));
        write.set(name::ERASED_AT, time(now));
        write.set(name::DELETE_AT, item::delete_at(now));
        let old = match self.update(item::head_key(&read.id), write).await? {
            UpdateOutcome::Applied(marked) => return Ok(Some(marked)),
            UpdateOutcome::Refused(old) => old,
        };
        let head = outcome::owned_by(old.as_ref(), &read.owner)
            .filter(|old| outcome::has_create_id(old, &read.create_id));
        match head {
            // An operation that has ended does not change, unless newer code has rewritten its
            // record.
            Some(unmarked) if !item::is_erased(unmarked) => {
                Err(item::operation(unmarked).err().unwrap_or_else(|| {
                    let (id, attribute) = (read.id.to_string(), name::STATUS);
                    StoreError::Corrupt { id, attribute }
                }))
            }
            // Marked by another call, or by an earlier try of this one whose response was lost.
            marked => Ok(marked.cloned()),
        }
    }

    /// Deletes every item under the id, except the head and the items of submits that began after
    /// the mark. Without a mark another incarnation has taken the operation's place: then only the
    /// erased incarnation's own items are deleted.
    async fn delete_items(
        &self,
        erased: &Operation,
        marked: Option<&Item>,
    ) -> Result<(), StoreError> {
        let erased_at = marked.and_then(|marked| item::number_of(marked, name::ERASED_AT));
        let is_deleted = |stored: &Item, sk: &str| {
            let is_own = sk.split('#').nth(1) == Some(erased.create_id.as_str());
            let created_at: Option<i64> = item::number_of(stored, name::CREATED_AT);
            // Releases before 0.1.1 wrote items without a time. Their submits end soon after this
            // release is deployed. If one is in progress meanwhile under a key that is just being
            // erased, it may lose its arguments: its operation fails and has to be submitted again.
            let is_earlier = erased_at.is_some_and(|erased_at: i64| {
                created_at.is_none_or(|created_at| created_at < erased_at)
            });
            sk != item::HEAD && (is_own || is_earlier)
        };
        let mut from = None;
        loop {
            let attributes = [name::SK, name::CREATED_AT];
            let (items, next) = self.query_items(&erased.id, &attributes, from).await?;
            let mut deletes = Vec::new();
            for stored in items {
                match stored.get(name::SK) {
                    Some(AttributeValue::S(sk)) if is_deleted(&stored, sk) => {
                        deletes.push(Ok(self.delete(item::key(&erased.id, sk))));
                    }
                    _ => {}
                }
            }
            futures_util::stream::iter(deletes)
                .try_buffer_unordered(DELETES_AT_ONCE)
                .try_collect::<()>()
                .await?;
            from = next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Reduces the head to the tombstone, unless a new incarnation has taken its place: a create
    /// may replace an erased record. No other write touches a marked head, so the head is as it was
    /// marked, or is the tombstone already.
    async fn leave_tombstone(&self, marked: &Item, erased: &Operation) -> Result<(), StoreError> {
        let mut write = Expression::default();
        write.require(name::CREATE_ID, text(erased.create_id.as_str()));
        for attribute in item::attributes_to_erase(marked) {
            write.remove(attribute);
        }
        self.update(item::head_key(&erased.id), write).await?;
        Ok(())
    }
}
