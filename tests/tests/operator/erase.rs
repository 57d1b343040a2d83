//! `erase`: all of an owner's operations go, and all of other owners' stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use operator::erase::{Erase, Found};
use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::operation::Payload;
use shared::operations::Operations;
use shared::random::SeededRandom;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::wire::Fault;
use tests::world::World;

use super::{
    AttributeValue, Item, claim_and_vanish, created, echo, get, hasty, queue, store, stored,
    submit, tamper,
};

pub(super) fn tool(world: &World, cancel: bool) -> Erase {
    let operations = || {
        Operations::new(
            store(world),
            queue(world, QueueKind::Callback),
            Arc::new(world.clock.clone()),
            Arc::new(SeededRandom::new(1)),
        )
    };
    Erase {
        store: store(world),
        cancel: cancel.then(operations),
        owner: "local:alice".parse().unwrap(),
        clock: hasty(world),
        per_second: 1000,
    }
}

/// One operation of `alice`'s of each kind.
pub(super) struct Everything {
    ended: OperationId,
    half_erased: OperationId,
    expired: OperationId,
    pending: OperationId,
    held: OperationId,
}

pub(super) async fn everything(world: &World) -> Everything {
    let large = json!({"alice": incompressible(3000)});
    let body = json!({"function": "demo.echo", "arguments": large, "metadata": large});
    let ended = submit(world, body).await;
    let half_erased = submit(world, echo()).await;
    world.drain().await;
    world.wire.reset();
    world.wire.plan([(2, Fault::AccessDenied)]);
    let path = format!("/operations/{half_erased}");
    let response = Box::pin(world.request("DELETE", &path, &[], "")).await;
    assert_eq!(response.status, 503);
    world.wire.plan([]);
    let expired = created(world, 1, |operation| {
        operation.expires_at = operation.created_at;
        operation.arguments = Payload::Inline(Json::of(&incompressible(3000)).unwrap());
    });
    let expired = expired.await.id;
    let pending = created(world, 2, |_| {}).await.id;
    let held = submit(world, echo()).await;
    claim_and_vanish(world, &held).await;
    Everything {
        ended,
        half_erased,
        expired,
        pending,
        held,
    }
}

async fn bobs_items(world: &World) -> Vec<Item> {
    let mut items = stored(world).await;
    items.retain(|item| item.get("owner") == Some(&AttributeValue::S("local:bob".into())));
    items.sort_by_key(|item| item["pk"].as_s().unwrap().clone());
    items
}

async fn submit_as_bob(world: &World) {
    let body = echo().to_string();
    let response = world
        .request_of("bob", "POST", "/operations", &[], body.as_bytes())
        .await;
    assert_eq!(response.status, 202);
}

#[tokio::test]
async fn work_that_sleeps_is_erased_without_waiting_for_it() {
    let world = World::start().await;
    let body = json!({"function": "demo.long", "arguments": {"legs": 2, "wait_seconds": 3600}});
    let id = submit(&world, body).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    assert!(get(&world, &id).await.resumes_at().is_some());
    let outcome = tool(&world, true)
        .run(&mut |until| panic!("waits until {until}"))
        .await
        .unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.erased, outcome.cancelled), (1, 1));
}

