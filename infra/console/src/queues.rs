//! Queues and processes.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use crate::{Console, polled};

/// A queue as it is now.
#[derive(Debug, Serialize)]
pub struct QueueView {
    pub name: String,
    /// What its messages are for.
    pub purpose: &'static str,
    /// Messages that can be received; `None` when the queue does not answer.
    pub waiting: Option<u64>,
    /// Messages that were received, and are hidden until they are acknowledged or return.
    pub in_flight: Option<u64>,
    /// Messages that cannot be received yet: starts, sleeps, backoffs, the waits of a callback.
    pub delayed: Option<u64>,
    /// The age of the oldest message; `None` for an empty queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_secs: Option<u64>,
    /// The age at which the stack's alarm is raised; `None` for a dead-letter queue, whose alarm is
    /// raised by any message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm_secs: Option<u64>,
    /// Why the counts are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The processes of one function.
#[derive(Debug, Serialize)]
pub struct ProcessesView {
    pub function: &'static str,
    pub busy: usize,
    pub idle: usize,
    /// Since the start of the place.
    pub started: usize,
    pub invocations: u64,
    /// As Lambda bills them.
    pub billed_ms: u64,
}

/// `GET /api/queues`.
pub(crate) async fn queues(State(console): State<Console>, headers: HeaderMap) -> Response {
    #[derive(Serialize)]
    struct Body {
        queues: Vec<QueueView>,
        processes: Vec<ProcessesView>,
    }
    let place = &console.0.place;
    let body = Body {
        queues: place.queues().await,
        processes: place.processes(),
    };
    polled(&headers, &body)
}
