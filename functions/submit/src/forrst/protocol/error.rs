//! Errors as the protocol's callers see them.

use std::borrow::Cow;
use std::fmt::Write as _;

use semver::Version;
use serde::Serialize;
use serde_json::json;

use super::retry::RetryData;
use shared::catalogue::Unknown;
use shared::domain::fingerprint::RequestHash;
use shared::domain::json::Json;
use shared::domain::limits::ERRORS_LISTED_MAX;
use shared::domain::operation::OperationError;
use shared::http::Problem;
use shared::request::{ErrorCode, FieldError, Invalid};

/// The longest detail of an error, in characters, without its pointer: it may quote a name that the
/// caller chose.
const DETAIL_CHARS_MAX: usize = 1000;
/// The status of an error with a function's own code, and of several errors.
const BAD_REQUEST: u16 = 400;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorObject {
    code: Cow<'static, str>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Json>,
    #[serde(skip)]
    status: u16,
}

/// Where in the request the cause is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// RFC 6901 pointer from the request's root.
    Pointer(String),
    /// Byte of the body, from 0, for a body that is not JSON.
    Position(usize),
}

impl ErrorObject {
    /// An error with the status of its code.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code.as_str()),
            message: message.into(),
            source: None,
            details: None,
            status: status_of(code),
        }
    }

    /// An error with the place of its cause: an RFC 6901 pointer from the request's root. `detail`
    /// completes a sentence that begins with the pointer.
    #[must_use]
    pub fn at(code: ErrorCode, pointer: impl Into<String>, detail: &str) -> Self {
        // A field error truncates pointers that are too long.
        let FieldError { pointer, detail } = FieldError::new(pointer, detail);
        let place = match pointer.as_str() {
            "" => "the request",
            pointer => pointer,
        };
        let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
        Self::new(code, format!("{place} {detail}")).with_source(Source::Pointer(pointer))
    }

    pub(super) fn with_source(self, source: Source) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// Adds a member for programs.
    ///
    /// # Panics
    ///
    /// As [`encode`](shared::domain::json::encode).
    #[must_use]
    pub fn with_details(self, details: &impl Serialize) -> Self {
        let details = Json::of(details).expect("details have string keys, so a JSON form");
        Self {
            details: Some(details),
            ..self
        }
    }

    /// There is no such operation, or it is another owner's: callers must not see a difference. For
    /// the functions that take an `operation_id`.
    #[must_use]
    pub fn no_such_operation() -> Self {
        let Problem { code, detail, .. } = Problem::no_such_operation();
        let pointer = "/call/arguments/operation_id".to_owned();
        Self::new(code, detail).with_source(Source::Pointer(pointer))
    }

    /// The operation has ended, cancelled ones included.
    #[must_use]
    pub fn cannot_cancel(operation_id: &str, status: &str) -> Self {
        Self::new(
            ErrorCode::AsyncCannotCancel,
            format!("the operation is {status}"),
        )
        .with_details(&json!({"operation_id": operation_id, "status": status}))
    }

    /// There is no such function, or no such version of it. The request has what was asked for in
    /// the members `function` and `version` of the object at the pointer `base`: for a call,
    /// `/call`.
    #[must_use]
    pub fn unknown_function(
        base: &str,
        function: &str,
        version: Option<&Version>,
        unknown: &Unknown,
    ) -> Self {
        match unknown {
            Unknown::Function => {
                let detail = "is not the name of a function";
                Self::at(
                    ErrorCode::FunctionNotFound,
                    format!("{base}/function"),
                    detail,
                )
                .with_details(&json!({"function": function}))
            }
            Unknown::Version { available } => {
                let detail = "is not a version of this function";
                Self::at(
                    ErrorCode::VersionNotFound,
                    format!("{base}/version"),
                    detail,
                )
                .with_details(&json!({
                    "function": function,
                    "requested_version": version.map(Version::to_string),
                    "available_versions": available,
                }))
            }
        }
    }

    /// The idempotency key at `pointer` was used for another request, with that one's hash when it
    /// is known.
    #[must_use]
    pub fn idempotency_conflict(
        pointer: &str,
        key: &str,
        original_hash: Option<&RequestHash>,
    ) -> Self {
        let hash = original_hash.map(|hash| {
            let mut text = String::from("sha256:");
            for byte in hash {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text
        });
        let detail = "was used for another request";
        Self::at(ErrorCode::IdempotencyConflict, pointer, detail)
            .with_details(&json!({"key": key, "original_arguments_hash": hash}))
    }

    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    #[must_use]
    pub const fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }
}

