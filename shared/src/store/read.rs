//! Reading an operation.
//!
//! Reads are strongly consistent: a caller never gets a 404 after a 202, or sees a state go backwards. One is not, and only decides whether to
//! make another that is.

use std::collections::HashMap;

use super::item::{self, Item, name, text};
use super::outcome::{self, Found};
use super::payload::{result_key, submitted_key, submitted_until};
use super::{Store, StoreError};
use crate::domain::id::{CreateId, OperationId};
use crate::domain::json::Json;
use crate::domain::operation::{Operation, Owner, Payload, State};
use crate::domain::time::Timestamp;

/// What is shown of an operation besides its head. The arguments are the worker's alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Payloads {
    /// What the caller sent along.
    pub metadata: Json,
    /// What the work returned, once it has completed.
    pub result: Option<Json>,
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
        outcome::met(head.as_ref(), now)
    }

    /// What is there of one incarnation of an operation: one read unit. For a message, which needs to
    /// know how its operation went.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    pub async fn find(
        &self,
        id: &OperationId,
        create_id: &CreateId,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        let head = self.get_item(item::head_key(id)).await?;
        outcome::found(head.as_ref(), create_id, now)
    }

    /// An operation's head for its owner: one read unit. Another owner's is as absent as none.
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
        outcome::met(outcome::of_owner(head.as_ref(), owner), now)
    }

    /// An owner's operation that an earlier submit may have made: half a read unit when there is none, since an eventually
    /// consistent read finds it nearly always, and one unit more to answer from a consistent read.
    ///
    /// `None` says nothing for sure: the create that follows has its condition.
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
        match outcome::met(outcome::of_owner(head.as_ref(), owner), now)? {
            Some(_) => self.get_for(id, owner, now).await,
            None => Ok(None),
        }
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

    /// The metadata and the result of an operation, each read if it is apart; `None` when they have gone with it since its head was
    /// read: it was erased, or has expired.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or they are not there although the operation is.
    pub async fn payloads(
        &self,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<Option<Payloads>, StoreError> {
        let read = futures_util::try_join!(self.metadata(operation, now), self.result(operation));
        match read {
            Ok((metadata, result)) => Ok(Some(Payloads { metadata, result })),
            Err(corrupt @ StoreError::Corrupt { .. }) => {
                let there = self.get(&operation.id, now).await?;
                match there.filter(|there| there.create_id == operation.create_id) {
                    Some(_) => Err(corrupt),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// An operation that ended more than a day late outlives metadata that are an item of their own:
    /// then there are none.
    async fn metadata(&self, operation: &Operation, now: Timestamp) -> Result<Json, StoreError> {
        let sk = submitted_key(name::METADATA, &operation.create_id);
        let metadata = self
            .payload(operation, &operation.metadata, name::METADATA, &sk)
            .await;
        match metadata {
            Err(StoreError::Corrupt { .. }) if submitted_until(operation) <= now => {
                tracing::error!("metadata have expired: no worker was there for more than a day");
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
        // No operation's name: theirs begin with `op_`.
        let nothing = HashMap::from([
            (name::PK.to_owned(), text("health")),
            (name::SK.to_owned(), text("health")),
        ]);
        self.get_item(nothing).await.map(|_| ())
    }

    pub(super) async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        self.get_item_at(key, true).await
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
