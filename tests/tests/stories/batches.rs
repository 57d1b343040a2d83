//! Answers to batches. Lambda deletes what an answer does not name, so each message that met an error is named in it.

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
use worker::Unserved;

/// Longer than any message is put back for.
const HOUR: Duration = Duration::from_secs(3600);

/// A queue with two messages, each of an operation that needs something to be done.
async fn owed(world: &World, kind: QueueKind, receiver: &Receiver) {
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

/// Has all of a queue's messages served in one batch; those that are there, and the identifiers in the answer.
async fn answered(world: &World, kind: QueueKind) -> (Vec<Message>, Vec<String>) {
    let queue = world.queue(kind);
    let messages = queue.receive(10).await;
    let worker = world.another_worker();
    let served = world.serve(&worker, kind, queue.event(&messages));
    let answer = world.wire.process(&world.clock, served).await.unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
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

async fn names_each_that_met_an_error(kind: QueueKind) {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    // Another wake-up is to be sent after each.
    receiver.answer_next([(500, None); 20]);
    owed(&world, kind, &receiver).await;
    let outage = |service, fault| Outage {
        service,
        fault,
        only: String::new(),
    };
    for fault in [Fault::AlwaysThrottled, Fault::Refused] {
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
            let (messages, named) = answered(&world, kind).await;
            assert_eq!(messages.len(), 2, "{kind:?} {outages:?}");
            assert_eq!(named, ids(&messages), "{kind:?} {outages:?}");
            world.clock.advance(HOUR);
        }
    }
    world.wire.set_outages(&[]);
    // Those that cannot be read, whether the queue can be told to hide them or not, beside those that can.
    let (malformed, newer) = ("not JSON", r#"{"format":2}"#);
    for body in [malformed, newer, ""] {
        world
            .queue(kind)
            .send(if body.is_empty() { "{}" } else { body })
            .await;
    }
    let is_grave = matches!(
        kind,
        QueueKind::DispatchDeadLetter | QueueKind::CallbackDeadLetter
    );
    for outages in [vec![], vec![outage(Service::Queues, Fault::Refused)]] {
        world.wire.set_outages(&outages);
        let (messages, named) = answered(&world, kind).await;
        // What nobody will ever read ends among the dead letters.
        let unread = messages.iter().filter(|message| {
            message.body() == Some(newer)
                || !is_grave && matches!(message.body(), Some("not JSON" | "{}"))
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
    names_each_that_met_an_error(QueueKind::Dispatch).await;
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_dispatch_dead_letter() {
    names_each_that_met_an_error(QueueKind::DispatchDeadLetter).await;
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_wake_up() {
    names_each_that_met_an_error(QueueKind::Callback).await;
}

#[tokio::test]
async fn a_batch_response_is_never_empty_after_an_error_with_a_wake_up_among_the_dead_letters() {
    names_each_that_met_an_error(QueueKind::CallbackDeadLetter).await;
}

/// An answer that named nothing, or something unknown, is not given; without any, Lambda brings the whole batch back.
#[tokio::test]
async fn a_batch_with_a_message_that_cannot_be_named_is_not_answered_and_not_begun() {
    for kind in QueueKind::ALL {
        let world = World::start().await;
        let receiver = Receiver::start().await;
        owed(&world, kind, &receiver).await;
        let queue = world.queue(kind);
        let mut event = queue.event(&queue.receive(10).await);
        world.wire.reset();
        for unnamed in [Value::Null, json!("")] {
            event["Records"][1]["messageId"] = unnamed;
            let event: SqsEvent = serde_json::from_value(event.clone()).unwrap();
            let deadline = world.clock.now() + HOUR;
            let by_worker = world.another_worker().handle(event.clone(), deadline).await;
            assert_eq!(by_worker, Err(Unserved::MissingMessageId(MissingMessageId)));
            let sender = world.another_callback().await.unwrap();
            assert_eq!(sender.handle(event).await, Err(MissingMessageId));
        }
        assert!(world.wire.calls().is_empty());
        assert!(receiver.received().is_empty());
    }
}

/// The runtime reports an error for it, which fails the whole batch.
#[test]
fn an_event_that_is_no_batch_is_never_taken_for_an_empty_one() {
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
