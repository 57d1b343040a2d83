//! Which requests a worker retries when the store does not answer, and what it does not start while
//! it may not hold its message.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::wait::until;
use tests::watched_clock::WatchedClock;
use tests::wire::Fault;
use tests::world::World;

use super::work::{REAL_TIME_MAX, RunningWorker, lease_until};

/// The numbers of an attempt's requests, when there are no faults.
const VISIBILITY: usize = 0;
const CLAIM: usize = 1;
const OUTCOME: usize = 2;
/// Of arguments that have an item of their own; the outcome comes after it.
const ARGUMENTS: usize = 2;

/// Serves the only message. `fault` lasts for as long as the SDK retries the call. Returns whether
/// the message was acknowledged.
async fn serve(world: &World, call: usize, fault: Fault) -> bool {
    let queue = world.queue(QueueKind::Dispatch);
    let messages = queue.receive(1).await;
    let worker = world.another_worker();
    world.wire.reset();
    world.wire.plan([(call, fault)]);
    let served = world.serve(&worker, QueueKind::Dispatch, queue.event(&messages));
    let response = world.wire.process(&world.clock, served).await.unwrap();
    response["batchItemFailures"] == json!([])
}

#[tokio::test]
async fn a_throttled_outcome_is_written_again() {
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
async fn a_claim_whose_response_was_lost_is_repeated_and_costs_no_attempt() {
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
async fn a_message_whose_visibility_change_failed_is_not_claimed() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    assert!(!serve(&world, VISIBILITY, Fault::AccessDenied).await);
    assert_eq!(world.wire.calls(), ["ChangeMessageVisibility"]);
    assert_eq!(world.show(id.as_str().unwrap()).await["attempt"], 0);
}

#[tokio::test]
async fn a_lease_is_renewed_a_third_of_its_length_after_the_claim_was_sent() {
    let world = Arc::new(World::start().await);
    let arguments = json!({"steps": 1, "step_ms": 50_000});
    let body = json!({"function": "demo.countdown", "arguments": arguments});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    let claimed_at = world.clock.now().as_secs();
    let clock = Arc::new(WatchedClock::new(world.clock.clone()));
    world.wire.reset();
    world.wire.plan([(CLAIM, Fault::AlwaysLost)]);
    let running = RunningWorker::start_with(&world, world.worker_by(clock.clone())).await;
    // The SDK tries the claim three times; then the worker waits before it repeats it.
    let asleep = tokio::time::timeout(REAL_TIME_MAX, clock.asleep()).await;
    asleep.expect("it does not wait");
    assert_eq!(world.wire.counts()["UpdateItem"], 3);
    world.clock.advance(Duration::from_secs(1));
    let answered = |_: &_| world.wire.counts()["UpdateItem"] == 4;
    running.until(id, answered).await;
    world.clock.advance(Duration::from_secs(19));
    let renewed = |operation: &_| lease_until(operation) == claimed_at + 20 + 60;
    running.until(id, renewed).await;
    assert!(!running.returned().await);
}

/// Between the lease's end and the read's response, another worker may have claimed the operation.
#[tokio::test]
async fn no_work_starts_when_its_arguments_are_read_after_the_lease() {
    let world = Arc::new(World::start().await);
    let arguments = json!({"text": incompressible(3_000)});
    let body = json!({"function": "demo.echo", "arguments": arguments});
    let id = world.submit(body).await.json["id"].clone();
    world.wire.reset();
    world.wire.plan([(ARGUMENTS, Fault::AlwaysThrottled)]);
    let running = RunningWorker::start(&world).await;
    // The SDK tries the read three times; then the worker waits before it repeats it.
    until("the last try", async || {
        (world.wire.calls().len() == ARGUMENTS + 3).then_some(())
    })
    .await;
    world.clock.advance(Duration::from_secs(60));
    assert!(running.returned().await);
    let shown = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&shown["status"], &shown["attempt"]),
        (&json!("processing"), &json!(1))
    );
    world.drain().await;
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(2))
    );
}

#[tokio::test]
async fn a_wait_before_the_next_attempt_is_shortened_to_the_deadline() {
    let world = World::start().await;
    let arguments = json!({"retryable": true, "succeed_on_attempt": 3});
    // The second wait would be up to two seconds, and only two are left.
    let body = json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 3});
    let id = world.submit(body).await.json["id"].clone();
    world.drain_in_steps(Duration::from_secs(1)).await;
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(3))
    );
}
