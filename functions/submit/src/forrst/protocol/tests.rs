//! Tables of errors with their places and of responses, and a property: every request is answered.

mod envelope;
mod extension_list;
mod hostile;
mod responses;
mod system_call;

use serde_json::{Value, json};

use super::{Errors, ParsedBody, Source};
use shared::domain::id::{CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Origin, Owner, Payload, State};
use shared::domain::time::Timestamp;
use shared::http::Response;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A valid request with every member.
fn envelope() -> Value {
    json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": "req_1",
        "call": {"function": "demo.echo", "version": "1.0.0", "arguments": {"n": 1}},
        "context": {"caller": "a test"},
        "extensions": [
            {"urn": "urn:cline:forrst:ext:async", "options": {"preferred": true}},
            {"urn": "urn:forrst:ext:tracing", "options": {"trace_id": "trace", "span_id": "span"}},
        ],
    })
}

/// The envelope with this extension as its only one.
fn with_extension(options: &Value, name: &str) -> Value {
    let mut envelope = envelope();
    envelope["extensions"] =
        json!([{"urn": format!("urn:cline:forrst:ext:{name}"), "options": options}]);
    envelope
}

fn read(envelope: &Value) -> ParsedBody {
    ParsedBody::of(envelope.to_string().as_bytes())
}

/// The codes and places of errors.
fn codes_and_places(errors: &Errors) -> Vec<(String, String)> {
    errors
        .as_slice()
        .iter()
        .map(|error| {
            let place = match error.source() {
                Some(Source::Pointer(pointer)) => pointer.clone(),
                Some(Source::Position(position)) => position.to_string(),
                None => "nowhere".to_owned(),
            };
            (error.code().to_owned(), place)
        })
        .collect()
}

#[track_caller]
fn assert_faults(envelope: &Value, expected: &[(&str, &str)]) {
    let errors = read(envelope).request.expect_err("nothing was wrong");
    let errors = codes_and_places(&errors);
    let errors: Vec<_> = errors
        .iter()
        .map(|(code, place)| (code.as_str(), place.as_str()))
        .collect();
    assert_eq!(errors, expected, "{envelope}");
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap()
}

fn alice() -> Owner {
    Owner::new("jwt", "alice").unwrap()
}

/// An operation that was accepted 50 seconds ago.
fn operation(state: State) -> Operation {
    let created_at = Timestamp::from_millis(NOW.as_millis() - 50_000);
    Operation {
        id: OperationId::from_bytes([7; 12]),
        create_id: CreateId::from_bytes([8; 16]),
        owner: alice(),
        function: "demo.echo".to_owned(),
        function_version: "1.0.0".to_owned(),
        request_hash: None,
        state,
        lock_version: 1,
        attempt: 0,
        attempts_max: 3,
        created_at,
        updated_at: created_at,
        starts_at: None,
        deadline_at: NOW,
        expires_at: NOW,
        retention_secs: 60,
        started_at: None,
        attempt_started_at: None,
        attempts: Vec::new(),
        progress: None,
        last_error: None,
        saved_state: None,
        arguments: Payload::Inline(Json::empty_object()),
        metadata: Payload::Inline(Json::empty_object()),
        callback: None,
        origin: Origin::default(),
    }
}
