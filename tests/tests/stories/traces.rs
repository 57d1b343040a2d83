//! X-Ray traces: a message belongs to the trace in which it was sent, so that one trace leads from
//! a request to its callback.

use serde_json::json;
use shared::telemetry::traced;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

const REQUEST: &str = "Root=1-6b047c00-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1";
const ANOTHER: &str = "Root=1-6b047c01-0123456789abcdef01234567;Parent=fedcba9876543210;Sampled=0";

/// The trace headers of the visible messages in a queue. The messages stay in the queue.
async fn headers(world: &World, kind: QueueKind) -> Vec<Option<String>> {
    let queue = world.queue(kind);
    let messages = queue.receive(10).await;
    let event = queue.event(&messages);
    let records = event["Records"].as_array().unwrap();
    let header = |record: &serde_json::Value| {
        let header = record["attributes"]["AWSTraceHeader"].as_str();
        header.map(str::to_owned)
    };
    // An hour later they are visible again.
    world.clock.advance(std::time::Duration::from_secs(3_600));
    records.iter().map(header).collect()
}

#[tokio::test]
async fn a_trace_leads_from_the_submit_to_the_callback_and_its_retries() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body =
        json!({"function": "demo.echo", "callback_url": receiver.url, "deadline_seconds": 86_400});
    traced(Some(REQUEST), world.submit(body)).await;
    let of_request = [Some(REQUEST.to_owned())];
    assert_eq!(headers(&world, QueueKind::Dispatch).await, of_request);

    // The message's trace takes precedence over the invocation's.
    assert!(traced(Some(ANOTHER), world.pump(QueueKind::Dispatch)).await);
    assert_eq!(headers(&world, QueueKind::Callback).await, of_request);
    receiver.answer_next([(503, None)]);
    assert!(traced(Some(ANOTHER), world.pump(QueueKind::Callback)).await);
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(headers(&world, QueueKind::Callback).await, of_request);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_cancel_and_a_redelivery_belong_to_the_traces_of_their_requests() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = traced(Some(REQUEST), world.submit(body)).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let of_another = [Some(ANOTHER.to_owned())];
    for action in ["cancel", "redeliver"] {
        let path = format!("/operations/{id}/{action}");
        traced(Some(ANOTHER), world.request("POST", &path, &[], "")).await;
        assert_eq!(headers(&world, QueueKind::Callback).await, of_another);
        world.drain().await;
    }
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn each_message_of_a_batch_keeps_its_trace() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    for header in [Some(REQUEST), Some(ANOTHER), None] {
        let body = json!({"function": "demo.echo", "callback_url": receiver.url});
        traced(header, world.submit(body)).await;
    }
    assert!(
        world
            .pump_by(&world.another_worker(), QueueKind::Dispatch, 10)
            .await
    );
    let mut sent = headers(&world, QueueKind::Callback).await;
    sent.sort_unstable();
    assert_eq!(sent, [None, Some(REQUEST.into()), Some(ANOTHER.into())]);
}
