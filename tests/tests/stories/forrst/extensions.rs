//! The extensions of a call.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

use super::{call, codes, data, deferred, envelope, extension};

#[tokio::test]
async fn a_key_names_the_same_operation_in_rest_and_forrst() {
    let world = World::start().await;
    let key = extension(
        "idempotency",
        &json!({"key": "k", "ttl": {"value": 1, "unit": "hour"}}),
    );
    let submit = |arguments: Value| {
        let (world, extensions) = (&world, deferred(std::slice::from_ref(&key)));
        async move { call(world, "demo.echo", &arguments, &extensions).await }
    };
    let first = submit(json!({"a": 1})).await;
    assert_eq!(data(&first, "idempotency")["status"], "processed");
    assert_eq!(data(&first, "idempotency")["original_request_id"], "req_1");
    let id = &data(&first, "async")["operation_id"];

    let second = submit(json!({"a": 1})).await;
    assert_eq!(second.status, 200, "{}", second.text);
    assert_eq!(data(&second, "idempotency")["status"], "processing");
    assert_eq!(&data(&second, "async")["operation_id"], id);
    let by_rest = world
        .request(
            "POST",
            "/operations",
            &[("idempotency-key", "k")],
            r#"{"function":"demo.echo","arguments":{"a":1}}"#,
        )
        .await;
    assert_eq!(by_rest.headers["idempotent-replayed"], "true");
    assert_eq!(&by_rest.json["id"], id);

    let other = submit(json!({"a": 2})).await;
    assert_eq!(other.status, 409, "{}", other.text);
    assert_eq!(codes(&other), ["IDEMPOTENCY_CONFLICT"]);
    assert_eq!(other.json["errors"][0]["details"]["key"], "k");
    assert_eq!(
        data(&other, "idempotency"),
        &json!({"key": "k", "status": "conflict", "original_request_id": "req_1"})
    );

    world.pump_all().await;
    let third = submit(json!({"a": 1})).await;
    assert_eq!(third.json["result"], json!({"a": 1}), "{}", third.text);
    assert_eq!(data(&third, "idempotency")["status"], "cached");
    assert_eq!(
        data(&third, "idempotency")["cached_at"],
        "2027-01-15T08:00:00.000Z"
    );
}

