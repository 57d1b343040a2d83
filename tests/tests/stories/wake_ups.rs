//! Wake-ups of the callback's sender: any number of them, late, received twice, malformed or in the
//! dead-letter queue, records one chain of attempts.

use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::callback::DeliveryAttempt;
use shared::domain::delivery::{DeliveryOutcome, DueCallback};
use shared::domain::id::{CreateId, DeliveryAttemptId, OperationId};
use shared::domain::limits::{
    CALLBACK_VISIBILITY_SECS, CALLBACKS_AT_ONCE_MAX, QUEUE_DELAY_SECS_MAX, RECEIVES_MAX,
};
use shared::queue::{Message as _, WakeUp};
use shared::store::{AttemptRecord, RecordOutcome};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::wait::until;
use tests::world::World;

use super::callbacks::ended;

#[tokio::test]
async fn a_redelivery_received_twice_starts_one_round() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({})).await;
    world.drain().await;
    assert_eq!(
        world
            .request("POST", &format!("/operations/{id}/redeliver"), &[], "")
            .await
            .status,
        202
    );
    let queue = world.queue(QueueKind::Callback);
    let [message] = queue.receive(1).await.try_into().unwrap();
    queue.send(message.body().unwrap()).await;
    world.clock.advance(Duration::from_secs(60));
    world.drain().await;
    assert_eq!(receiver.received().len(), 2);
}

/// Two senders receive the same message. One records a failed attempt and dies before it sends the
/// next wake-up. The other's record is refused and it acknowledges, which deletes the message that
/// would have recovered the first. So a refused sender must leave a wake-up.
#[tokio::test]
async fn a_refused_sender_leaves_a_wake_up_for_the_other() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({})).await;
    let operation_id = id.parse::<OperationId>().unwrap();
    let now = world.clock.now();
    let read = world.store.get(&operation_id, now).await.unwrap().unwrap();
    receiver.answer_next([(500, None)]);
    let queue = world.queue(QueueKind::Callback);
    let messages = queue.receive(1).await;

    let record = AttemptRecord {
        id: DeliveryAttemptId::from_bytes([1; 16]),
        attempt: DeliveryAttempt {
            at: now,
            status_code: Some(500),
            error: None,
            duration_ms: 1,
        },
        outcome: DeliveryOutcome::RetryAt(now + Duration::from_secs(5)),
        kept_max: 6,
    };
    let dies = async {
        until("the other sender's POST", async || {
            receiver.received().pop()
        })
        .await;
        let due = DueCallback::of(read).unwrap();
        world.store.record_attempt(&due, &record, now).await
    };
    receiver.hold();
    let worker = world.another_worker();
    let refused = world.serve(&worker, QueueKind::Callback, queue.event(&messages));
    let (response, recorded) = tokio::join!(refused, async {
        let recorded = dies.await;
        receiver.release();
        recorded
    });
    assert_eq!(recorded.unwrap(), RecordOutcome::Written);
    queue.delete_acknowledged(&messages, &response).await;

    world.drain().await;
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn any_number_of_wake_ups_records_one_chain_of_attempts() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None), (500, None)]);
    let id = ended(&world, &receiver, json!({})).await;
    let queue = world.queue(QueueKind::Callback);
    let [message] = queue.receive(1).await.try_into().unwrap();
    for _ in 0..5 {
        queue.send(message.body().unwrap()).await;
    }
    world.drain().await;
    assert_eq!(receiver.received().len(), 3, "one POST for each attempt");
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        (
            &callback["status"],
            callback["attempts"].as_array().unwrap().len()
        ),
        (&json!("delivered"), 3)
    );
}

#[tokio::test]
async fn concurrent_wake_ups_record_one_attempt() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    // As many as make their POST at the same time.
    let senders = CALLBACKS_AT_ONCE_MAX;
    receiver.answer_next(std::iter::repeat_n((500, None), senders + 1));
    let id = ended(&world, &receiver, json!({})).await;
    let queue = world.queue(QueueKind::Callback);
    let [message] = queue.receive(1).await.try_into().unwrap();
    for _ in 0..senders {
        queue.send(message.body().unwrap()).await;
    }
    // Each has read the callback as due before the first records an attempt.
    receiver.hold();
    let worker = world.another_worker();
    let serve = world.pump_by(&worker, QueueKind::Callback, 10);
    let release = async {
        until("all POSTs", async || {
            (receiver.received().len() == senders).then_some(())
        })
        .await;
        receiver.release();
    };
    let (served, ()) = tokio::join!(serve, release);
    assert!(served);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        (
            &callback["status"],
            callback["attempts"].as_array().unwrap().len()
        ),
        (&json!("due"), 1)
    );
    // The message in flight, the next wake-up, and the refused senders' wake-ups, which come after
    // it.
    assert_eq!(queue.len().await, senders + 1);
    world.drain().await;
    assert_eq!(
        receiver.received().len(),
        senders + 2,
        "one POST for each further attempt"
    );
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
}

