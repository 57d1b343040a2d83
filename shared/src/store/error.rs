//! Why the store could not say what happened.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::RequestId as _;

use super::item::Item;

/// The store could not be reached, or holds something that this code cannot read. Never a lost race.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused the call or did not answer it. Whether a write was applied is not known.
    #[error("{call} failed (AWS request {request_id})")]
    Unreachable {
        /// The call's name in DynamoDB's API.
        call: &'static str,
        /// AWS's id of the request, `-` when there was no answer.
        request_id: String,
        /// What went wrong.
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// DynamoDB left keys of a batch unread, however often it was asked.
    #[error("BatchGetItem left keys unprocessed")]
    Throttled,
    /// The record was written by newer code. Upgrades and rollbacks overlap, so whoever can read it will.
    #[error("operation {id} has the newer format {format}")]
    NewerFormat {
        /// The operation.
        id: String,
        /// Its format.
        format: u32,
    },
    /// The record is not what this code would have written.
    #[error("operation {id} is corrupt at {attribute}")]
    Corrupt {
        /// The operation.
        id: String,
        /// The attribute that is missing or malformed.
        attribute: &'static str,
    },
}

impl StoreError {
    /// Wraps what the SDK says of a failed call.
    pub(super) fn unreachable<E>(call: &'static str, error: SdkError<E>) -> Self
    where
        aws_sdk_dynamodb::Error: From<SdkError<E>>,
    {
        Self::of(call, error.into())
    }

    /// [`StoreError::unreachable`] for an error of any call.
    pub(super) fn of(call: &'static str, error: aws_sdk_dynamodb::Error) -> Self {
        let request_id = error.request_id().unwrap_or("-").to_owned();
        Self::Unreachable {
            call,
            request_id,
            source: Box::new(error),
        }
    }

    /// The item that refused a conditional write, if it was that; any other failure is an error.
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
