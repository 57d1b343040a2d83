//! All operations in the table, for the operator's tool.
//!
//! A scan reads the whole table and is billed for all of it, so no function makes one: the
//! functions find what they need by its key.

use super::expression::Expression;
use super::item::{self, Item};
use super::{Store, StoreError};
use crate::domain::operation::Operation;
use crate::domain::time::Timestamp;

/// A position in a scan. Opaque to callers.
#[derive(Debug, Clone)]
pub struct ScanPosition(Item);

#[derive(Debug)]
pub struct ScanPage {
    /// Items that were read and billed, payload items included.
    pub examined: usize,
    /// The operations among them that have neither expired nor been erased, without external
    /// payloads. A record that cannot be read is an error in its place.
    pub operations: Vec<Result<Operation, StoreError>>,
    /// Where the scan continues; `None` at its end.
    pub next: Option<ScanPosition>,
}

impl Store {
    /// The operations among up to `items_max` items, starting at `from`: one request, of up to 1 MB
    /// (`Scan` in the Amazon DynamoDB API Reference). An operation that is created during the scan
    /// may be missed; every other is read as it is when its page is read.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn scan_operations(
        &self,
        items_max: u32,
        from: Option<ScanPosition>,
        now: Timestamp,
    ) -> Result<ScanPage, StoreError> {
        let filter = Expression::visible_heads(now).render();
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(filter.condition)
            .set_expression_attribute_names(Some(filter.names))
            .set_expression_attribute_values(Some(filter.values))
            .set_exclusive_start_key(from.map(|ScanPosition(key)| key))
            .limit(i32::try_from(items_max).unwrap_or(i32::MAX))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::unreachable("Scan", error))?;
        let heads = page.items.unwrap_or_default();
        Ok(ScanPage {
            examined: usize::try_from(page.scanned_count).unwrap_or_default(),
            operations: heads.iter().map(item::operation).collect(),
            next: page.last_evaluated_key.map(ScanPosition),
        })
    }
}
