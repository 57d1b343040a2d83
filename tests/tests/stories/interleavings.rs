//! Interleavings that are easy to get wrong: replays against an erase or an early expiry,
//! redeliveries received twice, repeated cancels, and responses that would be too large.

use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::callback::CallbackStatus;
use shared::domain::id::{CreateId, OperationId};
use shared::domain::operation::{Operation, State};
use shared::queue::{Message as _, WakeUp};
use shared::store::{CreateOutcome, Draft, ListFilter, Position};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::Fault;
use tests::world::{World, event};

use super::messages::message_of;

/// A replay sends its message, and a worker receives it while the first operation still exists.
/// Only then does the replay's create find the id free.
async fn replay_after<F: Future<Output = ()>>(ends: impl FnOnce(String) -> F, world: &World) {
    let body = r#"{"function":"demo.echo","ttl_seconds":60}"#;
    let first = world
        .request("POST", "/operations", &[("idempotency-key", "k")], body)
        .await;
    let id = first.json["id"].as_str().unwrap().to_owned();
    assert!(world.pump(QueueKind::Dispatch).await);

    let parsed = id.parse::<OperationId>().unwrap();
    let ended = world
        .store
        .get(&parsed, world.clock.now())
        .await
        .unwrap()
        .unwrap();
    let replay = Operation {
        create_id: CreateId::from_bytes([2; 16]),
        state: State::Pending,
        lock_version: 1,
        attempt: 0,
        expires_at: ended.deadline_at + Duration::from_secs(86_400),
        started_at: None,
        progress: None,
        ..ended
    };
    world
        .queue(QueueKind::Dispatch)
        .send(&message_of(&replay))
        .await;
    assert!(world.pump(QueueKind::Dispatch).await);
    ends(id.clone()).await;
    let created = world
        .store
        .create(&Draft::new(&replay), world.clock.now())
        .await
        .unwrap();
    assert!(matches!(created, CreateOutcome::New));
    world.drain().await;
    assert_eq!(world.show(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_replay_whose_predecessor_is_erased_runs() {
    let world = World::start().await;
    let erase = async |id: String| {
        let erased = world
            .request("DELETE", &format!("/operations/{id}"), &[], "")
            .await;
        assert_eq!(erased.status, 204);
    };
    replay_after(erase, &world).await;
}

#[tokio::test]
async fn a_replay_whose_predecessor_expires_early_runs() {
    let world = World::start().await;
    let expire = async |_| world.clock.advance(Duration::from_secs(60));
    replay_after(expire, &world).await;
}

/// The reader has the head. The metadata and the result are separate items, and are not read yet.
#[tokio::test]
async fn an_operation_that_is_erased_during_a_read_is_not_found() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let text = incompressible(2000);
    let body = json!({
        "function": "demo.echo", "arguments": {"t": text}, "metadata": {"t": text},
        "callback_url": receiver.url,
    });
    let ended = async || {
        let id = world.submit(body.clone()).await.json["id"].clone();
        assert!(world.pump(QueueKind::Dispatch).await);
        world.wire.plan([]);
        id.as_str().unwrap().to_owned()
    };

    let path = format!("/operations/{}", ended().await);
    let erase = world.request("DELETE", &path, &[], "");
    let read = world.request("GET", &path, &[], "");
    let (read, erased) = world.wire.delay(1, read, erase).await;
    assert_eq!((read.status, erased.status), (404, 204), "{}", read.text);

    let id = ended().await;
    let path = format!("/operations/{id}");
    let erase = world.request("DELETE", &path, &[], "");
    let call = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"}, "id": "r",
        "call": {
            "function": "urn:cline:forrst:ext:async:fn:status", "version": "1.0.0",
            "arguments": {"operation_id": id},
        },
    });
    let call = call.to_string();
    let read = world.request("POST", "/forrst", &[], &call);
    let (read, erased) = world.wire.delay(1, read, erase).await;
    assert_eq!((read.status, erased.status), (404, 204), "{}", read.text);

    // Serves the wake-ups of the two operations before.
    world.pump_all().await;
    let path = format!("/operations/{}", ended().await);
    let erase = world.request("DELETE", &path, &[], "");
    let deliver = world.pump(QueueKind::Callback);
    let (delivered, erased) = world.wire.delay(1, deliver, erase).await;
    assert!(delivered);
    assert_eq!(erased.status, 204);
    assert!(world.queue(QueueKind::Callback).is_empty().await);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn repeated_cancels_make_one_chain_of_attempts() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None); 100]);
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..10 {
        let cancelled = world
            .request("POST", &format!("/operations/{id}/cancel"), &[], "")
            .await;
        assert_eq!(cancelled.status, 200);
    }
    // Several messages, served one after the other, would each make a POST.
    assert_eq!(world.queue(QueueKind::Callback).len().await, 1);
    world.drain().await;
    assert_eq!(receiver.received().len(), 6);
    assert_eq!(world.show(&id).await["callback"]["status"], "exhausted");
}

