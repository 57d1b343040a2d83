//! The wire between the SDK and AWS: counts every request, and can crash the process that sends one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
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

#[derive(Debug, Default)]
struct State {
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
        self.state.lock().unwrap().calls.clear();
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

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request
            .headers()
            .get("x-amz-target")
            .unwrap_or_default()
            .to_owned();
        let name = target.rsplit('.').next().unwrap_or_default().to_owned();
        let (before, after) = {
            let mut state = self.state.lock().unwrap();
            let index = state.sent;
            state.sent += 1;
            // A process that has died at one request makes no others.
            let before = matches!(state.crash, Some(Crash::Before(at)) if at <= index)
                || matches!(state.crash, Some(Crash::After(at)) if at < index);
            let after = state.crash == Some(Crash::After(index));
            if !before {
                state.calls.push(name);
            }
            (before, after)
        };
        let (inner, crashed) = (self.inner.clone(), Arc::clone(&self.crashed));
        HttpConnectorFuture::new(async move {
            if before {
                crashed.notify_one();
                return std::future::pending().await;
            }
            let answer = inner.call(request).await;
            if after {
                crashed.notify_one();
                return std::future::pending().await;
            }
            answer
        })
    }
}
