//! What is counted: each thing that happens, once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::metrics::Metric;
use tests::metrics::{Told, told};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

use super::messages::nobodys_message;
use super::work::{AtWork, lease_until};

async fn world() -> Arc<World> {
    Arc::new(World::with([("SERVICE_NAME", "orders")]).await)
}

/// Metrics by name and function, as they should have been told.
fn expected<const N: usize>(metrics: [(Metric<'_>, u64); N]) -> Told {
    metrics
        .into_iter()
        .map(|(metric, amount)| {
            let function = metric.function().unwrap_or_default();
            ((metric.name().to_owned(), function.to_owned()), amount)
        })
        .collect()
}

async fn submit(world: &World, key: &str, arguments: Value) -> u16 {
    let body = json!({"function": "demo.echo", "arguments": arguments}).to_string();
    let headers = [("idempotency-key", key)];
    let answer = world.request("POST", "/operations", &headers, &body).await;
    answer.status
}

#[tokio::test]
async fn a_submit_is_accepted_replayed_or_in_conflict() {
    let world = world().await;
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({"other": 1})).await, 409);
    let refused = world.request("POST", "/operations", &[], "{}").await;
    assert_eq!(refused.status, 400);
    let lines = world.metric_lines();
    // One for each request that came to something.
    assert_eq!(lines.len(), 4);
    assert_eq!(
        told(&lines),
        expected([
            (Metric::OperationsAccepted("demo.echo"), 1),
            (Metric::SubmitsReplayed("demo.echo"), 2),
            (Metric::SubmitsConflicted("demo.echo"), 1),
        ])
    );
}

#[tokio::test]
async fn an_attempt_and_its_end_are_one_line_and_the_callback_another() {
    let world = world().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let submitted = world.submit(body).await.json;
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(world.metric_lines().len(), 1);
    world.clock.advance(Duration::from_millis(1_234));
    assert!(world.pump(QueueKind::Dispatch).await);
    let lines = world.metric_lines();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert!(line.contains(r#""QueueTime":[1234]"#), "{line}");
    assert_eq!(
        told(&lines),
        expected([
            (Metric::OperationsCompleted("demo.echo"), 1),
            (Metric::QueueTime("demo.echo"), 1),
            (Metric::WorkDuration("demo.echo"), 1),
        ])
    );
    world.rest().await;
    let lines = world.metric_lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(told(&lines), expected([(Metric::CallbacksDelivered, 1)]));
    world.show(id).await;
    assert!(
        world.metric_lines().is_empty(),
        "a read is nothing to count"
    );
}

#[tokio::test]
async fn failures_are_told_from_attempts_that_are_retried() {
    let world = world().await;
    let fail = async |arguments: Value| {
        world
            .submit(json!({"function": "demo.fail", "arguments": arguments}))
            .await;
        world.rest().await;
        told(&world.metric_lines())
    };
    assert_eq!(
        fail(json!({"retryable": true, "succeed_on_attempt": 2})).await,
        expected([
            (Metric::OperationsAccepted("demo.fail"), 1),
            (Metric::AttemptsRetried("demo.fail"), 1),
            (Metric::OperationsCompleted("demo.fail"), 1),
            (Metric::QueueTime("demo.fail"), 1),
            (Metric::WorkDuration("demo.fail"), 2),
        ])
    );
    assert_eq!(
        fail(json!({"retryable": true})).await,
        expected([
            (Metric::OperationsAccepted("demo.fail"), 1),
            (Metric::AttemptsRetried("demo.fail"), 2),
            (Metric::OperationsFailed("demo.fail"), 1),
            (Metric::QueueTime("demo.fail"), 1),
            (Metric::WorkDuration("demo.fail"), 3),
        ])
    );
}

#[tokio::test]
async fn what_is_never_begun_is_given_up_once() {
    let world = world().await;
    world
        .submit(json!({"function": "demo.echo", "deadline_seconds": 1}))
        .await;
    world.clock.advance(Duration::from_secs(2));
    world.rest().await;
    assert_eq!(
        told(&world.metric_lines()),
        expected([
            (Metric::OperationsAccepted("demo.echo"), 1),
            (Metric::OperationsGivenUp("demo.echo"), 1),
        ])
    );
}

#[tokio::test]
async fn a_cancel_counts_once_and_takes_the_attempt_with_it() {
    let world = world().await;
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
        told(&world.metric_lines()),
        expected([
            (Metric::OperationsAccepted("demo.countdown"), 1),
            (Metric::OperationsCancelled("demo.countdown"), 1),
            (Metric::QueueTime("demo.countdown"), 1),
            (Metric::AttemptsLost("demo.countdown"), 1),
            (Metric::RacesLost, 1),
        ])
    );
}

#[tokio::test]
async fn callbacks_are_delivered_refused_for_good_or_exhausted() {
    let world = world().await;
    let receiver = Receiver::start().await;
    let called = async |answers: &[u16]| {
        receiver.answer_next(answers.iter().map(|status| (*status, None)));
        world
            .submit(json!({"function": "demo.echo", "callback_url": receiver.url}))
            .await;
        assert!(world.pump(QueueKind::Dispatch).await);
        assert_eq!(world.metric_lines().len(), 2);
        world.rest().await;
        told(&world.metric_lines())
    };
    assert_eq!(
        called(&[503, 200]).await,
        expected([
            (Metric::CallbackAttemptsFailed, 1),
            (Metric::CallbacksDelivered, 1),
        ])
    );
    assert_eq!(called(&[410]).await, expected([(Metric::CallbacksGone, 1)]));
    assert_eq!(
        called(&[500; 6]).await,
        expected([
            (Metric::CallbackAttemptsFailed, 6),
            (Metric::CallbacksExhausted, 1),
        ])
    );
}

#[tokio::test]
async fn what_is_dropped_is_counted() {
    let world = world().await;
    world
        .queue(QueueKind::Dispatch)
        .send(&nobodys_message())
        .await;
    for kind in [QueueKind::DispatchDeadLetter, QueueKind::CallbackDeadLetter] {
        world.queue(kind).send("{").await;
    }
    world.rest().await;
    assert_eq!(
        told(&world.metric_lines()),
        expected([
            (Metric::PhantomMessagesDropped, 1),
            (Metric::MalformedMessagesDropped, 2),
        ])
    );
}

#[tokio::test]
async fn without_a_service_nothing_is_written() {
    let world = World::start().await;
    world.submit(json!({"function": "demo.echo"})).await;
    world.rest().await;
    assert!(world.metric_lines().is_empty());
}
