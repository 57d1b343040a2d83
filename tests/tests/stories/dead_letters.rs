//! How the worker handles messages in the dead-letter queue.

use std::time::Duration;

use serde_json::json;
use tests::queues::QueueKind;
use tests::world::World;

use super::messages::{
    MINUTE, claim_and_vanish, codes, create_id, message, message_without_record,
};

async fn dead_letter(world: &World, body: &str) {
    world.queue(QueueKind::DispatchDeadLetter).send(body).await;
}

#[tokio::test]
async fn dead_letters_are_dispatched_again_while_attempts_and_time_are_left() {
    let world = World::start().await;
    let dead_letters = world.queue(QueueKind::DispatchDeadLetter);
    let accepted = world.submit(json!({"function": "demo.echo"})).await.json;
    let id = accepted["id"].as_str().unwrap();
    let body = message(id, create_id(&world, id).await);
    // The dispatch queue loses its message, so only the dead letter is left.
    let dispatch = world.queue(QueueKind::Dispatch);
    let [lost] = dispatch.receive(1).await.try_into().unwrap();
    dispatch
        .delete_acknowledged(&[lost], &json!({"batchItemFailures": []}))
        .await;

    // The operation is held: the dead letter waits.
    claim_and_vanish(&world, id).await;
    dead_letter(&world, &body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!((dead_letters.len().await, dispatch.len().await), (1, 0));
    // Attempts and time are left: the worker sends a fresh message.
    world.clock.advance(MINUTE);
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!((dead_letters.len().await, dispatch.len().await), (0, 1));
    // The attempts are used up: the operation is given up.
    claim_and_vanish(&world, id).await;
    world.clock.advance(MINUTE);
    claim_and_vanish(&world, id).await;
    world.clock.advance(MINUTE);
    dead_letter(&world, &body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!(codes(&world.show(id).await), ["WORKER_LOST"]);
    // The operation has ended: the dead letter is acknowledged.
    dead_letter(&world, &body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert!(dead_letters.is_empty().await);
}

#[tokio::test]
async fn a_young_dead_letter_without_a_record_is_kept_and_a_malformed_one_is_dropped() {
    let world = World::start().await;
    let dead_letters = world.queue(QueueKind::DispatchDeadLetter);
    dead_letter(&world, "not JSON").await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert!(dead_letters.is_empty().await);
    dead_letter(&world, r#"{"format":2}"#).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!(
        dead_letters.len().await,
        1,
        "newer code may be able to parse it"
    );
    world.queue(QueueKind::DispatchDeadLetter).receive(10).await;
    dead_letter(&world, &message_without_record()).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!(
        dead_letters.len().await,
        2,
        "a submit may still create its record"
    );
}

#[tokio::test]
async fn attempts_are_counted_by_claims_and_not_by_receives_even_in_the_dead_letter_queue() {
    let world = World::start().await;
    let body = json!({"function": "demo.echo", "deadline_seconds": 86_400});
    let id = world.submit(body).await.json["id"].clone();
    let dispatch = world.queue(QueueKind::Dispatch);
    // Receives without a result, as when Lambda throttles the function.
    for _ in 0..10 {
        assert_eq!(dispatch.receive(1).await.len(), 1);
        world.clock.advance(Duration::from_secs(900));
    }
    assert!(dispatch.receive(1).await.is_empty());
    world.drain().await;
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}
