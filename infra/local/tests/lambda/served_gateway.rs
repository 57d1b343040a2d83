//! A gateway on a loopback port, for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use local::client::http_client;
use local::function::{Function, FunctionSettings};
use local::gateway::Gateway;
use local::guard::Allowed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::domain::time::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::probe;

/// A gateway in front of two probes. Dropping it stops the gateway.
pub(crate) struct ServedGateway {
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    _server: JoinSet<()>,
}

pub(crate) async fn serve(integration_timeout: Duration) -> ServedGateway {
    serve_allowing(Allowed::default(), integration_timeout).await
}

pub(crate) async fn serve_allowing(
    allowed: Allowed,
    integration_timeout: Duration,
) -> ServedGateway {
    let function = |name: &str| {
        let name = name.to_owned();
        Arc::new(Function::processes(FunctionSettings {
            name,
            ..probe::settings()
        }))
    };
    let gateway = Gateway {
        owners: Arc::default(),
        submit: function("submit"),
        status: function("status"),
        require_token: false,
        allowed,
        clock: Arc::new(ManualClock::new(
            "2020-03-12T19:03:58.390Z".parse::<Timestamp>().unwrap(),
        )),
        integration_timeout,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        gateway
            .serve(listener, std::future::pending())
            .await
            .unwrap();
    });
    ServedGateway {
        address,
        client: http_client(),
        _server: server,
    }
}

impl ServedGateway {
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    /// The event of a request, which the probe answers with.
    pub(crate) async fn event(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    /// The response when the function answers with `answer`.
    pub(crate) async fn respond(&self, answer: Value) -> reqwest::Response {
        self.put(&json!({"probe": {"reply": answer}})).await
    }

    pub(crate) async fn put(&self, body: &Value) -> reqwest::Response {
        self.request("PUT", "/operations")
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap()
    }
}
