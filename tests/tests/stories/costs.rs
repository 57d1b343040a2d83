//! What AWS bills for an operation, request by request. The account's owner relies on it.
//!
//! Each list is complete: the functions make no other request. Lambda's receives and deletions of
//! messages come on top.

use std::time::Duration;

use serde_json::{Value, json};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::world::World;

use super::forrst::{LIST, call};
use super::mcp;

/// The charges since the last call, in the order of the requests. If `of` names an operation, every
/// charge must be for it.
fn bill(world: &World, of: Option<&str>) -> Vec<String> {
    let charges = world.wire.charges();
    world.wire.reset();
    for charge in &charges {
        if let Some(id) = of {
            assert_eq!(charge.operations, [id], "{charge}");
        }
    }
    charges.iter().map(ToString::to_string).collect()
}

async fn submit(world: &World, body: serde_json::Value) -> String {
    let response = world.submit(body).await;
    response.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_ordinary_operation_costs_three_writes_one_index_write_and_two_message_requests() {
    let world = World::start().await;
    let id = submit(
        &world,
        json!({"function": "demo.echo", "arguments": {"a": 1}}),
    )
    .await;
    assert_eq!(
        bill(&world, Some(&id)),
        [
            "dispatch: 1 message request",
            "create: 1 write, 1 index write"
        ]
    );
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        bill(&world, Some(&id)),
        [
            "change visibility: 1 message request",
            "claim: 1 write",
            "complete: 1 write"
        ]
    );
    assert_eq!(world.show(&id).await["status"], "completed");
    assert_eq!(bill(&world, Some(&id)), ["read: 1 read"]);
}

#[tokio::test]
async fn a_tool_call_costs_what_a_submit_does_and_a_poll_of_its_task_one_read() {
    let world = World::with([("MCP_WAIT_SECONDS", "0")]).await;
    let id = mcp::start(&world, "demo_echo", &json!({"a": 1})).await;
    assert_eq!(
        bill(&world, Some(&id)),
        [
            "dispatch: 1 message request",
            "create: 1 write, 1 index write"
        ]
    );
    for method in ["tasks/get", "tasks/update"] {
        mcp::request(&world, method, json!({"taskId": id}), true).await;
        assert_eq!(bill(&world, Some(&id)), ["read: 1 read"], "{method}");
    }
    mcp::request(&world, "tasks/cancel", json!({"taskId": id}), true).await;
    assert_eq!(bill(&world, Some(&id)), ["cancel: 1 write"]);
    for (method, params) in [("tools/list", json!({})), ("server/discover", json!({}))] {
        mcp::request(&world, method, params, true).await;
        assert!(bill(&world, None).is_empty(), "{method}");
    }
}

#[tokio::test]
async fn a_poll_costs_one_read_until_there_is_a_large_result() {
    let world = World::start().await;
    let arguments = json!({"text": incompressible(200_000)});
    let id = submit(
        &world,
        json!({"function": "demo.echo", "arguments": arguments}),
    )
    .await;
    // The first two are concurrent.
    let mut accepted = bill(&world, Some(&id));
    let create = accepted.pop().unwrap();
    assert_eq!(create, "create: 1 write, 1 index write");
    accepted.sort();
    let [dispatch, payload] = <[String; 2]>::try_from(accepted).unwrap();
    assert_eq!(dispatch, "dispatch: 1 message request");
    assert!(payload.starts_with("write payload: 1"), "{payload}");
    world.show(&id).await;
    assert_eq!(bill(&world, Some(&id)), ["read: 1 read"]);
    assert!(world.pump(QueueKind::Dispatch).await);
    let steps: Vec<_> = bill(&world, Some(&id));
    let steps: Vec<_> = steps
        .iter()
        .map(|charge| charge.split(':').next().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "change visibility",
            "claim",
            "read payload",
            "write payload",
            "complete"
        ]
    );
    assert_eq!(world.show(&id).await["result"], arguments);
    let [read, payload] = <[String; 2]>::try_from(bill(&world, Some(&id))).unwrap();
    assert_eq!(read, "read: 1 read");
    assert!(payload.starts_with("read payload: "), "{payload}");
    let path = format!("/operations/{id}?include=arguments");
    let shown = world.request("GET", &path, &[], "").await.json;
    assert_eq!(shown["arguments"], arguments);
    let with_arguments = bill(&world, Some(&id));
    assert_eq!(with_arguments, [read, payload.clone(), payload]);
}

