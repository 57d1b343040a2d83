//! Errors as the protocol's callers see them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;

use super::answers::RetryAnswer;
use shared::domain::json::Json;
use shared::domain::limits::FAULTS_MAX;
use shared::domain::operation::OperationError;
use shared::http::{Code, FieldError, Problem};
use shared::queue::QueueError;
use shared::store::StoreError;

/// What is told of what is wrong, in characters, its place not counted: it may quote a name that the caller chose.
const DETAIL_CHARS_MAX: usize = 1000;
/// The status of an error whose code is a function's own, and of several errors.
const BAD_REQUEST: u16 = 400;

/// One error.
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

/// Where in the request the cause lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// RFC 6901 pointer from the request's root.
    Pointer(String),
    /// Byte of the body, from 0, for what is no JSON.
    Position(usize),
}

impl ErrorObject {
    /// An error with the status of its code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code.as_str()),
            message: message.into(),
            source: None,
            details: None,
            status: status_of(code),
        }
    }

    /// An error that says where its cause lies: an RFC 6901 pointer from the request's root. `detail` reads on after it.
    #[must_use]
    pub fn at(code: Code, pointer: impl Into<String>, detail: &str) -> Self {
        // A field error holds pointers to their limit.
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

    /// The error with more about it for programs.
    #[must_use]
    pub fn with_details(self, details: &impl Serialize) -> Self {
        Self {
            details: Json::of(details).ok(),
            ..self
        }
    }

    /// There is no such operation, or it is another owner's: the two must not be told apart. For the functions that take an
    /// `operation_id`.
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
            Code::AsyncCannotCancel,
            format!("the operation is {status}"),
        )
        .with_details(&json!({"operation_id": operation_id, "status": status}))
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Where the cause lies.
    #[must_use]
    pub const fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }
}

/// A code's HTTP status; the protocol's table has another than REST for an operation that has ended.
const fn status_of(code: Code) -> u16 {
    match code {
        Code::AsyncCannotCancel => BAD_REQUEST,
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
            status: Code::parse(&error.code).map_or(BAD_REQUEST, status_of),
        }
    }
}

/// What a call failed with: at least one error, at most 20.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    objects: Vec<ErrorObject>,
    /// Headers that belong to them.
    headers: Vec<(&'static str, String)>,
    /// Whether trying again is of no use, whatever their codes say in general.
    lasting: bool,
}

impl Errors {
    /// The first one's code.
    #[must_use]
    pub fn code(&self) -> &str {
        self.as_slice().first().map_or("", ErrorObject::code)
    }

    /// What a failed operation failed with.
    #[must_use]
    pub fn of_operation(errors: &[OperationError]) -> Self {
        Self::of(errors.iter().map(ErrorObject::from).collect())
    }

    fn of(mut errors: Vec<ErrorObject>) -> Self {
        if errors.is_empty() {
            // Nobody fails with nothing; the caller must not be told of a success.
            errors.push(ErrorObject::new(Code::InternalError, "no reason was kept"));
        }
        errors.truncate(FAULTS_MAX);
        Self {
            objects: errors,
            headers: Vec::new(),
            lasting: false,
        }
    }

    /// The same errors, of which it is known that the same call would meet them again.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self {
            lasting: true,
            ..self
        }
    }

    /// The errors.
    #[must_use]
    pub fn as_slice(&self) -> &[ErrorObject] {
        &self.objects
    }

    /// Headers that belong to them.
    pub(super) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The HTTP status: one error's own, 400 for several.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.objects.as_slice() {
            [only] => only.status,
            _ => BAD_REQUEST,
        }
    }

    /// What is told about trying again; nothing unless all of them may pass by themselves.
    pub(super) fn retry(&self) -> Option<RetryAnswer> {
        if self.lasting {
            return None;
        }
        let answers: Option<Vec<_>> = self
            .objects
            .iter()
            .map(|error| RetryAnswer::of(Code::parse(&error.code)?))
            .collect();
        answers?.into_iter().next()
    }
}

impl From<ErrorObject> for Errors {
    fn from(error: ErrorObject) -> Self {
        Self::of(vec![error])
    }
}

/// One error for each field that is wrong. Pointers are taken as they are, so they have to be from the envelope's root.
impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        let status = match problem.code {
            code @ Code::AsyncCannotCancel => status_of(code),
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

/// As for a [`Problem`], which logs it.
impl From<StoreError> for Errors {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

/// As for a [`Problem`], which logs it.
impl From<QueueError> for Errors {
    fn from(error: QueueError) -> Self {
        Problem::from(error).into()
    }
}

/// What was found wrong so far, each place once.
#[derive(Debug, Default)]
pub(super) struct Faults {
    errors: Vec<ErrorObject>,
}

impl Faults {
    /// Adds an error unless its place has one already, or there are as many as are told.
    pub(super) fn push(&mut self, error: ErrorObject) {
        let known = self.errors.iter().any(|known| known.source == error.source);
        if !known && self.errors.len() < FAULTS_MAX {
            self.errors.push(error);
        }
    }

    /// Adds what is wrong with fields.
    pub(super) fn extend(&mut self, code: Code, errors: Vec<FieldError>) {
        for error in errors {
            self.push(ErrorObject::at(code, error.pointer, &error.detail));
        }
    }

    /// What was found wrong, if anything.
    pub(super) fn finish(self) -> Result<(), Errors> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Errors::of(self.errors))
        }
    }
}
