//! The envelope of a response.

use std::time::Duration;

use serde::Serialize;

use super::error::{ErrorObject, Errors};
use super::extension_data::ExtensionData;
use super::request::Echo;
use super::version::{PROTOCOL_NAME, PROTOCOL_VERSION};
use shared::domain::json::{Json, encode};
use shared::http::Response;

/// The HTTP status of every success.
const OK: u16 = 200;

/// A result or errors, with the data of extensions.
#[derive(Debug, Clone)]
pub struct ForrstResponse {
    echo: Echo,
    outcome: Outcome,
    extensions: Vec<ExtensionData>,
}

#[derive(Debug, Clone)]
enum Outcome {
    Result { result: Option<Json>, status: u16 },
    Errors(Errors),
}

#[derive(Serialize)]
struct Body<'a> {
    protocol: Protocol,
    id: Option<&'a str>,
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [ErrorObject]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<ExtensionView<'a>>,
}

#[derive(Serialize)]
struct Protocol {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct ExtensionView<'a> {
    urn: String,
    data: &'a ExtensionData,
}

impl ForrstResponse {
    /// A success: JSON that is sent as it is.
    #[must_use]
    pub const fn result(echo: Echo, result: Json) -> Self {
        Self::ok(echo, Some(result))
    }

    /// A success without a result: the operation has not ended.
    #[must_use]
    pub const fn null(echo: Echo) -> Self {
        Self::ok(echo, None)
    }

    /// A success: what one of the protocol's own functions shows.
    ///
    /// # Panics
    ///
    /// As [`encode`].
    #[must_use]
    pub fn view(echo: Echo, view: &impl Serialize) -> Self {
        let result = Json::of(view).expect("views have string keys, so a JSON form");
        Self::result(echo, result)
    }

    #[must_use]
    pub fn errors(echo: Echo, errors: impl Into<Errors>) -> Self {
        let outcome = Outcome::Errors(errors.into());
        Self {
            echo,
            outcome,
            extensions: Vec::new(),
        }
    }

    const fn ok(echo: Echo, result: Option<Json>) -> Self {
        let outcome = Outcome::Result { result, status: OK };
        Self {
            echo,
            outcome,
            extensions: Vec::new(),
        }
    }

    /// Changes the status of a success; a failure keeps its own.
    #[must_use]
    pub fn with_status(mut self, with: u16) -> Self {
        if let Outcome::Result { status, .. } = &mut self.outcome {
            *status = with;
        }
        self
    }

    /// Adds an extension's data after that of others.
    #[must_use]
    pub fn with(mut self, extension: impl Into<ExtensionData>) -> Self {
        self.extensions.push(extension.into());
        self
    }

    /// The HTTP response, `took` after the request arrived. Adds how to retry when a retry can
    /// overcome the errors.
    #[must_use]
    pub fn into_http_response(mut self, took: Duration) -> Response {
        let (status, result, errors) = match &self.outcome {
            Outcome::Result { result, status } => (*status, result.as_ref(), None),
            Outcome::Errors(errors) => (errors.status(), None, Some(errors)),
        };
        let retry = errors.and_then(Errors::retry);
        self.extensions.extend(retry.map(ExtensionData::from));
        let id = self.echo.id.as_deref();
        let body = Body {
            protocol: Protocol {
                name: PROTOCOL_NAME,
                version: PROTOCOL_VERSION,
            },
            id,
            result,
            errors: errors.map(Errors::as_slice),
            extensions: self
                .extensions
                .iter()
                .map(|data| ExtensionView {
                    urn: self.echo.spellings.urn(data.name()),
                    data,
                })
                .collect(),
        };
        let body = encode(&body);
        let mut response =
            Response::json(status, body).with("x-forrst-duration-ms", took.as_millis().to_string());
        if let Some(id) = id.filter(|id| fits_a_header(id)) {
            response = response.with("x-forrst-request-id", id);
        }
        if let Some(errors) = errors {
            response.headers.extend(errors.headers().iter().cloned());
        }
        response
    }
}

/// Whether a header carries this text unchanged (RFC 9110, section 5.5): visible ASCII, and spaces
/// that are not at its edges.
fn fits_a_header(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim_matches(' ') == text
}
