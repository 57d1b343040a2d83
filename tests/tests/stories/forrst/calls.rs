//! Calls of the catalogue's functions.

use std::time::Duration;

use serde_json::{Value, json};
use tests::queues::QueueKind;
use tests::wire::Fault;
use tests::world::World;

use super::{STATUS, call, codes, data, deferred, envelope, extension};

#[tokio::test]
async fn a_call_that_prefers_async_is_answered_with_how_to_poll() {
    let world = World::start().await;
    let response = call(&world, "demo.echo", &json!({"a": 1}), &deferred(&[])).await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.headers["x-forrst-request-id"], "req_1");
    assert_eq!(response.headers["x-forrst-duration-ms"], "0");
    assert_eq!(response.headers["request-id"], "request-1");
    assert_eq!(response.json["result"], Value::Null);
    let data = data(&response, "async");
    assert_eq!(data["status"], "pending");
    assert_eq!(data["retry_after"], json!({"value": 1, "unit": "second"}));
    let poll = &data["poll"];
    assert_eq!(poll["version"], "1.0.0");

    world.pump_all().await;
    let function = poll["function"].as_str().unwrap();
    let status = call(&world, function, &poll["arguments"], &json!([])).await;
    assert_eq!(status.status, 200, "{}", status.text);
    assert_eq!(status.json["result"]["operation_id"], data["operation_id"]);
    assert_eq!(status.json["result"]["status"], "completed");
    assert_eq!(status.json["result"]["result"], json!({"a": 1}));
}

#[tokio::test]
async fn a_call_waits_for_its_result() {
    let world = World::start().await;
    let body = envelope("demo.echo", &json!({"a": 1}), &json!([]));
    let request = world.request("POST", "/forrst", &[], &body);
    let response = world
        .while_waiting(Some(Duration::from_millis(300)), request)
        .await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.json["result"], json!({"a": 1}));
    assert_eq!(response.json.get("extensions"), None);
    // The read at 0.3 s came before the end of the work, the next read at 0.7 s.
    assert_eq!(response.headers["x-forrst-duration-ms"], "700");
}

