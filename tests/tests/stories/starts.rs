//! Operations that start later, and what their callers see of waits and attempts.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::{Response, World};

use super::forrst::{LIST, STATUS, call, data, envelope, extension};
use super::messages::{MINUTE, claim_and_vanish};

/// The world's clock begins at 08:00.
const AT_NINE: &str = "2027-01-15T09:00:00.000Z";

/// Submits `demo.echo` with these members as well.
async fn submit(world: &World, headers: &[(&str, &str)], members: Value) -> Response {
    let mut body = json!({"function": "demo.echo"});
    body.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    world
        .request("POST", "/operations", headers, &body.to_string())
        .await
}

/// Calls `demo.echo` with these options of `async` and these other extensions.
async fn call_later(world: &World, options: &Value, others: &[Value]) -> Response {
    let mut extensions = vec![extension("async", options)];
    extensions.extend_from_slice(others);
    call(world, "demo.echo", &json!({}), &Value::Array(extensions)).await
}

fn id_of(response: &Response) -> String {
    let by_rest = response.json.get("id").filter(|id| *id != "req_1");
    let id = by_rest.unwrap_or(&data(response, "async")["operation_id"]);
    id.as_str()
        .unwrap_or_else(|| panic!("{}", response.text))
        .to_owned()
}

/// The operation as Forrst shows it.
async fn status(world: &World, id: &str) -> Value {
    let response = call(world, STATUS, &json!({"operation_id": id}), &json!([])).await;
    response.json["result"].clone()
}

async fn cancel(world: &World, id: &str) -> Response {
    let path = format!("/operations/{id}/cancel");
    world.request("POST", &path, &[], "").await
}

#[tokio::test]
async fn an_operation_is_pending_until_its_start_and_runs_then() {
    for start in [
        json!({"start_after_seconds": 3600}),
        json!({"start_at": "2027-01-15T10:00:00+01:00"}),
    ] {
        for is_rest in [true, false] {
            let world = World::start().await;
            let accepted = if is_rest {
                submit(&world, &[], start.clone()).await
            } else {
                call_later(&world, &start, &[]).await
            };
            let id = id_of(&accepted);
            let shown = world.show(&id).await;
            assert_eq!(shown["starts_at"], AT_NINE);
            assert_eq!(shown["deadline_at"], "2027-01-15T10:00:00.000Z");
            while let Some(at) = world.next_message_at(QueueKind::Dispatch) {
                let shown = world.show(&id).await;
                assert_eq!(
                    (&shown["status"], &shown["attempt"]),
                    (&json!("pending"), &json!(0))
                );
                world.clock.advance(at.since(world.clock.now()));
                world.pump_all().await;
            }
            assert_eq!(world.clock.now().to_string(), AT_NINE);
            let done = world.show(&id).await;
            assert_eq!(done["status"], "completed");
            assert_eq!(
                (&done["started_at"], &done["starts_at"]),
                (&json!(AT_NINE), &json!(AT_NINE))
            );
        }
    }
}

#[tokio::test]
async fn a_start_that_has_passed_is_at_once() {
    for start in [
        json!({"start_after_seconds": 0}),
        json!({"start_at": "2027-01-15T08:00:00Z"}),
        json!({"start_at": "0001-01-01T00:00:00Z"}),
    ] {
        let world = World::start().await;
        let accepted = submit(&world, &[], start.clone()).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        assert_eq!(accepted.json.get("starts_at"), None, "{start}");
        assert_eq!(accepted.json["deadline_at"], AT_NINE);
        let called = call_later(&world, &start, &[]).await;
        world.pump_all().await;
        for id in [id_of(&accepted), id_of(&called)] {
            assert_eq!(world.show(&id).await["status"], "completed", "{start}");
        }
    }
}

#[tokio::test]
async fn start_and_deadline_may_each_be_a_week_ahead() {
    let world = World::start().await;
    let week = 604_800;
    let members = json!({"start_after_seconds": week, "deadline_seconds": week});
    let accepted = submit(&world, &[], members).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_eq!(accepted.json["starts_at"], "2027-01-22T08:00:00.000Z");
    assert_eq!(accepted.json["deadline_at"], "2027-01-29T08:00:00.000Z");
    let deadline = extension("deadline", &json!({"value": 168, "unit": "hour"}));
    let called = call_later(&world, &json!({"start_after_seconds": week}), &[deadline]).await;
    let shown = world.show(&id_of(&called)).await;
    assert_eq!(shown["deadline_at"], "2027-01-29T08:00:00.000Z");
    assert_eq!(
        data(&called, "deadline")["remaining"],
        json!({"value": 2 * week * 1000, "unit": "millisecond"})
    );
}

