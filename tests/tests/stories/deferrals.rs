//! A receiver that does not answer: how much of a sender it occupies, and which callbacks wait for
//! it.

use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::{Value, json};
use shared::domain::limits::{
    CALLBACK_DEFERRALS_MAX, CALLBACK_SLOW, CALLBACK_TIMEOUT_SECS_DEFAULT, CALLBACKS_AT_ONCE_MAX,
};
use shared::domain::operation::Owner;
use shared::queue::{Message as _, MessageGroup, WakeUp};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::wait::until;
use tests::world::World;

/// The most messages in one event.
const BATCH: i32 = 10;
const TIMEOUT: Duration = Duration::from_secs(CALLBACK_TIMEOUT_SECS_DEFAULT as u64);

/// Creates operations of an owner that have ended, with a callback due to a receiver.
async fn ended(world: &World, owner: &str, receiver: &Receiver, count: usize) -> Vec<String> {
    let body = json!({"function": "demo.echo", "callback_url": receiver.url}).to_string();
    let mut ids = Vec::new();
    for _ in 0..count {
        let submitted = world.request_of(owner, "POST", "/operations", &[], body.as_bytes());
        let response = submitted.await;
        assert_eq!(response.status, 202, "{}", response.text);
        ids.push(response.json["id"].as_str().unwrap().to_owned());
        assert!(world.pump(QueueKind::Dispatch).await);
    }
    ids
}

async fn callback(world: &World, owner: &str, id: &str) -> Value {
    let path = format!("/operations/{id}");
    let shown = world.request_of(owner, "GET", &path, &[], b"").await;
    shown.json["callback"].clone()
}

/// Counts the attempts on record for alice's callbacks, all of which must be due.
async fn attempted(world: &World, ids: &[String]) -> usize {
    let mut attempted = 0;
    for id in ids {
        let callback = callback(world, "alice", id).await;
        assert_eq!(callback["status"], "due");
        attempted += callback["attempts"].as_array().unwrap().len();
    }
    attempted
}

/// Serves a batch of callbacks to a receiver that does not answer, until they time out.
async fn serve_until_timed_out(world: &World, receiver: &Receiver, held: usize) {
    let worker = world.another_worker();
    let before = receiver.received().len();
    let serve = world.pump_by(&worker, QueueKind::Callback, BATCH);
    let pass = async {
        until("the deliveries", async || {
            (receiver.received().len() == before + held).then_some(())
        })
        .await;
        world.clock.advance(CALLBACK_SLOW);
        world
            .clock
            .advance(TIMEOUT.checked_sub(CALLBACK_SLOW).unwrap());
    };
    let (served, ()) = tokio::join!(serve, pass);
    assert!(served);
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_gets_half_of_a_batch_and_then_a_pause() {
    let world = World::start().await;
    let [dead, well] = [Receiver::start().await, Receiver::start().await];
    dead.hold();
    let ids = ended(&world, "alice", &dead, 19).await;
    let bob = ended(&world, "bob", &well, 1).await;
    let queue = world.queue(QueueKind::Callback);

    serve_until_timed_out(&world, &dead, CALLBACKS_AT_ONCE_MAX).await;
    assert_eq!(attempted(&world, &ids).await, CALLBACKS_AT_ONCE_MAX);
    // During the pause nothing is sent to it, and no delivery waits.
    assert!(
        world
            .pump_by(&world.another_worker(), QueueKind::Callback, BATCH)
            .await
    );
    assert_eq!(dead.received().len(), CALLBACKS_AT_ONCE_MAX);
    assert_eq!(
        callback(&world, "bob", &bob[0]).await["status"],
        "delivered"
    );
    assert_eq!(queue.len().await, ids.len(), "each has one wake-up");

    // A deferral is not an attempt; the callback is due again after the pause.
    world.clock.advance(3 * TIMEOUT);
    serve_until_timed_out(&world, &dead, CALLBACKS_AT_ONCE_MAX).await;
    dead.release();
    world.drain().await;
    for id in &ids {
        let callback = callback(&world, "alice", id).await;
        assert_eq!(callback["status"], "delivered");
        assert!(
            callback["attempts"].as_array().unwrap().len() <= 3,
            "{callback}"
        );
    }
}

#[tokio::test]
async fn a_pause_of_a_receiver_applies_to_one_owner_only() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.hold();
    ended(&world, "alice", &receiver, 1).await;
    serve_until_timed_out(&world, &receiver, 1).await;
    receiver.release();
    let bob = ended(&world, "bob", &receiver, 1).await;
    assert!(world.pump(QueueKind::Callback).await);
    assert_eq!(
        callback(&world, "bob", &bob[0]).await["status"],
        "delivered"
    );
}

#[tokio::test]
async fn a_callback_that_was_deferred_too_often_records_a_failed_attempt_without_a_post() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.hold();
    ended(&world, "alice", &receiver, 1).await;
    serve_until_timed_out(&world, &receiver, 1).await;
    let ids = ended(&world, "alice", &receiver, 1).await;
    let queue = world.queue(QueueKind::Callback);
    let [message] = queue.receive(1).await.try_into().unwrap();
    let wake_up = WakeUp::parse(message.body().unwrap(), None).unwrap();
    for (deferrals, attempts) in [
        (CALLBACK_DEFERRALS_MAX - 1, json!([])),
        (
            CALLBACK_DEFERRALS_MAX,
            json!(["the receiver was busy with other callbacks"]),
        ),
    ] {
        queue.purge().await;
        let message = WakeUp {
            deferrals,
            ..wake_up.clone()
        };
        queue.send(&message.to_body()).await;
        assert!(world.pump(QueueKind::Callback).await);
        let callback = callback(&world, "alice", &ids[0]).await;
        let errors = callback["attempts"].as_array().unwrap().iter();
        let errors: Vec<_> = errors.map(|attempt| &attempt["error"]).collect();
        assert_eq!(json!(errors), attempts);
        assert_eq!(callback["status"], "due");
        assert_eq!(queue.len().await, 1, "it has a wake-up");
    }
    assert_eq!(
        receiver.received().len(),
        1,
        "only the first, which was not answered, was posted"
    );
    receiver.release();
}

#[tokio::test]
async fn a_deferral_costs_one_read_and_one_message_and_keeps_the_message_group() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.hold();
    ended(&world, "alice", &receiver, 1).await;
    serve_until_timed_out(&world, &receiver, 1).await;
    let queue = world.queue(QueueKind::Callback);
    queue.purge().await;
    ended(&world, "alice", &receiver, 1).await;
    world.wire.reset();
    assert!(world.pump(QueueKind::Callback).await);
    let charges = world.wire.charges().into_iter();
    let charges: Vec<_> = charges.map(|charge| charge.to_string()).collect();
    assert_eq!(
        charges,
        ["read: 1 read", "wake callback: 1 message request"]
    );
    world.clock.advance(4 * TIMEOUT);
    let [deferred] = queue.receive(1).await.try_into().unwrap();
    let wake_up = WakeUp::parse(deferred.body().unwrap(), None).unwrap();
    assert_eq!(wake_up.deferrals, 1);
    let alice = Owner::new("local", "alice").unwrap();
    let group = MessageGroup::of_callback(&alice, &receiver.url);
    let attributes = deferred.attributes().unwrap();
    let name = MessageSystemAttributeName::MessageGroupId;
    assert_eq!(attributes[&name], group.as_str());
    receiver.release();
}
