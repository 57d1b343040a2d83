//! Erasing an operation with all its items, but for a mark.
//!
//! Three steps, so that a crash between any two leaves something that a repeated erase can finish: the head is marked, and from
//! then on nobody sees it; then the payload items go; then the head, down to the bare mark. What nobody finishes is deleted by
//! its own expiry, and so is the mark.
//!
//! The one write of the store with a read before it, since it must name the incarnation that it means. A mark without a name, made
//! again because its answer was lost, could erase a second operation that was created over the first meanwhile, or find that one
//! live and say so, although it had erased.
//!
//! Without a mark a create whose answer was lost, and that the SDK makes again, would bring the operation back when all its
//! messages are gone, pending for ever: see [`Expression::creating`].
//!
//! Payload items of other submits under the same key go as well: a submit that crashed, or that was
//! refused, may have left copies of the arguments. A submit that began after the mark keeps its own,
//! which its create may be about to name; one that began before it is refused by the mark.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::TryStreamExt as _;

use super::expression::Expression;
use super::item::{self, Item, name, text, time};
use super::outcome::{self, EraseOutcome};
use super::write::Written;
use super::{Store, StoreError};
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner};
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;

/// Deletes that an erase has under way at once.
const DELETES_AT_ONCE: usize = 25;

impl Store {
    /// Deletes an operation that has ended, with all items under its id: a read, two writes for the head, a query of the items, and
    /// a delete for each payload item. A mark is left that holds its id, its [`CreateId`](crate::domain::id::CreateId) and when it
    /// was erased, until DynamoDB deletes that by its expiry.
    ///
    /// Safe to drop at any time: a repeated call goes on where this one was.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. Nobody may see the operation then, or it is as it was;
    /// to be called again.
    pub async fn erase(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<EraseOutcome, StoreError> {
        match self.head_for(id, owner).await? {
            // Marked by a call that died, or still to be seen.
            Some(head) if item::is_erased(&head) || item::expires_at(&head)? > now => {
                self.erase_head(&head, preconditions, now).await
            }
            Some(_) | None => Ok(EraseOutcome::Absent),
        }
    }

    /// [`Store::erase`], of what has expired as well: nobody sees that any more, but it is there until DynamoDB deletes it.
    ///
    /// # Errors
    ///
    /// As [`Store::erase`].
    pub async fn forget(
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

    /// A bare mark has no owner: for the second erase it is as absent as for all others.
    async fn head_for(&self, id: &OperationId, owner: &Owner) -> Result<Option<Item>, StoreError> {
        let head = self.get_item(item::head_key(id)).await?;
        Ok(outcome::of_owner(head.as_ref(), owner).cloned())
    }

    async fn erase_head(
        &self,
        head: &Item,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<EraseOutcome, StoreError> {
        let operation = item::operation(head)?;
        // What has ended keeps its version, so it need not be asked for again with the mark.
        if !preconditions.are_met_by(&operation) {
            return Ok(EraseOutcome::OtherVersion);
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
            self.leave_mark(&marked, &operation).await?;
        }
        Ok(EraseOutcome::Erased)
    }

    /// The head of an operation that was read, marked by this call or by another; `None` when it is gone: another erase came to its
    /// end, and perhaps a new incarnation took its place.
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
            Written::Now(marked) => return Ok(Some(marked)),
            Written::Refused(old) => old,
        };
        let ours = outcome::of_owner(old.as_ref(), &read.owner)
            .filter(|old| old.get(name::CREATE_ID) == Some(&text(read.create_id.as_str())));
        match ours {
            // What has ended and is there stays so, unless code that is newer than this has rewritten it.
            Some(unmarked) if !item::is_erased(unmarked) => {
                Err(item::operation(unmarked).err().unwrap_or_else(|| {
                    let (id, attribute) = (read.id.to_string(), name::STATUS);
                    StoreError::Corrupt { id, attribute }
                }))
            }
            // By another call, or by this one, its answer lost.
            marked => Ok(marked.cloned()),
        }
    }

    /// Every item under the id but the head, and but those of submits that began after the mark.
    /// Without a mark a successor has taken its place, and only the incarnation's own items go.
    async fn delete_items(
        &self,
        erased: &Operation,
        marked: Option<&Item>,
    ) -> Result<(), StoreError> {
        let erased_at = marked.and_then(|marked| item::number_of(marked, name::ERASED_AT));
        let goes = |stored: &Item, sk: &str| {
            let is_own = sk.split('#').nth(1) == Some(erased.create_id.as_str());
            let created_at: Option<i64> = item::number_of(stored, name::CREATED_AT);
            // Items without a time are of releases before 0.1.1, whose submits are over soon after it
            // is deployed. One that is under way meanwhile, under a key that is just erased, may lose
            // its arguments; its operation fails, and is to be submitted again.
            let is_earlier = erased_at.is_some_and(|erased_at: i64| {
                created_at.is_none_or(|created_at| created_at < erased_at)
            });
            sk != item::HEAD && (is_own || is_earlier)
        };
        let mut from = None;
        loop {
            let mut query = Expression::default();
            query.require(name::PK, text(erased.id.as_str()));
            let projection = [name::SK, name::CREATED_AT].map(|attribute| query.name(attribute));
            let query = query.render();
            let sent = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression(query.condition)
                .projection_expression(projection.join(", "))
                .set_expression_attribute_names(Some(query.names))
                .set_expression_attribute_values(Some(query.values))
                .set_exclusive_start_key(from)
                .consistent_read(true)
                .send();
            let page = Box::pin(sent)
                .await
                .map_err(|error| StoreError::unreachable("Query", error))?;
            let mut deletes = Vec::new();
            for stored in page.items.unwrap_or_default() {
                match stored.get(name::SK) {
                    Some(AttributeValue::S(sk)) if goes(&stored, sk) => {
                        deletes.push(Ok(self.delete(item::key(&erased.id, sk))));
                    }
                    _ => {}
                }
            }
            futures_util::stream::iter(deletes)
                .try_buffer_unordered(DELETES_AT_ONCE)
                .try_collect::<()>()
                .await?;
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Of the head, unless a new incarnation has taken its place, for an erased record may be created over. Nobody else writes to a
    /// marked head, so what is there is what was marked, or the mark already.
    async fn leave_mark(&self, marked: &Item, erased: &Operation) -> Result<(), StoreError> {
        let mut write = Expression::default();
        write.require(name::CREATE_ID, text(erased.create_id.as_str()));
        for attribute in item::beside_mark(marked) {
            write.remove(attribute);
        }
        self.update(item::head_key(&erased.id), write).await?;
        Ok(())
    }
}
