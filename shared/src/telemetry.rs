//! Logs: one line for each event, on standard output, where Lambda collects them; and the traces
//! that invocations belong to.
//!
//! Nothing that a caller sent goes into a log: no arguments, results, metadata, secrets or query
//! strings. An owner's name goes into the audit lines only. A failure is logged once, where it is
//! handled.
//!
//! Every log line names the request or message during which it was logged, by the spans in this
//! module. The spans exist at every log level: spans of a lower level would be missing from the
//! errors of a function that logs errors only.

mod json;

use tracing::field::{Empty, display};
use tracing::{Level, Span};

use self::json::FlatJson;
use crate::config::{Environment, SettingError};
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner};

tokio::task_local! {
    /// The X-Ray trace header of the request or message in progress. Every message that is sent
    /// meanwhile passes it on. Like a span, it needs no parameter on the way.
    static TRACE_HEADER: String;
}

/// Starts logging, in the format and from the level that Lambda's own advanced logging controls set
/// (`AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`; AWS Lambda Developer Guide, "Configuring
/// advanced logging controls").
///
/// # Errors
///
/// When the level is not valid. Logging has started nevertheless, so that the error can be logged.
pub fn start(environment: &Environment) -> Result<(), SettingError> {
    let level = level(environment);
    let logs = tracing_subscriber::fmt()
        .with_max_level(*level.as_ref().unwrap_or(&Level::INFO))
        .with_target(false);
    // A second call, in a test, has no effect.
    let _ = if environment.optional("AWS_LAMBDA_LOG_FORMAT") == Some("JSON") {
        let logs = logs.json().event_format(FlatJson);
        tracing::subscriber::set_global_default(logs.finish())
    } else {
        tracing::subscriber::set_global_default(logs.with_ansi(false).finish())
    };
    level.map(drop)
}

fn level(environment: &Environment) -> Result<Level, SettingError> {
    match environment.optional("AWS_LAMBDA_LOG_LEVEL") {
        None => Ok(Level::INFO),
        Some("FATAL") => Ok(Level::ERROR),
        // Below DEBUG, the runtime and the SDK log whole events, requests and responses.
        Some("TRACE") => Ok(Level::DEBUG),
        Some(level) => level.parse().map_err(|_| {
            SettingError::new(
                "AWS_LAMBDA_LOG_LEVEL",
                "must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
            )
        }),
    }
}

/// Logs a panic as one line with its location. Its message is left out, since it may quote
/// arguments.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(location, "panic");
    }));
}

/// The fields of every log line in an invocation: Lambda's id of the invocation, under the name
/// that Lambda's own log lines use, and its X-Ray trace.
#[must_use]
pub fn invocation_span(request_id: &str, trace_header: Option<&str>) -> Span {
    tracing::error_span!(
        "invocation",
        requestId = request_id,
        xray_trace_id = trace_header.and_then(root),
    )
}

/// The fields of every log line while an HTTP request is handled: the gateway's id of the request,
/// which the response has as `Request-Id`, and the fields of [`record_operation_id`] and
/// [`record_trace`].
#[must_use]
pub fn request_span(request_id: &str) -> Span {
    tracing::error_span!(
        "request",
        gateway_request_id = request_id,
        operation_id = Empty,
        trace_id = Empty,
        span_id = Empty,
    )
}

/// The fields of every log line while a message is handled: its id, the X-Ray trace in which it was
/// sent, and the fields of [`record_operation_id`] and [`record_trace`].
#[must_use]
pub fn message_span(message_id: &str, trace_header: Option<&str>) -> Span {
    tracing::error_span!(
        "message",
        message_id,
        xray_trace_id = trace_header.and_then(root),
        operation_id = Empty,
        trace_id = Empty,
        span_id = Empty,
    )
}

fn root(trace_header: &str) -> Option<&str> {
    let mut parts = trace_header.split(';');
    parts.find_map(|part| part.strip_prefix("Root="))
}

/// Adds the operation's id to the request's or message's span, as soon as the id is known.
pub fn record_operation_id(id: &OperationId) {
    Span::current().record("operation_id", display(id));
}

/// Adds to the span the trace that the operation's caller named.
pub fn record_trace(operation: &Operation) {
    if let Some(trace) = &operation.origin.trace {
        let span = Span::current();
        span.record("trace_id", trace.trace_id.as_str());
        span.record("span_id", trace.span_id.as_str());
    }
}

/// Runs a future as part of the X-Ray trace that this header names; without one, as part of the
/// trace in progress.
pub async fn traced<T>(trace_header: Option<&str>, future: impl Future<Output = T>) -> T {
    match trace_header {
        Some(header) => TRACE_HEADER.scope(header.to_owned(), future).await,
        None => future.await,
    }
}

/// The X-Ray trace header of the request or message in progress.
pub(crate) fn trace_header() -> Option<String> {
    TRACE_HEADER.try_with(Clone::clone).ok()
}

/// Logs an audit record of a request to change an operation: done, or refused with the error code
/// that the owner receives. `actor` is who acts for the owner; `None` for the owner.
pub(crate) fn audit(
    actor: Option<&str>,
    action: &str,
    id: &OperationId,
    owner: &Owner,
    refusal: Option<&str>,
) {
    tracing::info!(
        audit = action,
        actor,
        operation_id = %id,
        owner = owner.as_str(),
        outcome = refusal.unwrap_or("done"),
        "owner's request"
    );
}

/// An error with its causes, for a log line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