#[tokio::test]
async fn a_cancelled_operation_whose_message_is_served_at_once_makes_one_post() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let submitted = world.submit(body).await.json;
    let path = format!("/operations/{}/cancel", submitted["id"].as_str().unwrap());
    let cancelled = world.request("POST", &path, &[], "").await;
    assert_eq!(cancelled.status, 200);
    // The cancel sent the callback's message, and no attempt was made yet.
    assert!(world.pump(QueueKind::Dispatch).await);
    let worker = world.another_worker();
    assert!(world.pump_by(&worker, QueueKind::Callback, 10).await);
    world.drain().await;
    assert_eq!(receiver.received().len(), 1);
}

/// Receives the only message of the queue ten times without serving it.
async fn let_die(world: &World) {
    let queue = world.queue(QueueKind::Callback);
    for _ in 0..RECEIVES_MAX {
        assert_eq!(queue.receive(1).await.len(), 1);
        world
            .clock
            .advance(Duration::from_secs(u64::from(CALLBACK_VISIBILITY_SECS)));
    }
    assert!(queue.receive(1).await.is_empty());
}

#[tokio::test]
async fn a_dead_lettered_wake_up_counts_as_a_failed_attempt() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({})).await;
    let_die(&world).await;
    assert!(world.pump(QueueKind::CallbackDeadLetter).await);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["status"], "due");
    assert_eq!(
        callback["attempts"][0]["error"],
        "the callback could not be made"
    );
    world.drain().await;
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn wake_ups_that_all_become_dead_letters_exhaust_the_callback() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({})).await;
    for _ in 0..100 {
        if world.show(&id).await["callback"]["status"] == "exhausted" {
            break;
        }
        let_die(&world).await;
        assert!(world.pump(QueueKind::CallbackDeadLetter).await);
        world
            .clock
            .advance(Duration::from_secs(u64::from(QUEUE_DELAY_SECS_MAX)));
    }
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["status"], "exhausted");
    assert_eq!(callback["attempts"].as_array().unwrap().len(), 6);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_duplicate_dead_letter_does_not_end_the_chain_of_attempts() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(503, None)]);
    let id = ended(&world, &receiver, json!({})).await;
    let queue = world.queue(QueueKind::Callback);
    let [message] = queue.receive(1).await.try_into().unwrap();
    queue.send(message.body().unwrap()).await;
    assert!(world.pump(QueueKind::Callback).await);
    world
        .queue(QueueKind::CallbackDeadLetter)
        .send(message.body().unwrap())
        .await;
    assert!(world.pump(QueueKind::CallbackDeadLetter).await);
    assert_eq!(world.show(&id).await["callback"]["status"], "due");
    world.drain().await;
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["status"], "delivered");
    assert_eq!(callback["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_malformed_dead_letter_is_dropped() {
    let world = World::start().await;
    let dead_letters = world.queue(QueueKind::CallbackDeadLetter);
    dead_letters.send("not JSON").await;
    assert!(world.pump(QueueKind::CallbackDeadLetter).await);
    assert!(dead_letters.is_empty().await);
}

#[tokio::test]
async fn a_message_of_a_newer_format_is_returned_with_backoff() {
    let world = World::start().await;
    let queue = world.queue(QueueKind::Callback);
    queue.send(r#"{"format":1000}"#).await;
    for secs in [15, 30, 60, 120, 240, 480, 900, 900, 900] {
        assert!(world.pump(QueueKind::Callback).await);
        world.clock.advance(Duration::from_secs(secs - 1));
        assert!(!world.pump(QueueKind::Callback).await, "{secs}");
        world.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_wake_up_of_another_incarnation_does_nothing() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({})).await;
    world.drain().await;
    let another = WakeUp {
        operation_id: id.parse::<OperationId>().unwrap(),
        create_id: CreateId::from_bytes([9; 16]),
        redeliver_after_attempts: Some(1),
        deferrals: 0,
        group: None,
    };
    let queue = world.queue(QueueKind::Callback);
    queue.send(&another.to_body()).await;
    assert!(world.pump(QueueKind::Callback).await);
    assert!(queue.is_empty().await);
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
    assert_eq!(receiver.received().len(), 1);
}
