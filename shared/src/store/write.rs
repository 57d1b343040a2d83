//! One conditional update, and what refused it.
//!
//! Calls of the SDK's are put on the heap, here and wherever ordinary invocations make them: their futures are 6 KB each, which every
//! future around one would hold and copy.

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::expression::Expression;
use super::item::Item;
use super::{Store, StoreError};

/// What an update left behind.
pub(super) enum Written {
    /// It was applied; the item as it is now.
    Now(Item),
    /// Its condition failed; the item as it was, if there is one.
    Refused(Option<Item>),
}

impl Store {
    /// Sends an update. Its answer holds the item either way, which costs no capacity.
    pub(super) async fn update(&self, key: Item, write: Expression) -> Result<Written, StoreError> {
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
            Ok(output) => Ok(Written::Now(output.attributes.unwrap_or_default())),
            Err(error) => StoreError::refusal("UpdateItem", error).map(Written::Refused),
        }
    }
}
