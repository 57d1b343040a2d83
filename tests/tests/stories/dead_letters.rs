//! What the worker does with messages that were received too often.

use std::time::Duration;

use serde_json::json;
use tests::queues::QueueKind;
use tests::world::World;

use super::messages::{MINUTE, claim_and_vanish, codes, create_id, message, nobodys_message};

async fn dead_letter(world: &World, body: &str) {
    world.queue(QueueKind::DispatchDeadLetter).send(body).await;
}

#[tokio::test]
async fn dead_letters_are_not_graves() {
    let world = World::start().await;
    let dead_letters = world.queue(QueueKind::DispatchDeadLetter);
    let accepted = world.submit(json!({"function": "demo.echo"})).await.json;
    let id = accepted["id"].as_str().unwrap();
    let body = message(id, create_id(&world, id).await);
    // The dispatch queue's own is lost; the dead letter alone is left.
    let dispatch = world.queue(QueueKind::Dispatch);
    let [lost] = dispatch.receive(1).await.try_into().unwrap();
    dispatch
        .delete_acknowledged(&[lost], &json!({"batchItemFailures": []}))
        .await;

    // Held: it waits.
    claim_and_vanish(&world, id).await;
    dead_letter(&world, &body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!((dead_letters.len().await, dispatch.len().await), (1, 0));
    // Attempts and time left: it begins afresh.
    world.clock.advance(MINUTE);
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!((dead_letters.len().await, dispatch.len().await), (0, 1));
    // Attempts used up: it is given up.
    claim_and_vanish(&world, id).await;
    world.clock.advance(MINUTE);
    claim_and_vanish(&world, id).await;
    world.clock.advance(MINUTE);
    dead_letter(&world, &body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!(codes(&world.show(id).await), ["WORKER_LOST"]);
    // Ended: it is acknowledged.
    dead_letter(&world, &body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert!(dead_letters.is_empty().await);
}

#[tokio::test]
async fn dead_letters_that_find_nothing_keep_the_age_rule_and_malformed_ones_are_dropped() {
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
        "newer code may be able to read it"
    );
    world.queue(QueueKind::DispatchDeadLetter).receive(10).await;
    dead_letter(&world, &nobodys_message()).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    assert_eq!(
        dead_letters.len().await,
        2,
        "a submit may still create its record"
    );
}

#[tokio::test]
async fn attempts_are_counted_by_claims_and_not_by_receives_even_among_the_dead_letters() {
    let world = World::start().await;
    let body = json!({"function": "demo.echo", "deadline_seconds": 86_400});
    let id = world.submit(body).await.json["id"].clone();
    let dispatch = world.queue(QueueKind::Dispatch);
    // Receives that lead nowhere, as of a function that is throttled.
    for _ in 0..10 {
        assert_eq!(dispatch.receive(1).await.len(), 1);
        world.clock.advance(Duration::from_secs(900));
    }
    assert!(dispatch.receive(1).await.is_empty());
    world.rest().await;
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}
