//! Batch responses. Lambda deletes every message that a response does not name, so a response must
//! name each message whose handling failed.

use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_sqs::types::Message;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::lambda::MissingMessageId;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::wire::{Fault, Outage, Service};
use tests::world::World;
use worker::BatchError;

/// Longer than the visibility timeout of any message that returns to the queue.
const HOUR: Duration = Duration::from_secs(3600);

/// Puts two messages into a queue, each of an operation that still needs it.
async fn fill(world: &World, kind: QueueKind, receiver: &Receiver) {
    for _ in 0..2 {
        let body = json!({
            "function": "demo.echo", "callback_url": receiver.url, "deadline_seconds": 86_400,
        });
        world.submit(body).await;
    }
    let mut source = QueueKind::Dispatch;
    if matches!(kind, QueueKind::Callback | QueueKind::CallbackDeadLetter) {
        while world.pump(QueueKind::Dispatch).await {}
        source = QueueKind::Callback;
    }
    if kind != source {
        for message in world.queue(source).receive(10).await {
            world.queue(kind).send(message.body().unwrap()).await;
        }
    }
}

/// Serves all of a queue's messages in one batch. Returns the messages, and the identifiers that
/// the response names.
async fn serve(world: &World, kind: QueueKind) -> (Vec<Message>, Vec<String>) {
    let queue = world.queue(kind);
    let messages = queue.receive(10).await;
    let worker = world.another_worker();
    let served = world.serve(&worker, kind, queue.event(&messages));
    let response = world.wire.process(&world.clock, served).await.unwrap();
    let failures = response["batchItemFailures"].as_array().unwrap();
    let named = failures
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned());
    (messages, named.collect())
}

fn ids<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<String> {
    messages
        .into_iter()
        .map(|message| message.message_id().unwrap().to_owned())
        .collect()
}

async fn names_each_failed_message(kind: QueueKind) {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    // Each failed delivery makes the sender send another wake-up.
    receiver.answer_next([(500, None); 20]);
    fill(&world, kind, &receiver).await;
    let outage = |service, fault| Outage {
        service,
        fault,
        only: String::new(),
    };
    for fault in [Fault::AlwaysThrottled, Fault::AccessDenied] {
        for services in [
            &[Service::Store][..],
            &[Service::Queues],
            &[Service::Store, Service::Queues],
        ] {
            let outages: Vec<_> = services
                .iter()
                .map(|&service| outage(service, fault))
                .collect();
            world.wire.set_outages(&outages);
            let (messages, named) = serve(&world, kind).await;
            assert_eq!(messages.len(), 2, "{kind:?} {outages:?}");
            assert_eq!(named, ids(&messages), "{kind:?} {outages:?}");
            world.clock.advance(HOUR);
        }
    }
    world.wire.set_outages(&[]);
    // Malformed messages among the others, whether their visibility can be changed or not.
    let (malformed, newer) = ("not JSON", r#"{"format":2}"#);
    for body in [malformed, newer, ""] {
        world
            .queue(kind)
            .send(if body.is_empty() { "{}" } else { body })
            .await;
    }
    let is_dead_letter_queue = matches!(
        kind,
        QueueKind::DispatchDeadLetter | QueueKind::CallbackDeadLetter
    );
    for outages in [vec![], vec![outage(Service::Queues, Fault::AccessDenied)]] {
        world.wire.set_outages(&outages);
        let (messages, named) = serve(&world, kind).await;
        // A malformed message moves to the dead-letter queue and is dropped there; one of a newer
        // format is kept.
        let unread = messages.iter().filter(|message| {
            message.body() == Some(newer)
                || !is_dead_letter_queue && matches!(message.body(), Some("not JSON" | "{}"))
        });
        let unread = ids(unread);
        assert!(unread.iter().all(|id| named.contains(id)), "{kind:?}");
        assert!(!unread.is_empty());
        assert!(named.iter().all(|id| ids(&messages).contains(id)));
        world.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_dispatch_message() {
    names_each_failed_message(QueueKind::Dispatch).await;
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_dispatch_dead_letter() {
    names_each_failed_message(QueueKind::DispatchDeadLetter).await;
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_wake_up() {
    names_each_failed_message(QueueKind::Callback).await;
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_dead_lettered_wake_up() {
    names_each_failed_message(QueueKind::CallbackDeadLetter).await;
}

/// A response could not name such a message. Without a response, Lambda returns the whole batch.
#[tokio::test]
async fn a_batch_with_a_message_without_an_id_fails_before_it_starts() {
    for kind in QueueKind::ALL {
        let world = World::start().await;
        let receiver = Receiver::start().await;
        fill(&world, kind, &receiver).await;
        let queue = world.queue(kind);
        let mut event = queue.event(&queue.receive(10).await);
        world.wire.reset();
        for unnamed in [Value::Null, json!("")] {
            event["Records"][1]["messageId"] = unnamed;
            let event: SqsEvent = serde_json::from_value(event.clone()).unwrap();
            let deadline = world.clock.now() + HOUR;
            let by_worker = world.another_worker().handle(event.clone(), deadline).await;
            assert_eq!(
                by_worker,
                Err(BatchError::MissingMessageId(MissingMessageId))
            );
            let sender = world.another_callback().await.unwrap();
            assert_eq!(sender.handle(event).await, Err(MissingMessageId));
        }
        assert!(world.wire.calls().is_empty());
        assert!(receiver.received().is_empty());
    }
}

/// The runtime reports a parse error, which fails the whole batch.
#[test]
fn a_malformed_event_never_parses_as_an_empty_batch() {
    for event in [
        json!({}),
        json!({"records": []}),
        json!({"Records": null}),
        json!([]),
        json!({"Records": {}}),
    ] {
        assert!(
            serde_json::from_value::<SqsEvent>(event.clone()).is_err(),
            "{event}"
        );
    }
}
