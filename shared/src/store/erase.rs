//! Erasing an operation with all its items.
//!
//! Three steps, so that a crash between any two leaves something that a repeated erase can finish: the head is marked and from
//! then on expired, so that nobody sees it; then the payload items go; then the head. What nobody finishes is deleted by its
//! own expiry.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::Expression;
use super::item::{self, Item, name, number, text};
use super::outcome::{self, Erased};
use super::payload::{result_key, submitted_key};
use super::write::Written;
use super::{Store, StoreError};
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner, Payload};
use crate::domain::time::Timestamp;

impl Store {
    /// Deletes an operation that has ended, with all its items: a write and a delete for the head, and a delete for each
    /// payload item that there may be.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. Nobody may see the operation then, or it is as it was;
    /// to be called again.
    pub async fn erase(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Erased, StoreError> {
        let marked = match self.mark_erased(id, owner, now).await? {
            Ok(marked) => marked,
            Err(erased) => return Ok(erased),
        };
        self.delete_payloads(&marked).await?;
        self.delete_head(&marked).await?;
        Ok(Erased::Erased)
    }

    /// The operation, marked by this call or by one that died; otherwise what keeps it from being erased.
    async fn mark_erased(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Result<Operation, Erased>, StoreError> {
        let mut write = Expression::on_record(now);
        write.require_ended();
        write.require(name::OWNER, text(owner.as_str()));
        write.set(name::ERASED, AttributeValue::Bool(true));
        write.set(name::EXPIRES_AT, number(now.as_secs()));
        let old = match self.update(item::head_key(id), write).await? {
            Written::Now(marked) => return item::operation(&marked).map(Ok),
            Written::Refused(old) => old,
        };
        let old = outcome::of_owner(old.as_ref(), owner);
        if let Some(marked) = old.filter(|old| old.contains_key(name::ERASED)) {
            // By a call that died, or by this one, its answer lost.
            return item::operation(marked).map(Ok);
        }
        Ok(Err(match outcome::met(old, now)? {
            Some(_) => Erased::Live,
            None => Erased::Absent,
        }))
    }

    /// The keys hold the incarnation, so an operation created meanwhile under the same name keeps its own.
    async fn delete_payloads(&self, erased: &Operation) -> Result<(), StoreError> {
        let create_id = &erased.create_id;
        let submitted = [
            (name::ARGUMENTS, &erased.arguments),
            (name::METADATA, &erased.metadata),
        ]
        .into_iter()
        .filter(|(_, payload)| **payload == Payload::Apart)
        .map(|(name, _)| submitted_key(name, create_id));
        // An attempt that was cut short may have written a result that no head came to name.
        let results = (1..=erased.attempt).map(|attempt| result_key(create_id, attempt));
        let deletes = submitted.chain(results).map(|sk| {
            let key: Item = item::key(&erased.id, &sk);
            self.client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(key))
                .send()
        });
        futures_util::future::try_join_all(deletes)
            .await
            .map_err(|error| StoreError::unreachable("DeleteItem", error))?;
        Ok(())
    }

    /// Unless a new incarnation has taken its place: an expired record may be created over.
    async fn delete_head(&self, erased: &Operation) -> Result<(), StoreError> {
        let mut condition = Expression::default();
        condition.require(name::CREATE_ID, text(erased.create_id.as_str()));
        let condition = condition.render();
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::head_key(&erased.id)))
            .condition_expression(condition.condition)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .send()
            .await;
        if let Err(error) = deleted {
            StoreError::refusal("DeleteItem", error)?;
        }
        Ok(())
    }
}
