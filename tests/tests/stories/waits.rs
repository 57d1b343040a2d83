//! Callers who wait for the end: `Prefer: wait=N` on submit and status.

use std::time::Duration;

use serde_json::json;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::wire::{Fault, Outage, Service};
use tests::world::{Response, World};

const SUBMIT: &str = r#"{"function":"demo.echo","arguments":{"a":1}}"#;

async fn submit(world: &World, prefer: &str, work_after: Option<Duration>) -> Response {
    let headers = [("prefer", prefer)];
    let request = world.request("POST", "/operations", &headers, SUBMIT);
    world.while_waiting(work_after, request).await
}

async fn show(world: &World, id: &str, headers: &[(&str, &str)]) -> Response {
    let path = format!("/operations/{id}");
    let request = world.request("GET", &path, headers, "");
    world.while_waiting(None, request).await
}

#[tokio::test]
async fn a_submit_that_waits_is_answered_with_the_result() {
    let world = World::start().await;
    let response = submit(&world, "wait=5", Some(Duration::from_millis(500))).await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.json["result"], json!({"a": 1}));
    assert_eq!(response.headers["preference-applied"], "wait=5");
    assert!(response.headers["location"].is_string());
    assert!(response.headers.get("retry-after").is_none());
}

/// The wait finds the operation ended, and the item of the result cannot be read.
#[tokio::test]
async fn a_submit_whose_result_cannot_be_read_is_answered_as_accepted() {
    let world = World::start().await;
    let arguments = json!({"t": incompressible(2000)});
    let rest = json!({"function": "demo.echo", "arguments": arguments});
    let forrst = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"}, "id": "r", "call": rest,
    });
    for (path, body, status) in [("/operations", rest, 202), ("/forrst", forrst, 200)] {
        let (headers, body) = ([("prefer", "wait=5")], body.to_string());
        let mut request = Box::pin(world.request("POST", path, &headers, &body));
        tokio::select! {
            _ = &mut request => panic!("answered at once"),
            () = world.callers_clock.asleep() => {}
        }
        assert!(world.pump(QueueKind::Dispatch).await);
        world.wire.set_outages(&[Outage {
            service: Service::Store,
            fault: Fault::AccessDenied,
            only: "result#".to_owned(),
        }]);
        let response = world.while_waiting(None, request).await;
        world.wire.set_outages(&[]);
        assert_eq!(response.status, status, "{}", response.text);
        let shown = match path {
            "/forrst" => &response.json["extensions"][0]["data"],
            _ => &response.json,
        };
        assert_eq!(shown["status"], "pending", "{}", response.text);
        let id = shown.get("id").unwrap_or(&shown["operation_id"]);
        let polled = world.show(id.as_str().unwrap()).await;
        assert_eq!(polled["result"], arguments);
    }
}

#[tokio::test]
async fn a_submit_whose_wait_passes_is_answered_as_pending_and_costs_few_reads() {
    for (max, prefer, secs, applied, reads) in [
        ("", "wait=5", 5, "wait=5", 6),
        ("", "wait=20", 10, "wait=10", 9),
        ("7", "wait=20", 7, "wait=7", 7),
        ("20", "respond-async, wait=3600", 20, "wait=20", 14),
    ] {
        let world = World::with([("WAIT_SECONDS_MAX", max)]).await;
        let start = shared::clock::Clock::now(&world.clock);
        let response = submit(&world, prefer, None).await;
        assert_eq!(response.status, 202, "{}", response.text);
        assert_eq!(response.json["status"], "pending");
        assert_eq!(response.headers["preference-applied"], applied);
        assert!(response.headers["retry-after"].is_string());
        let took = shared::clock::Clock::now(&world.clock).since(start);
        assert_eq!(took, Duration::from_secs(secs));
        assert_eq!(world.wire.counts()["GetItem"], reads, "{max} {prefer}");
    }
}

#[tokio::test]
async fn a_status_waits_no_longer_than_the_maximum() {
    for (max, secs, applied) in [
        ("", 10, "wait=10"),
        ("0", 0, "wait=0"),
        ("20", 20, "wait=20"),
    ] {
        let world = World::with([("WAIT_SECONDS_MAX", max)]).await;
        let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
        let start = shared::clock::Clock::now(&world.clock);
        let response = show(&world, id.as_str().unwrap(), &[("prefer", "wait=20")]).await;
        assert_eq!(response.status, 200, "{}", response.text);
        assert_eq!(response.json["status"], "pending");
        assert_eq!(response.headers["preference-applied"], applied);
        let took = shared::clock::Clock::now(&world.clock).since(start);
        assert_eq!(took, Duration::from_secs(secs), "{max}");
    }
}

/// After an error, a caller without an idempotency key would submit again, and the work would run
/// twice.
#[tokio::test]
async fn a_submit_whose_store_fails_during_the_wait_is_answered_as_accepted() {
    let world = World::start().await;
    // The first reads, which come after the message and the record.
    world
        .wire
        .plan([2, 3].map(|read| (read, Fault::AlwaysThrottled)));
    let response = submit(&world, "wait=1", None).await;
    assert_eq!(response.status, 202, "{}", response.text);
    assert!(response.headers["location"].is_string());
    assert_eq!(response.headers["preference-applied"], "wait=1");

    // The second read since the reset fails, and the next one succeeds.
    world.wire.reset();
    world.wire.plan([(1, Fault::AlwaysThrottled)]);
    let id = response.json["id"].as_str().unwrap();
    let path = format!("/operations/{id}");
    let request = world.request("GET", &path, &[("prefer", "wait=2")], "");
    let ended = world
        .while_waiting(Some(Duration::from_millis(250)), request)
        .await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(ended.json["status"], "completed");
}

