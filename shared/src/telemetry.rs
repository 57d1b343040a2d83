//! Logs: one line a record, on standard output, where Lambda collects them.
//!
//! Nothing of a caller's goes into a log: no arguments, results, metadata, secrets or query strings. A failure is logged once,
//! where it is handled.

use tracing::Level;

use crate::config::{Environment, SettingError};

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
        tracing::subscriber::set_global_default(
            logs.json().flatten_event(true).with_ansi(false).finish(),
        )
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
