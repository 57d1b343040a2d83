//! The message group of each message, by which a fair queue distinguishes owners and receivers.

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde_json::json;
use shared::domain::operation::Owner;
use shared::queue::MessageGroup;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

/// The `MessageGroupId` of a received message.
fn group(message: &Message) -> Option<MessageGroup> {
    let attributes = message.attributes()?;
    let group = attributes.get(&MessageSystemAttributeName::MessageGroupId)?;
    Some(MessageGroup::from_received(group.clone()))
}

/// Serves the only visible message and returns its group.
async fn serve_one(world: &World, kind: QueueKind) -> Option<MessageGroup> {
    let queue = world.queue(kind);
    let messages = queue.receive(10).await;
    assert_eq!(messages.len(), 1);
    let event = queue.event(&messages);
    let response = world.serve(&world.another_worker(), kind, event).await;
    queue.delete_acknowledged(&messages, &response).await;
    group(&messages[0])
}

#[tokio::test]
async fn every_message_has_the_group_of_its_owner_or_of_its_owner_and_receiver() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None)]);
    let [alice, bob] = ["alice", "bob"].map(|name| Owner::new("local", name).unwrap());
    let to_receiver = Some(MessageGroup::of_callback(&alice, &receiver.url));

    let body = json!({"function": "demo.echo"}).to_string();
    let submitted = world.request_of("bob", "POST", "/operations", &[], body.as_bytes());
    assert_eq!(submitted.await.status, 202);
    let of_bob = serve_one(&world, QueueKind::Dispatch).await;
    assert_eq!(of_bob, Some(MessageGroup::of_owner(&bob)));

    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = world.submit(body.clone()).await.json["id"].clone();
    let of_alice = serve_one(&world, QueueKind::Dispatch).await;
    assert_eq!(of_alice, Some(MessageGroup::of_owner(&alice)));
    let at_the_end = serve_one(&world, QueueKind::Callback).await;
    assert_eq!(at_the_end, to_receiver);
    world.clock.advance(Duration::from_secs(10));
    let after_a_failure = serve_one(&world, QueueKind::Callback).await;
    assert_eq!(after_a_failure, to_receiver);
    let path = format!("/operations/{}/redeliver", id.as_str().unwrap());
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    let redelivery = serve_one(&world, QueueKind::Callback).await;
    assert_eq!(redelivery, to_receiver);

    let id = world.submit(body).await.json["id"].clone();
    let path = format!("/operations/{}/cancel", id.as_str().unwrap());
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    let of_a_cancel = serve_one(&world, QueueKind::Callback).await;
    assert_eq!(of_a_cancel, to_receiver);
    assert_eq!(receiver.received().len(), 4);
}

#[tokio::test]
async fn a_message_that_is_sent_again_keeps_its_group() {
    let world = World::start().await;
    let body = json!({"function": "demo.echo", "deadline_seconds": 7 * 86_400});
    world.submit(body).await;
    let alice = Owner::new("local", "alice").unwrap();
    let queue = world.queue(QueueKind::Dispatch);
    let [received] = queue.receive(1).await.try_into().unwrap();
    // As a dead letter, which the worker sends to the dispatch queue again.
    let mut event = queue.event(&[received]);
    let arn = event["Records"][0]["eventSourceARN"].as_str().unwrap();
    event["Records"][0]["eventSourceARN"] = json!(format!("{arn}-dead-letter"));
    queue.purge().await;
    let worker = world.another_worker();
    world
        .serve(&worker, QueueKind::DispatchDeadLetter, event)
        .await;
    let [fresh] = queue.receive(1).await.try_into().unwrap();
    assert_eq!(group(&fresh), Some(MessageGroup::of_owner(&alice)));
}
