//! What is counted: each thing that happens, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::metrics::Metric;
use tests::metrics::{Counted, Key, key};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

use super::messages::nobodys_message;
use super::work::{AtWork, lease_until};

/// Metrics as they should have been told, with each time that was.
fn expected<const N: usize>(metrics: [(Metric<'_>, &[u64]); N]) -> BTreeMap<Key, Vec<u64>> {
    let told = metrics.map(|(metric, values)| (key(metric), values.to_vec()));
    told.into_iter().collect()
}

async fn submit(world: &World, key: &str, arguments: Value) -> u16 {
    let body = json!({"function": "demo.echo", "arguments": arguments}).to_string();
    let headers = [("idempotency-key", key)];
    let answer = world.request("POST", "/operations", &headers, &body).await;
    answer.status
}

#[tokio::test]
async fn a_submit_is_accepted_replayed_or_in_conflict() {
    let (world, counted) = (World::start().await, Counted::here());
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({"other": 1})).await, 409);
    let refused = world.request("POST", "/operations", &[], "{}").await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        counted.told(),
        expected([
            (Metric::SubmitAccepted("demo.echo"), &[1]),
            (Metric::SubmitReplayed("demo.echo"), &[2]),
            (Metric::SubmitConflicted("demo.echo"), &[1]),
        ])
    );
}

#[tokio::test]
async fn an_attempt_its_end_and_its_callback_are_each_counted_where_they_happen() {
    let (world, counted) = (World::start().await, Counted::here());
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let submitted = world.submit(body).await.json;
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(
        counted.told(),
        expected([(Metric::SubmitAccepted("demo.echo"), &[1])])
    );
    world.clock.advance(Duration::from_millis(1_234));
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        counted.told(),
        expected([
            (Metric::AttemptCompleted("demo.echo"), &[1]),
            (Metric::OperationCompleted("demo.echo"), &[1]),
            (Metric::QueueTime("demo.echo"), &[1_234]),
            (Metric::WorkDuration("demo.echo"), &[0]),
        ])
    );
    world.rest().await;
    assert_eq!(
        counted.told(),
        expected([(Metric::CallbackDelivered, &[1])])
    );
    world.show(id).await;
    assert_eq!(counted.told(), expected([]), "a read is nothing to count");
}

#[tokio::test]
async fn failures_are_told_from_attempts_that_are_retried() {
    let (world, counted) = (World::start().await, Counted::here());
    let fail = async |arguments: Value| {
        world
            .submit(json!({"function": "demo.fail", "arguments": arguments}))
            .await;
        world.rest().await;
        counted.told()
    };
    assert_eq!(
        fail(json!({"retryable": true, "succeed_on_attempt": 2})).await,
        expected([
            (Metric::SubmitAccepted("demo.fail"), &[1]),
            (Metric::AttemptRetried("demo.fail"), &[1]),
            (Metric::AttemptCompleted("demo.fail"), &[1]),
            (Metric::OperationCompleted("demo.fail"), &[1]),
            (Metric::QueueTime("demo.fail"), &[0]),
            (Metric::WorkDuration("demo.fail"), &[0, 0]),
        ])
    );
    assert_eq!(
        fail(json!({"retryable": true})).await,
        expected([
            (Metric::SubmitAccepted("demo.fail"), &[1]),
            (Metric::AttemptRetried("demo.fail"), &[2]),
            (Metric::AttemptFailed("demo.fail"), &[1]),
            (Metric::OperationFailed("demo.fail"), &[1]),
            (Metric::QueueTime("demo.fail"), &[0]),
            (Metric::WorkDuration("demo.fail"), &[0, 0, 0]),
        ])
    );
}

#[tokio::test]
async fn what_is_never_begun_is_given_up_once() {
    let (world, counted) = (World::start().await, Counted::here());
    world
        .submit(json!({"function": "demo.echo", "deadline_seconds": 1}))
        .await;
    world.clock.advance(Duration::from_secs(2));
    world.rest().await;
    assert_eq!(
        counted.told(),
        expected([
            (Metric::SubmitAccepted("demo.echo"), &[1]),
            (Metric::OperationGivenUp("demo.echo"), &[1]),
        ])
    );
}

#[tokio::test]
async fn a_cancel_counts_once_and_takes_the_attempt_with_it() {
    let (world, counted) = (Arc::new(World::start().await), Counted::here());
    let body = json!({"function": "demo.countdown", "arguments": {"steps": 100, "step_ms": 1000}});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let at_work = AtWork::begin_with(&world, world.another_worker()).await;
    at_work
        .until(&id, |operation| lease_until(operation) > 0)
        .await;
    let path = format!("/operations/{id}/cancel");
    for _ in 0..2 {
        assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    }
    assert!(at_work.returned().await);
    assert_eq!(
        counted.told(),
        expected([
            (Metric::SubmitAccepted("demo.countdown"), &[1]),
            (Metric::OperationCancelled("demo.countdown"), &[1]),
            (Metric::QueueTime("demo.countdown"), &[0]),
            (Metric::AttemptLost("demo.countdown"), &[1]),
            (Metric::RaceLost, &[1]),
        ])
    );
}

#[tokio::test]
async fn callbacks_are_delivered_refused_for_good_or_exhausted() {
    let (world, counted) = (World::start().await, Counted::here());
    let receiver = Receiver::start().await;
    let called = async |answers: &[u16]| {
        receiver.answer_next(answers.iter().map(|status| (*status, None)));
        world
            .submit(json!({"function": "demo.echo", "callback_url": receiver.url}))
            .await;
        assert!(world.pump(QueueKind::Dispatch).await);
        let _ = counted.told();
        world.rest().await;
        counted.told()
    };
    assert_eq!(
        called(&[503, 200]).await,
        expected([
            (Metric::CallbackAttemptFailed, &[1]),
            (Metric::CallbackDelivered, &[1]),
        ])
    );
    assert_eq!(
        called(&[410]).await,
        expected([(Metric::CallbackGone, &[1])])
    );
    assert_eq!(
        called(&[500; 6]).await,
        expected([
            (Metric::CallbackAttemptFailed, &[6]),
            (Metric::CallbackExhausted, &[1]),
        ])
    );
}

#[tokio::test]
async fn what_is_dropped_is_counted() {
    let (world, counted) = (World::start().await, Counted::here());
    world
        .queue(QueueKind::Dispatch)
        .send(&nobodys_message())
        .await;
    for kind in [QueueKind::DispatchDeadLetter, QueueKind::CallbackDeadLetter] {
        world.queue(kind).send("{").await;
    }
    world.rest().await;
    assert_eq!(
        counted.told(),
        expected([
            (Metric::PhantomMessageDropped, &[1]),
            (Metric::MalformedMessageDropped, &[2]),
        ])
    );
}
