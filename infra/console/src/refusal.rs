//! Why a request has no ordinary response.

use std::error::Error;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared::operations;
use shared::queue::QueueError;
use shared::request::FieldError;
use shared::store::StoreError;
use shared::telemetry::chain;

/// A status, and a sentence for the person who looks at the page.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    sentence: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self { status, sentence }
    }

    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub(crate) fn of_parameters(errors: &[FieldError]) -> Self {
        let errors: Vec<_> = errors
            .iter()
            .map(|error| {
                let name = error.pointer.rsplit('/').next().unwrap_or_default();
                format!("{name} {}", error.detail)
            })
            .collect();
        Self::invalid(errors.join("; "))
    }

    /// Expired and erased operations are absent as well.
    pub(crate) fn no_such_operation() -> Self {
        let sentence = "there is no such operation; it may have expired or been erased";
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    pub(crate) fn is_change(&self) -> bool {
        self.status == StatusCode::PRECONDITION_FAILED
    }

    /// Logs the error, which no other code handles.
    pub(crate) fn unexpected(error: &dyn Error) -> Self {
        tracing::error!("console: {}", chain(error));
        Self::new(StatusCode::BAD_GATEWAY, chain(error))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::unexpected(&error)
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        Self::unexpected(&error)
    }
}

impl From<operations::Error> for Refusal {
    fn from(error: operations::Error) -> Self {
        Self::unexpected(&error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.sentence }).to_string();
        let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
        (self.status, json, body).into_response()
    }
}
