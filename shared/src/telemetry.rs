//! Logs: one line a record, on standard output, where Lambda collects them.
//!
//! Nothing of a caller's goes into a log: no arguments, results, metadata, secrets or query strings. A failure is logged once,
//! where it is handled.

use tracing::{Level, Span};

use crate::config::{Environment, SettingError};
use crate::domain::operation::Operation;

/// Starts logging, in the format and from the level that Lambda's own advanced logging controls set (`AWS_LAMBDA_LOG_FORMAT`
/// and `AWS_LAMBDA_LOG_LEVEL`; AWS Lambda Developer Guide, "Configuring advanced logging controls").
///
/// # Errors
///
/// When the level is not one.
pub fn start(environment: &Environment) -> Result<(), SettingError> {
    let level = match environment.optional("AWS_LAMBDA_LOG_LEVEL") {
        None => Level::INFO,
        Some("FATAL") => Level::ERROR,
        // Below DEBUG, the runtime and the SDK log whole events, requests and answers.
        Some("TRACE") => Level::DEBUG,
        Some(level) => level.parse().map_err(|_| {
            SettingError::new(
                "AWS_LAMBDA_LOG_LEVEL",
                "must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
            )
        })?,
    };
    let logs = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false);
    // A second start, in a test, leaves the first in place.
    let _ = if environment.optional("AWS_LAMBDA_LOG_FORMAT") == Some("JSON") {
        let logs = logs.json().flatten_event(true).with_span_list(false);
        tracing::subscriber::set_global_default(logs.with_ansi(false).finish())
    } else {
        tracing::subscriber::set_global_default(logs.with_ansi(false).finish())
    };
    Ok(())
}

/// Makes a panic one log line that says where, and not what: the message may quote arguments.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(location, "panic");
    }));
}

/// What everything that is logged while an operation is served says besides: its id, and the trace that its caller named.
#[must_use]
pub fn span(operation: &Operation) -> Span {
    let trace = operation.origin.trace.as_ref();
    tracing::info_span!(
        "operation",
        operation_id = %operation.id,
        trace_id = trace.map(|trace| trace.trace_id.as_str()),
        span_id = trace.map(|trace| trace.span_id.as_str()),
    )
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
