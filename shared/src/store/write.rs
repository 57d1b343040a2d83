//! One conditional update, and the item that refused it.
//!
//! Futures of SDK calls are boxed, here and on every path of an ordinary invocation: they take 6 KB
//! each, and every future around one would hold and copy it.

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::expression::Expression;
use super::item::Item;
use super::{Store, StoreError};

pub(super) enum UpdateOutcome {
    /// The item after the update.
    Applied(Item),
    /// The condition failed: the item as it is, if it exists.
    Refused(Option<Item>),
}

impl Store {
    /// Sends an update. The response holds the item in either case, which costs no capacity.
    pub(super) async fn update(
        &self,
        key: Item,
        write: Expression,
    ) -> Result<UpdateOutcome, StoreError> {
        let write = write.render();
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .condition_expression(write.condition)
            .set_update_expression(write.update)
            .set_expression_attribute_names(Some(write.names))
            .set_expression_attribute_values(Some(write.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send();
        match Box::pin(sent).await {
            Ok(output) => Ok(UpdateOutcome::Applied(
                output.attributes.unwrap_or_default(),
            )),
            Err(error) => StoreError::refusal("UpdateItem", error).map(UpdateOutcome::Refused),
        }
    }
}