/// A worker that wants to give an operation up finds that another process has ended it. That
/// process sends the callback's message; the worker sends another with a delay, which finds nothing
/// left to do.
#[tokio::test]
async fn an_operation_that_is_cancelled_while_it_is_given_up_makes_one_callback() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body =
        json!({"function": "demo.echo", "deadline_seconds": 60, "callback_url": receiver.url});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    world.clock.advance(Duration::from_secs(60));
    let queue = world.queue(QueueKind::Dispatch);
    let messages = queue.receive(1).await;
    let worker = world.another_worker();
    world.wire.reset();
    let served = world.serve(&worker, QueueKind::Dispatch, queue.event(&messages));
    // Requests are applied in the order in which they are made: the cancel comes after the claim
    // that finds the deadline passed.
    let cancelled = async {
        while world.wire.counts().get("UpdateItem") != Some(&1) {
            tokio::task::yield_now().await;
        }
        let path = format!("/operations/{id}/cancel");
        world.request("POST", &path, &[], "").await
    };
    let (response, cancelled) = tokio::join!(served, cancelled);
    assert_eq!(world.wire.counts()["UpdateItem"], 3);
    assert_eq!(cancelled.json["status"], "cancelled");
    assert_eq!(response["batchItemFailures"], json!([]));
    queue.delete_acknowledged(&messages, &response).await;
    let callbacks = world.queue(QueueKind::Callback);
    assert_eq!(callbacks.len().await, 2);
    assert!(world.pump(QueueKind::Callback).await);
    assert!(
        !world.pump(QueueKind::Callback).await,
        "the worker's message is delayed"
    );
    world.drain().await;
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(world.show(id).await["status"], "cancelled");
}

async fn delivered(world: &World, receiver: &Receiver) -> (String, Operation) {
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.drain().await;
    let parsed = id.parse::<OperationId>().unwrap();
    let operation = world
        .store
        .get(&parsed, world.clock.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(operation.callback_status(), Some(CallbackStatus::Delivered));
    (id, operation)
}

#[tokio::test]
async fn a_redelivery_received_again_after_its_round_starts_no_other_round() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let (id, read_early) = delivered(&world, &receiver).await;
    let message = WakeUp {
        redeliver_after_attempts: Some(1),
        ..WakeUp::of(&read_early)
    };
    let queue = world.queue(QueueKind::Callback);
    queue.send(&message.to_body()).await;
    assert!(world.pump(QueueKind::Callback).await);
    // A second sender received the message and read the operation before all that: its start of a
    // round is refused, and it finds nothing due.
    let started = world
        .store
        .start_round(&read_early, world.clock.now())
        .await
        .unwrap();
    assert_eq!(started, None);
    receiver.answer_next([(500, None)]);
    queue.send(&message.to_body()).await;
    world.drain().await;
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
}

/// The sender of the first redelivery died before it acknowledged, so the message returns after the
/// round of the second redelivery.
#[tokio::test]
async fn a_redelivery_received_again_after_a_later_round_starts_no_other_round() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let (id, _) = delivered(&world, &receiver).await;
    let path = format!("/operations/{id}/redeliver");
    let queue = world.queue(QueueKind::Callback);
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    let first = queue.receive(1).await;
    let worker = world.another_worker();
    world
        .serve(&worker, QueueKind::Callback, queue.event(&first))
        .await;
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    assert!(world.pump(QueueKind::Callback).await);
    assert_eq!(receiver.received().len(), 3);

    assert_eq!(queue.len().await, 1, "the first redelivery's message");
    world.drain().await;
    assert_eq!(receiver.received().len(), 3);
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
}