/// A code's HTTP status. For an operation that has ended, the protocol's table differs from REST.
const fn status_of(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::AsyncCannotCancel => BAD_REQUEST,
        code => code.http_status(),
    }
}

/// The error of an operation that a caller waited for.
impl From<&OperationError> for ErrorObject {
    fn from(error: &OperationError) -> Self {
        Self {
            code: Cow::Owned(error.code.clone()),
            message: error.message.clone(),
            source: None,
            details: error.details.clone(),
            status: error.code.parse().map_or(BAD_REQUEST, status_of),
        }
    }
}

/// Why a call failed: at least one error, at most [`ERRORS_LISTED_MAX`].
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    objects: Vec<ErrorObject>,
    headers: Vec<(&'static str, String)>,
    /// Whether a retry is known to fail, whatever the codes say in general.
    permanent: bool,
}

impl Errors {
    /// The errors of a failed operation.
    #[must_use]
    pub fn of_operation(errors: &[OperationError]) -> Self {
        Self::of(errors.iter().map(ErrorObject::from).collect())
    }

    fn of(mut errors: Vec<ErrorObject>) -> Self {
        if errors.is_empty() {
            // A failed operation always has an error. If one had none, its response must still be
            // an error.
            let detail = "the operation failed without a reason";
            errors.push(ErrorObject::new(ErrorCode::InternalError, detail));
        }
        errors.truncate(ERRORS_LISTED_MAX);
        Self {
            objects: errors,
            headers: Vec::new(),
            permanent: false,
        }
    }

    /// The same errors, of which it is known that a retry meets them again.
    #[must_use]
    pub fn permanent(self) -> Self {
        Self {
            permanent: true,
            ..self
        }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[ErrorObject] {
        &self.objects
    }

    pub(super) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The HTTP status: that of the only error, 400 for several.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.objects.as_slice() {
            [only] => only.status,
            _ => BAD_REQUEST,
        }
    }

    /// How to retry; `None` unless a retry can overcome every error.
    pub(super) fn retry(&self) -> Option<RetryData> {
        if self.permanent {
            return None;
        }
        let retries: Option<Vec<_>> = self
            .objects
            .iter()
            .map(|error| RetryData::of(error.code.parse().ok()?))
            .collect();
        retries?.into_iter().next()
    }
}

impl From<ErrorObject> for Errors {
    fn from(error: ErrorObject) -> Self {
        Self::of(vec![error])
    }
}

/// One error for each field that is wrong. Pointers stay as they are, so they have to begin at the
/// envelope's root.
impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        let status = match problem.code {
            code @ ErrorCode::AsyncCannotCancel => status_of(code),
            _ => problem.status(),
        };
        let Problem {
            code,
            detail,
            errors,
            headers,
            ..
        } = problem;
        let mut errors: Vec<_> = errors
            .into_iter()
            .map(|field| ErrorObject::at(code, field.pointer, &field.detail))
            .collect();
        if errors.is_empty() {
            let error = ErrorObject::new(code, detail);
            errors.push(ErrorObject { status, ..error });
        }
        Self {
            headers,
            ..Self::of(errors)
        }
    }
}

/// Collects the errors of a request, one for each place.
#[derive(Debug, Default)]
pub(super) struct ErrorCollector {
    errors: Vec<ErrorObject>,
}

impl ErrorCollector {
    /// Records an error, unless its place has one already or the list is full.
    pub(super) fn push(&mut self, error: ErrorObject) -> Invalid {
        let known = self.errors.iter().any(|known| known.source == error.source);
        if !known && self.errors.len() < ERRORS_LISTED_MAX {
            self.errors.push(error);
        }
        Invalid
    }

    /// Records the errors of fields.
    pub(super) fn extend(&mut self, code: ErrorCode, errors: Vec<FieldError>) {
        for error in errors {
            self.push(ErrorObject::at(code, error.pointer, &error.detail));
        }
    }

    /// What was read, when nothing was wrong; otherwise every error.
    pub(super) fn finish<T>(self, read: Result<T, Invalid>) -> Result<T, Errors> {
        match read {
            Ok(read) if self.errors.is_empty() => Ok(read),
            Ok(_) | Err(Invalid) => Err(Errors::of(self.errors)),
        }
    }
}
