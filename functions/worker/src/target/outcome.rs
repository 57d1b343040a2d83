//! What a target's response means for the attempt.

use std::time::Duration;

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::catalogue::{Target, reserved_member};
use shared::domain::attempt::within_limit;
use shared::domain::json::{self, Json};
use shared::domain::limits::{
    DEADLINE_SECS_MAX, ERROR_CODE_CHARS_MAX, NESTING_MAX, RESULT_BYTES_MAX, STATE_BYTES_MAX,
};
use shared::domain::operation::FailureCode;
use shared::domain::target_code::TargetCode;
use shared::request::ErrorCode;

use crate::work::{Next, Returned, WorkError};

/// The error type of which every target can say that another attempt would fail as well.
const PERMANENT_ERROR: &str = "PermanentError";
/// How the compact text of an object begins whose first member is `$continue`.
const CONTINUE: &str = r#"{"$continue":"#;
/// Of a text of the target's in a log line, in characters.
const LOGGED_CHARS_MAX: usize = 4000;

/// What Lambda returns when a function raised an error, crashed or ran out of time (AWS Lambda
/// Developer Guide, "Understanding Lambda function errors"). Runtimes differ in what they leave
/// out.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raised {
    error_type: Option<String>,
    error_message: Option<String>,
    stack_trace: Option<Box<RawValue>>,
    /// Node's stack trace.
    trace: Option<Box<RawValue>>,
}

/// The member `$error` of a response.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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

/// The outcome of an invocation that has a response. With `quotes_crashes` an operation says why
/// its target crashed.
pub(super) fn outcome(target: &Target, output: &InvokeOutput, quotes_crashes: bool) -> Returned {
    let payload = output.payload().map(AsRef::as_ref).unwrap_or_default();
    let text = std::str::from_utf8(payload).unwrap_or_default();
    if output.function_error().is_some() {
        return Err(of_raised(target, text, quotes_crashes));
    }
    // A function without a return value, in a runtime that sends nothing for it.
    let text = if payload.is_empty() { "null" } else { text };
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|_| invalid("the target returned no valid JSON"))?;
    // The size comes first: it has another code, and what is too large need not be read.
    let returned = Json::compact(raw);
    let continues = returned.as_str().starts_with(CONTINUE);
    let result = within_limit(returned).map_err(|error| {
        if continues {
            state_too_large()
        } else {
            WorkError::permanent_of(error)
        }
    })?;
    json::check(result.raw(), NESTING_MAX).map_err(|error| {
        invalid(&format!(
            "the target's result {} {}",
            error.pointer, error.kind
        ))
    })?;
    match reserved_member(&result) {
        None => Ok(Next::Done(result)),
        Some((name, value)) if name == "$error" => Err(of_returned(value)),
        Some((name, value)) if name == "$continue" => of_continue(value),
        Some((name, _)) => {
            let message = format!("the target returned the reserved member {name}");
            Err(invalid(&message))
        }
    }
}

fn invalid(message: &str) -> WorkError {
    WorkError::of_target(TargetCode::AnswerInvalid, message, false)
}

fn state_too_large() -> WorkError {
    WorkError::permanent(
        FailureCode::StateTooLarge.as_str(),
        &format!("the state is too large; the limit is {STATE_BYTES_MAX} bytes"),
    )
}

/// Names the first wrong member.
fn of_continue(value: &RawValue) -> Returned {
    let Some(members) = json::members(value) else {
        return Err(invalid("the target's $continue must be an object"));
    };
    let (mut state, mut after_secs) = (None, 0);
    for (name, value) in members {
        match name.as_str() {
            "state" => state = Some(Json::compact(value)),
            "after_seconds" => {
                let secs = json::whole_number(value);
                let secs = secs.filter(|secs| *secs <= u64::from(DEADLINE_SECS_MAX));
                after_secs = secs.ok_or_else(|| {
                    invalid(&format!(
                        "the target's $continue.after_seconds must be a whole number from 0 to \
                         {DEADLINE_SECS_MAX}"
                    ))
                })?;
            }
            name => {
                let message = format!("the target's $continue has the unknown member {name}");
                return Err(invalid(&message));
            }
        }
    }
    let state =
        state.ok_or_else(|| invalid("the target's $continue must have the member state"))?;
    Ok(Next::Continue {
        state,
        after: Duration::from_secs(after_secs),
    })
}

