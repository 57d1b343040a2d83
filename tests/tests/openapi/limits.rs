//! Compares the bounds in the document with the code's.

use shared::domain::limits as bounds;
use shared::http::Problem;
use shared::request::FieldError;
use tests::openapi::Document;

/// Every bound: in a schema's keywords where one exists for it, otherwise in its description.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn faults(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    let list = "/paths/~1operations/get/parameters/5/schema";
    let schemas = "/components/schemas";
    let problem = "/components/schemas/Problem/properties/errors";
    for (pointer, limit) in [
        (
            format!("{schemas}/TtlSeconds/minimum"),
            u64::from(bounds::RETENTION_SECS_MIN),
        ),
        (
            format!("{schemas}/TtlSeconds/maximum"),
            u64::from(bounds::RETENTION_SECS_MAX),
        ),
        (
            format!("{schemas}/TtlSeconds/default"),
            u64::from(bounds::RETENTION_SECS_DEFAULT),
        ),
        (
            format!("{schemas}/StartAfterSeconds/maximum"),
            u64::from(bounds::START_SECS_MAX),
        ),
        (
            format!("{schemas}/DeadlineSeconds/minimum"),
            u64::from(bounds::DEADLINE_SECS_MIN),
        ),
        (
            format!("{schemas}/DeadlineSeconds/maximum"),
            u64::from(bounds::DEADLINE_SECS_MAX),
        ),
        (
            format!("{schemas}/Redrive/properties/ttl_seconds/minimum"),
            u64::from(bounds::RETENTION_SECS_MIN),
        ),
        (
            format!("{schemas}/Redrive/properties/ttl_seconds/maximum"),
            u64::from(bounds::RETENTION_SECS_MAX),
        ),
        (
            format!("{schemas}/CallbackUrl/maxLength"),
            count(bounds::CALLER_URL_CHARS_MAX),
        ),
        (format!("{list}/maximum"), count(bounds::LIST_LIMIT_MAX)),
        (format!("{list}/default"), count(bounds::LIST_LIMIT_DEFAULT)),
        (
            format!("{schemas}/OperationPage/properties/operations/maxItems"),
            count(bounds::LIST_LIMIT_MAX),
        ),
        (
            format!("{schemas}/OperationMembers/properties/progress_message/maxLength"),
            count(bounds::PROGRESS_MESSAGE_CHARS_MAX),
        ),
        (
            format!("{schemas}/OperationMembers/properties/attempts/maxItems"),
            count(bounds::ATTEMPTS_KEPT_MAX),
        ),
        (
            format!("{schemas}/AttemptEntry/properties/code/maxLength"),
            count(bounds::ATTEMPT_CODE_CHARS_MAX),
        ),
        (
            format!("{schemas}/OperationError/properties/code/maxLength"),
            count(bounds::ERROR_CODE_CHARS_MAX),
        ),
        (
            format!("{schemas}/OperationError/properties/message/maxLength"),
            count(bounds::ERROR_MESSAGE_CHARS_MAX),
        ),
        (
            format!("{schemas}/ForrstError/properties/code/maxLength"),
            count(bounds::ERROR_CODE_CHARS_MAX),
        ),
        (
            format!("{schemas}/ForrstRequest/properties/id/maxLength"),
            count(bounds::REQUEST_ID_CHARS_MAX),
        ),
        (
            format!("{schemas}/ForrstEnvelope/properties/id/maxLength"),
            count(bounds::REQUEST_ID_CHARS_MAX),
        ),
        (
            "/components/headers/ForrstRequestId/schema/maxLength".to_owned(),
            count(bounds::REQUEST_ID_CHARS_MAX),
        ),
        (
            format!("{schemas}/ForrstRequest/properties/extensions/maxItems"),
            count(bounds::EXTENSIONS_MAX),
        ),
        (
            format!("{schemas}/Version/maxLength"),
            count(bounds::VERSION_CHARS_MAX),
        ),
        (
            format!("{schemas}/TracingId/maxLength"),
            count(bounds::TRACING_ID_CHARS_MAX),
        ),
        (
            format!("{schemas}/IdempotencyOptions/properties/options/properties/key/maxLength"),
            count(bounds::IDEMPOTENCY_KEY_CHARS_MAX),
        ),
        (
            format!("{schemas}/ForrstDeadline/oneOf/0/properties/value/maximum"),
            u64::from(bounds::DEADLINE_SECS_MAX) * 1000,
        ),
        (
            format!("{schemas}/ForrstDeadline/oneOf/1/properties/value/maximum"),
            u64::from(bounds::DEADLINE_SECS_MAX),
        ),
        (
            format!("{schemas}/ForrstDeadline/oneOf/2/properties/value/maximum"),
            u64::from(bounds::DEADLINE_SECS_MAX) / 60,
        ),
        (
            format!("{schemas}/ForrstDeadline/oneOf/3/properties/value/maximum"),
            u64::from(bounds::DEADLINE_SECS_MAX) / 3600,
        ),
        (format!("{problem}/maxItems"), count(errors_max())),
        (
            format!("{schemas}/ForrstFailure/allOf/1/properties/errors/maxItems"),
            count(errors_max()),
        ),
        (
            format!("{problem}/items/properties/pointer/maxLength"),
            count(pointer_chars_max()),
        ),
    ] {
        if document.at(&pointer) != limit {
            faults.push(format!(
                "{pointer} is {}, not {limit}",
                document.at(&pointer)
            ));
        }
    }
    for (pointer, phrase) in phrases() {
        let text = document.at(&pointer).as_str().unwrap_or_default();
        if !text.replace('\n', " ").contains(&phrase) {
            faults.push(format!("{pointer} does not contain {phrase:?}"));
        }
    }
    faults
}