#[tokio::test]
async fn an_operation_that_is_cancelled_before_its_start_never_runs() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let members = json!({"start_after_seconds": 3600, "callback_url": receiver.url});
    let id = id_of(&submit(&world, &[], members).await);
    world.clock.advance(Duration::from_secs(1800));
    world.pump_all().await;
    let cancelled = cancel(&world, &id).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    assert_eq!(cancelled.json["starts_at"], AT_NINE);
    assert_eq!(cancelled.json.get("retry_after"), None);
    world.drain().await;
    let shown = world.show(&id).await;
    assert_eq!(
        (&shown["status"], &shown["attempt"]),
        (&json!("cancelled"), &json!(0))
    );
    assert_eq!(shown.get("attempts"), None);
    let callbacks = receiver.received();
    assert_eq!(callbacks.len(), 1);
    assert_eq!(
        callbacks[0].verified()["type"],
        "forrst.operation.cancelled"
    );
}

#[tokio::test]
async fn a_list_of_pending_operations_has_those_that_start_later() {
    let world = World::start().await;
    submit(&world, &[], json!({})).await;
    let later = id_of(&submit(&world, &[], json!({"start_at": AT_NINE})).await);
    world.pump_all().await;
    let by_rest = world
        .request("GET", "/operations?status=pending", &[], "")
        .await;
    let by_forrst = call(&world, LIST, &json!({"status": "pending"}), &json!([])).await;
    for operations in [
        &by_rest.json["operations"],
        &by_forrst.json["result"]["operations"],
    ] {
        assert_eq!(operations.as_array().unwrap().len(), 1, "{operations}");
        assert_eq!(operations[0]["id"], later);
        assert_eq!(operations[0]["starts_at"], AT_NINE);
        assert_eq!(operations[0]["retry_after"]["value"], 60);
    }
}

#[tokio::test]
async fn a_replay_ignores_the_start() {
    let starts = [
        json!({"start_after_seconds": 3600}),
        json!({"start_after_seconds": 7200, "deadline_seconds": 60}),
        json!({"start_at": "2020-01-01T00:00:00Z"}),
        json!({}),
    ];
    for first in [0, 3] {
        let world = World::start().await;
        let key = [("idempotency-key", "k")];
        let accepted = submit(&world, &key, starts[first].clone()).await;
        assert_eq!(accepted.json.get("starts_at").is_some(), first == 0);
        world.wire.reset();
        for start in &starts {
            let replay = submit(&world, &key, start.clone()).await;
            assert_eq!(replay.status, 202, "{start}: {}", replay.text);
            assert_eq!(replay.headers["idempotent-replayed"], "true");
            assert_eq!(replay.json, accepted.json, "{start}");
            let mut options = start.clone();
            options.as_object_mut().unwrap().remove("deadline_seconds");
            let key = extension("idempotency", &json!({"key": "k"}));
            let called = call_later(&world, &options, &[key]).await;
            assert_eq!(data(&called, "idempotency")["status"], "processing");
            assert_eq!(id_of(&called), id_of(&accepted));
        }
        assert_eq!(world.wire.counts().get("SendMessage"), None);
    }
}

#[tokio::test]
async fn a_caller_who_waits_for_an_operation_that_starts_later_is_answered_in_time() {
    let prefer = [("prefer", "wait=5")];
    // The first read after the start is at 3.1 s.
    for (start_secs, waited_secs, status) in [(2, 3, 200), (3600, 5, 202)] {
        let world = World::start().await;
        let began_at = world.clock.now();
        let members = json!({"start_after_seconds": start_secs});
        let request = submit(&world, &prefer, members);
        let work_after = (status == 200).then(|| Duration::from_secs(start_secs));
        let response = world.while_waiting(work_after, request).await;
        assert_eq!(response.status, status, "{}", response.text);
        assert_eq!(response.headers["preference-applied"], "wait=5");
        let waited = world.clock.now().since(began_at);
        assert_eq!(waited.as_secs(), waited_secs);
    }
}

/// Its start is after the end of the wait, so there will be no result.
#[tokio::test]
async fn a_call_that_starts_later_is_answered_at_once() {
    let world = World::start().await;
    let response = call_later(&world, &json!({"start_after_seconds": 2}), &[]).await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.headers["x-forrst-duration-ms"], "0");
    let found = data(&response, "async");
    assert_eq!(found["status"], "pending");
    assert_eq!(found["retry_after"], json!({"value": 2, "unit": "second"}));

    let soon = extension("async", &json!({"start_after_seconds": 1}));
    let body = envelope("demo.echo", &json!({"a": 1}), &json!([soon]));
    let request = world.request("POST", "/forrst", &[], &body);
    let work_after = Some(Duration::from_secs(1));
    let response = world.while_waiting(work_after, request).await;
    assert_eq!(
        response.json["result"],
        json!({"a": 1}),
        "{}",
        response.text
    );
}

