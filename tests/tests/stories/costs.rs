//! What an operation costs, in requests. Part of the contract with whoever pays.

use std::collections::BTreeMap;

use serde_json::json;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::Units;
use tests::world::World;

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}

#[tokio::test]
async fn an_ordinary_operation_takes_three_writes_no_read_one_message_and_one_visibility_change() {
    let world = World::start().await;
    let id = world
        .submit(json!({"function": "demo.echo", "arguments": {"a": 1}}))
        .await
        .json["id"]
        .clone();
    assert_eq!(
        world.wire.counts(),
        counts([("PutItem", 1), ("SendMessage", 1)])
    );

    world.wire.reset();
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        world.wire.counts(),
        counts([("ChangeMessageVisibility", 1), ("UpdateItem", 2)])
    );

    world.wire.reset();
    assert_eq!(
        world.show(id.as_str().unwrap()).await["status"],
        "completed"
    );
    assert_eq!(world.wire.counts(), counts([("GetItem", 1)]));
    assert_eq!(
        world.wire.units(),
        Units {
            write: 0.0,
            read: 1.0
        }
    );
}

#[tokio::test]
async fn a_poll_is_one_read_whatever_the_size_of_the_arguments() {
    let world = World::start().await;
    let arguments = json!({"text": incompressible(200_000)});
    let id = world
        .submit(json!({"function": "demo.echo", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    assert_eq!(
        world.wire.counts(),
        counts([("PutItem", 2), ("SendMessage", 1)])
    );
    world.wire.reset();
    world.show(id.as_str().unwrap()).await;
    assert_eq!(world.wire.counts(), counts([("GetItem", 1)]));
    world.wire.reset();
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        world.wire.counts(),
        counts([
            ("ChangeMessageVisibility", 1),
            ("GetItem", 1),
            ("PutItem", 1),
            ("UpdateItem", 2)
        ])
    );
    world.wire.reset();
    assert_eq!(world.show(id.as_str().unwrap()).await["result"], arguments);
    assert_eq!(world.wire.counts(), counts([("GetItem", 2)]));
}

#[tokio::test]
async fn a_replay_is_one_refused_write_and_one_message() {
    let world = World::start().await;
    let body = json!({"function": "demo.echo"}).to_string();
    let key = [("idempotency-key", "k")];
    world.request("POST", "/operations", &key, &body).await;
    world.wire.reset();
    let replay = world.request("POST", "/operations", &key, &body).await;
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    assert_eq!(
        world.wire.counts(),
        counts([("PutItem", 1), ("SendMessage", 1)])
    );
}

#[tokio::test]
async fn a_callback_is_one_message_and_one_read_and_one_write_for_each_try() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    world
        .submit(json!({"function": "demo.echo", "callback_url": receiver.url}))
        .await;
    world.wire.reset();
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        world.wire.counts(),
        counts([
            ("ChangeMessageVisibility", 1),
            ("SendMessage", 1),
            ("UpdateItem", 2)
        ])
    );
    world.wire.reset();
    assert!(world.pump(QueueKind::Callback).await);
    assert_eq!(
        world.wire.counts(),
        counts([("GetItem", 1), ("UpdateItem", 1)])
    );
}

#[tokio::test]
async fn a_cancel_is_one_write_and_a_message_only_when_somebody_is_to_be_told() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    world.wire.reset();
    let path = format!("/operations/{}/cancel", id.as_str().unwrap());
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    assert_eq!(world.wire.counts(), counts([("UpdateItem", 1)]));
}