fn of_returned(value: &RawValue) -> WorkError {
    let error = serde_json::from_str::<ReturnedError<'_>>(value.get());
    let Some(error) = error.ok().filter(|error| is_code(&error.code)) else {
        return invalid(
            "the target's $error must have code (up to 64 letters, digits and any of _-.) and \
             message, may have details and retryable, and nothing else",
        );
    };
    let code = target_code(&error.code);
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

fn is_code(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=ERROR_CODE_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn of_raised(target: &Target, text: &str, quotes_crashes: bool) -> WorkError {
    let Raised {
        error_type,
        error_message,
        stack_trace,
        trace,
    } = serde_json::from_str(text).unwrap_or_default();
    let error_type = error_type.unwrap_or_default();
    let message = error_message.unwrap_or_default();
    let end = end_of(&error_type, &message);

    let stack_trace = stack_trace.or(trace);
    let stack_trace = stack_trace.as_deref().map_or("", RawValue::get);
    // A crash's message may quote the target's log, so callers do not get it.
    let reason = if matches!(end, End::Raised) {
        ""
    } else {
        &*message
    };
    tracing::warn!(
        target = %target.function,
        error_type = start_of(&error_type),
        reason = start_of(reason),
        stack_trace = start_of(stack_trace),
        "{}",
        end.name()
    );
    let with_reason = |what: &str| {
        if quotes_crashes && !message.is_empty() {
            format!("{what}: {message}")
        } else {
            what.to_owned()
        }
    };
    let is_named = |name: &str| target.permanent_errors.iter().any(|named| named == name);
    let kind = last_part(&error_type);
    let retryable = !is_named(&error_type);
    match end {
        End::TimedOut => {
            let what = "the target exceeded its own timeout";
            WorkError::of_target(TargetCode::TimedOut, what, retryable)
        }
        End::Crashed => {
            let what = with_reason("the target ended without a result");
            WorkError::of_target(TargetCode::Crashed, &what, retryable)
        }
        End::NoJson => invalid(&with_reason("the target returned no valid JSON")),
        End::TooLarge => WorkError::permanent(
            FailureCode::ResultTooLarge.as_str(),
            &format!("the result is too large; the limit is {RESULT_BYTES_MAX} bytes"),
        ),
        End::Raised => {
            let code = target_code(&upper_snake_case(kind));
            let message = if message.is_empty() {
                format!("the target raised {kind}")
            } else {
                message
            };
            if retryable && !is_named(kind) && kind != PERMANENT_ERROR {
                WorkError::retryable(&code, &message)
            } else {
                WorkError::permanent(&code, &message)
            }
        }
    }
}

/// How an invocation ended that has no result.
#[derive(Clone, Copy)]
enum End {
    TimedOut,
    Crashed,
    /// The runtime could not make JSON of the result.
    NoJson,
    /// The runtime could not send the result.
    TooLarge,
    /// Whatever the handler raised.
    Raised,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "the target exceeded its own timeout",
            Self::Crashed => "the target crashed",
            Self::NoJson => "the target returned no valid JSON",
            Self::TooLarge => "the target returned too large a result",
            Self::Raised => "the target raised an error",
        }
    }
}

fn end_of(error_type: &str, message: &str) -> End {
    match error_type {
        // Older runtimes report a timeout in the message alone.
        "" if message.contains("Task timed out") => End::TimedOut,
        "" => End::Crashed,
        "Sandbox.Timedout" => End::TimedOut,
        "Runtime.MarshalError" => End::NoJson,
        "Function.ResponseSizeTooLarge" => End::TooLarge,
        _ if ["Runtime.", "Sandbox.", "Extension."]
            .iter()
            .any(|prefix| error_type.starts_with(prefix)) =>
        {
            End::Crashed
        }
        _ => End::Raised,
    }
}

fn start_of(text: &str) -> &str {
    let end = text.char_indices().nth(LOGGED_CHARS_MAX);
    end.map_or(text, |(end, _)| &text[..end])
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

/// A target's code. One that is Ferry's gets a prefix, so that callers can rely on the latter.
fn target_code(code: &str) -> String {
    const PREFIX: &str = "TARGET_";
    let is_ferrys = |code: &str| {
        FailureCode::ALL.iter().any(|known| known.as_str() == code)
            || TargetCode::ALL.iter().any(|known| known.as_str() == code)
            || code.parse::<ErrorCode>().is_ok()
    };
    let mut prefixed = code.to_owned();
    if code.starts_with(PREFIX) {
        prefixed.insert_str(0, PREFIX);
    }
    while is_ferrys(&prefixed) {
        prefixed.insert_str(0, PREFIX);
    }
    prefixed
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
            ("Unavailable", "TARGET_TARGET_UNAVAILABLE"),
        ] {
            let found = target_code(&upper_snake_case(last_part(error_type)));
            assert_eq!(found, code, "{error_type}");
        }
    }
}
