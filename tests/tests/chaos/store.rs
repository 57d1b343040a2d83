//! A store that throttles, stalls and loses responses: a proxy in front of the embedded store.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use local::bundle::Bundle;
use local::client::http_client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Chance;

/// The share of requests that are throttled.
const THROTTLED: f64 = 0.04;
/// The share of requests that are neither executed nor answered.
const STALLED: f64 = 0.01;
/// The share of requests that are executed and not answered.
const UNANSWERED: f64 = 0.02;

/// Dropping it closes the listener.
pub(crate) struct FaultyStore {
    pub(crate) url: String,
    proxy: Arc<Proxy>,
    _server: JoinSet<()>,
}

struct Proxy {
    store: OnceLock<String>,
    client: reqwest::Client,
    has_faults: AtomicBool,
    faults: AtomicUsize,
    chance: Chance,
}

impl FaultyStore {
    pub(crate) async fn start(chance: Chance) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Arc::new(Proxy {
            store: OnceLock::new(),
            client: http_client(),
            has_faults: AtomicBool::new(false),
            faults: AtomicUsize::new(0),
            chance,
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&proxy));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            proxy,
            _server: server,
        }
    }

    pub(crate) fn forward_to(&self, bundle: &Bundle) {
        self.proxy.store.set(bundle.store_url().to_owned()).unwrap();
    }

    pub(crate) fn start_faults(&self) {
        self.proxy.has_faults.store(true, Ordering::Relaxed);
    }

    /// Returns the number of faults.
    pub(crate) fn stop_faults(&self) -> usize {
        self.proxy.has_faults.store(false, Ordering::Relaxed);
        self.proxy.faults.load(Ordering::Relaxed)
    }
}

impl Proxy {
    fn fails(&self, share: f64) -> bool {
        let fails = self.has_faults.load(Ordering::Relaxed) && self.chance.is(share);
        self.faults.fetch_add(usize::from(fails), Ordering::Relaxed);
        fails
    }
}

async fn pass(State(proxy): State<Arc<Proxy>>, mut headers: HeaderMap, body: Bytes) -> Response {
    if proxy.fails(THROTTLED) {
        let problem = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#;
        return (StatusCode::BAD_REQUEST, problem).into_response();
    }
    if proxy.fails(STALLED) {
        return std::future::pending().await;
    }
    // Functions open connections before the bundle has started, and ignore the response.
    let Some(store) = proxy.store.get() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // The client sets the store's.
    headers.remove(HOST);
    let request = proxy.client.post(store).headers(headers);
    let Ok(answer) = request.body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if proxy.fails(UNANSWERED) {
        return std::future::pending().await;
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    match answer.bytes().await {
        Ok(body) => (status, headers, body).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
