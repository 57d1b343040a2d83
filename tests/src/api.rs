//! Calls a bundle over HTTP.

use std::sync::Arc;

use local::client::http_client;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::bundle::RunningBundle;
use crate::openapi;
use crate::wait::until;

/// A client that sends every request as one owner.
pub struct Api {
    bundle: Arc<RunningBundle>,
    client: reqwest::Client,
    owner: String,
}

pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    /// `owner` is also the bearer token.
    #[must_use]
    pub fn new(bundle: Arc<RunningBundle>, owner: &str) -> Self {
        Self {
            bundle,
            client: http_client(),
            owner: format!("Bearer {owner}"),
        }
    }

    /// Sends a request. A body has the type `application/json` unless the headers name another.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Response {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.bundle.url))
            .header("authorization", &self.owner);
        let body = body.into();
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, headers, text) = openapi::sent(&self.client, request.body(body)).await;
        Response {
            status,
            headers,
            text,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], "").await
    }

    /// Sends a POST without a body.
    pub async fn post(&self, path: &str) -> Response {
        self.send(Method::POST, path, &[], "").await
    }

    /// Submits with additional headers.
    pub async fn submit_with(&self, headers: &[(&str, &str)], body: &Value) -> Response {
        self.send(Method::POST, "/operations", headers, body.to_string())
            .await
    }

    /// Submits and expects 202.
    pub async fn submit(&self, body: &Value) -> Response {
        let response = self.submit_with(&[], body).await;
        assert_eq!(response.status, 202, "{}", response.text);
        response
    }

    /// Submits an operation that runs until it is cancelled or times out, and returns its id.
    pub async fn submit_endless(&self) -> String {
        let arguments = json!({"steps": 10_000, "step_ms": 60_000});
        let endless = json!({"function": "demo.countdown", "arguments": arguments});
        self.submit(&endless).await.id()
    }

    /// Polls until the operation has this status, and returns that response.
    pub async fn wait_for_status(&self, id: &str, status: &str) -> Response {
        let what = format!("{id} {status}");
        until(&what, async || {
            let response = self.get(&format!("/operations/{id}")).await;
            assert_eq!(response.status, 200, "{}", response.text);
            let ended = !response.headers.contains_key("retry-after");
            let reached = response.json()["status"] == status;
            assert!(reached || !ended, "{what}: {}", response.text);
            reached.then_some(response)
        })
        .await
    }

    /// Polls until the operation's callback has this status, and returns the callback.
    pub async fn wait_for_callback_status(&self, id: &str, status: &str) -> Value {
        until(&format!("the callback of {id} {status}"), async || {
            let operation = self.get(&format!("/operations/{id}")).await.json();
            let callback = operation["callback"].clone();
            (callback["status"] == status).then_some(callback)
        })
        .await
    }
}

impl Response {
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .to_str()
            .unwrap()
    }

    #[must_use]
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// Expects a problem document with this status and code.
    #[expect(
        clippy::must_use_candidate,
        reason = "most tests need no more than the check"
    )]
    pub fn assert_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:ferry:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("request-id"));
        problem
    }
}
