use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::RequestId as _;

use super::item::Item;

/// The store could not be reached, or holds something that this code cannot read. Never a lost
/// race.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused the call or did not answer it. A write may or may not have been applied.
    #[error("{call} failed (AWS request {request_id})")]
    Unreachable {
        /// The call's name in DynamoDB's API.
        call: &'static str,
        /// AWS's id of the request; `-` when there was no response.
        request_id: String,
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// DynamoDB left keys of a batch unprocessed after all retries.
    #[error("BatchGetItem left keys unprocessed")]
    Throttled,
    /// The record was written by newer code. Releases overlap during upgrades and rollbacks, so a
    /// process that can read it will.
    #[error("operation {id} has the newer format {format}")]
    NewerFormat { id: String, format: u32 },
    /// The record is not one that this code writes.
    #[error("operation {id} is corrupt at {attribute}")]
    Corrupt {
        id: String,
        /// The attribute that is missing or malformed.
        attribute: &'static str,
    },
}

impl StoreError {
    pub(super) fn unreachable<E>(call: &'static str, error: SdkError<E>) -> Self
    where
        aws_sdk_dynamodb::Error: From<SdkError<E>>,
    {
        Self::of(call, error.into())
    }

    /// As [`StoreError::unreachable`], from an error of any call.
    pub(super) fn of(call: &'static str, error: aws_sdk_dynamodb::Error) -> Self {
        let request_id = error.request_id().unwrap_or("-").to_owned();
        Self::Unreachable {
            call,
            request_id,
            source: Box::new(error),
        }
    }

    /// The item that refused a conditional write; `None` when the write found no item. Any other
    /// failure is an error.
    pub(super) fn refusal<E>(call: &'static str, error: SdkError<E>) -> Result<Option<Item>, Self>
    where
        aws_sdk_dynamodb::Error: From<SdkError<E>>,
    {
        match aws_sdk_dynamodb::Error::from(error) {
            aws_sdk_dynamodb::Error::ConditionalCheckFailedException(refused) => Ok(refused.item),
            other => Err(Self::of(call, other)),
        }
    }
}
