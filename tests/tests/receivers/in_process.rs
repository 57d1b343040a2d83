//! The receiver in Rust, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use standardwebhooks::Webhook;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::Identity;

/// The maximum age of a delivery with a `v1a` signature. The reference libraries use the same for
/// `v1`.
const AGE_SECS_MAX: u64 = 300;

/// Verifies with one key.
pub(crate) enum Verifier {
    /// `v1`, with the reference library.
    Secret(Webhook),
    /// `v1a`, which the reference library does not support.
    PublicKey(UnparsedPublicKey<Vec<u8>>),
}

impl Verifier {
    /// `key` is a secret (`whsec_`) or a public key (`whpk_`).
    pub(crate) fn new(key: &str) -> Self {
        match key.strip_prefix("whpk_") {
            Some(key) => Self::PublicKey(UnparsedPublicKey::new(
                &ED25519,
                STANDARD.decode(key).unwrap(),
            )),
            None => Self::Secret(Webhook::new(key).unwrap()),
        }
    }

    /// Whether the key's owner has signed these bytes.
    pub(crate) fn verifies(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        match self {
            Self::Secret(webhook) => webhook.verify(body, headers).is_ok(),
            Self::PublicKey(key) => verifies_with(key, headers, body).unwrap_or(false),
        }
    }
}

/// `None` when a header is missing or malformed.
fn verifies_with(
    key: &UnparsedPublicKey<Vec<u8>>,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<bool> {
    let header = |name| headers.get(name)?.to_str().ok();
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let age_secs = SystemClock
        .now()
        .as_secs()
        .abs_diff(timestamp.parse().ok()?);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let mut signatures = header("webhook-signature")?
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1a,")?).ok());
    let verified = signatures.any(|signature| key.verify(&signed, &signature).is_ok());
    Some(verified && age_secs <= AGE_SECS_MAX)
}

/// Starts a receiver with this key, and returns its port. The receiver ends when the tasks are
/// dropped.
pub(crate) async fn serve(
    identity: &Identity,
    key: &str,
    reports: UnboundedSender<Value>,
) -> (u16, JoinSet<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(identity.config.clone()));
    let router = Router::new()
        .fallback(receive)
        .with_state(Arc::new((Verifier::new(key), reports)));
    let mut server = JoinSet::new();
    server.spawn(async move {
        axum::serve(TlsListener { tcp, acceptor }, router)
            .await
            .unwrap();
    });
    (port, server)
}

async fn receive(
    State(state): State<Arc<(Verifier, UnboundedSender<Value>)>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let (verifier, reports) = &*state;
    let (report, status) = if verifier.verifies(&headers, &body) {
        let event: Value = serde_json::from_slice(&body).unwrap();
        let report = json!({"verified": true, "event": event});
        (report, StatusCode::NO_CONTENT)
    } else {
        (json!({"verified": false}), StatusCode::BAD_REQUEST)
    };
    // The channel is closed when the test is over.
    let _ = reports.send(report);
    status
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.tcp).await;
            // A client that refuses the certificate has closed the connection.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