#[tokio::test]
async fn the_next_poll_comes_later_the_longer_the_operation_waits() {
    let world = World::start().await;
    let began = world.clock.now();
    let id = id_of(&submit(&world, &[], json!({"start_after_seconds": 3600})).await);
    for (passed_secs, secs) in [(0, 60), (3540, 60), (3555, 45), (3599, 1), (3620, 2)] {
        let then = began + Duration::from_secs(passed_secs);
        world.clock.advance(then.since(world.clock.now()));
        let path = format!("/operations/{id}");
        let shown = world.request("GET", &path, &[], "").await;
        assert_eq!(
            shown.headers["retry-after"],
            secs.to_string(),
            "after {passed_secs} s"
        );
        let expected = json!({"value": secs, "unit": "second"});
        assert_eq!(shown.json["retry_after"], expected);
        assert_eq!(status(&world, &id).await["retry_after"], expected);
    }
}

#[tokio::test]
async fn an_operation_that_sleeps_says_when_it_resumes() {
    let world = World::start().await;
    let arguments = json!({"legs": 2, "wait_seconds": 600});
    let long = json!({"function": "demo.long", "arguments": arguments});
    let id = id_of(&world.submit(long).await);
    assert!(world.pump(QueueKind::Dispatch).await);
    for secs in [60, 50] {
        let (rest, forrst) = (world.show(&id).await, status(&world, &id).await);
        for shown in [rest, forrst] {
            assert_eq!(shown["status"], "processing");
            assert_eq!(shown["resumes_at"], "2027-01-15T08:10:00.000Z");
            assert_eq!(shown["retry_after"]["value"], secs);
            assert_eq!(shown["attempts"][0]["outcome"], "continued");
        }
        world.clock.advance(Duration::from_secs(550));
    }
    world.pump_all().await;
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], done.get("resumes_at")),
        (&json!("completed"), None)
    );
}

#[tokio::test]
async fn an_operation_shows_its_attempts() {
    let world = World::start().await;
    let retryable = json!({"function": "demo.fail", "arguments": {"retryable": true}});
    let id = id_of(&world.submit(retryable).await);
    let at = |minutes: u32| format!("2027-01-15T08:0{minutes}:00.000Z");
    let running = |number: u32| json!({"number": number, "started_at": at(number - 1)});
    claim_and_vanish(&world, &id).await;
    assert_eq!(world.show(&id).await["attempts"], json!([running(1)]));
    world.clock.advance(MINUTE);
    world.pump_all().await;
    let mut retried = running(2);
    retried["ended_at"] = json!(at(1));
    retried["outcome"] = json!("retried");
    retried["code"] = json!("DEMO_FAILURE");
    let mut expected = json!([{"number": 1, "outcome": "lost"}, retried]);
    assert_eq!(world.show(&id).await["attempts"], expected);

    world.clock.advance(MINUTE);
    claim_and_vanish(&world, &id).await;
    expected.as_array_mut().unwrap().push(running(3));
    assert_eq!(world.show(&id).await["attempts"], expected);
    assert_eq!(status(&world, &id).await["attempts"], expected);
    let listed = world.request("GET", "/operations", &[], "").await;
    assert_eq!(listed.json["operations"][0]["attempts"], expected);

    assert_eq!(cancel(&world, &id).await.status, 200);
    expected[2]["ended_at"] = json!(at(2));
    expected[2]["outcome"] = json!("cancelled");
    assert_eq!(world.show(&id).await["attempts"], expected);
}

/// The protocol's own functions create no operation.
#[tokio::test]
async fn the_start_of_a_call_is_checked_only_where_it_is_used() {
    let world = World::start().await;
    let far = json!({"start_at": "2027-01-22T08:00:00.001Z"});
    let refused = call_later(&world, &far, &[]).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let pointer = &refused.json["errors"][0]["source"]["pointer"];
    assert_eq!(pointer, "/extensions/0/options/start_at");
    assert_eq!(world.wire.calls(), Vec::<String>::new());
    let ping = "urn:cline:forrst:fn:ping";
    let extensions = json!([extension("async", &far)]);
    let response = call(&world, ping, &json!({}), &extensions).await;
    assert_eq!(response.status, 200, "{}", response.text);
}
