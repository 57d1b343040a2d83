//! `POST /operations`.

use std::time::Duration;

use serde_json::value::RawValue;
use shared::catalogue::Unknown;
use shared::domain::callback::Event;
use shared::domain::json::Json;
use shared::domain::limits::{
    ARGUMENTS_BYTES_MAX, BODY_BYTES_MAX, DEADLINE_SECS_MAX, DEADLINE_SECS_MIN, METADATA_BYTES_MAX,
    TTL_SECS_MAX, TTL_SECS_MIN,
};
use shared::domain::operation::Origin;
use shared::http::{
    Answer, Code, Fields, Members, Problem, Request, Route, idempotency_key, show_read,
};

use crate::Submit;
use crate::accept::Accepted;
use crate::submission::{Deadline, Parts, Refused, Submission, WantedCallback};

const ARGUMENTS: &str = "/arguments";

impl Submit {
    /// See [`Submit::accept`]; reads besides for a caller who prefers to wait for the operation's end.
    pub(crate) async fn rest(&self, request: &Request) -> Result<Answer, Problem> {
        let now = self.clock.now();
        let owner = request.owner()?;
        let body = request.json_body(BODY_BYTES_MAX)?;
        let (parts, fields) = read(body, request.header("idempotency-key"))?;
        let (catalogue, networks) = (self.catalogue, &self.allowed_networks);
        let submission = Submission::new(parts, fields, catalogue, &self.validators, networks)
            .map_err(|refused| match refused {
                Refused::Faulty(problem) => problem,
                Refused::Unknown {
                    function, unknown, ..
                } => unknown_function(&function, &unknown),
            })?;
        let wait = request.wait();

        let accepted = self.accept(owner, &submission).await?;

        let (operation, is_new) = match accepted {
            Accepted::New(operation) => (operation, true),
            Accepted::Replayed(operation) => (operation, false),
            Accepted::Conflict(_) => return Err(conflict()),
        };
        let until = wait.map(|wait| now + wait.time());
        let (operation, payloads) = Box::pin(self.told(*operation, is_new, until)).await?;
        let status = if operation.status().is_terminal() {
            200
        } else {
            202
        };
        let path = Route::ReadOperation.path_of(operation.id.as_str());
        let location = format!("{}{path}", request.base_url);
        let mut answer =
            show_read(&operation, &payloads, status, self.clock.now()).with("location", location);
        if !is_new {
            answer = answer.with("idempotent-replayed", "true");
        }
        if let Some(wait) = wait {
            answer = answer.with("preference-applied", wait.to_string());
        }
        Ok(answer)
    }
}

/// Reads a body and the `Idempotency-Key`; what is wrong with the key and with single
/// members goes with what is right.
fn read(body: &[u8], key: Option<&str>) -> Result<(Parts, Fields), Problem> {
    let mut members = Members::read(body)?;
    let mut fields = Fields::default();
    let idempotency_key = key.and_then(|header| {
        idempotency_key(header)
            .map_err(|fault| fields.wrong_at(fault.pointer, fault.detail))
            .ok()
    });
    let function = fields
        .required(&mut members, "function")
        .and_then(|raw| fields.function_name("function", raw));
    let version = members
        .take("version")
        .and_then(|raw| fields.version("version", raw));
    let arguments = object(&mut fields, &mut members, "arguments")
        .and_then(|arguments| fields.bound(ARGUMENTS, arguments, ARGUMENTS_BYTES_MAX));
    let metadata = object(&mut fields, &mut members, "metadata")
        .and_then(|metadata| fields.bound("/metadata", metadata, METADATA_BYTES_MAX));
    let callback = callback(&mut fields, &mut members);
    let ttl_secs = members
        .take("ttl_seconds")
        .and_then(|raw| fields.number("ttl_seconds", raw, TTL_SECS_MIN..=TTL_SECS_MAX));
    let deadline_secs = members.take("deadline_seconds").and_then(|raw| {
        fields.number(
            "deadline_seconds",
            raw,
            DEADLINE_SECS_MIN..=DEADLINE_SECS_MAX,
        )
    });
    members.refuse_the_rest(&mut fields);
    let parts = Parts {
        function,
        version,
        arguments,
        metadata,
        callback,
        ttl_secs,
        deadline: deadline_secs.map(|secs| Deadline::After(Duration::from_secs(secs.into()))),
        idempotency_key,
        // The gateway's id of a request is told with every answer; it means nothing to whoever sent it.
        origin: Origin::default(),
        arguments_pointer: ARGUMENTS,
    };
    Ok((parts, fields))
}

fn object(fields: &mut Fields, members: &mut Members<'_>, name: &str) -> Option<Json> {
    match members.take(name) {
        Some(raw) => fields.object(name, raw),
        None => Some(Json::empty_object()),
    }
}

fn callback(fields: &mut Fields, members: &mut Members<'_>) -> Option<WantedCallback> {
    let events = match members.take("callback_events") {
        None => Some(Event::ALL.to_vec()),
        Some(raw) => {
            let events = callback_events(raw);
            if events.is_none() {
                fields.wrong(
                    "callback_events",
                    "must be some of completed, failed and cancelled",
                );
            }
            events
        }
    };
    let Some(raw) = members.take("callback_url") else {
        if events.is_none_or(|events| events != Event::ALL) {
            fields.wrong("callback_events", "needs a callback_url");
        }
        return None;
    };
    Some(WantedCallback {
        url: fields.text("callback_url", raw)?,
        url_pointer: "/callback_url".to_owned(),
        // None was told above, and the submit ends there; the URL is judged all the same.
        events: events.unwrap_or_default(),
    })
}

/// The events in their own order, each once.
fn callback_events(raw: &RawValue) -> Option<Vec<Event>> {
    let words: Vec<String> = serde_json::from_str(raw.get()).ok()?;
    let named: Option<Vec<_>> = words.iter().map(|word| word.parse().ok()).collect();
    let named = named.filter(|named| !named.is_empty())?;
    Some(
        Event::ALL
            .into_iter()
            .filter(|event| named.contains(event))
            .collect(),
    )
}

fn unknown_function(name: &str, unknown: &Unknown) -> Problem {
    match unknown {
        Unknown::Function => Problem::new(
            Code::FunctionNotFound,
            format!("there is no function {name}"),
        ),
        Unknown::Version { available } => {
            let available = available.join(", ");
            Problem::new(
                Code::VersionNotFound,
                format!("there is no such version of {name}; there is {available}"),
            )
        }
    }
}

fn conflict() -> Problem {
    let detail =
        "this Idempotency-Key was used with other arguments, callback_url or callback_events";
    Problem::new(Code::IdempotencyConflict, detail)
}
