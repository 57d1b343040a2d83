//! The wire between the SDK and AWS: counts every request and the capacity that it consumed, can lose an answer, and can crash
//! the process that sends a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;
use shared::aws::http_connector;
use tokio::sync::Notify;

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before its `n`-th request from now on, from 0, has left.
    Before(usize),
    /// After the `n`-th has been carried out, before its answer has come.
    After(usize),
}

/// See the module. Clones are the same wire.
#[derive(Debug, Clone)]
pub struct Wire {
    inner: SharedHttpConnector,
    state: Arc<Mutex<State>>,
    crashed: Arc<Notify>,
}

/// Capacity that DynamoDB says was consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Write units, those of the index included.
    pub write: f64,
    /// Read units.
    pub read: f64,
}

#[derive(Debug, Default)]
struct State {
    units: Units,
    lose_answers: usize,
    calls: Vec<String>,
    crash: Option<Crash>,
    sent: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            inner: http_connector(),
            state: Arc::default(),
            crashed: Arc::default(),
        }
    }
}

impl Wire {
    /// The connector to give to the SDK.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        let mut state = self.state.lock().unwrap();
        state.calls.clear();
        state.units = Units::default();
    }

    /// The capacity consumed since the last reset, as DynamoDB's own answers say.
    #[must_use]
    pub fn units(&self) -> Units {
        self.state.lock().unwrap().units
    }

    /// Loses the next answers: the requests are carried out, and the SDK learns of a broken connection.
    pub fn lose_answers(&self, count: usize) {
        self.state.lock().unwrap().lose_answers = count;
    }

    /// The requests since the last reset, by their names in AWS's APIs.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How often each request was made since the last reset.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call).or_default() += 1;
        }
        counts
    }

    /// Runs something as a process of its own that dies at `crash`; `None` when it died.
    pub async fn crashing<T>(&self, crash: Crash, process: impl Future<Output = T>) -> Option<T> {
        {
            let mut state = self.state.lock().unwrap();
            state.crash = Some(crash);
            state.sent = 0;
        }
        let outcome = tokio::select! {
            biased;
            outcome = process => Some(outcome),
            () = self.crashed.notified() => None,
        };
        self.state.lock().unwrap().crash = None;
        outcome
    }
}

impl Wire {
    /// What becomes of a request that the test has no other plans for.
    async fn carry_out(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let writes = !matches!(target(&request), "GetItem" | "BatchGetItem" | "Query");
        let dynamodb = request
            .headers()
            .get("x-amz-target")
            .is_some_and(|name| name.starts_with("DynamoDB"));
        if !dynamodb {
            return self.inner.call(request).await;
        }
        let mut response = self.inner.call(asking_for_capacity(request)).await?;
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        let consumed = match &answer["ConsumedCapacity"] {
            Value::Array(several) => several.iter().map(capacity).sum(),
            one => capacity(one),
        };
        let units = &mut self.state.lock().unwrap().units;
        *(if writes {
            &mut units.write
        } else {
            &mut units.read
        }) += consumed;
        *response.body_mut() = SdkBody::from(bytes);
        Ok(response)
    }
}

fn capacity(consumed: &Value) -> f64 {
    consumed["CapacityUnits"].as_f64().unwrap_or(0.0)
}

/// The last part of the request's target, such as `PutItem`.
fn target(request: &HttpRequest) -> &str {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

/// The functions do not ask what a call cost; the local store checks no signature, so the wire may.
fn asking_for_capacity(mut request: HttpRequest) -> HttpRequest {
    let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
    body["ReturnConsumedCapacity"] = Value::from("TOTAL");
    let body = body.to_string();
    request
        .headers_mut()
        .insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let name = target(&request).to_owned();
        let (before, after, lost) = {
            let mut state = self.state.lock().unwrap();
            let index = state.sent;
            state.sent += 1;
            // A process that has died at one request makes no others.
            let before = matches!(state.crash, Some(Crash::Before(at)) if at <= index)
                || matches!(state.crash, Some(Crash::After(at)) if at < index);
            let after = state.crash == Some(Crash::After(index));
            let lost = state.lose_answers > 0;
            state.lose_answers = state.lose_answers.saturating_sub(1);
            if !before {
                state.calls.push(name);
            }
            (before, after, lost)
        };
        let (this, crashed) = (self.clone(), Arc::clone(&self.crashed));
        HttpConnectorFuture::new(async move {
            if before {
                crashed.notify_one();
                return std::future::pending().await;
            }
            let answer = this.carry_out(request).await;
            if lost {
                return Err(ConnectorError::io("the connection broke".into()));
            }
            if after {
                crashed.notify_one();
                return std::future::pending().await;
            }
            answer
        })
    }
}
