use std::str::FromStr;

/// What went wrong, for programs: the same codes in REST and Forrst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The body is not JSON.
    ParseError,
    /// The whole request is wrong: not an object, another method, too large, another type.
    InvalidRequest,
    /// A member is wrong.
    InvalidArguments,
    /// The request has another major version of Forrst.
    InvalidProtocolVersion,
    /// Ferry does not know the extension.
    ExtensionNotSupported,
    /// The extension does not apply to the function.
    ExtensionNotApplicable,
    /// The request names no owner.
    Unauthorized,
    /// The owner may not do this.
    Forbidden,
    /// There is no function of this name.
    FunctionNotFound,
    /// The function has no such version.
    VersionNotFound,
    /// There is no such operation, or it is another owner's.
    AsyncOperationNotFound,
    /// The deadline passed.
    DeadlineExceeded,
    /// The key was used for another request.
    IdempotencyConflict,
    /// The operation has completed or failed.
    AsyncCannotCancel,
    /// The operation's state does not allow this.
    Conflict,
    /// The operation does not have the requested version.
    AsyncVersionConflict,
    /// Too many requests.
    RateLimited,
    /// Too many operations.
    AsyncQuotaExceeded,
    /// A bug in Ferry, or corrupt data.
    InternalError,
    /// A service that a function needs failed.
    DependencyError,
    /// The store or a queue cannot be reached; a retry may succeed.
    Unavailable,
}

impl ErrorCode {
    pub const ALL: [Self; 21] = [
        Self::ParseError,
        Self::InvalidRequest,
        Self::InvalidArguments,
        Self::InvalidProtocolVersion,
        Self::ExtensionNotSupported,
        Self::ExtensionNotApplicable,
        Self::Unauthorized,
        Self::Forbidden,
        Self::FunctionNotFound,
        Self::VersionNotFound,
        Self::AsyncOperationNotFound,
        Self::DeadlineExceeded,
        Self::IdempotencyConflict,
        Self::AsyncCannotCancel,
        Self::Conflict,
        Self::AsyncVersionConflict,
        Self::RateLimited,
        Self::AsyncQuotaExceeded,
        Self::InternalError,
        Self::DependencyError,
        Self::Unavailable,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InvalidArguments => "INVALID_ARGUMENTS",
            Self::InvalidProtocolVersion => "INVALID_PROTOCOL_VERSION",
            Self::ExtensionNotSupported => "EXTENSION_NOT_SUPPORTED",
            Self::ExtensionNotApplicable => "EXTENSION_NOT_APPLICABLE",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::FunctionNotFound => "FUNCTION_NOT_FOUND",
            Self::VersionNotFound => "VERSION_NOT_FOUND",
            Self::AsyncOperationNotFound => "ASYNC_OPERATION_NOT_FOUND",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::AsyncCannotCancel => "ASYNC_CANNOT_CANCEL",
            Self::Conflict => "CONFLICT",
            Self::AsyncVersionConflict => "ASYNC_VERSION_CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::AsyncQuotaExceeded => "ASYNC_QUOTA_EXCEEDED",
            Self::InternalError => "INTERNAL_ERROR",
            Self::DependencyError => "DEPENDENCY_ERROR",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// A code that is not an [`ErrorCode`], such as a function's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code of Ferry's")]
pub struct UnknownCode;

/// Reads [`ErrorCode::as_str`] back.
impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let mut codes = Self::ALL.into_iter();
        codes.find(|code| code.as_str() == text).ok_or(UnknownCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_from_its_word() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        assert_eq!("ORDERS_SOLD_OUT".parse::<ErrorCode>(), Err(UnknownCode));
    }
}
