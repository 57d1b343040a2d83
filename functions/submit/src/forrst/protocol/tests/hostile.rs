//! Every body is read without a panic and answered in the protocol's shape.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::super::{
    DeadlineData, Echo, Errors, ForrstResponse, ParsedBody, SystemCall, SystemFunction,
    TracingData, describe,
};
use super::{NOW, alice, body, envelope};
use shared::catalogue::Catalogue;
use shared::http::Response;
use shared::schema::Validators;

/// The place in a JSON value for text that no value can have.
const HOLE: &str = "@hole@";

fn envelopes() -> Vec<Value> {
    let mut full = envelope();
    full["extensions"] = json!([
        {"urn": "urn:forrst:ext:async", "options": {
            "accept": true, "callback_url": "https://a.example/"
        }},
        {"urn": "urn:cline:forrst:ext:webhook", "options": {
            "callback_url": "https://a.example/", "events": ["operation.failed"],
            "signature_version": "v1"
        }},
        {"urn": "urn:forrst:ext:idempotency", "options": {
            "key": "k", "ttl": {"value": 1, "unit": "hour"}
        }},
        {"urn": "urn:forrst:ext:deadline", "options": {"value": 30, "unit": "second"}},
        {"urn": "urn:forrst:ext:tracing", "options": {
            "trace_id": "t", "span_id": "s", "parent_span_id": "p", "baggage": {"a": "b"}
        }},
        {"urn": "urn:forrst:ext:retry", "options": {}},
    ]);
    let call = |function: SystemFunction, arguments: Value| {
        let mut call = envelope();
        call["call"] =
            json!({"function": function.name(), "version": "1.0.0", "arguments": arguments});
        call
    };
    let of_operation = json!({"operation_id": "op_070707070707070707070707"});
    vec![
        envelope(),
        full,
        call(SystemFunction::Status, of_operation.clone()),
        call(SystemFunction::Cancel, of_operation),
        call(
            SystemFunction::List,
            json!({
                "status": "failed", "created_after": "2026-01-01T00:00:00Z", "limit": 5,
                "cursor": "AAAA",
            }),
        ),
        call(
            SystemFunction::Describe,
            json!({"function": "csv.summarize", "version": "1.0.0"}),
        ),
        call(
            SystemFunction::Health,
            json!({"component": "queue", "include_details": false}),
        ),
    ]
}

