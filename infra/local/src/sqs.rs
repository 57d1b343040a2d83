//! SQS standard queues, in memory, behind SQS's HTTP interface.
//!
//! With them, tests of leases, backoff, delays, redrive and expiry move a clock instead of waiting,
//! and the bundle starts with nothing installed. For everything that the bundle relies on, the AWS
//! SDK cannot distinguish them from SQS. Where the two differ, a test that passes here may fail on
//! AWS, so the tests in `tests/sqs` run against another implementation too. Messages are lost when
//! the process ends, and signatures are not verified, so the listener must be on the loopback
//! interface, behind the [guard](crate::guard).
//!
//! Differences from SQS: a message is delivered twice only after its visibility timeout, messages
//! stay in order, counts are exact, and a queue can be purged or created again at once. Queues are
//! fair, as `tenant` describes. There are no FIFO queues, policies, tags, encryption or message
//! move tasks; requests for them are refused.
//!
//! The protocol is AWS JSON 1.0: <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>.

mod batch;
mod broker;
mod error;
mod message;
mod message_actions;
mod queue;
mod queue_actions;
mod receipt;
mod receive;
mod settings;
mod tenant;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::time::Timestamp;
use tokio::net::TcpListener;

use broker::Broker;
use error::SqsError;

use crate::guard::{Allowed, guarded};

/// A batch of 1 MiB can be several times larger as JSON, with escapes or Base64.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
const CONTENT_TYPE_JSON: &str = "application/x-amz-json-1.0";
/// The start of the header `X-Amz-Target`, before the action's name.
const TARGET_PREFIX: &str = "AmazonSQS.";

/// The queues of one account. Clones share them.
#[derive(Clone)]
pub struct Sqs {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    broker: Mutex<Broker>,
}

/// The queues behind one listener, whose address is in their URLs.
#[derive(Clone)]
struct Endpoint {
    sqs: Sqs,
    address: SocketAddr,
}

impl Sqs {
    /// Without queues. `clock` governs visibility, delays, retention and long polls.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let broker = Mutex::new(Broker::new(clock.now()));
        Self {
            shared: Arc::new(Shared { clock, broker }),
        }
    }

    /// Accepts connections on `listener` until the future is dropped. A queue's URL is
    /// `http://HOST:PORT/000000000000/NAME`, with the listener's address.
    ///
    /// # Errors
    ///
    /// When the listener has no local address.
    pub async fn serve(&self, listener: TcpListener, allowed: Allowed) -> io::Result<()> {
        let endpoint = Endpoint {
            sqs: self.clone(),
            address: listener.local_addr()?,
        };
        let router = Router::new()
            .route("/", post(handle))
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(endpoint);
        let router = guarded(router, &listener, allowed)?;
        axum::serve(listener, router).await
    }

    /// The time from which the queue's first message can be received; `None` for an empty or
    /// unknown queue. SQS has no such action: it spares tests with a manual clock polls that return
    /// nothing.
    #[must_use]
    pub fn next_message_at(&self, queue: &str) -> Option<Timestamp> {
        let (mut broker, now) = self.broker();
        broker.queue(queue, now).ok()?.first_available_at()
    }

    /// The age of the queue's oldest message, in any state; `None` for an empty or unknown queue.
    /// SQS has it as a metric in CloudWatch.
    #[must_use]
    pub fn oldest_age(&self, queue: &str) -> Option<Duration> {
        let (mut broker, now) = self.broker();
        let oldest = broker.queue(queue, now).ok()?.oldest_sent_at()?;
        Some(now.since(oldest))
    }

    /// The queues and the current time. The clock is read under the lock, so that changes happen in
    /// the order of their times and messages are numbered in the order of their timestamps.
    fn broker(&self) -> (MutexGuard<'_, Broker>, Timestamp) {
        // A panic under the lock fails only its own request: each change to a queue is one step.
        let broker = self
            .shared
            .broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (broker, self.shared.clock.now())
    }
}

#[must_use]
pub fn queue_arn(name: &str) -> String {
    broker::queue_arn(name)
}

async fn handle(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    let action = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok()?.strip_prefix(TARGET_PREFIX))
        .unwrap_or_default();
    match endpoint.act(action, &body).await {
        Ok(answer) => reply(StatusCode::OK, &answer).into_response(),
        Err(error) => {
            tracing::debug!(action, %error, "request refused");
            let body = json!({
                "__type": format!("com.amazonaws.sqs#{}", error.shape()),
                "message": error.to_string(),
            });
            let query_error = [("x-amzn-query-error", format!("{};Sender", error.code()))];
            (query_error, reply(StatusCode::BAD_REQUEST, &body)).into_response()
        }
    }
}

fn reply(status: StatusCode, body: &Value) -> impl IntoResponse + use<> {
    (
        status,
        [(CONTENT_TYPE, CONTENT_TYPE_JSON)],
        body.to_string(),
    )
}

impl Endpoint {
    async fn act(&self, action: &str, body: &[u8]) -> Result<Value, SqsError> {
        let sqs = &self.sqs;
        match action {
            "CreateQueue" => answer(self.create_queue(&read(body)?)),
            "DeleteQueue" => answer(sqs.delete_queue(&read(body)?)),
            "GetQueueAttributes" => answer(sqs.queue_attributes(&read(body)?)),
            "GetQueueUrl" => answer(self.existing_queue_url(&read(body)?)),
            "ListQueues" => answer(self.list_queues(&read(body)?)),
            "PurgeQueue" => answer(sqs.purge_queue(&read(body)?)),
            "SetQueueAttributes" => answer(sqs.set_queue_attributes(&read(body)?)),
            "ChangeMessageVisibility" => answer(sqs.change_visibility(&read(body)?)),
            "ChangeMessageVisibilityBatch" => answer(sqs.change_visibility_batch(read(body)?)),
            "DeleteMessage" => answer(sqs.delete_message(&read(body)?)),
            "DeleteMessageBatch" => answer(sqs.delete_message_batch(read(body)?)),
            "ReceiveMessage" => answer(sqs.receive_message(&read(body)?).await),
            "SendMessage" => answer(sqs.send_message(read(body)?)),
            "SendMessageBatch" => answer(sqs.send_message_batch(read(body)?)),
            _ => Err(SqsError::UnsupportedOperation(action.to_owned())),
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    Ok(serde_json::from_slice(body)?)
}

fn answer(answer: Result<impl Serialize, SqsError>) -> Result<Value, SqsError> {
    Ok(serde_json::to_value(answer?)?)
}
