//! Why a request failed.

use super::problem::Problem;
use crate::operations;
use crate::queue::QueueError;
use crate::request::ErrorCode;
use crate::store::StoreError;
use crate::telemetry::chain;

#[derive(Debug)]
pub enum RequestError {
    /// Ferry refuses the request.
    Refused(Problem),
    /// Ferry cannot serve the request.
    Failed(operations::Error),
}

impl RequestError {
    /// The problem to respond with. Logs a failure with its causes: this is the edge.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => problem,
            Self::Failed(error) => {
                match &error {
                    // A repeated erase continues, so this needs no operator.
                    operations::Error::EraseTooLong => {
                        tracing::warn!("request failed: {}", chain(&error));
                    }
                    error => tracing::error!("request failed: {}", chain(error)),
                }
                match error.code() {
                    ErrorCode::Unavailable => Problem::unavailable(),
                    code => Problem::new(code, "the operation cannot be read"),
                }
            }
        }
    }
}

impl From<Problem> for RequestError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<operations::Error> for RequestError {
    fn from(error: operations::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<QueueError> for RequestError {
    fn from(error: QueueError) -> Self {
        Self::Failed(error.into())
    }
}