/// Values of every kind, and text that is not JSON or not one value.
fn odd() -> impl Strategy<Value = String> {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let fixed = [
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "18446744073709551616",
        "0.1",
        "\"\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"é 😀\"",
        "\" \"",
        "\"9999-12-31T23:59:60Z\"",
        "\"0000-01-01T00:00:00+23:59\"",
        "\"iso8601\"",
        "\"urn:forrst:ext:async\"",
        "\"urn:acme:ext:audit\"",
        "\"99.0.0\"",
        "[]",
        "{}",
        "[null,1,\"x\"]",
        "{\"a\":1,\"a\":2}",
        "{\"\\ud800\":1}",
        "{\"~/\":\"\\udfff\"}",
        // A second member of the same name as one before or after it.
        "null,\"id\":\"twice\"",
        "null,\"options\":{}",
        "null,\"extensions\":[]",
        "1,\"key\":1",
        // Not JSON.
        "nul",
        "01",
        "}",
    ]
    .map(str::to_owned)
    .to_vec();
    let grown = vec![
        deep(70),
        deep(3000),
        format!("\"{}\"", "x".repeat(5000)),
        format!("{{\"{}\":\"\\ud800\"}}", "~/".repeat(700)),
        format!("{{\"{}\":1}}", "é\\u0001".repeat(700)),
        format!("[{}1]", "1,".repeat(100)),
    ];
    prop_oneof![
        4 => proptest::sample::select(fixed),
        1 => proptest::sample::select(grown),
        1 => "\\PC{0,20}".prop_map(|text| json!(text).to_string()),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    /// A value is replaced.
    Replace(Index, String),
    /// A member or an element is removed.
    Remove(Index),
    /// An element of a list is repeated.
    Repeat(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (any::<Index>(), odd()).prop_map(|(at, text)| Change::Replace(at, text)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => any::<Index>().prop_map(Change::Repeat),
    ]
}

/// Pointers to every value, the root's last.
fn places(value: &Value, at: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                self::places(value, &format!("{at}/{name}"), places);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                self::places(value, &format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at.to_owned());
}

fn changed(mut value: Value, changes: &[Change]) -> String {
    let mut texts = Vec::new();
    for change in changes {
        let mut known = Vec::new();
        places(&value, "", &mut known);
        let (Change::Replace(at, _) | Change::Remove(at) | Change::Repeat(at)) = change;
        let place = at.get(&known);
        if let Change::Replace(_, text) = change {
            *value.pointer_mut(place).unwrap() = json!(format!("{HOLE}{}", texts.len()));
            texts.push(text);
            continue;
        }
        let Some((parent, last)) = place.rsplit_once('/') else {
            continue;
        };
        match (change, value.pointer_mut(parent).unwrap()) {
            (Change::Remove(_), Value::Object(members)) => {
                members.remove(&last.replace("~1", "/").replace("~0", "~"));
            }
            (Change::Remove(_), Value::Array(elements)) => {
                elements.remove(last.parse().unwrap());
            }
            (Change::Repeat(_), Value::Array(elements)) => {
                let again = elements[last.parse::<usize>().unwrap()].clone();
                elements.push(again);
            }
            _ => {}
        }
    }
    let text = value.to_string();
    texts
        .iter()
        .enumerate()
        .fold(text, |text, (index, replacement)| {
            text.replace(&format!("\"{HOLE}{index}\""), replacement)
        })
}

/// Reads as the handler does, and answers as far as that needs no store.
fn answer(sent: &[u8]) -> (Option<String>, Response) {
    let ParsedBody { echo, request } = ParsedBody::of(sent);
    let id = echo.id.clone();
    let outcome = request.and_then(|request| {
        match SystemCall::read(&request, &echo.spellings, &alice(), &Validators::default()) {
            None => Ok((Some(request), Value::Null)),
            Some(Ok(SystemCall::Describe(arguments))) => {
                let view = describe(&arguments, Catalogue::new(true))?;
                Ok((None, serde_json::to_value(view).unwrap()))
            }
            Some(call) => call.map(|_| (None, Value::Null)),
        }
    });
    let respond = |echo: Echo| -> Result<ForrstResponse, Errors> {
        let (request, result) = outcome?;
        let mut response = ForrstResponse::view(echo, &result);
        let extensions = request
            .map(|request| request.extensions)
            .unwrap_or_default();
        let _ = extensions.callback();
        if let Some(deadline) = extensions.deadline {
            if let Some(passed) = deadline.passed(NOW) {
                return Err(passed);
            }
            response = response.with(DeadlineData::new(
                &deadline.options,
                deadline.options.at(NOW),
                NOW,
                NOW,
            ));
        }
        Ok(response)
    };
    let mut response =
        respond(echo.clone()).unwrap_or_else(|errors| ForrstResponse::errors(echo.clone(), errors));
    if let Some(tracing) = &echo.tracing {
        let trace_id = &tracing.options.trace_id;
        response = response.with(TracingData::new(trace_id, "s", Duration::ZERO));
    }
    (id, response.into_http_response(Duration::ZERO))
}

fn is_pointer(text: &str) -> bool {
    let mut rest = text.split('~');
    (text.is_empty() || text.starts_with('/'))
        && rest.next().is_some()
        && rest.all(|after| after.starts_with(['0', '1']))
}

#[track_caller]
fn assert_well_formed(sent: &[u8]) {
    let (id, answer) = answer(sent);
    let body = body(&answer);
    assert_eq!(
        body["protocol"],
        json!({"name": "forrst", "version": "0.1.0"})
    );
    assert_eq!(body["id"], json!(id));
    if let Some(header) = answer.headers.get("x-forrst-request-id") {
        assert_eq!(Some(header), id.as_ref());
    }
    let Some(errors) = body.get("errors") else {
        assert_eq!(answer.status, 200);
        assert!(body.get("result").is_some());
        return;
    };
    assert_eq!(body["result"], Value::Null);
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    let errors = errors.as_array().unwrap();
    assert!((1..=20).contains(&errors.len()));
    for error in errors {
        let code = error["code"].as_str().unwrap();
        let in_code = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        assert!(!code.is_empty() && code.chars().all(in_code), "{code}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        let source = error["source"].as_object().unwrap();
        assert_eq!(source.len(), 1);
        match (source.get("pointer"), source.get("position")) {
            (Some(pointer), None) => assert!(is_pointer(pointer.as_str().unwrap()), "{pointer}"),
            (None, Some(position)) => {
                assert_eq!(code, "PARSE_ERROR");
                assert!(position.as_u64().unwrap() <= sent.len() as u64);
            }
            _ => panic!("{source:?}"),
        }
    }
}

#[test]
fn unchanged_envelopes_are_valid() {
    for envelope in envelopes() {
        let (_, answer) = answer(envelope.to_string().as_bytes());
        // Only the cursor is refused, since a made-up one fails its checksum.
        let refused = answer.body.contains("cursor");
        assert_eq!(answer.status == 200, !refused, "{}", answer.body);
    }
}

proptest! {
    #[test]
    fn changed_values_are_answered(
        envelope in any::<Index>(),
        changes in proptest::collection::vec(change(), 1..4),
    ) {
        let envelopes = envelopes();
        assert_well_formed(changed(envelope.get(&envelopes).clone(), &changes).as_bytes());
    }

    #[test]
    fn changed_bytes_are_answered(
        envelope in any::<Index>(),
        flips in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..3),
        cut in proptest::option::of(any::<Index>()),
        insert in (any::<Index>(), proptest::collection::vec(any::<u8>(), 0..8)),
    ) {
        let envelopes = envelopes();
        let mut bytes = envelope.get(&envelopes).to_string().into_bytes();
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let (at, inserted) = insert;
        let at = at.index(bytes.len());
        bytes.splice(at..at, inserted);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        assert_well_formed(&bytes);
    }

    #[test]
    fn random_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        assert_well_formed(&bytes);
    }
}
