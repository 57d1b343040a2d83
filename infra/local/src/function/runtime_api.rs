//! The Lambda Runtime API, one endpoint for each process.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
//!
//! With one listener for each process, a response can come only from the process that has the
//! invocation, never from a process of an earlier one. The endpoint decides nothing: each request
//! becomes an [`Event`] for the [`Instance`](super::Instance), which has the invocation's state.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use shared::domain::time::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::function::{FunctionError, PAYLOAD_MAX_BYTES};
use crate::guard::{Allowed, guarded};

/// A limit for error documents: far more than a type and a message need.
const ERROR_MAX_BYTES: usize = 256 * 1024;

/// A process sends one request at a time; a few more do not block each other.
const EVENTS_WAITING: usize = 4;

/// The response to `GET /runtime/invocation/next`.
#[derive(Debug)]
pub struct Invocation {
    pub request_id: String,
    pub function_arn: String,
    pub trace_id: String,
    /// When the process is killed.
    pub deadline: Timestamp,
    pub event: Bytes,
}

/// A request of a process.
#[derive(Debug)]
pub(super) enum Event {
    /// The process asks for an invocation, and waits until it gets one.
    Next(oneshot::Sender<Invocation>),
    /// The process answers an invocation. `accepted` gets whether it is the process's own.
    Response {
        request_id: String,
        outcome: Result<Bytes, FunctionError>,
        accepted: oneshot::Sender<bool>,
    },
    /// The process reports that it cannot start.
    InitError(FunctionError),
}

/// The endpoint of one process. Dropping it closes the listener.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    pub(super) events: mpsc::Receiver<Event>,
    _server: JoinSet<io::Result<()>>,
}

impl RuntimeApi {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events_in, events) = mpsc::channel(EVENTS_WAITING);
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{request_id}/response",
                post(response),
            )
            .route(
                "/2018-06-01/runtime/invocation/{request_id}/error",
                post(error),
            )
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(events_in);
        let routes = guarded(routes, &listener, Allowed::default())?;
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await });
        Ok(Self {
            address,
            events,
            _server: server,
        })
    }
}

type Events = State<mpsc::Sender<Event>>;

async fn next(State(events): Events) -> Response {
    let (invocation_in, invocation) = oneshot::channel();
    if events.send(Event::Next(invocation_in)).await.is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    match invocation.await {
        Ok(invocation) => invocation.into_response(),
        // The instance was dropped, which kills the process.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl IntoResponse for Invocation {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.event));
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert(
            "lambda-runtime-deadline-ms",
            HeaderValue::from(self.deadline.as_millis()),
        );
        for (name, value) in [
            ("lambda-runtime-aws-request-id", self.request_id),
            ("lambda-runtime-invoked-function-arn", self.function_arn),
            ("lambda-runtime-trace-id", self.trace_id),
        ] {
            // This crate makes them of names and digits, which are valid in a header value.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

async fn response(
    State(events): Events,
    Path(request_id): Path<String>,
    request: Request,
) -> Response {
    let (status, outcome) = match read(request.into_body()).await {
        Ok(response) => (StatusCode::ACCEPTED, Ok(response)),
        Err((status, reason)) => (status, Err(FunctionError::Response { reason })),
    };
    answer(&events, request_id, outcome, status).await
}

async fn error(
    State(events): Events,
    Path(request_id): Path<String>,
    request: Request,
) -> Response {
    let outcome = Err(reported(request).await);
    answer(&events, request_id, outcome, StatusCode::ACCEPTED).await
}

async fn init_error(State(events): Events, request: Request) -> Response {
    let error = reported(request).await;
    match events.send(Event::InitError(error)).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn answer(
    events: &mpsc::Sender<Event>,
    request_id: String,
    outcome: Result<Bytes, FunctionError>,
    status: StatusCode,
) -> Response {
    let (accepted_in, accepted) = oneshot::channel();
    let event = Event::Response {
        request_id,
        outcome,
        accepted: accepted_in,
    };
    if events.send(event).await.is_ok() && accepted.await.unwrap_or(false) {
        status.into_response()
    } else {
        // Lambda's body for a response to an invocation that the process does not have.
        let body =
            r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#.to_owned();
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}

/// Reads a response to its end even when it is too large: a runtime whose request is aborted takes
/// that for the end of the Runtime API and ends.
pub(crate) async fn read(body: Body) -> Result<Bytes, (StatusCode, String)> {
    let mut response = Vec::new();
    let mut total_bytes = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        total_bytes += chunk.len();
        if total_bytes <= PAYLOAD_MAX_BYTES {
            response.extend_from_slice(&chunk);
        }
    }
    if total_bytes > PAYLOAD_MAX_BYTES {
        let reason = format!("{total_bytes} bytes");
        return Err((StatusCode::PAYLOAD_TOO_LARGE, reason));
    }
    Ok(response.into())
}

async fn reported(request: Request) -> FunctionError {
    let kind = request.headers().get("lambda-runtime-function-error-type");
    let is_handled = kind.is_some_and(|kind| kind == "Handled");
    let document = axum::body::to_bytes(request.into_body(), ERROR_MAX_BYTES).await;
    FunctionError::reported(document.unwrap_or_default(), is_handled)
}