#[tokio::test]
async fn a_call_whose_result_is_late_is_answered_asynchronously() {
    for (wait, max, took_ms, reads) in [
        ("2", "", 2000, 5),
        ("0", "", 0, 0),
        ("20", "", 10_000, 9),
        ("20", "20", 20_000, 14),
        ("", "1", 1000, 4),
        ("", "0", 0, 0),
    ] {
        let settings = [("FORRST_WAIT_SECONDS", wait), ("WAIT_SECONDS_MAX", max)];
        let world = World::with(settings).await;
        let response = call(&world, "demo.echo", &json!({}), &json!([])).await;
        assert_eq!(response.status, 200, "{}", response.text);
        assert_eq!(response.json["result"], Value::Null);
        // The call did not name the extension, so the response uses the canonical spelling.
        assert_eq!(
            response.json["extensions"][0]["urn"],
            "urn:cline:forrst:ext:async"
        );
        assert_eq!(data(&response, "async")["status"], "pending");
        assert_eq!(
            response.headers["x-forrst-duration-ms"],
            took_ms.to_string()
        );
        let read = world.wire.counts().get("GetItem").copied();
        assert_eq!(read.unwrap_or_default(), reads);
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_waits_says_so() {
    let world = World::start().await;
    let body = envelope("demo.echo", &json!({}), &json!([]));
    let mut request = Box::pin(world.request("POST", "/forrst", &[], &body));
    tokio::select! {
        _ = &mut request => panic!("answered at once"),
        () = world.callers_clock.asleep() => {}
    }
    let listed = world.request("GET", "/operations", &[], "").await;
    let id = listed.json["operations"][0]["id"].as_str().unwrap();
    let cancelled = world
        .request("POST", &format!("/operations/{id}/cancel"), &[], "")
        .await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let response = world.while_waiting(None, request).await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.json["result"], Value::Null);
    assert_eq!(data(&response, "async")["status"], "cancelled");
    assert!(data(&response, "async").get("retry_after").is_none());
}

#[tokio::test]
async fn work_runs_after_its_caller_has_disconnected() {
    let world = World::start().await;
    let body = envelope("demo.echo", &json!({}), &json!([]));
    let mut request = Box::pin(world.request("POST", "/forrst", &[], &body));
    tokio::select! {
        _ = &mut request => panic!("answered at once"),
        () = world.callers_clock.asleep() => {}
    }
    drop(request);
    assert!(world.pump(QueueKind::Dispatch).await);
    let listed = world.request("GET", "/operations", &[], "").await;
    assert_eq!(listed.json["operations"][0]["status"], "completed");
}

#[tokio::test]
async fn one_response_names_every_error_and_costs_no_request() {
    let world = World::start().await;
    let webhook = extension("webhook", &json!({"callback_url": "https://10.1.2.3/"}));
    let response = call(
        &world,
        "demo.countdown",
        &json!({"steps": 0, "step_ms": 1}),
        &deferred(&[webhook]),
    )
    .await;
    assert_eq!(response.status, 400, "{}", response.text);
    let errors = response.json["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors
        .iter()
        .map(|error| &error["source"]["pointer"])
        .collect();
    assert_eq!(
        pointers,
        [
            "/extensions/1/options/callback_url",
            "/call/arguments/steps"
        ]
    );
    for (function, code) in [
        ("demo.ech", "FUNCTION_NOT_FOUND"),
        ("demo.echo", "VERSION_NOT_FOUND"),
    ] {
        let body = json!({
            "protocol": {"name": "forrst", "version": "0.9.1"}, "id": "req_1",
            "call": {"function": function, "version": "9.0.0"},
        });
        let response = world
            .request("POST", "/forrst", &[], &body.to_string())
            .await;
        assert_eq!(response.status, 404, "{}", response.text);
        assert_eq!(codes(&response), [code]);
        let details = &response.json["errors"][0]["details"];
        assert_eq!(details["function"], function);
        let versions = details.get("available_versions");
        assert_eq!(versions.is_some(), code == "VERSION_NOT_FOUND");
    }
    assert_eq!(world.wire.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn every_http_request_gets_a_forrst_response() {
    let world = World::start().await;
    let long = format!(
        "{}{}",
        " ".repeat(1024 * 1024),
        envelope("demo.echo", &json!({}), &json!([]))
    );
    for (method, headers, body, status, id) in [
        ("POST", vec![], "{", 400, Value::Null),
        ("POST", vec![], "[]", 400, Value::Null),
        ("POST", vec![], r#"{"id":"req_9"}"#, 400, json!("req_9")),
        (
            "POST",
            vec![("content-type", "text/plain")],
            "{}",
            415,
            Value::Null,
        ),
        (
            "POST",
            vec![("content-encoding", "gzip")],
            "{}",
            415,
            Value::Null,
        ),
        ("POST", vec![], long.as_str(), 413, Value::Null),
        ("GET", vec![], "", 405, Value::Null),
    ] {
        let response = world.request(method, "/forrst", &headers, body).await;
        assert_eq!(response.status, status, "{}", response.text);
        assert_eq!(response.headers["content-type"], "application/json");
        assert_eq!(response.headers["cache-control"], "no-store");
        assert_eq!(response.json["id"], id);
        assert_eq!(response.json["result"], Value::Null);
        assert!(!codes(&response).is_empty());
        if status == 405 {
            assert_eq!(response.headers["allow"], "POST");
        }
    }
    let unauthorized = world
        .request_of(
            "",
            "POST",
            "/forrst",
            &[],
            envelope("demo.echo", &json!({}), &json!([])).as_bytes(),
        )
        .await;
    assert_eq!(unauthorized.status, 401, "{}", unauthorized.text);
    assert_eq!(codes(&unauthorized), ["UNAUTHORIZED"]);
    assert_eq!(unauthorized.json["id"], "req_1");
    assert_eq!(world.wire.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unavailable_store_is_an_error_that_may_be_retried() {
    let world = World::start().await;
    world.wire.plan([(0, Fault::AlwaysThrottled)]);
    let response = call(
        &world,
        STATUS,
        &json!({"operation_id": "op_000000000000000000000000"}),
        &json!([]),
    )
    .await;
    assert_eq!(response.status, 503, "{}", response.text);
    assert_eq!(response.headers["retry-after"], "1");
    assert_eq!(codes(&response), ["UNAVAILABLE"]);
    assert_eq!(data(&response, "retry")["strategy"], "exponential");
}
