//! SQS's errors, and their names on the wire.
//!
//! An SDK recognises its typed errors by the code in the header `x-amzn-query-error`, the name in
//! the older Query protocol, and falls back to the shape in the body's `__type`. With a wrong name
//! here, a typed error becomes an unhandled one. Source of the names: "Errors" of each action in
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>.

/// A refused request, or a refused entry of a batch. Each is the sender's fault: no action can fail
/// for another reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqsError {
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    #[error("A queue named {0} already exists with a different value for an attribute.")]
    QueueNameExists(String),
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    #[error("Invalid value for the parameter {0}.")]
    InvalidAttributeValue(&'static str),
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(&'static str),
    #[error("Value {value} for parameter {parameter} is invalid. Reason: {reason}.")]
    InvalidParameterValue {
        parameter: &'static str,
        value: String,
        reason: String,
    },
    #[error("One or more parameters are invalid. Reason: Message must be shorter than {0} bytes.")]
    MessageTooLong(u32),
    #[error("The message attribute '{name}' is invalid. Reason: {reason}.")]
    InvalidMessageAttribute { name: String, reason: &'static str },
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to \
         #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF."
    )]
    InvalidMessageContents,
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    #[error("The message referred to isn't in flight.")]
    MessageNotInflight,
    #[error(
        "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
         available for visibility timeout change."
    )]
    MessageDoesNotExist,
    #[error("The batch request doesn't contain any entries.")]
    EmptyBatchRequest,
    #[error("Maximum number of entries per request are {limit}. You have sent {sent}.")]
    TooManyEntriesInBatchRequest { limit: usize, sent: usize },
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It \
         can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    #[error("Batch requests cannot be longer than {limit} bytes. You have sent {sent} bytes.")]
    BatchRequestTooLong { limit: usize, sent: usize },
    #[error("The action {0} is not supported.")]
    UnsupportedOperation(String),
    #[error("The request is malformed: {0}.")]
    Serialization(#[from] serde_json::Error),
}

impl SqsError {
    /// The name in the JSON protocol, for `__type`.
    pub(super) fn shape(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "QueueDoesNotExist",
            Self::QueueNameExists(_) => "QueueNameExists",
            Self::InvalidAttributeName(_) => "InvalidAttributeName",
            Self::InvalidAttributeValue(_) => "InvalidAttributeValue",
            Self::MissingParameter(_) => "MissingParameter",
            Self::InvalidParameterValue { .. }
            | Self::MessageTooLong(_)
            | Self::InvalidMessageAttribute { .. }
            | Self::MessageDoesNotExist => "InvalidParameterValue",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::MessageNotInflight => "MessageNotInflight",
            Self::EmptyBatchRequest => "EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest { .. } => "TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct(_) => "BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "InvalidBatchEntryId",
            Self::BatchRequestTooLong { .. } => "BatchRequestTooLong",
            Self::UnsupportedOperation(_) => "UnsupportedOperation",
            Self::Serialization(_) => "SerializationException",
        }
    }

    /// The name in the Query protocol, for `x-amzn-query-error` and for failed entries of a batch.
    pub(super) fn code(&self) -> String {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            Self::QueueNameExists(_) => "QueueAlreadyExists".to_owned(),
            Self::MessageNotInflight
            | Self::EmptyBatchRequest
            | Self::TooManyEntriesInBatchRequest { .. }
            | Self::BatchEntryIdsNotDistinct(_)
            | Self::InvalidBatchEntryId
            | Self::BatchRequestTooLong { .. }
            | Self::UnsupportedOperation(_) => {
                format!("AWS.SimpleQueueService.{}", self.shape())
            }
            _ => self.shape().to_owned(),
        }
    }

    pub(super) fn out_of_range(
        parameter: &'static str,
        value: i64,
        range: &std::ops::RangeInclusive<u32>,
    ) -> Self {
        Self::InvalidParameterValue {
            parameter,
            value: value.to_string(),
            reason: format!(
                "Must be between {} and {}, if provided",
                range.start(),
                range.end()
            ),
        }
    }
}
