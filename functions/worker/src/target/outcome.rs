//! What a target's response means for the attempt.

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::catalogue::{Target, reserved_member};
use shared::domain::json::{self, Json};
use shared::domain::limits::{NESTING_MAX, RESULT_BYTES_MAX};
use shared::domain::operation::FailureCode;
use shared::request::ErrorCode;

use crate::work::WorkError;

const ANSWER_INVALID: &str = "TARGET_ANSWER_INVALID";
/// The error type of which every target can say that another attempt would fail as well.
const PERMANENT_ERROR: &str = "PermanentError";
/// Of a stack trace, in characters: a log line has a limit too.
const STACK_TRACE_CHARS_MAX: usize = 4000;

/// What Lambda returns when a function raised an error, crashed or ran out of time (AWS Lambda
/// Developer Guide, "Understanding Lambda function errors").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raised {
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error_message: String,
    /// Node calls it `trace`.
    #[serde(default, alias = "trace")]
    stack_trace: Option<Box<RawValue>>,
}

/// The member `$error` of a response.
#[derive(Deserialize)]
struct ReturnedError<'a> {
    code: String,
    message: String,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    #[serde(default = "is_retryable_by_default")]
    retryable: bool,
}

const fn is_retryable_by_default() -> bool {
    true
}

/// The outcome of an invocation that has a response. With `quotes_crashes` an operation says why its
/// target crashed.
pub(super) fn outcome(
    target: &Target,
    output: &InvokeOutput,
    quotes_crashes: bool,
) -> Result<Json, WorkError> {
    let payload = output.payload().map(AsRef::as_ref).unwrap_or_default();
    let text = std::str::from_utf8(payload).unwrap_or_default();
    if output.function_error().is_some() {
        return Err(of_raised(target, text, quotes_crashes));
    }
    // A function without a return value, in a runtime that sends nothing for it.
    let text = if payload.is_empty() { "null" } else { text };
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|_| WorkError::permanent(ANSWER_INVALID, "the target returned no valid JSON"))?;
    let result = Json::compact(raw);
    // The size comes first: it has another code, and what is too large need not be read.
    if result.len_bytes() > RESULT_BYTES_MAX {
        return Ok(result);
    }
    json::check(result.raw(), NESTING_MAX).map_err(|error| {
        let message = format!("the target's result {} {}", error.pointer, error.kind);
        WorkError::permanent(ANSWER_INVALID, &message)
    })?;
    match reserved_member(&result) {
        None => Ok(result),
        Some((name, value)) if name == "$error" => Err(of_returned(value)),
        Some((name, _)) => {
            let message = format!("the target returned the reserved member {name}");
            Err(WorkError::permanent(ANSWER_INVALID, &message))
        }
    }
}

fn of_returned(value: &RawValue) -> WorkError {
    let Ok(error) = serde_json::from_str::<ReturnedError<'_>>(value.get()) else {
        let message = "the target's $error must have code and message, and may have details and \
                       retryable";
        return WorkError::permanent(ANSWER_INVALID, message);
    };
    let code = own_code(&error.code);
    let failed = if error.retryable {
        WorkError::retryable(&code, &error.message)
    } else {
        WorkError::permanent(&code, &error.message)
    };
    match error.details {
        Some(details) => failed.with_details(&Json::compact(details)),
        None => failed,
    }
}

fn of_raised(target: &Target, text: &str, quotes_crashes: bool) -> WorkError {
    let raised: Raised = serde_json::from_str(text).unwrap_or(Raised {
        error_type: String::new(),
        error_message: String::new(),
        stack_trace: None,
    });
    let stack_trace: String = raised
        .stack_trace
        .iter()
        .flat_map(|trace| trace.get().chars())
        .take(STACK_TRACE_CHARS_MAX)
        .collect();
    tracing::warn!(
        target = %target.function,
        error_type = raised.error_type,
        stack_trace,
        "the target raised an error"
    );
    // Older runtimes report a timeout in the message alone.
    if raised.error_type == "Sandbox.Timedout" || raised.error_message.contains("Task timed out") {
        return WorkError::retryable("TARGET_TIMED_OUT", "the target exceeded its own timeout");
    }
    let is_crash = raised.error_type.is_empty()
        || raised.error_type.starts_with("Runtime.")
        || raised.error_type.starts_with("Sandbox.")
        || raised.error_type.starts_with("Extension.");
    if is_crash {
        let mut message = "the target ended without a result".to_owned();
        if quotes_crashes {
            message = format!("{message}: {}", raised.error_message);
        }
        return WorkError::retryable("TARGET_CRASHED", &message);
    }
    let kind = last_part(&raised.error_type);
    let is_permanent = kind == PERMANENT_ERROR
        || target
            .permanent_errors
            .iter()
            .any(|permanent| *permanent == raised.error_type || permanent == kind);
    let code = own_code(&upper_snake_case(kind));
    if is_permanent {
        WorkError::permanent(&code, &raised.error_message)
    } else {
        WorkError::retryable(&code, &raised.error_message)
    }
}

/// `IllegalStateException` of `java.lang.IllegalStateException`.
fn last_part(error_type: &str) -> &str {
    let last = error_type.rsplit(['.', ':']).next();
    last.filter(|last| !last.is_empty()).unwrap_or(error_type)
}

/// `VALUE_ERROR` for `ValueError`, and `HTTP_ERROR` for `HTTPError`. What is not a letter or digit
/// becomes an underscore.
fn upper_snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut code = String::with_capacity(name.len() + 4);
    for (index, &character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            if !code.is_empty() && !code.ends_with('_') {
                code.push('_');
            }
            continue;
        }
        let before = index
            .checked_sub(1)
            .and_then(|before| characters.get(before));
        let begins_word = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                let ends_acronym = characters
                    .get(index + 1)
                    .is_some_and(char::is_ascii_lowercase);
                !before.is_ascii_uppercase() || ends_acronym
            });
        if begins_word && !code.is_empty() && !code.ends_with('_') {
            code.push('_');
        }
        code.push(character.to_ascii_uppercase());
    }
    let code = code.trim_end_matches('_');
    if code.is_empty() {
        "ERROR".to_owned()
    } else {
        code.to_owned()
    }
}

/// A target's code. One that is Ferry's own gets a prefix, so that callers can rely on the latter.
fn own_code(code: &str) -> String {
    let is_ferrys = FailureCode::ALL.iter().any(|own| own.as_str() == code)
        || code.parse::<ErrorCode>().is_ok()
        || code.starts_with("TARGET_")
        || code.is_empty();
    if is_ferrys {
        format!("TARGET_{code}")
    } else {
        code.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_becomes_a_code() {
        for (error_type, code) in [
            ("ValueError", "VALUE_ERROR"),
            ("java.lang.IllegalStateException", "ILLEGAL_STATE_EXCEPTION"),
            ("Errors::NotFound", "NOT_FOUND"),
            ("HTTPError", "HTTP_ERROR"),
            ("*errors.errorString", "ERROR_STRING"),
            ("S3Error2", "S3_ERROR2"),
            ("ORDERS_SOLD_OUT", "ORDERS_SOLD_OUT"),
            ("order-error", "ORDER_ERROR"),
            ("<b>", "B"),
            ("???", "ERROR"),
            ("InternalError", "TARGET_INTERNAL_ERROR"),
            ("DeadlineExceeded", "TARGET_DEADLINE_EXCEEDED"),
            ("TargetLost", "TARGET_TARGET_LOST"),
        ] {
            let found = own_code(&upper_snake_case(last_part(error_type)));
            assert_eq!(found, code, "{error_type}");
        }
    }
}
