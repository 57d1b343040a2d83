//! The order of calls that makes a crash harmless, and the rules of every write, as seen on the
//! wire.

use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::id::{ClaimId, OperationId};
use shared::queue::{Message as _, WakeUp};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::wire::{Fault, Outage, Service};
use tests::world::World;

/// Serves the only message of a queue, with these faults by the number of the request. Returns
/// whether the message was acknowledged; `None` if the process died.
async fn serve(world: &World, kind: QueueKind, faults: &[(usize, Fault)]) -> Option<bool> {
    let queue = world.queue(kind);
    let messages = queue.receive(1).await;
    assert_eq!(messages.len(), 1);
    let worker = world.another_worker();
    world.wire.reset();
    world.wire.plan(faults.iter().copied());
    let served = world.serve(&worker, kind, queue.event(&messages));
    let response = world.wire.process(&world.clock, served).await;
    world.wire.plan([]);
    let response = response?;
    queue.delete_acknowledged(&messages, &response).await;
    Some(response["batchItemFailures"] == json!([]))
}

async fn submit(world: &World, receiver: &Receiver) -> String {
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = &world.submit(body).await.json["id"];
    id.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn message_before_record() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    submit(&world, &receiver).await;
    assert_eq!(world.wire.calls(), ["SendMessage", "PutItem"]);
    // If the message cannot be sent, no record is created.
    world.wire.reset();
    world.wire.set_outages(&[Outage {
        service: Service::Queues,
        fault: Fault::AccessDenied,
        only: String::new(),
    }]);
    let body = json!({"function": "demo.echo"}).to_string();
    let refused = world.request("POST", "/operations", &[], &body).await;
    assert_eq!(refused.status, 503);
    assert!(!world.wire.counts().contains_key("PutItem"));
}

#[tokio::test]
async fn outcome_before_wake_up_before_acknowledgement() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = submit(&world, &receiver).await;
    // Visibility change, claim, outcome, wake-up. If the wake-up cannot be sent, the dispatch
    // message is not acknowledged, and the outcome remains.
    let acknowledged = serve(&world, QueueKind::Dispatch, &[(3, Fault::AccessDenied)]).await;
    let calls = world.wire.calls();
    assert_eq!(
        calls[..3],
        ["ChangeMessageVisibility", "UpdateItem", "UpdateItem"]
    );
    assert_eq!((&*calls[3], acknowledged), ("SendMessage", Some(false)));
    assert_eq!(world.show(&id).await["status"], "completed");
    assert!(world.queue(QueueKind::Callback).is_empty().await);
    // The next receive sends it.
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(serve(&world, QueueKind::Dispatch, &[]).await, Some(true));
    assert_eq!(world.wire.calls().last().unwrap(), "SendMessage");

    // If the outcome is not written, no wake-up is sent.
    let id = submit(&world, &receiver).await;
    world.clock.advance(Duration::from_secs(10));
    let sent = world.queue(QueueKind::Callback).len().await;
    assert_eq!(
        serve(&world, QueueKind::Dispatch, &[(2, Fault::CrashBefore)]).await,
        None
    );
    assert_eq!(world.show(&id).await["status"], "processing");
    assert_eq!(world.queue(QueueKind::Callback).len().await, sent);
}

#[tokio::test]
async fn post_before_record_before_next_wake_up_before_acknowledgement() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None), (500, None)]);
    let id = submit(&world, &receiver).await;
    assert_eq!(serve(&world, QueueKind::Dispatch, &[]).await, Some(true));
    let attempts = async || {
        let callback = &world.show(&id).await["callback"];
        callback["attempts"].as_array().unwrap().len()
    };
    // Read, record, next wake-up. The process dies before the record, after the POST.
    assert_eq!(
        serve(&world, QueueKind::Callback, &[(1, Fault::CrashBefore)]).await,
        None
    );
    assert_eq!(world.wire.calls(), ["GetItem", "UpdateItem"]);
    assert_eq!((receiver.received().len(), attempts().await), (1, 0));
    // The wake-up cannot be sent: the attempt is on record, and the message returns.
    world.clock.advance(Duration::from_secs(900));
    let acknowledged = serve(&world, QueueKind::Callback, &[(2, Fault::AccessDenied)]).await;
    assert_eq!(
        world.wire.calls()[..3],
        ["GetItem", "UpdateItem", "SendMessage"]
    );
    assert_eq!((receiver.received().len(), attempts().await), (2, 1));
    assert_eq!(acknowledged, Some(false));
}

#[tokio::test]
async fn no_callback_before_the_end() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = submit(&world, &receiver)
        .await
        .parse::<OperationId>()
        .unwrap();
    let operation = || async {
        world
            .store
            .get(&id, world.clock.now())
            .await
            .unwrap()
            .unwrap()
    };
    let pending = operation().await;
    let early = WakeUp::of(&pending).to_body();
    world.queue(QueueKind::Callback).send(&early).await;
    assert_eq!(serve(&world, QueueKind::Callback, &[]).await, Some(true));
    let (claim_id, lease) = (ClaimId::from_bytes([1; 16]), Duration::from_secs(60));
    let now = world.clock.now();
    let claimed = world
        .store
        .claim(&id, &pending.create_id, claim_id, lease, now);
    claimed.await.unwrap();
    assert_eq!(operation().await.status().as_str(), "processing");
    for kind in [QueueKind::Callback, QueueKind::CallbackDeadLetter] {
        world.queue(kind).send(&early).await;
        assert_eq!(serve(&world, kind, &[]).await, Some(true));
    }
    assert!(receiver.received().is_empty());
    world.drain().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn every_write_has_a_condition_and_a_new_message_is_not_read_for() {
    let world = World::start().await;
    let fail = json!({"retryable": true, "succeed_on_attempt": 2});
    let bodies = [
        json!({"function": "demo.echo"}),
        json!({"function": "demo.fail", "arguments": fail}),
        json!({"function": "demo.fail"}),
    ];
    for body in bodies {
        world.submit(body).await;
    }
    let cancelled = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let path = format!("/operations/{}/cancel", cancelled.as_str().unwrap());
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    world.drain().await;
    let counts = world.wire.counts();
    // Four creates. Of the updates, two operations have a claim and an end each; one has two
    // claims, a retry and an end; the last has a cancel, and a claim that finds it cancelled.
    assert_eq!((counts["PutItem"], counts["UpdateItem"]), (4, 10));
    // The message of the retried operation was received before, so its second claim follows a read.
    assert_eq!(counts["GetItem"], 1);
    for read in ["BatchGetItem", "Query"] {
        assert!(!counts.contains_key(read), "{counts:?}");
    }
    assert_eq!(world.wire.unconditional_writes(), 0);
    // The exception: an erase reads which incarnation it erases.
    world.wire.reset();
    let path = format!("/operations/{}", cancelled.as_str().unwrap());
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(
        world.wire.calls(),
        ["GetItem", "UpdateItem", "Query", "UpdateItem"]
    );
    assert_eq!(world.wire.unconditional_writes(), 0);
}
