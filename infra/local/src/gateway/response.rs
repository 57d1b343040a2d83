//! Turns what a function returns (payload format 2.0) into the HTTP response.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
//!
//! That format has no `multiValueHeaders`, so they are ignored here as on AWS.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// Headers of the connection to the caller, which the gateway sets: a function's are dropped.
const GATEWAY_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
];

#[derive(Debug, thiserror::Error)]
pub(super) enum MalformedResponse {
    #[error("it is not JSON of payload format 2.0: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a response cannot have the status code {0}")]
    StatusCode(u16),
    #[error("the body is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the header {0:?} is malformed")]
    Header(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResponse {
    status_code: u16,
    headers: Option<BTreeMap<String, String>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// Reads a function's response. A response without `statusCode` is the body of a 200, as JSON.
pub(super) fn read(answer: &[u8]) -> Result<Response, MalformedResponse> {
    let answer: Value = serde_json::from_slice(answer)?;
    if answer.get("statusCode").is_none() {
        return Ok(body_only(&answer));
    }
    let answer: FunctionResponse = serde_json::from_value(answer)?;
    let status = StatusCode::from_u16(answer.status_code)
        .ok()
        .filter(|status| !status.is_informational() && status.as_u16() < 600)
        .ok_or(MalformedResponse::StatusCode(answer.status_code))?;
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded.unwrap_or(false) {
        STANDARD.decode(body)?
    } else {
        body.into_bytes()
    };
    let default_type = (!body.is_empty()).then_some("text/plain; charset=utf-8");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(default_type) = default_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(default_type));
    }
    for (name, value) in answer.headers.unwrap_or_default() {
        let malformed = || MalformedResponse::Header(name.clone());
        let parsed = HeaderName::try_from(&name).map_err(|_| malformed())?;
        let value = HeaderValue::try_from(value).map_err(|_| malformed())?;
        if !GATEWAY_HEADERS.contains(&parsed.as_str()) {
            headers.insert(parsed, value);
        }
    }
    for cookie in answer.cookies.unwrap_or_default() {
        let value = HeaderValue::try_from(cookie)
            .map_err(|_| MalformedResponse::Header("set-cookie".to_owned()))?;
        headers.append(SET_COOKIE, value);
    }
    Ok(response)
}

fn body_only(answer: &Value) -> Response {
    let body = match answer {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
