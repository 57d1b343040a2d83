//! Errors as callers see them: `application/problem+json` (RFC 9457).

use serde::Serialize;

use crate::domain::json::encode;
use crate::domain::limits::FAULTS_MAX;
use crate::queue::QueueError;
use crate::store::StoreError;
use crate::telemetry;

/// A stable word for what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON.
    ParseError,
    /// The request as a whole is wrong: not an object, another method, too large, another type.
    InvalidRequest,
    /// A field is wrong.
    InvalidArguments,
    /// Another major version of the protocol.
    InvalidProtocolVersion,
    /// An extension that is not known here.
    ExtensionNotSupported,
    /// An extension that the function cannot have.
    ExtensionNotApplicable,
    /// There is no owner.
    Unauthorized,
    /// The owner may not do this.
    Forbidden,
    /// No function of this name.
    FunctionNotFound,
    /// No such version of it.
    VersionNotFound,
    /// No such operation, or another owner's.
    AsyncOperationNotFound,
    /// The deadline passed.
    DeadlineExceeded,
    /// The key was used for another request.
    IdempotencyConflict,
    /// The operation has completed or failed.
    AsyncCannotCancel,
    /// The operation does not stand where this would be possible.
    Conflict,
    /// The operation is not at the version that was asked for.
    AsyncVersionConflict,
    /// Too many requests.
    RateLimited,
    /// Too many operations.
    AsyncQuotaExceeded,
    /// A fault of Ferry's.
    InternalError,
    /// A service that a function needs failed.
    DependencyError,
    /// The store or a queue cannot be reached: to be tried again.
    Unavailable,
}

impl Code {
    /// Every code.
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

    /// Reads [`Code::as_str`] back; `None` for a word that only a function knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The word.
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

    const fn title(self) -> &'static str {
        match self {
            Self::ParseError => "The body is not JSON",
            Self::InvalidRequest => "The request is not valid",
            Self::InvalidArguments => "A part of the request is not valid",
            Self::InvalidProtocolVersion => "The protocol's version is not served here",
            Self::ExtensionNotSupported => "The extension is not known here",
            Self::ExtensionNotApplicable => "The function cannot have this extension",
            Self::Unauthorized => "The caller is not known",
            Self::Forbidden => "The caller may not do this",
            Self::FunctionNotFound => "There is no such function",
            Self::VersionNotFound => "There is no such version of the function",
            Self::AsyncOperationNotFound => "There is no such operation",
            Self::DeadlineExceeded => "The deadline has passed",
            Self::IdempotencyConflict => "The idempotency key was used for another request",
            Self::AsyncCannotCancel => "The operation can no longer be cancelled",
            Self::Conflict => "The operation does not stand where this is possible",
            Self::AsyncVersionConflict => "The operation has changed",
            Self::RateLimited => "There are too many requests",
            Self::AsyncQuotaExceeded => "There are too many operations",
            Self::InternalError => "Something went wrong here",
            Self::DependencyError => "A service that is needed has failed",
            Self::Unavailable => "A part of the service cannot be reached",
        }
    }

    /// The HTTP status.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::ParseError
            | Self::InvalidRequest
            | Self::InvalidArguments
            | Self::InvalidProtocolVersion
            | Self::ExtensionNotSupported
            | Self::ExtensionNotApplicable => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::FunctionNotFound | Self::VersionNotFound | Self::AsyncOperationNotFound => 404,
            Self::DeadlineExceeded => 408,
            Self::IdempotencyConflict | Self::AsyncCannotCancel | Self::Conflict => 409,
            Self::AsyncVersionConflict => 412,
            Self::RateLimited | Self::AsyncQuotaExceeded => 429,
            Self::InternalError => 500,
            Self::DependencyError => 502,
            Self::Unavailable => 503,
        }
    }
}

