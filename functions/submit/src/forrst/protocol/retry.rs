//! Which errors a retry can overcome.

use serde::Serialize;

use shared::request::ErrorCode;
use shared::view::Quantity;

/// Whether a retry can succeed, and how to retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetryData {
    allowed: bool,
    strategy: RetryStrategy,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Quantity>,
    max_attempts: u32,
}

/// How the waits between retries grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryStrategy {
    /// There are no waits.
    Immediate,
    /// All are the same.
    Fixed,
    /// Each is twice the one before.
    Exponential,
}

impl RetryData {
    /// For an error with this code; `None` for one that a retry would meet again. The numbers are
    /// the protocol's (`extensions/retry.md` of its specification; for such codes it omits the
    /// extension's data in one place and shows it with `"allowed": false` in another; Ferry omits
    /// it).
    #[must_use]
    pub const fn of(code: ErrorCode) -> Option<Self> {
        let (strategy, after_secs, max_attempts) = match code {
            ErrorCode::RateLimited => (RetryStrategy::Fixed, Some(60), 3),
            ErrorCode::Unavailable => (RetryStrategy::Exponential, Some(1), 5),
            ErrorCode::DeadlineExceeded => (RetryStrategy::Immediate, None, 1),
            ErrorCode::InternalError => (RetryStrategy::Exponential, Some(1), 3),
            ErrorCode::DependencyError => (RetryStrategy::Exponential, Some(2), 3),
            ErrorCode::ParseError
            | ErrorCode::InvalidRequest
            | ErrorCode::InvalidArguments
            | ErrorCode::InvalidProtocolVersion
            | ErrorCode::ExtensionNotSupported
            | ErrorCode::ExtensionNotApplicable
            | ErrorCode::Unauthorized
            | ErrorCode::Forbidden
            | ErrorCode::FunctionNotFound
            | ErrorCode::VersionNotFound
            | ErrorCode::AsyncOperationNotFound
            | ErrorCode::IdempotencyConflict
            | ErrorCode::AsyncCannotCancel
            | ErrorCode::Conflict
            | ErrorCode::AsyncVersionConflict
            | ErrorCode::AsyncQuotaExceeded => return None,
        };
        let after = match after_secs {
            Some(secs) => Some(Quantity::seconds(secs)),
            None => None,
        };
        Some(Self {
            allowed: true,
            strategy,
            after,
            max_attempts,
        })
    }
}
