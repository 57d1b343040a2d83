//! What only AWS knows about the targets.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationError;
use aws_sdk_lambda::types::State;
use shared::domain::limits::target_deadline_margin;

use super::{Check, Severity, function_pointer};

type Error = SdkError<GetFunctionConfigurationError>;

/// AWS did not say whether a target exists.
#[derive(Debug, thiserror::Error)]
#[error("the configuration of {function} cannot be read")]
pub struct CheckError {
    function: String,
    source: Box<Error>,
}

/// What matters of a function's configuration.
enum Found {
    Function {
        timeout: Duration,
        /// With AWS's reason, unless the function is active.
        state: Option<(State, String)>,
    },
    Missing,
    Forbidden,
}

/// Asks AWS for the configuration of each target, in one request each: whether the function exists,
/// can be invoked, and ends in time.
///
/// # Errors
///
/// When AWS cannot be reached, or refuses a request for another reason than the target.
pub async fn check_targets(check: &mut Check<'_>, client: &Client) -> Result<(), CheckError> {
    let mut targets: BTreeMap<String, Vec<(usize, Duration)>> = BTreeMap::new();
    for (index, entry) in &check.functions {
        if let Some(target) = entry.target() {
            let functions = targets.entry(target.function.to_string()).or_default();
            functions.push((*index, entry.attempt_timeout));
        }
    }
    for (target, functions) in targets {
        let found = find(client, &target).await?;
        for (index, attempt_timeout) in functions {
            report(check, &found, &target, index, attempt_timeout);
        }
    }
    Ok(())
}

async fn find(client: &Client, function: &str) -> Result<Found, CheckError> {
    let configuration = client.get_function_configuration().function_name(function);
    match configuration.send().await {
        Ok(configuration) => {
            // AWS leaves out neither, and the least timeout is a second.
            let seconds = configuration.timeout().unwrap_or_default();
            let state = configuration
                .state()
                .filter(|state| **state != State::Active);
            let reason = configuration.state_reason().unwrap_or_default();
            Ok(Found::Function {
                timeout: Duration::from_secs(seconds.try_into().unwrap_or_default()),
                state: state.map(|state| (state.clone(), reason.to_owned())),
            })
        }
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(Found::Missing),
        Err(error) if error.code() == Some("AccessDeniedException") => Ok(Found::Forbidden),
        Err(error) => Err(CheckError {
            function: function.to_owned(),
            source: Box::new(error),
        }),
    }
}

fn report(
    check: &mut Check<'_>,
    found: &Found,
    target: &str,
    index: usize,
    attempt_timeout: Duration,
) {
    let (timeout, state) = match found {
        Found::Function { timeout, state } => (timeout, state),
        Found::Missing => {
            let detail = "does not exist, or lacks this alias or version";
            return check.report(Severity::Error, function_pointer(index), detail);
        }
        // As for a function of another account, which allows the worker alone.
        Found::Forbidden => {
            let detail = "is not checked: the credentials do not allow \
                          lambda:GetFunctionConfiguration";
            return check.report(Severity::Warning, function_pointer(index), detail);
        }
    };
    if let Some((state, reason)) = state {
        let severity = match state {
            State::Failed => Severity::Error,
            // A pending one becomes active, as does an inactive one by an invocation.
            _ => Severity::Warning,
        };
        let detail = format!("is {}: {reason}", state.as_str());
        check.report(
            severity,
            function_pointer(index),
            detail.trim_end_matches(": "),
        );
    }
    let margin = target_deadline_margin(attempt_timeout);
    let available = attempt_timeout.saturating_sub(margin);
    if *timeout > available {
        let detail = format!(
            "leaves the target {} seconds, but {target} may run for {}",
            available.as_secs_f64(),
            timeout.as_secs()
        );
        let pointer = format!("/functions/{index}/timeout_seconds");
        check.report(Severity::Error, pointer, detail);
    }
}