/// What is told of a pointer, in characters: names in it are the caller's, and an answer has its own limit.
const POINTER_CHARS_MAX: usize = 1000;

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// RFC 6901 pointer: from the body's root, or `/query/NAME` or `/headers/NAME` for what is not in the body.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl FieldError {
    /// A fault at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut pointer = pointer.into();
        if let Some((end, _)) = pointer.char_indices().nth(POINTER_CHARS_MAX) {
            pointer.truncate(end);
            // Half of an escaped character would make it no pointer at all.
            if pointer.ends_with('~') {
                pointer.pop();
            }
        }
        Self {
            pointer,
            detail: detail.into(),
        }
    }
}

/// What a caller is told of a failure of the store, which is logged here, once, with its causes.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!("{}", telemetry::chain(&error));
        match error {
            StoreError::Corrupt { .. } => {
                Self::new(Code::InternalError, "the operation cannot be read")
            }
            StoreError::Unreachable { .. }
            | StoreError::Throttled
            | StoreError::NewerFormat { .. } => Self::unavailable(),
        }
    }
}

/// As for the store.
impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        tracing::error!("{}", telemetry::chain(&error));
        Self::unavailable()
    }
}

/// An error on its way to the caller. Holds nothing internal: whoever makes one of a failure logs the failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong, for programs.
    pub code: Code,
    /// The HTTP status, where it is not the code's own.
    status: Option<u16>,
    /// What went wrong, for people.
    pub detail: String,
    /// What was wrong where.
    pub errors: Vec<FieldError>,
    /// Headers that belong to the error.
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem with the status of its code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: None,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Fields that are wrong.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{} {}", only.pointer, only.detail)
                .trim_start()
                .to_owned(),
            several if several.len() <= FAULTS_MAX => {
                format!("{} parts of the request are not valid", several.len())
            }
            _ => format!(
                "more than {FAULTS_MAX} parts of the request are not valid; \
                 the first {FAULTS_MAX} are named"
            ),
        };
        let mut problem = Self::new(Code::InvalidArguments, detail);
        problem.errors = errors;
        problem.errors.truncate(FAULTS_MAX);
        problem
    }

    /// One field that is wrong.
    #[must_use]
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(pointer, detail)])
    }

    /// There is no such operation, or it is another owner's: the two must not be told apart.
    #[must_use]
    pub fn no_such_operation() -> Self {
        Self::new(
            Code::AsyncOperationNotFound,
            "there is no such operation, or it has expired",
        )
    }

    /// The operation does not meet `If-Match` or `If-None-Match`.
    #[must_use]
    pub fn other_version() -> Self {
        Self::new(
            Code::AsyncVersionConflict,
            "the operation's version does not meet If-Match or If-None-Match",
        )
    }

    /// The caller may try again, soon.
    #[must_use]
    pub fn unavailable() -> Self {
        let problem = Self::new(Code::Unavailable, "please try again");
        Self {
            headers: vec![("retry-after", "1".to_owned())],
            ..problem
        }
    }

    /// The whole body is too large.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let problem = Self::new(
            Code::InvalidRequest,
            format!("the body has more than {bytes_max} bytes"),
        );
        Self {
            status: Some(413),
            ..problem
        }
    }

    /// The body is of a type or coding that is not read here.
    #[must_use]
    pub fn unsupported_type(detail: &str) -> Self {
        Self {
            status: Some(415),
            ..Self::new(Code::InvalidRequest, detail)
        }
    }

    /// The path exists, but not with this method.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            Code::InvalidRequest,
            format!("this path answers to {allow}"),
        );
        Self {
            status: Some(405),
            headers: vec![("allow", allow.to_owned())],
            ..problem
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(self.code.http_status())
    }

    /// The body.
    #[must_use]
    pub fn to_body(&self, request_id: &str) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            code: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
            errors: &'a [FieldError],
        }
        let body = Body {
            r#type: format!("urn:ferry:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            errors: &self.errors,
        };
        encode(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_themselves_back() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
        assert_eq!(Code::parse("ORDERS_SOLD_OUT"), None);
    }

    #[test]
    fn a_pointer_that_is_cut_stays_a_pointer() {
        let long = format!("/{}~1", "x".repeat(POINTER_CHARS_MAX - 2));
        let error = FieldError::new(long, "is odd");
        assert_eq!(
            error.pointer,
            format!("/{}", "x".repeat(POINTER_CHARS_MAX - 2))
        );
    }
}
