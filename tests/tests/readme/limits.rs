//! The limits that pages state, written out a second time from the constants.

use shared::domain::limits;
use shared::domain::operation::FailureCode;
use tests::readme::part;

use super::{PROTOCOL, rows};

#[test]
fn the_limits_are_those_of_the_code() {
    let expected = [callers_limits(), works_limits()].concat();
    let written: Vec<_> = rows(PROTOCOL, "limits")
        .into_iter()
        .map(|row| (row[0], row[1].to_owned()))
        .collect();
    assert_eq!(written, expected);
}

#[test]
fn the_limits_of_long_work_are_those_of_the_code() {
    let lines = part("functions/README.md", "long work");
    let text = lines.split_whitespace().collect::<Vec<_>>().join(" ");
    for fact in [
        format!(
            "any JSON value of at most {}; beyond that the operation fails with `{}`",
            bytes(limits::STATE_BYTES_MAX),
            FailureCode::StateTooLarge
        ),
        format!(
            "The operation's deadline, of at most {} days,",
            limits::DEADLINE_SECS_MAX / 86_400
        ),
        format!(
            "until its {}th attempt, and fails then with `{}`",
            limits::CLAIMS_MAX,
            FailureCode::ContinuedTooOften
        ),
        format!("the last {} attempts", limits::ATTEMPTS_KEPT_MAX),
    ] {
        assert!(text.contains(&fact), "{fact}");
    }
}

/// What callers send and get.
fn callers_limits() -> Vec<(&'static str, String)> {
    let json = |size| format!("{} of compact JSON", bytes(size));
    let by_default = |all: String, default: String| format!("{all}, {default} by default");
    let span = |from, to| format!("{} to {}", time(from), time(to));
    vec![
        ("request body", bytes(limits::BODY_BYTES_MAX)),
        ("`arguments`", json(limits::ARGUMENTS_BYTES_MAX)),
        ("`metadata`", json(limits::METADATA_BYTES_MAX)),
        ("nesting of a request body", limits::NESTING_MAX.to_string()),
        (
            "result",
            format!(
                "{}; beyond it the operation fails",
                json(limits::RESULT_BYTES_MAX)
            ),
        ),
        (
            "errors that a response lists",
            format!(
                "{}; in arguments of more than {values} values, those among the first {values}",
                limits::ERRORS_LISTED_MAX,
                values = limits::ARGUMENT_VALUES_CHECKED_MAX
            ),
        ),
        ("function name", chars(limits::FUNCTION_NAME_CHARS_MAX)),
        ("version", chars(limits::VERSION_CHARS_MAX)),
        (
            "extensions of a Forrst call",
            format!(
                "{}, with names of at most {}",
                limits::EXTENSIONS_MAX,
                chars(limits::EXTENSION_URN_CHARS_MAX)
            ),
        ),
        ("idempotency key", chars(limits::IDEMPOTENCY_KEY_CHARS_MAX)),
        ("owner", format!("{} bytes", limits::OWNER_BYTES_MAX)),
        (
            "`ttl_seconds`",
            by_default(
                span(
                    limits::RETENTION_SECS_MIN.into(),
                    limits::RETENTION_SECS_MAX.into(),
                ),
                time(limits::RETENTION_SECS_DEFAULT.into()),
            ),
        ),
        (
            "`start_after_seconds`, `start_at`",
            by_default(
                format!("at most {} ahead", time(limits::START_SECS_MAX.into())),
                "at once".to_owned(),
            ),
        ),
        (
            "`deadline_seconds`",
            by_default(
                format!(
                    "{} from the start",
                    span(
                        limits::DEADLINE_SECS_MIN.into(),
                        limits::DEADLINE_SECS_MAX.into(),
                    )
                ),
                "the function's own".to_owned(),
            ),
        ),
        (
            "wait for an operation's end",
            format!(
                "{} (`WAIT_SECONDS_MAX`); longer waits are capped",
                time(limits::WAIT_SECS_MAX_DEFAULT.into())
            ),
        ),
        (
            "list page",
            by_default(
                limits::LIST_LIMIT_MAX.to_string(),
                limits::LIST_LIMIT_DEFAULT.to_string(),
            ),
        ),
        (
            "operations examined by one list request",
            limits::LIST_EXAMINED_MAX.to_string(),
        ),
        ("callback URL", chars(limits::CALLER_URL_CHARS_MAX)),
        (
            "callback body",
            format!(
                "beyond {} without the result",
                bytes(limits::CALLBACK_BODY_BYTES_MAX)
            ),
        ),
        (
            "headers of a receiver's response",
            format!(
                "{}, interim responses included",
                bytes(limits::RESPONSE_HEAD_BYTES_MAX)
            ),
        ),
    ]
}

