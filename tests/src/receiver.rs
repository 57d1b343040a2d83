//! A receiver of callbacks on the loopback interface.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::openapi::{Delivered, texts};

/// The secret that signs deliveries.
pub const SECRET: &str = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMsIG5vIG90aGVy";

/// A delivery as received, before its signature is verified.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Delivery {
    /// Verifies the signature over the received bytes with the reference library, and returns the
    /// body.
    #[must_use]
    pub fn verified(&self) -> Value {
        // Signs and compares, because the library's own check compares the signature's time with
        // the machine's clock, and the test has another.
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        let webhook = Webhook::new(SECRET.trim_start_matches("whsec_")).unwrap();
        let signature = webhook
            .sign(&self.header("webhook-id"), timestamp, &self.body)
            .unwrap();
        assert_eq!(self.header("webhook-signature"), signature);
        serde_json::from_slice(&self.body).unwrap()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }
}

#[derive(Debug, Default)]
struct Log {
    received: Vec<Delivery>,
    /// Where callbacks differ from the `OpenAPI` document.
    faults: Vec<String>,
    responses: VecDeque<(u16, Option<String>)>,
}

/// A receiver that stops when it is dropped. The drop fails the test if a callback differs from the
/// `OpenAPI` document.
pub struct Receiver {
    pub url: String,
    log: Arc<Mutex<Log>>,
    held: watch::Sender<bool>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Starts a receiver that answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/hook?token=secret",
            listener.local_addr().unwrap()
        );
        let log = Arc::<Mutex<Log>>::default();
        let held = watch::Sender::new(false);
        let state = (Arc::clone(&log), held.subscribe());
        let router = Router::new().fallback(receive).with_state(state);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            log,
            held,
            _server: server,
        }
    }

    /// Sets its next responses, in this order: status and `Retry-After`. After them it answers 200
    /// again.
    pub fn answer_next(&self, responses: impl IntoIterator<Item = (u16, Option<&'static str>)>) {
        let responses = responses
            .into_iter()
            .map(|(status, after)| (status, after.map(str::to_owned)));
        self.log.lock().unwrap().responses.extend(responses);
    }

    /// From now on, receives callbacks and does not answer them.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Answers the callbacks that [`hold`](Self::hold) kept waiting, and all later ones.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// The deliveries so far.
    #[must_use]
    pub fn received(&self) -> Vec<Delivery> {
        self.log.lock().unwrap().received.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let faults = std::mem::take(&mut self.log.lock().unwrap().faults);
        assert!(
            faults.is_empty() || std::thread::panicking(),
            "infra/openapi.yaml is wrong about callbacks:\n  {}",
            faults.join("\n  ")
        );
    }
}

async fn receive(
    State((log, mut held)): State<(Arc<Mutex<Log>>, watch::Receiver<bool>)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    let delivered = Delivered {
        headers: texts(&headers),
        body: body.to_vec(),
    };
    let faults = delivered.faults();
    {
        let mut log = log.lock().unwrap();
        log.faults.extend(faults);
        log.received.push(Delivery { headers, body });
    }
    // The wait fails once the receiver is dropped.
    let _ = held.wait_for(|held| !held).await;
    let mut log = log.lock().unwrap();
    let (status, retry_after) = log.responses.pop_front().unwrap_or((200, None));
    let mut headers = HeaderMap::new();
    if let Some(retry_after) = retry_after {
        headers.insert(
            HeaderName::from_static("retry-after"),
            HeaderValue::from_str(&retry_after).unwrap(),
        );
    }
    (StatusCode::from_u16(status).unwrap(), headers)
}
