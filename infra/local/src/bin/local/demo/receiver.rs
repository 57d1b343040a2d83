//! A receiver of callbacks on the loopback interface. It accepts a callback only if the reference
//! library of Standard Webhooks verifies the signature; that library shares no code with Ferry's.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use local::guard::{Allowed, guarded};
use serde::Deserialize;
use standardwebhooks::{Webhook, WebhookError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// More than the single delivery of the demonstration.
const DELIVERIES_WAITING: usize = 4;

/// Dropping it closes the listener.
pub(super) struct Receiver {
    pub(super) url: String,
    deliveries: mpsc::Receiver<Result<Delivery, ReceiveError>>,
    _server: JoinSet<io::Result<()>>,
}

/// A verified callback.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) webhook_id: String,
    pub(super) event: String,
    pub(super) operation_id: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    #[error("the callback's signature does not verify")]
    Signature(#[from] WebhookError),
    #[error("the callback's body is malformed")]
    Body(#[from] serde_json::Error),
    #[error("the receiver ended")]
    Ended,
}

struct Handler {
    verifier: Webhook,
    deliveries: mpsc::Sender<Result<Delivery, ReceiveError>>,
}

impl Receiver {
    pub(super) async fn start(secret: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/callbacks", listener.local_addr()?);
        let (sender, deliveries) = mpsc::channel(DELIVERIES_WAITING);
        let handler = Handler {
            verifier: Webhook::new(secret)?,
            deliveries: sender,
        };
        let routes = Router::new()
            .route("/callbacks", post(receive))
            .with_state(Arc::new(handler));
        let routes = guarded(routes, &listener, Allowed::default())?;
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await });
        Ok(Self {
            url,
            deliveries,
            _server: server,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Delivery, ReceiveError> {
        self.deliveries
            .recv()
            .await
            .unwrap_or(Err(ReceiveError::Ended))
    }
}

async fn receive(
    State(handler): State<Arc<Handler>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let delivery = handler.verify(&headers, &body);
    let status = match &delivery {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::UNAUTHORIZED,
    };
    // An error says that the receiver was dropped.
    let _ = handler.deliveries.send(delivery).await;
    status
}

impl Handler {
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, ReceiveError> {
        #[derive(Deserialize)]
        struct Body {
            r#type: String,
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            operation_id: String,
        }
        self.verifier.verify(body, headers)?;
        let Body { r#type, data } = serde_json::from_slice(body)?;
        let webhook_id = headers
            .get("webhook-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        Ok(Delivery {
            webhook_id: webhook_id.to_owned(),
            event: r#type,
            operation_id: data.operation_id,
        })
    }
}
