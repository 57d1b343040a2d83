//! Every wrong call gets an error of the caller, and never a server error.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tests::world::World;

use super::{CANCEL, HEALTH, LIST, STATUS, envelope};

/// Correct calls that together have every member.
fn calls() -> Vec<Value> {
    let extensions = json!([
        {"urn": "urn:forrst:ext:async", "options": {
            "preferred": true, "callback_url": "https://a.example/",
            "start_at": "2027-01-15T09:00:00Z",
        }},
        {"urn": "urn:forrst:ext:webhook", "options": {
            "callback_url": "https://a.example/", "events": ["operation.failed"],
            "signature_version": "v1",
        }},
        {"urn": "urn:forrst:ext:idempotency", "options": {
            "key": "k", "ttl": {"value": 1, "unit": "hour"},
        }},
        {"urn": "urn:forrst:ext:deadline", "options": {"value": 30, "unit": "second"}},
        {"urn": "urn:forrst:ext:tracing", "options": {
            "trace_id": "t", "span_id": "s", "baggage": {"a": "b"},
        }},
        {"urn": "urn:forrst:ext:retry", "options": {}},
    ]);
    let operation = json!({"operation_id": "op_000000000000000000000000"});
    [
        ("demo.echo", json!({"a": 1}), extensions.clone()),
        (
            "demo.countdown",
            json!({"steps": 1, "step_ms": 1}),
            extensions,
        ),
        (STATUS, operation.clone(), json!([])),
        (CANCEL, operation, json!([])),
        (
            LIST,
            json!({
                "status": "failed", "created_after": "2026-01-01T00:00:00Z", "limit": 5,
                "cursor": "AAAA",
            }),
            json!([]),
        ),
        (HEALTH, json!({"component": "queue"}), json!([])),
        (
            "urn:cline:forrst:fn:describe",
            json!({"function": "demo.echo", "version": "1.0.0"}),
            json!([]),
        ),
        (
            "urn:cline:forrst:fn:ping",
            json!({}),
            json!([
                {"urn": "urn:forrst:ext:async", "options": {
                    "callback_url": "https://a.example/", "start_after_seconds": 60,
                }},
                {"urn": "urn:forrst:ext:tracing", "options": {"trace_id": "t", "span_id": "s"}},
                {"urn": "urn:forrst:ext:retry", "options": {}},
            ]),
        ),
    ]
    .map(|(function, arguments, extensions)| {
        serde_json::from_str(&envelope(function, &arguments, &extensions)).unwrap()
    })
    .into()
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(0.5)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"a": [{"b": null}]})),
        Just(json!("9999-12-31T23:59:59Z")),
        Just(json!("iso8601")),
        Just(json!("demo.fail")),
        Just(json!("urn:forrst:ext:async")),
        Just(json!("http://127.0.0.1:1/")),
        Just(json!("x".repeat(2000))),
        "\\PC{0,20}".prop_map(Value::String),
        "[0-9a-zA-Z._:-]{1,30}".prop_map(Value::String),
        any::<u32>().prop_map(|number| json!(number)),
    ]
}

/// The pointer of every value in a call, the call itself last.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<_> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (name, value) in members {
        places(value, &format!("{at}/{name}"), found);
    }
    found.push(at.to_owned());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_wrong_call_gets_a_client_error_in_the_protocols_form() {
    let world = World::with([("FORRST_WAIT_SECONDS", "0")]).await;
    let mut runner = TestRunner::new(Config::with_cases(400));
    let runtime = tokio::runtime::Handle::current();
    let change = (any::<prop::sample::Index>(), odd());
    let strategy = (
        prop::sample::select(calls()),
        prop::collection::vec(change, 1..4),
    );
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&strategy, |(mut call, changes)| {
            for (index, value) in changes {
                let mut found = Vec::new();
                places(&call, "", &mut found);
                let place = &found[index.index(found.len())];
                *call.pointer_mut(place).unwrap() = value;
            }
            let body = call.to_string();
            let response = runtime.block_on(world.request("POST", "/forrst", &[], &body));
            let shown = format!("{body}\n{}", response.text);
            prop_assert!(response.status < 500, "{shown}");
            let errors = response.json["errors"].as_array();
            prop_assert_eq!(errors.is_some(), response.status != 200, "{}", shown);
            prop_assert!(errors.is_none_or(|errors| !errors.is_empty()), "{shown}");
            prop_assert!(
                errors.is_none() || response.json["result"].is_null(),
                "{shown}"
            );
            prop_assert_eq!(&response.json["protocol"]["name"], "forrst");
            Ok(())
        })
    });
    outcome.unwrap();
}
