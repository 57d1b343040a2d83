//! Metrics: each event is counted once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::limits::{CALLBACK_ERASED_AGE_MAX, CALLBACK_RETENTION_SECS, OUTAGE_SECS_MAX};
use shared::domain::operation::Owner;
use shared::domain::precondition::Preconditions;
use shared::metrics::Metric;
use shared::store::CancelOutcome;
use tests::metrics::{Counted, Key, key};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

use super::messages::message_without_record;
use super::work::{RunningWorker, lease_until};

fn expected<const N: usize>(metrics: [(Metric<'_>, &[u64]); N]) -> BTreeMap<Key, Vec<u64>> {
    let expected = metrics.map(|(metric, values)| (key(metric), values.to_vec()));
    expected.into_iter().collect()
}

async fn submit(world: &World, key: &str, arguments: Value) -> u16 {
    let body = json!({"function": "demo.echo", "arguments": arguments}).to_string();
    let headers = [("idempotency-key", key)];
    let response = world.request("POST", "/operations", &headers, &body).await;
    response.status
}

#[tokio::test]
async fn a_submit_is_accepted_replayed_or_in_conflict() {
    let (world, counted) = (World::start().await, Counted::start());
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({})).await, 202);
    assert_eq!(submit(&world, "key-1", json!({"other": 1})).await, 409);
    let refused = world.request("POST", "/operations", &[], "{}").await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        counted.take(),
        expected([
            (Metric::SubmitAccepted("demo.echo"), &[1]),
            (Metric::SubmitReplayed("demo.echo"), &[2]),
            (Metric::SubmitConflicted("demo.echo"), &[1]),
        ])
    );
}

#[tokio::test]
async fn an_attempt_its_end_and_its_callback_are_each_counted_once() {
    let (world, counted) = (World::start().await, Counted::start());
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let submitted = world.submit(body).await.json;
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(
        counted.take(),
        expected([(Metric::SubmitAccepted("demo.echo"), &[1])])
    );
    world.clock.advance(Duration::from_millis(1_234));
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        counted.take(),
        expected([
            (Metric::AttemptCompleted("demo.echo"), &[1]),
            (Metric::OperationCompleted("demo.echo"), &[1]),
            (Metric::QueueTime("demo.echo"), &[1_234]),
            (Metric::WorkDuration("demo.echo"), &[0]),
        ])
    );
    world.drain().await;
    assert_eq!(
        counted.take(),
        expected([(Metric::CallbackDelivered, &[1])])
    );
    world.show(id).await;
    assert_eq!(counted.take(), expected([]), "a read is not counted");
}