/// What the work and its messages are held to.
fn works_limits() -> Vec<(&'static str, String)> {
    let attempt_secs = limits::attempt_secs_max(limits::WORKER_TIMEOUT_SECS_DEFAULT);
    vec![
        (
            "progress message",
            chars(limits::PROGRESS_MESSAGE_CHARS_MAX),
        ),
        (
            "progress writes",
            format!(
                "{} a second for an operation",
                1 / limits::PROGRESS_INTERVAL.as_secs()
            ),
        ),
        (
            "error code, message, details",
            [
                chars(limits::ERROR_CODE_CHARS_MAX),
                chars(limits::ERROR_MESSAGE_CHARS_MAX),
                bytes(limits::ERROR_DETAILS_BYTES_MAX),
            ]
            .join(", "),
        ),
        (
            "one attempt",
            format!(
                "{}: {} less than `WORKER_TIMEOUT_SECONDS`",
                time(attempt_secs.into()),
                time(limits::INVOCATION_MARGIN.as_secs())
            ),
        ),
        (
            "state to continue from",
            format!(
                "{} of compact JSON; beyond it the operation fails",
                bytes(limits::STATE_BYTES_MAX)
            ),
        ),
        (
            "attempts after which an operation cannot continue",
            limits::CLAIMS_MAX.to_string(),
        ),
        (
            "attempts in the history",
            format!(
                "{}, with codes of at most {}",
                limits::ATTEMPTS_KEPT_MAX,
                chars(limits::ATTEMPT_CODE_CHARS_MAX)
            ),
        ),
        (
            "end of work after it is aborted",
            format!(
                "{}; beyond it the process exits",
                time(limits::ABORT_GRACE.as_secs())
            ),
        ),
        (
            "wait of a message whose record is missing, before it is dropped",
            time(limits::PHANTOM_AGE.as_secs()),
        ),
        (
            "wait of a message whose worker died before it claimed",
            format!(
                "{} (`WORKER_TIMEOUT_SECONDS`)",
                time(limits::WORKER_TIMEOUT_SECS_DEFAULT.into())
            ),
        ),
        (
            "wait of a message whose callback sender died",
            time(limits::CALLBACK_VISIBILITY_SECS.into()),
        ),
        (
            "receives before a message is a dead letter",
            limits::RECEIVES_MAX.to_string(),
        ),
        (
            "message retention",
            format!(
                "{}, {} with its time as a dead letter; sent afresh after {}",
                time(limits::QUEUE_RETENTION_SECS.into()),
                time(limits::DEAD_LETTER_RETENTION_SECS.into()),
                time(limits::MESSAGE_AGE_MAX.as_secs())
            ),
        ),
    ]
}

fn bytes(size: usize) -> String {
    match size {
        size if size % (1024 * 1024) == 0 => format!("{} MiB", size / (1024 * 1024)),
        size if size % 1024 == 0 => format!("{} KiB", size / 1024),
        size => format!("{size} bytes"),
    }
}

fn chars(count: usize) -> String {
    format!("{count} characters")
}

/// Days, minutes and seconds, as many of them as there are.
fn time(secs: u64) -> String {
    let parts = [
        (secs / 86_400, "d"),
        (secs % 86_400 / 60, "min"),
        (secs % 60, "s"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}