#[tokio::test]
async fn a_wait_of_zero_makes_no_read() {
    for (max, prefer) in [("", "wait=0"), ("0", "wait=5")] {
        let world = World::with([("WAIT_SECONDS_MAX", max)]).await;
        let response = submit(&world, prefer, None).await;
        assert_eq!(response.status, 202, "{}", response.text);
        assert_eq!(response.headers["preference-applied"], "wait=0");
        assert!(!world.wire.counts().contains_key("GetItem"));
    }
}

#[tokio::test]
async fn a_malformed_preference_is_ignored() {
    let world = World::start().await;
    let response = submit(&world, "wait=soon", None).await;
    assert_eq!(response.status, 202, "{}", response.text);
    assert!(response.headers.get("preference-applied").is_none());
}

#[tokio::test]
async fn a_replay_waits_as_a_first_submit_does() {
    let world = World::start().await;
    let headers = [("idempotency-key", "k"), ("prefer", "wait=5")];
    let first = world.request("POST", "/operations", &headers[..1], SUBMIT);
    assert_eq!(first.await.status, 202);
    let replay = world.request("POST", "/operations", &headers, SUBMIT);
    let replay = world
        .while_waiting(Some(Duration::from_millis(100)), replay)
        .await;
    assert_eq!(replay.status, 200, "{}", replay.text);
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    assert_eq!(replay.json["result"], json!({"a": 1}));
}

#[tokio::test]
async fn a_status_that_waits_is_200_at_the_end_and_before_it() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let path = format!("/operations/{}", id.as_str().unwrap());
    let early = show(&world, id.as_str().unwrap(), &[("prefer", "wait=2")]).await;
    assert_eq!(early.status, 200, "{}", early.text);
    assert_eq!(early.headers["preference-applied"], "wait=2");
    assert_eq!(early.json["status"], "pending");
    assert!(early.headers["retry-after"].is_string());

    let headers = [("prefer", "wait=2")];
    let request = world.request("GET", &path, &headers, "");
    let ended = world
        .while_waiting(Some(Duration::from_millis(250)), request)
        .await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(ended.json["status"], "completed");

    // An operation that has ended is answered at once.
    world.wire.reset();
    let again = show(&world, id.as_str().unwrap(), &[("prefer", "wait=2")]).await;
    assert_eq!(again.status, 200);
    assert_eq!(world.wire.counts()["GetItem"], 1);
}

#[tokio::test]
async fn if_none_match_is_evaluated_after_the_wait() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.echo"})).await;
    let path = format!("/operations/{}", accepted.json["id"].as_str().unwrap());
    let tag = accepted.headers["etag"].as_str().unwrap();
    let headers = [("prefer", "wait=2"), ("if-none-match", tag)];
    let unchanged = world
        .while_waiting(None, world.request("GET", &path, &headers, ""))
        .await;
    assert_eq!(unchanged.status, 304, "{}", unchanged.text);
    assert_eq!(unchanged.headers["preference-applied"], "wait=2");
    let request = world.request("GET", &path, &headers, "");
    let ended = world
        .while_waiting(Some(Duration::from_millis(250)), request)
        .await;
    assert_eq!(ended.status, 200, "{}", ended.text);
}

#[tokio::test]
async fn a_cancel_ends_a_wait() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let path = format!("/operations/{}", id.as_str().unwrap());
    let headers = [("prefer", "wait=20")];
    let mut request = Box::pin(world.request("GET", &path, &headers, ""));
    tokio::select! {
        _ = &mut request => panic!("answered at once"),
        () = world.callers_clock.asleep() => {}
    }
    let cancelled = world
        .request("POST", &format!("{path}/cancel"), &[], "")
        .await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let response = world.while_waiting(None, request).await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.json["status"], "cancelled");
}

/// The response is about the operation that was submitted, and never about a later one with the
/// same id.
#[tokio::test]
async fn a_wait_does_not_continue_with_a_later_operation_of_the_same_id() {
    let world = World::start().await;
    let key = ("idempotency-key", "k");
    let headers = [key, ("prefer", "wait=5")];
    let mut request = Box::pin(world.request("POST", "/operations", &headers, SUBMIT));
    tokio::select! {
        _ = &mut request => panic!("answered at once"),
        () = world.callers_clock.asleep() => {}
    }
    let list = world.request("GET", "/operations", &[], "").await.json;
    let id = list["operations"][0]["id"].as_str().unwrap();
    let path = format!("/operations/{id}");
    let cancel = format!("{path}/cancel");
    let cancelled = world.request("POST", &cancel, &[], "").await;
    assert_eq!(cancelled.status, 200);
    let erased = world.request("DELETE", &path, &[], "").await;
    assert_eq!(erased.status, 204);
    // A mark rejects submits that started in the same millisecond.
    world.clock.advance(Duration::from_millis(1));
    let body = r#"{"function":"demo.echo","arguments":{"another":2}}"#;
    let next = world.request("POST", "/operations", &[key], body).await;
    assert_eq!((next.status, next.json["id"].as_str()), (202, Some(id)));
    world.pump_all().await;
    assert_eq!(world.show(id).await["status"], "completed");

    let response = world.while_waiting(None, request).await;
    assert_eq!(response.status, 202, "{}", response.text);
    assert_eq!(response.json["status"], "pending");
}