#[tokio::test]
async fn a_replay_costs_one_and_a_half_reads_and_a_key_adds_half_a_read_to_a_submit() {
    let world = World::start().await;
    let text = incompressible(2000);
    for (key, arguments) in [("small", json!({"a": 1})), ("large", json!({"text": text}))] {
        let body = json!({"function": "demo.echo", "arguments": arguments}).to_string();
        let key = [("idempotency-key", key)];
        world.wire.reset();
        let first = world.request("POST", "/operations", &key, &body).await;
        let id = first.json["id"].as_str();
        let mut accepted = bill(&world, id);
        accepted.retain(|charge| !charge.starts_with("write payload"));
        assert_eq!(
            accepted,
            [
                "read: 0.5 read",
                "dispatch: 1 message request",
                "create: 1 write, 1 index write"
            ]
        );
        let replay = world.request("POST", "/operations", &key, &body).await;
        assert_eq!(replay.headers["idempotent-replayed"], "true");
        assert_eq!(bill(&world, id), ["read: 0.5 read", "read: 1 read"]);
        let other = json!({"function": "demo.echo", "arguments": {"b": 1}}).to_string();
        let conflict = world.request("POST", "/operations", &key, &other).await;
        assert_eq!(conflict.status, 409);
        assert_eq!(bill(&world, id), ["read: 0.5 read", "read: 1 read"]);
    }
}

#[tokio::test]
async fn an_erase_costs_two_reads_two_writes_and_an_index_write() {
    let world = World::start().await;
    let id = submit(&world, json!({"function": "demo.echo"})).await;
    world.drain().await;
    world.wire.reset();
    let path = format!("/operations/{id}");
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(
        bill(&world, None),
        [
            "read: 1 read",
            "erase: 1 write",
            "list items: 1 read",
            "other: 1 write, 1 index write"
        ]
    );
}

#[tokio::test]
async fn a_callback_costs_one_message_and_a_read_and_a_write_for_each_attempt() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = submit(
        &world,
        json!({"function": "demo.echo", "callback_url": receiver.url}),
    )
    .await;
    world.wire.reset();
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        bill(&world, Some(&id)),
        [
            "change visibility: 1 message request",
            "claim: 1 write",
            "complete: 1 write",
            "wake callback: 1 message request"
        ]
    );
    assert!(world.pump(QueueKind::Callback).await);
    assert_eq!(
        bill(&world, Some(&id)),
        ["read: 1 read", "record attempt: 1 write"]
    );
}

#[tokio::test]
async fn messages_of_one_batch_share_one_visibility_request() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(submit(&world, json!({"function": "demo.echo"})).await);
    }
    world.wire.reset();
    let worker = world.another_worker();
    assert!(world.pump_by(&worker, QueueKind::Dispatch, 3).await);
    let charges = world.wire.charges();
    ids.sort();
    for (step, requests) in [("change visibility", 1), ("claim", 3), ("complete", 3)] {
        let of_step = charges.iter().filter(|charge| charge.step == step);
        assert_eq!(of_step.clone().count(), requests, "{step}");
        let mut operations: Vec<_> = of_step
            .flat_map(|charge| charge.operations.clone())
            .collect();
        operations.sort();
        assert_eq!(operations, ids, "{step}");
    }
    assert_eq!(charges.len(), 7, "{charges:?}");
}

#[tokio::test]
async fn a_retry_of_a_callback_costs_another_wake_up() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None)]);
    let id = submit(
        &world,
        json!({"function": "demo.echo", "callback_url": receiver.url}),
    )
    .await;
    assert!(world.pump(QueueKind::Dispatch).await);
    world.wire.reset();
    assert!(world.pump(QueueKind::Callback).await);
    assert_eq!(
        bill(&world, Some(&id)),
        [
            "read: 1 read",
            "record attempt: 1 write",
            "wake callback: 1 message request"
        ]
    );
}

