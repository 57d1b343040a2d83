//! A caller of a bundle, over HTTP.

use std::sync::Arc;

use local::client::http_client;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::bundle::RunningBundle;
use crate::openapi;
use crate::wait::until;

pub struct Api {
    bundle: Arc<RunningBundle>,
    client: reqwest::Client,
    owner: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    /// A caller who authenticates as this owner.
    #[must_use]
    pub fn new(bundle: Arc<RunningBundle>, owner: &str) -> Self {
        Self {
            bundle,
            client: http_client(),
            owner: format!("Bearer {owner}"),
        }
    }

    /// Sends a request. A body is JSON unless the headers name another content type.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Answer {
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
        Answer {
            status,
            headers,
            text,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// Posts without a body.
    pub async fn post(&self, path: &str) -> Answer {
        self.send(Method::POST, path, &[], "").await
    }

    /// Submits with additional headers.
    pub async fn submit_with(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send(Method::POST, "/operations", headers, body.to_string())
            .await
    }

    /// Submits, and expects to be accepted.
    pub async fn submit(&self, body: &Value) -> Answer {
        let answer = self.submit_with(&[], body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer
    }

    /// Submits an operation that runs until it is cancelled, and returns its id.
    pub async fn submit_endless(&self) -> String {
        let arguments = json!({"steps": 10_000, "step_ms": 60_000});
        let endless = json!({"function": "demo.countdown", "arguments": arguments});
        self.submit(&endless).await.id()
    }

    /// Waits until the operation is `status`.
    pub async fn reaches(&self, id: &str, status: &str) -> Answer {
        let what = format!("{id} {status}");
        until(&what, async || {
            let answer = self.get(&format!("/operations/{id}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let ended = !answer.headers.contains_key("retry-after");
            let reached = answer.json()["status"] == status;
            assert!(reached || !ended, "{what}: {}", answer.text);
            reached.then_some(answer)
        })
        .await
    }

    /// Waits until the operation's callback is `status`.
    pub async fn callback_reaches(&self, id: &str, status: &str) -> Value {
        until(&format!("the callback of {id} {status}"), async || {
            let operation = self.get(&format!("/operations/{id}")).await.json();
            let callback = operation["callback"].clone();
            (callback["status"] == status).then_some(callback)
        })
        .await
    }
}

impl Answer {
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

    /// The operation's id.
    #[must_use]
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// Expects an error of this status and code, in the form of RFC 9457.
    #[expect(
        clippy::must_use_candidate,
        reason = "most callers only check the status and the code"
    )]
    pub fn is_problem(&self, status: u16, code: &str) -> Value {
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
