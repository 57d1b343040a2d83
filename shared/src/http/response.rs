//! Responses to HTTP requests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// The body; empty for none.
    pub body: String,
}

/// A response as API Gateway takes it (AWS, "Lambda proxy integrations for HTTP APIs", payload
/// format 2.0).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    /// Ferry sets none. API Gateway does not need the member; cargo-lambda refuses a response
    /// without it.
    cookies: [&'static str; 0],
    body: String,
    is_base64_encoded: bool,
}

impl Response {
    /// JSON that no cache may keep.
    #[must_use]
    pub fn json(status: u16, body: String) -> Self {
        Self {
            body,
            ..Self::empty(status).with("content-type", "application/json")
        }
    }

    #[must_use]
    pub fn empty(status: u16) -> Self {
        let headers = BTreeMap::from([("cache-control", "no-store".to_owned())]);
        Self {
            status,
            headers,
            body: String::new(),
        }
    }

    #[must_use]
    pub fn problem(problem: &Problem, request_id: &str) -> Self {
        let mut response = Self::json(problem.status(), problem.to_body(request_id))
            .with("content-type", "application/problem+json");
        response.headers.extend(problem.headers.iter().cloned());
        response
    }

    /// Sets a header, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// Adds the request's id.
    #[must_use]
    pub fn into_gateway_response(self, request_id: &str) -> GatewayResponse {
        let Self {
            status,
            headers,
            body,
        } = self.with("request-id", request_id);
        GatewayResponse {
            status_code: status,
            headers,
            cookies: [],
            body,
            is_base64_encoded: false,
        }
    }
}
