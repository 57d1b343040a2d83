//! `POST /operations`.

use std::time::Duration;

use serde_json::value::RawValue;
use shared::catalogue::Unknown;
use shared::domain::callback::CallbackEvent;
use shared::domain::json::Json;
use shared::domain::limits::{
    ARGUMENTS_BYTES_MAX, BODY_BYTES_MAX, DEADLINE_SECS_MAX, DEADLINE_SECS_MIN, METADATA_BYTES_MAX,
    RETENTION_SECS_MAX, RETENTION_SECS_MIN,
};
use shared::domain::operation::{Operation, Origin};
use shared::domain::time::Timestamp;
use shared::http::{
    IDEMPOTENCY_KEY_POINTER, Problem, Request, RequestError, Response, Route, idempotency_key,
    read_object, show,
};
use shared::operations::{
    AcceptOutcome, Deadline, IdempotencyKey, RequestedCallback, SubmissionError, SubmissionParts,
};
use shared::request::{ErrorCode, Fields, Invalid, Members, START_AT, Start};

use crate::Handler;

const ARGUMENTS: &str = "/arguments";

impl Handler {
    /// Accepts an operation, then polls it while the caller prefers to wait.
    pub(crate) async fn rest(&self, request: &Request) -> Result<Response, RequestError> {
        let now = self.clock.now();
        let owner = request.owner()?;
        let body = request.json_body(BODY_BYTES_MAX)?;
        let (parts, fields) = read(body, request.header("idempotency-key"), now)?;
        let submission = self.submissions.check(parts, fields).map_err(problem)?;
        let wait = request.wait();

        let accepted = self.submissions.accept(owner, &submission).await?;

        let (operation, is_new) = match accepted {
            AcceptOutcome::New(operation) => (operation, true),
            AcceptOutcome::Replayed(operation) => (operation, false),
            AcceptOutcome::Conflict { .. } => return Err(conflict().into()),
            AcceptOutcome::Unavailable => return Err(Problem::unavailable().into()),
        };
        let until = wait.map(|wait| now + wait.time());
        let response = self
            .show_accepted(request, *operation, is_new, until)
            .await?;
        Ok(match wait {
            Some(wait) => response.with("preference-applied", wait.to_string()),
            None => response,
        })
    }

    /// Shows an operation that was accepted, now or before, at its end or at `wait_until`.
    pub(crate) async fn show_accepted(
        &self,
        request: &Request,
        operation: Operation,
        is_new: bool,
        wait_until: Option<Timestamp>,
    ) -> Result<Response, RequestError> {
        let read = self
            .submissions
            .read_accepted(operation, is_new, wait_until);
        let read = Box::pin(read).await?;
        let (operation, payloads) = read.ok_or_else(Problem::unavailable)?;
        let status = if operation.status().is_terminal() {
            200
        } else {
            202
        };
        let path = Route::ReadOperation.path_of(operation.id.as_str());
        let location = format!("{}{path}", request.base_url);
        let response = show(&operation, &payloads, status, self.clock.now());
        let response = response.with("location", location);
        Ok(if is_new {
            response
        } else {
            response.with("idempotent-replayed", "true")
        })
    }
}

/// Reads the body and the `Idempotency-Key` of a request that arrived `now`. The errors of the key
/// and of single members are in the [`Fields`].
fn read(
    body: &[u8],
    key: Option<&str>,
    now: Timestamp,
) -> Result<(SubmissionParts, Fields), Problem> {
    let mut members = read_object(body)?;
    let mut fields = Fields::default();
    let idempotency_key = key.and_then(|header| match idempotency_key(header) {
        Ok(key) => Some(IdempotencyKey {
            key,
            pointer: IDEMPOTENCY_KEY_POINTER.to_owned(),
        }),
        Err(error) => {
            fields.reject_at(error.pointer, error.detail);
            None
        }
    });
    let function = fields
        .required(&mut members, "function")
        .and_then(|raw| fields.function_name("function", raw));
    let version = members
        .take("version")
        .and_then(|raw| fields.version("version", raw).ok());
    let arguments = object(&mut fields, &mut members, "arguments")
        .and_then(|arguments| fields.bound(ARGUMENTS, arguments, ARGUMENTS_BYTES_MAX));
    let metadata = object(&mut fields, &mut members, "metadata")
        .and_then(|metadata| fields.bound("/metadata", metadata, METADATA_BYTES_MAX));
    let callback = callback(&mut fields, &mut members);
    let ttl_secs = ttl_secs(&mut fields, &mut members);
    let start = Start::read(&mut members, &mut fields);
    if let Some(detail) = start.and_then(|start| start.too_far(now)) {
        fields.reject(START_AT, detail);
    }
    let deadline_secs = deadline_secs(&mut fields, &mut members);
    members.reject_unknown(&mut fields);
    let parts = SubmissionParts {
        function,
        version,
        arguments,
        arguments_pointer: ARGUMENTS,
        metadata,
        callback,
        ttl_secs,
        start,
        deadline: deadline_secs.map(|secs| Deadline::After(Duration::from_secs(secs.into()))),
        idempotency_key,
        // REST callers choose no request id, and the gateway's means nothing to them, so none is
        // stored.
        origin: Origin::default(),
    };
    Ok((parts, fields))
}