#[tokio::test]
async fn a_leg_costs_two_writes_a_read_and_two_message_requests() {
    let world = World::start().await;
    let arguments = json!({"legs": 3});
    let id = submit(
        &world,
        json!({"function": "demo.long", "arguments": arguments}),
    )
    .await;
    world.wire.reset();
    assert!(world.pump(QueueKind::Dispatch).await);
    let first = [
        "change visibility: 1 message request",
        "claim: 1 write",
        "continue: 1 write",
        "dispatch: 1 message request",
    ];
    assert_eq!(bill(&world, Some(&id)), first);
    assert!(world.pump(QueueKind::Dispatch).await);
    let second = bill(&world, Some(&id));
    assert_eq!(second[0], "read: 1 read");
    assert_eq!(second[1..], first);
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        bill(&world, Some(&id)),
        [
            "read: 1 read",
            "change visibility: 1 message request",
            "claim: 1 write",
            "complete: 1 write"
        ]
    );
}

#[tokio::test]
async fn a_day_of_sleep_costs_ninety_six_reads_and_message_requests() {
    let world = World::start().await;
    let arguments = json!({"legs": 2, "wait_seconds": 86_400});
    let id = submit(
        &world,
        json!({
            "function": "demo.long", "arguments": arguments, "deadline_seconds": 2 * 86_400,
        }),
    )
    .await;
    world.wire.reset();
    // The first leg sends the first message, and the last one wakes the second leg.
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        bill(&world, Some(&id))[3],
        "dispatch: 1 message request",
        "hop 1"
    );
    for hop in 2..=96 {
        world.clock.advance(Duration::from_secs(900));
        assert!(world.pump(QueueKind::Dispatch).await);
        assert_eq!(
            bill(&world, Some(&id)),
            ["read: 1 read", "dispatch: 1 message request"],
            "hop {hop}"
        );
    }
    world.clock.advance(Duration::from_secs(900));
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(bill(&world, Some(&id))[0], "read: 1 read");
    assert_eq!(world.show(&id).await["status"], "completed");
}

/// The message of a start within fifteen minutes arrives at the start. That of a later one is sent
/// on until then.
#[tokio::test]
async fn a_start_later_costs_as_a_submit() {
    let submit_costs = [
        "dispatch: 1 message request",
        "create: 1 write, 1 index write",
    ];
    let run_costs = [
        "change visibility: 1 message request",
        "claim: 1 write",
        "complete: 1 write",
    ];
    for (start_secs, hops) in [(1, 0), (900, 0), (1800, 1), (3600, 3)] {
        let world = World::start().await;
        let body = json!({"function": "demo.echo", "start_after_seconds": start_secs});
        let id = submit(&world, body).await;
        assert_eq!(bill(&world, Some(&id)), submit_costs);
        for hop in 0..hops {
            world.clock.advance(Duration::from_secs(900));
            assert!(world.pump(QueueKind::Dispatch).await);
            let hop_costs = ["read: 1 read", "dispatch: 1 message request"];
            assert_eq!(bill(&world, Some(&id)), hop_costs, "hop {hop} of {hops}");
        }
        world
            .clock
            .advance(Duration::from_secs(start_secs - 900 * hops));
        assert!(world.pump(QueueKind::Dispatch).await);
        let mut run = bill(&world, Some(&id));
        if hops > 0 {
            assert_eq!(run.remove(0), "read: 1 read");
        }
        assert_eq!(run, run_costs);
        assert_eq!(world.show(&id).await["status"], "completed");
    }
}

#[tokio::test]
async fn a_redrive_costs_a_submit_after_one_and_a_half_reads_and_a_replay_two_and_a_half() {
    let world = World::start().await;
    let failed = submit(&world, json!({"function": "demo.fail"})).await;
    world.drain().await;
    world.wire.reset();
    let path = format!("/operations/{failed}/redrive");
    let redrive = world.request("POST", &path, &[], "").await;
    assert_eq!(redrive.status, 202, "{}", redrive.text);
    assert_eq!(
        bill(&world, None),
        [
            "read: 1 read",
            "read: 0.5 read",
            "dispatch: 1 message request",
            "create: 1 write, 1 index write"
        ]
    );
    for _ in 0..2 {
        let replay = world.request("POST", &path, &[], "").await;
        assert_eq!(replay.headers["idempotent-replayed"], "true");
        assert_eq!(
            bill(&world, None),
            ["read: 1 read", "read: 0.5 read", "read: 1 read"]
        );
        world.drain().await;
        world.wire.reset();
    }
}

