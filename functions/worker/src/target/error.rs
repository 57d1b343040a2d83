//! What a failed invocation means for the attempt: whether the target began, and whether another
//! attempt may succeed.

use std::time::Duration;

use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::invoke::InvokeError;
use shared::catalogue::Target;
use shared::domain::target_code::TargetCode;
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
    WorkError::of_target(
        TargetCode::Unavailable,
        "the target cannot be invoked",
        true,
    )
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
            InvokeFailure::not_begun(WorkError::of_target(TargetCode::Unreachable, message, true))
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
            InvokeFailure::Ended(WorkError::of_target(TargetCode::Lost, message, true))
        }
    }
}

/// Codes of the AWS Lambda API Reference, "Invoke", of errors before the function starts. They
/// pass: a function is being created or changed, or its network, file system or snapshot is not
/// ready. `EFSIOException` is none of them: a function that runs reads and writes files.
const NOT_READY: [&str; 7] = [
    "ResourceConflictException",
    "ResourceNotReadyException",
    "SubnetIPAddressLimitReachedException",
    "EC2",
    "ENI",
    "EFSMount",
    "SnapStart",
];

fn of_service(target: &Target, error: &InvokeError, status: u16) -> InvokeFailure {
    let target = &target.function;
    let code = error.code().unwrap_or("-");
    let lambda_request_id = error.meta().extra("aws_request_id").unwrap_or("-");
    if code == "TooManyRequestsException" {
        tracing::info!(%target, "the target is throttled");
        let message = "the target is throttled; it did not begin in time";
        return InvokeFailure::NotBegun {
            error: WorkError::of_target(TargetCode::Throttled, message, true),
            retry_after: retry_after(error),
        };
    }
    if NOT_READY.iter().any(|prefix| code.starts_with(prefix)) {
        tracing::warn!(%target, code, status, lambda_request_id, "the target is not ready");
        return InvokeFailure::not_begun(unavailable());
    }
    if matches!(
        code,
        "RequestTooLargeException" | "RecursiveInvocationException"
    ) {
        tracing::error!(%target, code, lambda_request_id, "the target refused the invocation");
        let message = "the target refused the invocation";
        return InvokeFailure::Ended(WorkError::of_target(TargetCode::Refused, message, false));
    }
    let needs_repair = status < 500 || code.starts_with("KMS") || code.starts_with("Invalid");
    if needs_repair && code != "EFSIOException" {
        // Access, existence, runtime, code and keys of the target.
        tracing::error!(%target, code, status, lambda_request_id, "target cannot be invoked");
        return InvokeFailure::Ended(unavailable());
    }
    tracing::error!(
        %target,
        code,
        status,
        lambda_request_id,
        "Lambda failed; the target may have run"
    );
    let message = "the invocation failed; the target may have run";
    InvokeFailure::Ended(WorkError::of_target(TargetCode::Unavailable, message, true))
}

fn retry_after(error: &InvokeError) -> Option<Duration> {
    let InvokeError::TooManyRequestsException(throttled) = error else {
        return None;
    };
    let secs = throttled.retry_after_seconds()?.parse().ok()?;
    Some(Duration::from_secs(secs))
}