#[tokio::test]
async fn retried_attempts_and_failed_operations_have_different_metrics() {
    let (world, counted) = (World::start().await, Counted::start());
    let fail = async |arguments: Value| {
        world
            .submit(json!({"function": "demo.fail", "arguments": arguments}))
            .await;
        world.drain().await;
        counted.take()
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
async fn an_operation_that_never_started_is_given_up_once() {
    let (world, counted) = (World::start().await, Counted::start());
    world
        .submit(json!({"function": "demo.echo", "deadline_seconds": 1}))
        .await;
    world.clock.advance(Duration::from_secs(2));
    world.drain().await;
    assert_eq!(
        counted.take(),
        expected([
            (Metric::SubmitAccepted("demo.echo"), &[1]),
            (Metric::OperationGivenUp("demo.echo"), &[1]),
        ])
    );
}

#[tokio::test]
async fn a_cancel_counts_once_and_its_attempt_counts_as_lost() {
    let (world, counted) = (Arc::new(World::start().await), Counted::start());
    let body = json!({"function": "demo.countdown", "arguments": {"steps": 100, "step_ms": 1000}});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let running = RunningWorker::start_with(&world, world.another_worker()).await;
    running
        .until(&id, |operation| lease_until(operation) > 0)
        .await;
    let path = format!("/operations/{id}/cancel");
    for _ in 0..2 {
        assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    }
    assert!(running.returned().await);
    assert_eq!(
        counted.take(),
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
async fn a_callback_counts_as_delivered_gone_or_exhausted() {
    let (world, counted) = (World::start().await, Counted::start());
    let receiver = Receiver::start().await;
    let called = async |responses: &[u16]| {
        receiver.answer_next(responses.iter().map(|status| (*status, None)));
        world
            .submit(json!({"function": "demo.echo", "callback_url": receiver.url}))
            .await;
        assert!(world.pump(QueueKind::Dispatch).await);
        let _ = counted.take();
        world.drain().await;
        counted.take()
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
async fn dropped_messages_are_counted() {
    let (world, counted) = (World::start().await, Counted::start());
    world
        .queue(QueueKind::Dispatch)
        .send(&message_without_record())
        .await;
    for kind in [QueueKind::DispatchDeadLetter, QueueKind::CallbackDeadLetter] {
        world.queue(kind).send("{").await;
    }
    world.drain().await;
    assert_eq!(
        counted.take(),
        expected([
            (Metric::PhantomMessageDropped, &[1]),
            (Metric::MalformedMessageDropped, &[2]),
        ])
    );
}

#[tokio::test]
async fn a_dropped_callback_is_counted_unless_its_owner_erased_the_operation() {
    let (world, counted) = (World::start().await, Counted::start());
    let receiver = Receiver::start().await;
    let due = async |key: &str| {
        let body = json!({"function": "demo.echo", "callback_url": receiver.url}).to_string();
        let headers = [("idempotency-key", key)];
        let response = world.request("POST", "/operations", &headers, &body).await;
        assert_eq!(response.status, 202, "{}", response.text);
        assert!(world.pump(QueueKind::Dispatch).await);
        let _ = counted.take();
        response.json["id"].as_str().unwrap().to_owned()
    };
    let erase = async |id: &str| {
        let path = format!("/operations/{id}");
        assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    };
    let served = async || {
        assert!(world.pump(QueueKind::Callback).await);
        let mut metrics = counted.take();
        metrics.remove(&key(Metric::QueueTime("demo.echo")));
        metrics
    };
    let dropped = || expected([(Metric::CallbackDropped, &[1])]);

    let erased = due("erased").await;
    erase(&erased).await;
    assert_eq!(
        served().await,
        expected([]),
        "its tombstone shows that it was erased"
    );

    let replaced = due("replaced").await;
    erase(&replaced).await;
    assert_eq!(due("replaced").await, replaced);
    assert_eq!(served().await, expected([]), "erased, and submitted again");
    assert_eq!(
        served().await,
        expected([(Metric::CallbackDelivered, &[1])])
    );

    let erased = due("erased, and its tombstone deleted").await;
    erase(&erased).await;
    world.clock.advance(CALLBACK_ERASED_AGE_MAX);
    world.delete_item(&erased, "head").await;
    assert_eq!(served().await, expected([]), "DynamoDB deletes tombstones");

    let deleted = due("deleted").await;
    world.clock.advance(too_late());
    world.delete_item(&deleted, "head").await;
    assert_eq!(
        served().await,
        dropped(),
        "DynamoDB deleted it, long after its expiry"
    );

    let _ = due("expired").await;
    world.clock.advance(too_late());
    assert_eq!(served().await, dropped());

    let _ = due("expired, then replaced").await;
    world.clock.advance(too_late());
    let _ = due("expired, then replaced").await;
    assert_eq!(served().await, dropped());
    assert_eq!(
        served().await,
        expected([(Metric::CallbackDelivered, &[1])])
    );

    let delivered = due("delivered").await;
    let queue = world.queue(QueueKind::Callback);
    let [message] = queue.receive(1).await.try_into().unwrap();
    let wake_up = message.body().unwrap().to_owned();
    queue.send(&wake_up).await;
    assert_eq!(
        served().await,
        expected([(Metric::CallbackDelivered, &[1])])
    );
    world.clock.advance(too_late());
    assert_eq!(
        served().await,
        expected([]),
        "a second message of {delivered}"
    );
}

/// After the retention of an operation with a callback, and before that of its message.
fn too_late() -> Duration {
    Duration::from_secs(u64::from(CALLBACK_RETENTION_SECS) + 1)
}

#[tokio::test]
async fn a_callback_whose_message_was_never_sent_is_counted_as_dropped() {
    let (world, counted) = (World::start().await, Counted::start());
    let body = json!({"function": "demo.echo", "callback_url": "https://example.com/"});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .and_then(|text| text.parse::<OperationId>().ok())
        .unwrap();
    let alice = Owner::new("local", "alice").unwrap();
    let now = world.clock.now();
    // As when a function dies before it sends the callback's message.
    let cancelled = world
        .store
        .cancel(&id, &alice, &Preconditions::NONE, now)
        .await;
    assert!(matches!(cancelled, Ok(CancelOutcome::Cancelled { .. })));
    world.clock.advance(too_late());
    let _ = counted.take();
    assert!(world.pump(QueueKind::Dispatch).await);
    let lost = expected([(Metric::CallbackDropped, &[1])]);
    assert_eq!(counted.take(), lost, "and not also as a phantom message");
}

#[tokio::test]
async fn a_due_callback_outlasts_the_longest_outage() {
    let (world, counted) = (World::start().await, Counted::start());
    let receiver = Receiver::start().await;
    receiver.answer_next([(503, None); 6]);
    let body = json!({"function": "demo.echo", "callback_url": receiver.url, "ttl_seconds": 60});
    let id = world.submit(body).await.json["id"].clone();
    assert!(world.pump(QueueKind::Dispatch).await);
    let _ = counted.take();
    world
        .clock
        .advance(Duration::from_secs(OUTAGE_SECS_MAX.into()));
    world.drain().await;
    assert_eq!(
        counted.take(),
        expected([
            (Metric::CallbackAttemptFailed, &[6]),
            (Metric::CallbackExhausted, &[1]),
        ])
    );
    let shown = world.show(id.as_str().unwrap()).await;
    assert_eq!(shown["callback"]["status"], "exhausted");
}

#[tokio::test]
async fn the_wait_for_a_worker_with_the_function_is_measured() {
    let (world, counted) = (World::start().await, Counted::start());
    let older = world
        .worker_by(Arc::new(world.clock.clone()))
        .with_work(&[]);
    let unclaimed = |millis| expected([(Metric::UnclaimedTime, &[millis])]);
    let body = json!({
        "function": "demo.fail", "arguments": {"retryable": true}, "deadline_seconds": 3600,
    });
    world.submit(body).await;
    let _ = counted.take();
    world.clock.advance(Duration::from_secs(7));
    assert!(world.pump_by(&older, QueueKind::Dispatch, 1).await);
    assert_eq!(counted.take(), unclaimed(7_000), "since its creation");
    world.clock.advance(Duration::from_secs(60));
    assert!(world.pump(QueueKind::Dispatch).await);
    let _ = counted.take();

    let next_attempt_at = world.next_message_at(QueueKind::Dispatch).unwrap();
    let wait = next_attempt_at.since(world.clock.now());
    world.clock.advance(wait + Duration::from_secs(40));
    let served = async |kind| {
        assert!(world.pump_by(&older, kind, 1).await);
        counted.take()
    };
    let since_retry = served(QueueKind::Dispatch).await;
    // The queue counts seconds, the record milliseconds.
    let [waited] = since_retry[&key(Metric::UnclaimedTime)][..] else {
        panic!("{since_retry:?}")
    };
    assert!((40_000..42_000).contains(&waited), "{waited}");

    // After ten returns it is a dead letter, and its operation still waits.
    for _ in 0..10 {
        world.clock.advance(Duration::from_secs(60));
        let _ = world.pump_by(&older, QueueKind::Dispatch, 1).await;
    }
    let _ = counted.take();
    let [waited] = served(QueueKind::DispatchDeadLetter).await[&key(Metric::UnclaimedTime)][..]
    else {
        panic!()
    };
    assert!(waited >= 600_000, "{waited}");
}
