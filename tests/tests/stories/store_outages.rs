//! What a worker makes again when the store does not answer, and what it does not begin while it cannot be sure of its message.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use tests::queues::QueueKind;
use tests::watched_clock::WatchedClock;
use tests::wire::Fault;
use tests::world::World;

use super::work::{AtWork, PATIENCE, lease_until};

/// The requests of an attempt that meets no fault, by their numbers.
const HIDE: usize = 0;
const CLAIM: usize = 1;
const OUTCOME: usize = 2;

/// Has the one message served while this goes wrong for as long as the SDK tries; whether it is acknowledged.
async fn serve(world: &World, call: usize, fault: Fault) -> bool {
    let queue = world.queue(QueueKind::Dispatch);
    let messages = queue.receive(1).await;
    let worker = world.another_worker();
    world.wire.reset();
    world.wire.plan([(call, fault)]);
    let served = world.serve(&worker, QueueKind::Dispatch, queue.event(&messages));
    let answer = world.wire.process(&world.clock, served).await.unwrap();
    answer["batchItemFailures"] == json!([])
}

#[tokio::test]
async fn an_outcome_that_the_store_was_too_busy_for_is_written_again() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    assert!(serve(&world, OUTCOME, Fault::AlwaysThrottled).await);
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_made_again_and_costs_no_attempt() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    assert!(serve(&world, CLAIM, Fault::AlwaysLost).await);
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test]
async fn nothing_is_claimed_whose_message_could_not_be_hidden() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    assert!(!serve(&world, HIDE, Fault::Refused).await);
    assert_eq!(world.wire.calls(), ["ChangeMessageVisibility"]);
    assert_eq!(world.show(id.as_str().unwrap()).await["attempt"], 0);
}

#[tokio::test]
async fn a_lease_is_renewed_a_third_of_it_after_the_claim_however_late_that_was_answered() {
    let world = Arc::new(World::start().await);
    let arguments = json!({"steps": 1, "step_ms": 50_000});
    let body = json!({"function": "demo.countdown", "arguments": arguments});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    let claimed_at = world.clock.now().as_secs();
    let clock = Arc::new(WatchedClock::new(world.clock.clone()));
    world.wire.reset();
    world.wire.plan([(CLAIM, Fault::AlwaysLost)]);
    let at_work = AtWork::begin_with(&world, world.worker_by(clock.clone())).await;
    // Three tries of the claim, and it waits before it makes it again.
    let asleep = tokio::time::timeout(PATIENCE, clock.asleep()).await;
    asleep.expect("it does not wait");
    assert_eq!(world.wire.counts()["UpdateItem"], 3);
    world.clock.advance(Duration::from_secs(1));
    let answered = |_: &_| world.wire.counts()["UpdateItem"] == 4;
    at_work.until(id, answered).await;
    world.clock.advance(Duration::from_secs(19));
    let renewed = |operation: &_| lease_until(operation) == claimed_at + 20 + 60;
    at_work.until(id, renewed).await;
    assert!(!at_work.returned().await);
}

#[tokio::test]
async fn a_wait_before_the_next_attempt_is_shortened_to_the_deadline() {
    let world = World::start().await;
    let arguments = json!({"retryable": true, "succeed_on_attempt": 3});
    // The second wait would be up to two seconds, when there are two left.
    let body = json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 3});
    let id = world.submit(body).await.json["id"].clone();
    world.rest_by(Duration::from_secs(1)).await;
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(3))
    );
}