#[tokio::test]
async fn a_deadline_becomes_the_operations_deadline() {
    let world = World::start().await;
    let deadline = extension("deadline", &json!({"value": 90, "unit": "second"}));
    let response = call(&world, "demo.echo", &json!({}), &deferred(&[deadline])).await;
    assert_eq!(
        data(&response, "deadline"),
        &json!({
            "specified": {"value": 90, "unit": "second"},
            "elapsed": {"value": 0, "unit": "millisecond"},
            "remaining": {"value": 90000, "unit": "millisecond"},
            "utilization": 0.0,
        })
    );
    let id = data(&response, "async")["operation_id"].as_str().unwrap();
    assert_eq!(
        world.show(id).await["deadline_at"],
        "2027-01-15T08:01:30.000Z"
    );
    // No worker claims it before the deadline, and the first one afterwards gives it up.
    world.clock.advance(Duration::from_secs(91));
    world.pump_all().await;
    let failed = world.show(id).await;
    assert_eq!(failed["errors"][0]["code"], "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_deadline_that_has_passed_costs_no_request() {
    let world = World::start().await;
    let past = json!({"value": "2027-01-15T08:00:00Z", "unit": "iso8601"});
    let response = call(
        &world,
        "demo.echo",
        &json!({}),
        &json!([extension("deadline", &past)]),
    )
    .await;
    assert_eq!(response.status, 408, "{}", response.text);
    assert_eq!(codes(&response), ["DEADLINE_EXCEEDED"]);
    assert_eq!(data(&response, "deadline")["utilization"], 1.0);
    // A retry would find the same point in time passed.
    assert_eq!(data(&response, "retry"), &Value::Null);
    assert_eq!(world.wire.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_deadline_hides_no_other_error() {
    let world = World::start().await;
    for (value, pointers) in [
        ("2001-01-01T00:00:00Z", vec!["/call/arguments/steps"]),
        (
            "2099-01-01T00:00:00Z",
            vec!["/extensions/0/options/value", "/call/arguments/steps"],
        ),
    ] {
        let deadline = extension("deadline", &json!({"value": value, "unit": "iso8601"}));
        let arguments = json!({"steps": 0, "step_ms": 1});
        let response = call(&world, "demo.countdown", &arguments, &json!([deadline])).await;
        assert_eq!(response.status, 400, "{}", response.text);
        let errors = response.json["errors"].as_array().unwrap();
        let found: Vec<_> = errors
            .iter()
            .map(|error| &error["source"]["pointer"])
            .collect();
        assert_eq!(found, pointers);
    }
}

/// Even if the record is created later.
#[tokio::test]
async fn a_deadline_counts_from_the_requests_arrival() {
    let world = World::start().await;
    let deadline = extension("deadline", &json!({"value": 90, "unit": "second"}));
    world.callers_clock.tick(Duration::from_millis(10));
    let response = call(&world, "demo.echo", &json!({}), &deferred(&[deadline])).await;
    world.callers_clock.tick(Duration::ZERO);
    let id = data(&response, "async")["operation_id"].as_str().unwrap();
    let shown = world.show(id).await;
    assert_ne!(shown["created_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(shown["deadline_at"], "2027-01-15T08:01:30.000Z");
}

/// A caller may repeat the call until the time in the response, and the work runs once.
#[tokio::test]
async fn a_key_never_expires_before_an_earlier_response_said() {
    let world = World::start().await;
    let key = [extension("idempotency", &json!({"key": "k"}))];
    let mut latest = String::new();
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        let response = call(&world, "demo.echo", &json!({}), &deferred(&key)).await;
        let expires_at = data(&response, "idempotency")["expires_at"]
            .as_str()
            .unwrap();
        assert!(expires_at >= latest.as_str(), "{expires_at} after {latest}");
        latest = expires_at.to_owned();
        if data(&response, "idempotency")["status"] == "processing" {
            world.pump_all().await;
        }
    }
    assert_eq!(latest, "2027-01-16T08:00:02.000Z");
}

#[tokio::test]
async fn a_failure_under_a_key_does_not_ask_for_a_retry() {
    let world = World::start().await;
    let key = extension("idempotency", &json!({"key": "k"}));
    let arguments = json!({"code": "INTERNAL_ERROR"});
    call(
        &world,
        "demo.fail",
        &arguments,
        &deferred(std::slice::from_ref(&key)),
    )
    .await;
    world.pump_all().await;
    let failed = call(&world, "demo.fail", &arguments, &json!([key])).await;
    assert_eq!(failed.status, 500, "{}", failed.text);
    assert_eq!(data(&failed, "idempotency")["status"], "cached");
    assert_eq!(data(&failed, "retry"), &Value::Null);
}

#[tokio::test]
async fn a_deadline_that_passes_while_its_caller_waits_ends_the_wait() {
    let world = World::start().await;
    let soon = json!({"value": 500, "unit": "millisecond"});
    let response = call(
        &world,
        "demo.echo",
        &json!({}),
        &json!([extension("deadline", &soon)]),
    )
    .await;
    assert_eq!(response.status, 408, "{}", response.text);
    assert_eq!(response.headers["x-forrst-duration-ms"], "500");
    let details = &response.json["errors"][0]["details"];
    assert_eq!(details["deadline"], soon);
    assert_eq!(
        details["elapsed"],
        json!({"value": 500, "unit": "millisecond"})
    );
    assert_eq!(data(&response, "deadline")["utilization"], 1.0);
    // The operation was accepted, and the caller can poll it.
    let id = data(&response, "async")["operation_id"].as_str().unwrap();
    world.pump_all().await;
    assert_eq!(world.show(id).await["status"], "failed");
}

#[tokio::test]
async fn a_deadline_that_the_worker_finds_passed_gets_the_same_response() {
    let world = World::start().await;
    let soon = json!({"value": 500, "unit": "millisecond"});
    let extensions = json!([extension("deadline", &soon)]);
    let body = envelope("demo.echo", &json!({}), &extensions);
    let mut request = Box::pin(world.request("POST", "/forrst", &[], &body));
    tokio::select! {
        _ = &mut request => panic!("answered at once"),
        () = world.callers_clock.asleep() => {}
    }
    world.clock.advance(Duration::from_millis(500));
    assert!(world.pump(QueueKind::Dispatch).await);
    let response = request.await;
    assert_eq!(response.status, 408, "{}", response.text);
    assert_eq!(codes(&response), ["DEADLINE_EXCEEDED"]);
    assert_eq!(
        response.json["errors"][0]["details"],
        json!({"deadline": soon, "elapsed": {"value": 500, "unit": "millisecond"}})
    );
    assert_eq!(data(&response, "async")["status"], "failed");
}

#[tokio::test]
async fn the_record_keeps_the_callers_trace() {
    let world = World::start().await;
    let tracing = extension(
        "tracing",
        &json!({"trace_id": "abc", "span_id": "theirs", "baggage": {"tier": "gold"}}),
    );
    let response = call(&world, "demo.echo", &json!({}), &deferred(&[tracing])).await;
    let tracing = data(&response, "tracing");
    assert_eq!(tracing["trace_id"], "abc");
    assert_eq!(
        tracing["duration"],
        json!({"value": 0, "unit": "millisecond"})
    );
    let id = data(&response, "async")["operation_id"].as_str().unwrap();
    let id = id.parse::<OperationId>().unwrap();
    let operation = world
        .store
        .get(&id, world.clock.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(operation.origin.request_id.as_deref(), Some("req_1"));
    let trace = operation.origin.trace.unwrap();
    assert_eq!(trace.trace_id, "abc");
    assert_eq!(tracing["span_id"], trace.span_id);
    assert_ne!(trace.span_id, "theirs");
}

#[tokio::test]
async fn a_callback_has_the_id_of_its_call() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let webhook = extension(
        "webhook",
        &json!({
            "callback_url": receiver.url,
            "events": ["operation.completed", "forrst.operation.failed"],
        }),
    );
    let extensions = json!([
        {"urn": "urn:forrst:ext:async", "options": {
            "preferred": true, "callback_url": "http://127.0.0.1:1/",
        }},
        webhook,
    ]);
    let response = call(&world, "demo.echo", &json!({}), &extensions).await;
    assert_eq!(
        data(&response, "webhook"),
        &json!({
            "registered": true, "callback_url": receiver.url, "signature_version": "v1",
            "events": ["operation.completed", "forrst.operation.failed"],
        })
    );
    let id = data(&response, "async")["operation_id"].as_str().unwrap();
    assert_eq!(
        world.show(id).await["callback"]["events"],
        json!(["completed", "failed"])
    );
    world.pump_all().await;
    let deliveries = receiver.received();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(
        deliveries[0].verified()["data"]["original_request_id"],
        "req_1"
    );
}

/// The `OpenAPI` document allows any URL there: the world checks every exchange against it.
#[tokio::test]
async fn the_callback_url_of_async_is_checked_only_where_it_is_used() {
    let world = World::start().await;
    let webhook = extension("webhook", &json!({"callback_url": "https://example.com/"}));
    let (ping, echo) = ("urn:cline:forrst:fn:ping", "demo.echo");
    for (function, others, status) in [
        (ping, vec![], 200),
        (echo, vec![webhook], 200),
        (echo, vec![], 400),
    ] {
        let options = json!({"preferred": true, "callback_url": "no URL"});
        let mut extensions = vec![extension("async", &options)];
        extensions.extend(others);
        let response = call(&world, function, &json!({}), &Value::Array(extensions)).await;
        assert_eq!(response.status, status, "{}", response.text);
        if status == 400 {
            let pointer = &response.json["errors"][0]["source"]["pointer"];
            assert_eq!(pointer, "/extensions/0/options/callback_url");
        }
    }
}

#[tokio::test]
async fn only_supported_signature_versions_are_accepted() {
    for (settings, version, status) in [
        ([("WEBHOOK_SIGNATURE_VERSIONS", "v1")], "v1a", 400),
        ([("WEBHOOK_SIGNATURE_VERSIONS", "v1a,v1")], "v1", 200),
        ([("WEBHOOK_SIGNATURE_VERSIONS", "v1a")], "v1a", 200),
    ] {
        let world = World::with(settings).await;
        let options = json!({"callback_url": "https://example.com/", "signature_version": version});
        let extensions = deferred(&[extension("webhook", &options)]);
        let response = call(&world, "demo.echo", &json!({}), &extensions).await;
        assert_eq!(response.status, status, "{}", response.text);
        if status == 200 {
            assert_eq!(data(&response, "webhook")["signature_version"], version);
        } else {
            let error = &response.json["errors"][0];
            assert_eq!(error["code"], "INVALID_ARGUMENTS");
            let pointer = "/extensions/1/options/signature_version";
            assert_eq!(error["source"]["pointer"], pointer);
        }
    }
}