#[tokio::test]
async fn nothing_of_the_owner_is_left_and_nothing_of_others_changes() {
    let world = World::start().await;
    submit_as_bob(&world).await;
    let Everything { held, .. } = everything(&world).await;
    submit_as_bob(&world).await;
    let before = bobs_items(&world).await;
    assert_eq!(before.len(), 2);
    let lease_until = world.clock.now() + super::LEASE;

    let mut waited_until = None;
    let outcome = tool(&world, true)
        .run(&mut |until| waited_until = Some(until))
        .await
        .unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.erased, outcome.cancelled), (5, 2));
    // Until then the worker of the held operation may have written.
    assert_eq!(waited_until, Some(lease_until));
    assert!(world.clock.now() >= lease_until);
    assert_eq!(bobs_items(&world).await, before);
    let stored = stored(&world).await;
    assert_eq!(stored.len(), 2 + 5);
    for tombstone in stored.iter().filter(|item| !item.contains_key("owner")) {
        assert_eq!(tombstone.len(), 6, "{tombstone:?}");
        assert!(!format!("{tombstone:?}").contains("alice"));
    }
    let gone = world.store.get(&held, world.clock.now()).await;
    assert_eq!(gone.unwrap(), None);
    // The wake-up for the cancelled operation's callback, as after any cancel.
    assert_eq!(world.queue(QueueKind::Callback).len().await, 1);

    let again = tool(&world, true).run(&mut |_| {}).await.unwrap();
    assert!(again.is_complete());
    assert_eq!((again.erased, again.cancelled), (0, 0));
}

#[tokio::test]
async fn operations_that_have_not_ended_are_left_and_listed_without_cancel() {
    let world = World::start().await;
    let Everything { pending, held, .. } = everything(&world).await;
    let outcome = tool(&world, false).run(&mut |_| {}).await.unwrap();
    assert!(!outcome.is_complete());
    assert_eq!((outcome.erased, outcome.cancelled), (3, 0));
    let mut live = outcome.live;
    live.sort();
    let mut expected = [pending, held];
    expected.sort();
    assert_eq!(live, expected);
    for id in &expected {
        assert!(!get(&world, id).await.status().is_terminal());
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_and_listed() {
    let world = World::start().await;
    let corrupt = submit(&world, echo()).await;
    submit(&world, echo()).await;
    world.drain().await;
    tamper(
        &world,
        &corrupt,
        "status",
        AttributeValue::S("asleep".into()),
    )
    .await;
    let outcome = tool(&world, true).run(&mut |_| {}).await.unwrap();
    assert!(!outcome.is_complete());
    assert_eq!(outcome.erased, 1);
    let unreadable = outcome.unreadable.iter().map(ToString::to_string);
    let unreadable: Vec<_> = unreadable.collect();
    let expected = format!("operation {corrupt} is corrupt at status");
    assert_eq!(unreadable, [expected]);
}

#[tokio::test]
async fn an_inspection_reports_what_exists_and_changes_nothing() {
    let world = World::start().await;
    submit_as_bob(&world).await;
    let operations = everything(&world).await;
    let corrupt = submit(&world, echo()).await;
    tamper(
        &world,
        &corrupt,
        "status",
        AttributeValue::S("asleep".into()),
    )
    .await;
    let before = stored(&world).await;
    let mut reported = BTreeMap::new();
    tool(&world, true)
        .inspect(&mut |id, found| assert_eq!(reported.insert(id.clone(), found), None))
        .await
        .unwrap();
    let expected = [
        (operations.ended, Found::Ended),
        (operations.half_erased, Found::HalfErased),
        (operations.expired, Found::Expired),
        (operations.pending, Found::Live),
        (operations.held, Found::Live),
        (corrupt, Found::Unreadable),
    ];
    assert_eq!(reported, BTreeMap::from(expected));
    assert_eq!(stored(&world).await, before);
}

#[tokio::test]
async fn after_an_outage_a_second_run_continues() {
    let world = World::start().await;
    for _ in 0..3 {
        submit(&world, echo()).await;
    }
    world.drain().await;
    // One query for the keys, then three requests for each operation: the second operation's mark
    // is refused.
    world.wire.reset();
    world.wire.plan([(5, Fault::AccessDenied)]);
    tool(&world, false).run(&mut |_| {}).await.unwrap_err();
    world.wire.plan([]);
    let outcome = tool(&world, false).run(&mut |_| {}).await.unwrap();
    assert!(outcome.is_complete());
    assert!((2..=3).contains(&outcome.erased));
    assert!(stored(&world).await.iter().all(|item| item.len() == 6));
}
