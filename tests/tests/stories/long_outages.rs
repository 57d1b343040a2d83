//! A store that is unavailable for longer than messages are received: they become dead letters.
//! When the store recovers, every operation ends and its callback is delivered.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::time::Timestamp;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::wire::{Fault, Outage, Service};
use tests::world::World;

use super::messages::{MINUTE, claim_and_vanish};

/// Longer than a message's ten receives take in either queue.
const OUTAGE: Duration = Duration::from_secs(4 * 3600);

/// The ways in which a store fails: it throttles, it denies access, or it applies requests whose
/// responses are lost.
const OUTAGES: [Fault; 3] = [
    Fault::AlwaysThrottled,
    Fault::AccessDenied,
    Fault::AlwaysLost,
];

/// Serves messages in batches when they become visible, until this time or until there are none.
async fn serve_until(world: &World, end: Option<Timestamp>) {
    loop {
        let waiting = QueueKind::ALL
            .into_iter()
            .filter_map(|kind| Some((world.next_message_at(kind)?, kind)));
        let next = waiting.min_by_key(|(at, _)| *at);
        let Some((at, kind)) = next.filter(|(at, _)| end.is_none_or(|end| *at < end)) else {
            break;
        };
        world.clock.advance(at.since(world.clock.now()));
        let queue = world.queue(kind);
        let messages = queue.receive(10).await;
        if messages.is_empty() {
            // It has become a dead letter.
            continue;
        }
        let worker = world.another_worker();
        let served = world.serve(&worker, kind, queue.event(&messages));
        let response = world.wire.process(&world.clock, served).await.unwrap();
        queue.delete_acknowledged(&messages, &response).await;
    }
    if let Some(end) = end {
        world.clock.advance(end.since(world.clock.now()));
    }
}

async fn submit(world: &World, receiver: &Receiver, deadline_secs: u32) -> String {
    let body = json!({
        "function": "demo.echo", "callback_url": receiver.url, "deadline_seconds": deadline_secs,
    });
    let id = &world.submit(body).await.json["id"];
    id.as_str().unwrap().to_owned()
}

fn outage_of(id: &str, fault: Fault) -> Outage {
    Outage {
        service: Service::Store,
        fault,
        only: id.to_owned(),
    }
}

/// The status, the attempts, and the codes of the errors.
fn end(operation: &Value) -> (&str, u64, Vec<&str>) {
    let errors = operation["errors"].as_array().into_iter().flatten();
    (
        operation["status"].as_str().unwrap(),
        operation["attempt"].as_u64().unwrap(),
        errors
            .map(|error| error["code"].as_str().unwrap())
            .collect(),
    )
}

/// Serves three operations while the item of one is unavailable, which has lost this many attempts
/// before. Checks that its neighbours complete meanwhile, and returns how it ends.
async fn ends_after_an_outage(fault: Fault, deadline_secs: u32, lost_attempts: u32) -> Value {
    let world = World::start().await;
    let receivers = [
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    ];
    let mut ids = Vec::new();
    for receiver in &receivers {
        ids.push(submit(&world, receiver, deadline_secs).await);
    }
    for _ in 0..lost_attempts {
        claim_and_vanish(&world, &ids[1]).await;
        world.clock.advance(MINUTE);
    }
    let back_at = world.clock.now() + OUTAGE;
    world.wire.set_outages(&[outage_of(&ids[1], fault)]);
    serve_until(&world, Some(back_at)).await;
    assert_eq!(
        world.queue(QueueKind::DispatchDeadLetter).len().await,
        1,
        "{fault:?}"
    );
    for n in [0, 2] {
        let neighbour = world.show(&ids[n]).await;
        assert_eq!(end(&neighbour), ("completed", 1, vec![]), "{fault:?}");
        assert_eq!(
            neighbour["callback"]["attempts"].as_array().unwrap().len(),
            1
        );
    }
    world.wire.set_outages(&[]);
    let later = submit(&world, &receivers[0], deadline_secs).await;
    serve_until(&world, None).await;
    assert_eq!(end(&world.show(&later).await), ("completed", 1, vec![]));
    let ended = world.show(&ids[1]).await;
    let delivered: Vec<_> = receivers[1]
        .received()
        .iter()
        .map(tests::receiver::Delivery::verified)
        .collect();
    assert_eq!(delivered.len(), 1, "{fault:?}");
    assert_eq!(delivered[0]["data"]["status"], ended["status"]);
    assert_eq!(ended["callback"]["status"], "delivered");
    ended
}

#[tokio::test]
async fn an_operation_with_attempts_and_time_left_is_completed_after_the_dead_letters() {
    let ended = ends_after_an_outage(Fault::AlwaysThrottled, 86_400, 0).await;
    assert_eq!(end(&ended), ("completed", 1, vec![]));
}

#[tokio::test]
async fn an_operation_past_its_deadline_is_given_up_after_the_dead_letters() {
    let ended = ends_after_an_outage(Fault::AccessDenied, 600, 0).await;
    assert_eq!(end(&ended), ("failed", 0, vec!["DEADLINE_EXCEEDED"]));
}

#[tokio::test]
async fn an_operation_without_attempts_left_is_given_up_after_the_dead_letters() {
    let ended = ends_after_an_outage(Fault::AlwaysThrottled, 86_400, 3).await;
    assert_eq!(end(&ended), ("failed", 3, vec!["WORKER_LOST"]));
}

/// The first claim is applied and its response is lost. Each later receive reads first, and a read
/// without a response uses up no attempt.
#[tokio::test]
async fn an_outage_that_loses_responses_uses_up_one_attempt() {
    let ended = ends_after_an_outage(Fault::AlwaysLost, 86_400, 0).await;
    assert_eq!(end(&ended), ("completed", 2, vec![]));
}

#[tokio::test]
async fn a_callback_is_delivered_after_the_dead_letters() {
    for fault in OUTAGES {
        let world = World::start().await;
        let (receiver, others) = (Receiver::start().await, Receiver::start().await);
        let id = submit(&world, &receiver, 86_400).await;
        let other = submit(&world, &others, 86_400).await;
        while world.pump(QueueKind::Dispatch).await {}
        let back_at = world.clock.now() + OUTAGE;
        world.wire.set_outages(&[outage_of(&id, fault)]);
        serve_until(&world, Some(back_at)).await;
        assert_eq!(
            world.queue(QueueKind::CallbackDeadLetter).len().await,
            1,
            "{fault:?}"
        );
        assert_eq!(others.received().len(), 1);
        assert_eq!(world.show(&other).await["callback"]["status"], "delivered");
        world.wire.set_outages(&[]);
        serve_until(&world, None).await;
        let callback = &world.show(&id).await["callback"];
        assert_eq!(callback["status"], "delivered", "{fault:?}");
        let attempts = callback["attempts"].as_array().unwrap();
        assert_eq!(
            attempts[0]["error"], "the callback could not be made",
            "{fault:?}"
        );
        assert_eq!(receiver.received().len(), 1, "{fault:?}");
        assert_eq!(world.show(&id).await["status"], "completed");
    }
}