pub(crate) fn ttl_secs(fields: &mut Fields, members: &mut Members<'_>) -> Option<u32> {
    let bounds = RETENTION_SECS_MIN..=RETENTION_SECS_MAX;
    let raw = members.take("ttl_seconds")?;
    fields.number("ttl_seconds", raw, bounds).ok()
}

pub(crate) fn deadline_secs(fields: &mut Fields, members: &mut Members<'_>) -> Option<u32> {
    let bounds = DEADLINE_SECS_MIN..=DEADLINE_SECS_MAX;
    let raw = members.take("deadline_seconds")?;
    fields.number("deadline_seconds", raw, bounds).ok()
}

fn object(fields: &mut Fields, members: &mut Members<'_>, name: &str) -> Result<Json, Invalid> {
    match members.take(name) {
        Some(raw) => fields.object(name, raw),
        None => Ok(Json::empty_object()),
    }
}

fn callback(fields: &mut Fields, members: &mut Members<'_>) -> Option<RequestedCallback> {
    let events = match members.take("callback_events") {
        None => Ok(CallbackEvent::ALL.to_vec()),
        Some(raw) => callback_events(raw).ok_or_else(|| {
            let detail = "must be some of completed, failed and cancelled";
            fields.reject("callback_events", detail)
        }),
    };
    let Some(raw) = members.take("callback_url") else {
        if !events.is_ok_and(|events| events == CallbackEvent::ALL) {
            fields.reject("callback_events", "needs a callback_url");
        }
        return None;
    };
    Some(RequestedCallback {
        url: fields.text("callback_url", raw).ok()?,
        url_pointer: "/callback_url".to_owned(),
        events,
    })
}

/// The events in the order of [`CallbackEvent::ALL`], each once.
fn callback_events(raw: &RawValue) -> Option<Vec<CallbackEvent>> {
    let words: Vec<String> = serde_json::from_str(raw.get()).ok()?;
    let named: Option<Vec<_>> = words.iter().map(|word| word.parse().ok()).collect();
    let named = named.filter(|named| !named.is_empty())?;
    Some(
        CallbackEvent::ALL
            .into_iter()
            .filter(|event| named.contains(event))
            .collect(),
    )
}

pub(crate) fn problem(error: SubmissionError) -> Problem {
    match error {
        SubmissionError::Invalid(errors) => Problem::fields(errors),
        SubmissionError::UnusableSchema => unusable_schema(),
        SubmissionError::UnknownFunction {
            function, unknown, ..
        } => unknown_function(&function, &unknown),
    }
}

/// The log has the cause.
pub(crate) fn unusable_schema() -> Problem {
    Problem::new(ErrorCode::InternalError, "the function cannot be called")
}

fn unknown_function(name: &str, unknown: &Unknown) -> Problem {
    match unknown {
        Unknown::Function => Problem::new(
            ErrorCode::FunctionNotFound,
            format!("there is no function {name}"),
        ),
        Unknown::Version { available } => {
            let available = available.join(", ");
            Problem::new(
                ErrorCode::VersionNotFound,
                format!("there is no such version of {name}; there is {available}"),
            )
        }
    }
}

fn conflict() -> Problem {
    let detail =
        "this Idempotency-Key was used with other arguments, callback_url or callback_events";
    Problem::new(ErrorCode::IdempotencyConflict, detail)
}
