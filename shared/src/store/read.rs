//! Reading an operation.
//!
//! Reads are strongly consistent: a caller never gets a 404 after a 202, or sees a state go
//! backwards. The one exception decides only whether to make a consistent read.

use std::collections::HashMap;

use semver::Version;

use super::expression::Expression;
use super::item::{self, Item, name, text};
use super::outcome::{self, Lookup};
use super::payload::{result_key, state_key, submitted_expiry, submitted_key};
use super::{Store, StoreError};
use crate::domain::id::{CreateId, OperationId};
use crate::domain::json::Json;
use crate::domain::operation::{Operation, Owner, Payload, State};
use crate::domain::time::Timestamp;

/// What callers see of an operation besides its head.
#[derive(Debug, Clone, PartialEq)]
pub struct Payloads {
    /// `None` unless they were asked for.
    pub arguments: Option<Json>,
    pub metadata: Json,
    /// `None` until the operation has completed.
    pub result: Option<Json>,
}

/// The version of an operation's function.
///
/// # Errors
///
/// When it is not one that Ferry stores.
pub(crate) fn parsed_version(operation: &Operation) -> Result<Version, StoreError> {
    let version = Version::parse(&operation.function_version);
    version.map_err(|_| StoreError::Corrupt {
        id: operation.id.to_string(),
        attribute: name::FUNCTION_VERSION,
    })
}

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
        outcome::visible(head.as_ref(), now)
    }

    /// What the table has of one incarnation of an operation: one read unit. For the handler of a
    /// message, which needs to know what became of the message's operation.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    pub async fn find(
        &self,
        id: &OperationId,
        create_id: &CreateId,
        now: Timestamp,
    ) -> Result<Lookup, StoreError> {
        let head = self.get_item(item::head_key(id)).await?;
        outcome::lookup(head.as_ref(), create_id, now)
    }

    /// An operation's head for its owner: one read unit. Another owner's operation is absent.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    pub async fn get_for(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        let head = self.get_item(item::head_key(id)).await?;
        outcome::visible(outcome::owned_by(head.as_ref(), owner), now)
    }

    /// An owner's operation that an earlier submit may have created. It costs half a read unit when
    /// there is none, and one unit more to answer from a consistent read. The first read is
    /// eventually consistent, which nearly always finds the operation.
    ///
    /// `None` is not certain: the condition of the create that follows decides.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    pub async fn existing_for(
        &self,
        id: &OperationId,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        let head = self.get_item_at(item::head_key(id), false).await?;
        match outcome::visible(outcome::owned_by(head.as_ref(), owner), now)? {
            Some(_) => self.get_for(id, owner, now).await,
            None => Ok(None),
        }
    }

    /// The arguments of an operation: one more read when they are external.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the arguments are missing.
    pub async fn arguments(&self, operation: &Operation) -> Result<Json, StoreError> {
        let sk = submitted_key(name::ARGUMENTS, &operation.create_id);
        self.payload(operation, &operation.arguments, name::ARGUMENTS, &sk)
            .await
    }

    /// The state from which an operation continues: one more read when it is external. `None` when
    /// it begins at the start.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the state is missing. It never counts as none: the work
    /// would begin again.
    pub async fn saved_state(&self, operation: &Operation) -> Result<Option<Json>, StoreError> {
        let Some(saved) = &operation.saved_state else {
            return Ok(None);
        };
        let sk = state_key(&operation.create_id, saved);
        self.payload(operation, &saved.value, name::STATE, &sk)
            .await
            .map(Some)
    }

    /// The metadata and the result of an operation: one more read for each that is external. `None`
    /// when the operation was erased or has expired since its head was read, and its payloads are
    /// gone.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or a payload is missing although the operation exists.
    pub async fn payloads(
        &self,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<Option<Payloads>, StoreError> {
        let read = futures_util::try_join!(self.metadata(operation, now), self.result(operation));
        let payloads = read.map(|(metadata, result)| Payloads {
            arguments: None,
            metadata,
            result,
        });
        self.unless_gone(operation, payloads, now).await
    }

    /// [`Store::payloads`] with the arguments, which are one more read when they are external. An
    /// operation that ended more than a day late outlives external arguments, and is then shown
    /// without them.
    ///
    /// # Errors
    ///
    /// As [`Store::payloads`].
    pub async fn payloads_with_arguments(
        &self,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<Option<Payloads>, StoreError> {
        let arguments = async {
            match self.arguments(operation).await {
                Ok(arguments) => Ok(Some(arguments)),
                Err(StoreError::Corrupt { .. }) if submitted_expiry(operation) <= now => Ok(None),
                Err(error) => Err(error),
            }
        };
        let read = futures_util::try_join!(
            arguments,
            self.metadata(operation, now),
            self.result(operation)
        );
        let payloads = read.map(|(arguments, metadata, result)| Payloads {
            arguments,
            metadata,
            result,
        });
        self.unless_gone(operation, payloads, now).await
    }

    async fn unless_gone(
        &self,
        operation: &Operation,
        payloads: Result<Payloads, StoreError>,
        now: Timestamp,
    ) -> Result<Option<Payloads>, StoreError> {
        match payloads {
            Ok(payloads) => Ok(Some(payloads)),
            Err(corrupt @ StoreError::Corrupt { .. }) => {
                let current = self.get(&operation.id, now).await?;
                match current.filter(|current| current.create_id == operation.create_id) {
                    Some(_) => Err(corrupt),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// An operation that ended more than a day late outlives its external metadata, which is then
    /// shown as empty.
    async fn metadata(&self, operation: &Operation, now: Timestamp) -> Result<Json, StoreError> {
        let sk = submitted_key(name::METADATA, &operation.create_id);
        let metadata = self
            .payload(operation, &operation.metadata, name::METADATA, &sk)
            .await;
        match metadata {
            Err(StoreError::Corrupt { .. }) if submitted_expiry(operation) <= now => {
                tracing::error!(
                    "metadata expired before its operation and is shown as empty: no worker was \
                     running for more than a day"
                );
                Ok(Json::empty_object())
            }
            metadata => metadata,
        }
    }

    async fn result(&self, operation: &Operation) -> Result<Option<Json>, StoreError> {
        let State::Completed { result, .. } = &operation.state else {
            return Ok(None);
        };
        let sk = result_key(&operation.create_id, operation.attempt);
        self.payload(operation, result, name::RESULT, &sk)
            .await
            .map(Some)
    }

    async fn payload(
        &self,
        operation: &Operation,
        payload: &Payload,
        attribute: &'static str,
        sk: &str,
    ) -> Result<Json, StoreError> {
        if let Payload::Inline(json) = payload {
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

    /// Checks that the table answers: one read of an item that does not exist.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn check_reachable(&self) -> Result<(), StoreError> {
        // Not an operation's id: those begin with `op_`.
        let absent = HashMap::from([
            (name::PK.to_owned(), text("health")),
            (name::SK.to_owned(), text("health")),
        ]);
        self.get_item(absent).await.map(|_| ())
    }

    pub(super) async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        self.get_item_at(key, true).await
    }

    /// One page of the items under an id, with the named attributes, or all if none is named; and
    /// the key after which the next page begins.
    pub(super) async fn query_items(
        &self,
        id: &OperationId,
        attributes: &[&str],
        from: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let mut query = Expression::default();
        query.require(name::PK, text(id.as_str()));
        let projection: Vec<_> = attributes
            .iter()
            .map(|attribute| query.name(attribute))
            .collect();
        let projection = (!projection.is_empty()).then(|| projection.join(", "));
        let query = query.render();
        let sent = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(query.condition)
            .set_projection_expression(projection)
            .set_expression_attribute_names(Some(query.names))
            .set_expression_attribute_values(Some(query.values))
            .set_exclusive_start_key(from)
            .consistent_read(true)
            .send();
        let page = Box::pin(sent)
            .await
            .map_err(|error| StoreError::unreachable("Query", error))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    async fn get_item_at(&self, key: Item, consistent: bool) -> Result<Option<Item>, StoreError> {
        let sent = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(consistent)
            .send();
        let read = Box::pin(sent)
            .await
            .map_err(|error| StoreError::unreachable("GetItem", error))?;
        Ok(read.item)
    }
}