#[tokio::test]
async fn a_redrive_reads_and_writes_each_external_payload_once() {
    let world = World::start().await;
    let text = || incompressible(2000);
    let failed = submit(
        &world,
        json!({"function": "demo.fail", "arguments": {"message": text()}, "metadata": {"a": text()}}),
    )
    .await;
    world.drain().await;
    world.wire.reset();
    let path = format!("/operations/{failed}/redrive");
    let redrive = world.request("POST", &path, &[], "").await;
    assert_eq!(redrive.status, 202, "{}", redrive.text);
    let mut charges = bill(&world, None);
    charges.sort();
    let steps: Vec<_> = charges
        .iter()
        .map(|charge| charge.split(':').next().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "create",
            "dispatch",
            "read payload",
            "read payload",
            "read",
            "read",
            "write payload",
            "write payload"
        ]
    );
}

#[tokio::test]
async fn a_cancel_costs_one_write_and_a_message_if_a_callback_is_due() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let without_callback = submit(&world, json!({"function": "demo.echo"})).await;
    let with_callback = submit(
        &world,
        json!({"function": "demo.echo", "callback_url": receiver.url}),
    )
    .await;
    for (id, expected) in [
        (without_callback, &["cancel: 1 write"][..]),
        (
            with_callback,
            &["cancel: 1 write", "wake callback: 1 message request"],
        ),
    ] {
        world.wire.reset();
        let path = format!("/operations/{id}/cancel");
        assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
        assert_eq!(bill(&world, Some(&id)), expected);
    }
}

#[tokio::test]
async fn a_list_costs_one_query_and_one_read_for_each_record() {
    let world = World::start().await;
    for _ in 0..3 {
        submit(&world, json!({"function": "demo.echo"})).await;
    }
    world.wire.reset();
    let page = world.request("GET", "/operations?limit=2", &[], "").await;
    assert_eq!(page.json["operations"].as_array().unwrap().len(), 2);
    // The index is read with eventual consistency, at half a unit for 4 KB of keys.
    assert_eq!(
        bill(&world, None),
        ["list: 0.5 read", "read listed: 2 read"]
    );
}

#[tokio::test]
async fn a_list_with_a_narrow_filter_reads_at_most_a_hundred_records_a_request() {
    let world = World::start().await;
    let wanted = submit(&world, json!({"function": "demo.fail"})).await;
    for _ in 1..250 {
        world.clock.advance(Duration::from_millis(1));
        submit(&world, json!({"function": "demo.echo"})).await;
    }
    for protocol in [Protocol::Rest, Protocol::Forrst] {
        let (mut shown, mut records, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
        loop {
            world.wire.reset();
            let page = list(&world, protocol, &cursor).await;
            let charges = world.wire.charges();
            let of_step = |step| {
                let of_step = charges.iter().filter(move |charge| charge.step == step);
                of_step.map(|charge| charge.units.reads).collect::<Vec<_>>()
            };
            assert_eq!(of_step("list").len(), 1);
            let read = of_step("read listed");
            assert_eq!(page["examined"].as_f64(), Some(read.iter().sum()));
            records.extend(read);
            let operations = page["operations"].as_array().unwrap().iter();
            shown.extend(operations.map(|operation| operation["id"].clone()));
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(shown, [wanted.as_str()]);
        // One unit for each record.
        assert_eq!(records, [100.0, 100.0, 50.0]);
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Rest,
    Forrst,
}

/// A page of the operations of `demo.fail`.
async fn list(world: &World, protocol: Protocol, cursor: &Value) -> Value {
    match protocol {
        Protocol::Rest => {
            let cursor = cursor.as_str().map(|cursor| format!("&cursor={cursor}"));
            let query = format!("function=demo.fail{}", cursor.unwrap_or_default());
            let path = format!("/operations?{query}");
            world.request("GET", &path, &[], "").await.json
        }
        Protocol::Forrst => {
            let arguments = json!({"function": "demo.fail", "cursor": cursor});
            let response = call(world, LIST, &arguments, &json!([])).await;
            response.json["result"].clone()
        }
    }
}
