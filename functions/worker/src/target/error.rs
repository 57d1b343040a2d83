//! What a failed invocation means for the attempt: whether the target began, and whether another
//! attempt may succeed.

use std::time::Duration;

use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::invoke::InvokeError;
use shared::catalogue::Target;
use shared::telemetry::chain;

use super::connector::was_not_sent;
use crate::work::WorkError;

/// Why an invocation has no response of the target's.
#[derive(Debug)]
pub(super) enum InvokeFailure {
    /// The target did not begin, so the same attempt may send the request again.
    NotBegun {
        error: WorkError,
        retry_after: Option<Duration>,
    },
    /// The attempt has ended: the target may have begun, or will not.
    Ended(WorkError),
}

impl InvokeFailure {
    const fn not_begun(error: WorkError) -> Self {
        Self::NotBegun {
            error,
            retry_after: None,
        }
    }

    pub(super) fn into_error(self) -> WorkError {
        match self {
            Self::NotBegun { error, .. } | Self::Ended(error) => error,
        }
    }
}

/// The target cannot be invoked until a permission, a function or a key changes.
pub(super) fn unavailable() -> WorkError {
    WorkError::retryable("TARGET_UNAVAILABLE", "the target cannot be invoked")
}

/// By the codes of the AWS Lambda API Reference, "Invoke".
pub(super) fn of_invoke(target: &Target, error: &SdkError<InvokeError>) -> InvokeFailure {
    match error {
        SdkError::ServiceError(refused) => {
            of_service(target, refused.err(), refused.raw().status().as_u16())
        }
        SdkError::DispatchFailure(failure)
            if failure.as_connector_error().is_some_and(was_not_sent) =>
        {
            tracing::warn!(
                target = %target.function,
                "the target could not be reached: {}",
                chain(error)
            );
            let message = "the target could not be reached";
            InvokeFailure::not_begun(WorkError::retryable("TARGET_UNREACHABLE", message))
        }
        SdkError::ConstructionFailure(_) => {
            tracing::error!(
                target = %target.function,
                "target cannot be invoked: {}",
                chain(error)
            );
            InvokeFailure::Ended(unavailable())
        }
        _ => {
            tracing::warn!(
                target = %target.function,
                "the connection to the target was lost: {}",
                chain(error)
            );
            let message = "the connection to the target was lost; the target may have run";
            InvokeFailure::Ended(WorkError::retryable("TARGET_LOST", message))
        }
    }
}

fn of_service(target: &Target, error: &InvokeError, status: u16) -> InvokeFailure {
    let code = error.code().unwrap_or("-");
    match code {
        "TooManyRequestsException" => {
            tracing::info!(target = %target.function, "the target is throttled");
            let message = "Lambda throttled the target; the attempt did not begin in time";
            InvokeFailure::NotBegun {
                error: WorkError::retryable("TARGET_THROTTLED", message),
                retry_after: retry_after(error),
            }
        }
        "ResourceConflictException" | "ResourceNotReadyException" => {
            InvokeFailure::not_begun(unavailable())
        }
        _ if ["EC2", "ENI", "EFS", "SnapStart"]
            .iter()
            .any(|prefix| code.starts_with(prefix)) =>
        {
            InvokeFailure::not_begun(unavailable())
        }
        "RequestTooLargeException" | "RecursiveInvocationException" => {
            tracing::error!(
                target = %target.function,
                code,
                "the target refused the invocation"
            );
            let message = "the target refused the invocation";
            InvokeFailure::Ended(WorkError::permanent("TARGET_REFUSED", message))
        }
        _ => {
            // Access, existence, runtime and keys of the target; and an error of Lambda's own,
            // after which the target may have run.
            let request_id = error.meta().extra("aws_request_id").unwrap_or("-");
            tracing::error!(
                target = %target.function,
                code,
                status,
                request_id,
                "target cannot be invoked"
            );
            InvokeFailure::Ended(unavailable())
        }
    }
}

fn retry_after(error: &InvokeError) -> Option<Duration> {
    let InvokeError::TooManyRequestsException(throttled) = error else {
        return None;
    };
    let secs = throttled.retry_after_seconds()?.parse().ok()?;
    Some(Duration::from_secs(secs))
}
