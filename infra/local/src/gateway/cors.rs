//! The HTTP API's CORS configuration, for pages of allowed origins.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>
//!
//! As on AWS, a preflight is answered before the authorizer, and the configuration overwrites the
//! CORS headers of a function. On AWS the template's routes answer a preflight with 200, here it is
//! 204; browsers accept both. Without allowed origins there is no configuration.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;

/// The configuration without its origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorsConfiguration {
    pub allow_methods: &'static [&'static str],
    pub allow_headers: &'static [&'static str],
    pub expose_headers: &'static [&'static str],
    pub max_age_secs: u32,
}

/// The template's configuration.
pub const CORS: CorsConfiguration = CorsConfiguration {
    allow_methods: &["DELETE", "GET", "HEAD", "OPTIONS", "POST"],
    allow_headers: &[
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "prefer",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ],
    expose_headers: &[
        "ETag",
        "Idempotent-Replayed",
        "Location",
        "Preference-Applied",
        "Request-Id",
        "Retry-After",
        "X-Forrst-Duration-Ms",
        "X-Forrst-Request-Id",
    ],
    max_age_secs: 3600,
};

/// The origin of a request's page, if it is allowed.
pub(super) fn origin(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let is_allowed = allowed.iter().any(|allowed| origin == allowed.as_str());
    is_allowed.then(|| origin.clone())
}

pub(super) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    insert_list(headers, ACCESS_CONTROL_ALLOW_METHODS, CORS.allow_methods);
    insert_list(headers, ACCESS_CONTROL_ALLOW_HEADERS, CORS.allow_headers);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(CORS.max_age_secs));
    response
}

/// Lets the origin's pages read a response, and the headers that CORS hides by default.
pub(super) fn allow(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    insert_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, CORS.expose_headers);
}

fn insert_list(headers: &mut HeaderMap, name: HeaderName, values: &[&str]) {
    let list = HeaderValue::try_from(values.join(","));
    headers.insert(
        name,
        list.expect("names of methods and headers are visible ASCII"),
    );
}