#[tokio::test]
async fn redeliveries_requested_before_the_first_starts_make_one_round() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let (id, _) = delivered(&world, &receiver).await;
    let path = format!("/operations/{id}/redeliver");
    for _ in 0..3 {
        assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    }
    world.drain().await;
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    world.drain().await;
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test]
async fn a_dead_lettered_redelivery_counts_as_a_failed_attempt_of_its_round() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let (id, _) = delivered(&world, &receiver).await;
    assert_eq!(
        world
            .request("POST", &format!("/operations/{id}/redeliver"), &[], "")
            .await
            .status,
        202
    );
    let messages = world.queue(QueueKind::Callback).receive(1).await;
    world
        .queue(QueueKind::CallbackDeadLetter)
        .send(messages[0].body().unwrap())
        .await;
    assert!(world.pump(QueueKind::CallbackDeadLetter).await);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["status"], "due");
    assert_eq!(
        callback["attempts"][1]["error"],
        "the callback could not be made"
    );
}

#[tokio::test]
async fn an_erase_whose_response_was_lost_leaves_only_the_tombstone() {
    let world = World::start().await;
    let text = incompressible(2000);
    let body = json!({"function": "demo.echo", "metadata": {"t": text}, "arguments": {"t": text}});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.drain().await;
    world.wire.plan([(0, Fault::Lost)]);
    let erased = world
        .request("DELETE", &format!("/operations/{id}"), &[], "")
        .await;
    assert_eq!(erased.status, 204);
    let left = world.dynamodb.scan().table_name("ferry").send().await;
    let [tombstone] = left.unwrap().items.unwrap().try_into().unwrap();
    assert!(!tombstone.contains_key("owner"));
}

#[tokio::test]
async fn a_cursor_outside_its_filter_is_refused() {
    let world = World::start().await;
    let owner = shared::domain::operation::Owner::new("local", "alice").unwrap();
    let now = world.clock.now();
    let filter = ListFilter {
        created_after: Some(now),
        ..ListFilter::default()
    };
    let position = Position {
        id: OperationId::from_bytes([1; 12]),
        created_at: now,
    };
    let cursor = shared::request::Cursor {
        owner: &owner,
        filter: &filter,
    }
    .encode(&position);
    let response = world
        .request(
            "GET",
            &format!("/operations?created_after={now}&cursor={cursor}"),
            &[],
            "",
        )
        .await;
    assert_eq!(
        (response.status, &response.json["errors"][0]["pointer"]),
        (400, &json!("/query/cursor"))
    );
}

#[tokio::test]
async fn a_refusal_is_short_however_large_the_request_is() {
    let world = World::start().await;
    let members: Vec<_> = (0..100_000)
        .map(|number| format!("\"{number:x}\":1"))
        .collect();
    let long = format!("{{\"{}\":1}}", "\\u0001".repeat(150_000));
    for body in [format!("{{{}}}", members.join(",")), long] {
        let response = world
            .answer(event("alice", "POST", "/operations", &[], body.as_bytes()))
            .await;
        assert_eq!(response.status, 400);
        assert!(
            response.text.len() < 100_000,
            "{} bytes",
            response.text.len()
        );
    }
}

#[tokio::test]
async fn a_submit_that_dies_and_is_not_repeated_leaves_an_operation_or_nothing() {
    for call in 0..2 {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let world = World::start().await;
            world.wire.plan([(call, fault)]);
            let body = json!({"function": "demo.echo"}).to_string();
            let request = world.request("POST", "/operations", &[], &body);
            assert!(world.wire.process(&world.clock, request).await.is_none());
            world.wire.plan([]);
            world.drain().await;
            let list = world.request("GET", "/operations", &[], "").await.json;
            let operations = list["operations"].as_array().unwrap();
            if (call, fault) == (1, Fault::CrashAfter) {
                assert_eq!(operations[0]["status"], "completed");
            } else {
                assert!(operations.is_empty(), "{operations:?}");
            }
        }
    }
}
