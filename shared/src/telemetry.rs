//! Logs: one line a record, on standard output, where Lambda collects them; and the traces that invocations belong to.
//!
//! Nothing of a caller's goes into a log: no arguments, results, metadata, secrets or query strings, and an owner's name into the
//! audit alone. A failure is logged once, where it is handled.
//!
//! What is logged while something is served says for whom, by the spans here. They are there at every log level: those of a lower
//! one would be missing from the errors of a function that logs nothing else.

mod json;

use tracing::field::{Empty, display};
use tracing::{Level, Span};

use self::json::FlatJson;
use crate::config::{Environment, SettingError};
use crate::domain::id::OperationId;
use crate::domain::operation::Operation;

tokio::task_local! {
    /// The X-Ray trace header of what is being served, which every message that is sent meanwhile passes on. As with a span, nobody
    /// on the way there has to know of it.
    static TRACE_HEADER: String;
}

/// Starts logging, in the format and from the level that Lambda's own advanced logging controls set (`AWS_LAMBDA_LOG_FORMAT`
/// and `AWS_LAMBDA_LOG_LEVEL`; AWS Lambda Developer Guide, "Configuring advanced logging controls").
///
/// # Errors
///
/// When the level is not one. Logging has started all the same, since the error has to be logged.
pub fn start(environment: &Environment) -> Result<(), SettingError> {
    let level = level(environment);
    let logs = tracing_subscriber::fmt()
        .with_max_level(*level.as_ref().unwrap_or(&Level::INFO))
        .with_target(false);
    // A second start, in a test, leaves the first in place.
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
        // Below DEBUG, the runtime and the SDK log whole events, requests and answers.
        Some("TRACE") => Ok(Level::DEBUG),
        Some(level) => level.parse().map_err(|_| {
            SettingError::new(
                "AWS_LAMBDA_LOG_LEVEL",
                "must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
            )
        }),
    }
}

/// Makes a panic one log line that says where, and not what: the message may quote arguments.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(location, "panic");
    }));
}

/// What everything that is logged in an invocation says: Lambda's id of it, by the name that Lambda's own records have for it, and
/// its X-Ray trace.
#[must_use]
pub fn invocation_span(request_id: &str, trace_header: Option<&str>) -> Span {
    tracing::error_span!(
        "invocation",
        requestId = request_id,
        xray_trace_id = trace_header.and_then(root),
    )
}

/// What everything that is logged while an HTTP request is served says besides: the gateway's id of it, which its answer has as
/// `Request-Id`, and what [`record_operation_id`] and [`record_trace`] say.
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

/// The same while a message is served, with the X-Ray trace that it was sent in.
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

/// Says which operation the request or message that is being served is about, as soon as that is known.
pub fn record_operation_id(id: &OperationId) {
    Span::current().record("operation_id", display(id));
}

/// Says which trace its caller named for the operation.
pub fn record_trace(operation: &Operation) {
    if let Some(trace) = &operation.origin.trace {
        let span = Span::current();
        span.record("trace_id", trace.trace_id.as_str());
        span.record("span_id", trace.span_id.as_str());
    }
}

/// Serves something as part of the X-Ray trace that this header names; without one, of whatever it is done in.
pub async fn traced<T>(trace_header: Option<&str>, served: impl Future<Output = T>) -> T {
    match trace_header {
        Some(header) => TRACE_HEADER.scope(header.to_owned(), served).await,
        None => served.await,
    }
}

/// The X-Ray trace header of what is being served.
pub(crate) fn trace_header() -> Option<String> {
    TRACE_HEADER.try_with(Clone::clone).ok()
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
