//! Errors as callers see them: `application/problem+json` (RFC 9457).

use serde::Serialize;

use crate::domain::json::encode;
use crate::domain::limits::ERRORS_LISTED_MAX;
use crate::request::{ErrorCode, FieldError};

impl ErrorCode {
    const fn title(self) -> &'static str {
        match self {
            Self::ParseError => "The body is not JSON",
            Self::InvalidRequest => "The request is not valid",
            Self::InvalidArguments => "A part of the request is not valid",
            Self::InvalidProtocolVersion => "The protocol version is not supported",
            Self::ExtensionNotSupported => "The extension is not supported",
            Self::ExtensionNotApplicable => "The function does not support this extension",
            Self::Unauthorized => "The request is not authenticated",
            Self::Forbidden => "The caller may not do this",
            Self::FunctionNotFound => "There is no such function",
            Self::VersionNotFound => "There is no such version of the function",
            Self::AsyncOperationNotFound => "There is no such operation",
            Self::DeadlineExceeded => "The deadline has passed",
            Self::IdempotencyConflict => "The idempotency key was used for another request",
            Self::AsyncCannotCancel => "The operation can no longer be cancelled",
            Self::Conflict => "The operation is not in a state that allows this",
            Self::AsyncVersionConflict => "The operation has changed",
            Self::RateLimited => "There are too many requests",
            Self::AsyncQuotaExceeded => "There are too many operations",
            Self::InternalError => "An internal error occurred",
            Self::DependencyError => "A service that the function needs has failed",
            Self::Unavailable => "A part of the service cannot be reached",
        }
    }

    #[must_use]
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

/// An error on its way to the caller. It holds nothing internal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: ErrorCode,
    /// The HTTP status, where it is not the code's.
    status: Option<u16>,
    /// For people.
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem with the status of its code.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: None,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Fields that are wrong, at least one.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{} {}", only.pointer, only.detail)
                .trim_start()
                .to_owned(),
            several if several.len() <= ERRORS_LISTED_MAX => {
                format!("{} parts of the request are not valid", several.len())
            }
            _ => format!(
                "more than {ERRORS_LISTED_MAX} parts of the request are not valid; \
                 the first {ERRORS_LISTED_MAX} are named"
            ),
        };
        let mut problem = Self::new(ErrorCode::InvalidArguments, detail);
        problem.errors = errors;
        problem.errors.truncate(ERRORS_LISTED_MAX);
        problem
    }

    #[must_use]
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(pointer, detail)])
    }

    /// There is no such operation, or it is another owner's: callers must not see a difference.
    #[must_use]
    pub fn no_such_operation() -> Self {
        Self::new(
            ErrorCode::AsyncOperationNotFound,
            "there is no such operation, or it has expired",
        )
    }

    /// The operation does not meet `If-Match` or `If-None-Match`.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            ErrorCode::AsyncVersionConflict,
            "the operation's version does not meet If-Match or If-None-Match",
        )
    }

    /// The caller should try again soon.
    #[must_use]
    pub fn unavailable() -> Self {
        let problem = Self::new(ErrorCode::Unavailable, "please try again");
        Self {
            headers: vec![("retry-after", "1".to_owned())],
            ..problem
        }
    }

    /// The body is too large.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let problem = Self::new(
            ErrorCode::InvalidRequest,
            format!("the body has more than {bytes_max} bytes"),
        );
        Self {
            status: Some(413),
            ..problem
        }
    }

    /// The body has a content type or content coding that Ferry does not read.
    #[must_use]
    pub fn unsupported_type(detail: &str) -> Self {
        Self {
            status: Some(415),
            ..Self::new(ErrorCode::InvalidRequest, detail)
        }
    }

    /// The path exists, but not with this method.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            ErrorCode::InvalidRequest,
            format!("this path allows {allow}"),
        );
        Self {
            status: Some(405),
            headers: vec![("allow", allow.to_owned())],
            ..problem
        }
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(self.code.http_status())
    }

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
