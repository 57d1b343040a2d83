//! Reading an operation, and erasing one.
//!
//! Reads are strongly consistent: nobody sees a 404 after a 202, or a state go backwards.

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::expression::Expression;
use super::item::{self, Item, name, text};
use super::outcome::{self, Erased};
use super::payload::{result_key, submitted_key};
use super::{Store, StoreError};
use crate::domain::id::OperationId;
use crate::domain::json::Json;
use crate::domain::operation::{Operation, Owner, Payload, State};
use crate::domain::time::Timestamp;

impl Store {
    /// An operation's head: one read unit, whatever the size of its arguments and result.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn get(
        &self,
        id: &OperationId,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        let head = self.get_item(item::head_key(id)).await?;
        outcome::met(head.as_ref(), now)
    }

    /// The arguments of an operation, read if they are apart.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or they are not there.
    pub async fn arguments(&self, operation: &Operation) -> Result<Json, StoreError> {
        let sk = submitted_key(name::ARGUMENTS, &operation.create_id);
        self.payload(operation, &operation.arguments, name::ARGUMENTS, &sk)
            .await
    }

    /// The metadata of an operation, read if it is apart.
    ///
    /// # Errors
    ///
    /// As [`Store::arguments`].
    pub async fn metadata(&self, operation: &Operation) -> Result<Json, StoreError> {
        let sk = submitted_key(name::METADATA, &operation.create_id);
        self.payload(operation, &operation.metadata, name::METADATA, &sk)
            .await
    }

    /// The result of an operation that has one, read if it is apart.
    ///
    /// # Errors
    ///
    /// As [`Store::arguments`].
    pub async fn result(&self, operation: &Operation) -> Result<Option<Json>, StoreError> {
        let State::Completed { result, .. } = &operation.state else {
            return Ok(None);
        };
        let sk = result_key(&operation.create_id, operation.attempt);
        self.payload(operation, result, name::RESULT, &sk)
            .await
            .map(Some)
    }

    /// Deletes an operation that has ended with all its items: one write for the head, and one for each payload item that it
    /// can have.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read. Payload items may then be left over: nothing names
    /// them, nobody can reach them, and their own expiry deletes them.
    pub async fn erase(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Erased, StoreError> {
        let mut condition = Expression::on_record(now);
        condition.require_ended();
        condition.require(name::OWNER, text(owner.as_str()));
        let condition = condition.render();
        // The head first: without it the rest does not exist. The other order could leave a head that names what is gone.
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::head_key(id)))
            .condition_expression(condition.condition)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match deleted {
            Ok(head) => {
                self.delete_payloads(&item::operation(&head.attributes.unwrap_or_default())?)
                    .await?;
                Ok(Erased::Erased)
            }
            Err(error) => {
                let old = StoreError::refusal("DeleteItem", error)?;
                let met = outcome::met(old.as_ref(), now)?;
                Ok(match met.filter(|operation| operation.owner == *owner) {
                    Some(_) => Erased::Live,
                    None => Erased::Absent,
                })
            }
        }
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
            let key = item::key(&erased.id, &sk);
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

    async fn payload(
        &self,
        operation: &Operation,
        payload: &Payload,
        attribute: &'static str,
        sk: &str,
    ) -> Result<Json, StoreError> {
        if let Payload::Here(json) = payload {
            return Ok(json.clone());
        }
        let stored = self.get_item(item::key(&operation.id, sk)).await?;
        stored
            .as_ref()
            .and_then(|stored| stored.get(name::BODY))
            .and_then(super::payload::decode_text)
            .ok_or_else(|| StoreError::Corrupt {
                id: operation.id.to_string(),
                attribute,
            })
    }

    async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::unreachable("GetItem", error))?;
        Ok(read.item)
    }
}
