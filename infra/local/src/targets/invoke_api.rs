//! Lambda's Invoke API. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::client::http_client;
use crate::function::remote::invocations_url;
use crate::function::runtime_api::read;
use crate::function::{FunctionError, PAYLOAD_MAX_BYTES};
use crate::targets::{Backend, Target, Targets};

/// What a throttled caller is asked to wait. A busy process may become idle at any time.
const RETRY_AFTER_SECS: u16 = 1;

/// The headers of a response that a caller of `Invoke` reads.
const FORWARDED_HEADERS: [&str; 5] = [
    "content-type",
    "retry-after",
    "x-amz-executed-version",
    FUNCTION_ERROR,
    "x-amzn-errortype",
];

/// In the response of a function that failed.
const FUNCTION_ERROR: &str = "x-amz-function-error";

#[derive(Clone)]
struct Api {
    targets: Arc<Targets>,
    client: reqwest::Client,
}

pub(super) fn routes(targets: Arc<Targets>) -> Router {
    let client = http_client();
    Router::new()
        .route("/2015-03-31/functions/{function}/invocations", post(invoke))
        .with_state(Api { targets, client })
}

async fn invoke(
    State(api): State<Api>,
    Path(function): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let invoked = async {
        let Target {
            settings, backend, ..
        } = api.targets.find(&function).ok_or_else(|| {
            let message = format!("Function not found: {function} is in no target");
            InvokeError::not_found(message)
        })?;
        let event = event(&headers, request.into_body()).await?;
        match backend {
            Backend::Processes(target) => match target.invoke_or_throttle(event.clone()).await {
                Ok(response) => {
                    api.targets.check_result(&event, &response);
                    Ok((INVOKED, response).into_response())
                }
                Err(error) => failed(&error),
            },
            Backend::Endpoint(endpoint) => {
                let url = invocations_url(&endpoint, settings.lambda_function.name());
                forward(&api, &endpoint, url, event).await
            }
            Backend::Missing => Err(InvokeError::not_found(format!(
                "the target of {} {} cannot run on this machine: its member \"lambda\" needs \
                 \"local\": {{\"command\": [...]}} next to it",
                settings.name, settings.version
            ))),
        }
    };
    invoked.await.unwrap_or_else(IntoResponse::into_response)
}

/// The headers of every response of a function.
const INVOKED: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("x-amz-executed-version", "$LATEST"),
];

async fn event(headers: &HeaderMap, body: Body) -> Result<Bytes, InvokeError> {
    let kind = headers.get("x-amz-invocation-type");
    if kind.is_some_and(|kind| kind != "RequestResponse") {
        return Err(InvokeError {
            status: StatusCode::BAD_REQUEST,
            error_type: "InvalidParameterValueException",
            message: "the invocation type must be RequestResponse on this machine".to_owned(),
        });
    }
    let event = read(body)
        .await
        .map_err(|(_, size)| InvokeError::too_large(&size))?;
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&event) {
        return Err(InvokeError {
            status: StatusCode::BAD_REQUEST,
            error_type: "InvalidRequestContentException",
            message: format!("Could not parse request body into json: {error}"),
        });
    }
    Ok(event)
}

/// The function's own errors are successful responses with a header.
fn failed(error: &FunctionError) -> Result<Response, InvokeError> {
    if let Some(document) = error.document() {
        let kind = match error {
            FunctionError::Reported {
                is_handled: true, ..
            } => "Handled",
            _ => "Unhandled",
        };
        let failed = [(FUNCTION_ERROR, kind)];
        return Ok((INVOKED, failed, document).into_response());
    }
    Err(match error {
        FunctionError::Throttled => InvokeError {
            status: StatusCode::TOO_MANY_REQUESTS,
            error_type: "TooManyRequestsException",
            message: "Rate Exceeded.".to_owned(),
        },
        FunctionError::EventTooLarge { bytes } => InvokeError::too_large(&format!("{bytes} bytes")),
        error => InvokeError::service(error.to_string()),
    })
}

async fn forward(
    api: &Api,
    endpoint: &str,
    url: String,
    event: Bytes,
) -> Result<Response, InvokeError> {
    let unreachable = |error: reqwest::Error| {
        if error.is_connect() {
            tracing::warn!(
                "{endpoint} refuses connections; is `sam local start-lambda` (or what serves the \
                 endpoint) running?"
            );
            return InvokeError::not_ready(format!("{endpoint} refuses connections"));
        }
        let message = format!("{endpoint} did not answer");
        tracing::warn!(endpoint, %error, "a target's endpoint did not answer");
        InvokeError::service(message)
    };
    let sent = api.client.post(url).body(event.clone()).send().await;
    let mut answered = sent.map_err(unreachable)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answered.status();
    for name in FORWARDED_HEADERS {
        if let Some(value) = answered.headers_mut().remove(name) {
            response.headers_mut().insert(name, value);
        }
    }
    let body = answered.bytes().await.map_err(unreachable)?;
    if response.status().is_success() && !response.headers().contains_key(FUNCTION_ERROR) {
        api.targets.check_result(&event, &body);
    }
    *response.body_mut() = body.into();
    Ok(response)
}

/// An error of the API: the function was not invoked.
struct InvokeError {
    status: StatusCode,
    error_type: &'static str,
    message: String,
}

impl InvokeError {
    /// Logged, since a worker does not say to callers what its target is.
    fn not_found(message: String) -> Self {
        tracing::warn!("{message}");
        Self {
            status: StatusCode::NOT_FOUND,
            error_type: "ResourceNotFoundException",
            message,
        }
    }

    fn too_large(size: &str) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            error_type: "RequestTooLargeException",
            message: format!(
                "{size} payload is too large for the RequestResponse invocation type \
                 (limit {PAYLOAD_MAX_BYTES} bytes)"
            ),
        }
    }

    /// The worker sends the request again within the attempt: the function did not begin.
    const fn not_ready(message: String) -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            error_type: "ResourceNotReadyException",
            message,
        }
    }

    const fn service(message: String) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error_type: "ServiceException",
            message,
        }
    }
}

impl IntoResponse for InvokeError {
    fn into_response(self) -> Response {
        // The member's spelling differs between Lambda's errors, and clients read one or the other.
        let body = json!({
            "Type": if self.status.is_server_error() { "Service" } else { "User" },
            "message": self.message,
            "Message": self.message,
        });
        let error_type = HeaderValue::from_static(self.error_type);
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("x-amzn-errortype", error_type);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert("retry-after", RETRY_AFTER_SECS.into());
        }
        response
    }
}