/// Descriptions and patterns that contain a bound, with the part that has to be in them.
fn phrases() -> Vec<(String, String)> {
    let kibibytes = |bytes: usize| format!("{} KiB", bytes / 1024);
    let days = |secs: u32| format!("{} days", secs / 86_400);
    let schemas = "/components/schemas";
    let description = |schema: &str| format!("{schemas}/{schema}/description");
    let rest = |max: usize| format!("{{0,{}}}", max - 1);
    vec![
        (
            description("Arguments"),
            kibibytes(bounds::ARGUMENTS_BYTES_MAX),
        ),
        (
            description("Metadata"),
            kibibytes(bounds::METADATA_BYTES_MAX),
        ),
        (
            description("Submission/properties/ttl_seconds"),
            format!("{} hours", bounds::CALLBACK_RETENTION_SECS.div_euclid(3600)),
        ),
        (
            description("Redrive/properties/ttl_seconds"),
            format!("{} minutes longer", bounds::REDRIVE_MARGIN_SECS / 60),
        ),
        (
            description("CompletedOperation/allOf/2/properties/result"),
            kibibytes(bounds::RESULT_BYTES_MAX),
        ),
        (
            description("OperationError/properties/details"),
            format!("{} KiB", bounds::ERROR_DETAILS_BYTES_MAX / 1024),
        ),
        (description("StartAt"), days(bounds::START_SECS_MAX)),
        (
            description("ForrstDeadline"),
            days(bounds::DEADLINE_SECS_MAX),
        ),
        (
            description("CompletedEventDataWithoutResult/allOf/1/properties/result_omitted"),
            kibibytes(bounds::CALLBACK_BODY_BYTES_MAX),
        ),
        (
            "/components/parameters/Prefer/description".to_owned(),
            format!("longest wait is {} seconds", bounds::WAIT_SECS_MAX_DEFAULT),
        ),
        (
            "/components/parameters/Prefer/description".to_owned(),
            format!("from 0 to {}", bounds::WAIT_SECS_MAX),
        ),
        (
            "/info/description".to_owned(),
            format!("{} MiB", bounds::BODY_BYTES_MAX >> 20),
        ),
        (
            "/info/description".to_owned(),
            format!("at most {} deep", bounds::NESTING_MAX),
        ),
        (
            "/paths/~1operations~1{id}/delete/responses/503/description".to_owned(),
            format!("within {} seconds", bounds::ERASE_SECS_MAX),
        ),
        (
            "/paths/~1operations/get/description".to_owned(),
            format!("at most {} operations", bounds::LIST_EXAMINED_MAX),
        ),
        (
            format!("{schemas}/FunctionName/pattern"),
            rest(bounds::FUNCTION_NAME_CHARS_MAX),
        ),
        (
            "/components/parameters/IdempotencyKey/schema/pattern".to_owned(),
            rest(bounds::IDEMPOTENCY_KEY_CHARS_MAX),
        ),
        (
            "/components/parameters/IdempotencyKey/schema/pattern".to_owned(),
            format!("{{1,{}}}", bounds::IDEMPOTENCY_KEY_CHARS_MAX),
        ),
        (
            "/webhooks/forrst.operation.completed/post/responses/2XX/description".to_owned(),
            format!("{} seconds", bounds::CALLBACK_TIMEOUT_SECS_DEFAULT),
        ),
    ]
}

/// The most errors in a problem.
fn errors_max() -> usize {
    Problem::fields(vec![FieldError::new("", ""); 1000])
        .errors
        .len()
}

/// The length to which an error's pointer is cut.
fn pointer_chars_max() -> usize {
    FieldError::new("x".repeat(100_000), "").pointer.len()
}

fn count(limit: usize) -> u64 {
    limit.try_into().unwrap()
}
