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

/// The secret that deliveries are signed with.
pub const SECRET: &str = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMsIG5vIG90aGVy";

/// A delivery that was received, its signature not yet verified.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Bytes,
}

impl Delivery {
    /// The body, after its signature was verified by the reference library over the very bytes.
    #[must_use]
    pub fn verified(&self) -> Value {
        // The library holds the time of a signature against the machine's clock, which a test's clock is not.
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        let webhook = Webhook::new(SECRET.trim_start_matches("whsec_")).unwrap();
        let signature = webhook
            .sign(&self.header("webhook-id"), timestamp, &self.body)
            .unwrap();
        assert_eq!(self.header("webhook-signature"), signature);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }
}

#[derive(Debug, Default)]
struct Log {
    received: Vec<Delivery>,
    /// What the document of the API is wrong about in them.
    faults: Vec<String>,
    answers: VecDeque<(u16, Option<String>)>,
}

/// See the module. It ends when it is dropped, and expects then that every callback was as the document of the API says.
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    log: Arc<Mutex<Log>>,
    held: watch::Sender<bool>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Starts one that answers 200.
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

    /// What it answers next, in this order, with `Retry-After` or without; 200 again after that.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = (u16, Option<&'static str>)>) {
        let answers = answers
            .into_iter()
            .map(|(status, after)| (status, after.map(str::to_owned)));
        self.log.lock().unwrap().answers.extend(answers);
    }

    /// Takes callbacks and answers none from now on.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Answers what it has taken, and whatever comes.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// What it received so far.
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
    // The receiver that is gone answers nobody.
    let _ = held.wait_for(|held| !held).await;
    let mut log = log.lock().unwrap();
    let (status, retry_after) = log.answers.pop_front().unwrap_or((200, None));
    let mut headers = HeaderMap::new();
    if let Some(retry_after) = retry_after {
        headers.insert(
            HeaderName::from_static("retry-after"),
            HeaderValue::from_str(&retry_after).unwrap(),
        );
    }
    (StatusCode::from_u16(status).unwrap(), headers)
}
