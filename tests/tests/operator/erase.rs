//! `erase`: nothing of an owner's is left, and everything of everybody else's.

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

/// Of `alice`, one of each kind.
pub(super) struct Everything {
    ended: OperationId,
    marked: OperationId,
    expired: OperationId,
    pending: OperationId,
    held: OperationId,
}

pub(super) async fn everything(world: &World) -> Everything {
    let large = json!({"alice": incompressible(3000)});
    let body = json!({"function": "demo.echo", "arguments": large, "metadata": large});
    let ended = submit(world, body).await;
    let marked = submit(world, echo()).await;
    world.rest().await;
    world.wire.reset();
    world.wire.plan([(2, Fault::Refused)]);
    let path = format!("/operations/{marked}");
    let answer = Box::pin(world.request("DELETE", &path, &[], "")).await;
    assert_eq!(answer.status, 503);
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
        marked,
        expired,
        pending,
        held,
    }
}

async fn bobs(world: &World) -> Vec<Item> {
    let mut items = stored(world).await;
    items.retain(|item| item.get("owner") == Some(&AttributeValue::S("local:bob".into())));
    items.sort_by_key(|item| item["pk"].as_s().unwrap().clone());
    items
}

async fn submit_as_bob(world: &World) {
    let body = echo().to_string();
    let answer = world
        .request_of("bob", "POST", "/operations", &[], body.as_bytes())
        .await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn nothing_of_the_owners_is_left_and_nobody_elses_is_touched() {
    let world = World::start().await;
    submit_as_bob(&world).await;
    let Everything { held, .. } = everything(&world).await;
    submit_as_bob(&world).await;
    let before = bobs(&world).await;
    assert_eq!(before.len(), 2);
    let lease_until = world.clock.now() + super::LEASE;

    let mut waited_until = None;
    let outcome = tool(&world, true)
        .run(&mut |until| waited_until = Some(until))
        .await
        .unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.erased, outcome.cancelled), (5, 2));
    // Its worker may have written until then.
    assert_eq!(waited_until, Some(lease_until));
    assert!(world.clock.now() >= lease_until);
    assert_eq!(bobs(&world).await, before);
    let stored = stored(&world).await;
    assert_eq!(stored.len(), 2 + 5);
    for mark in stored.iter().filter(|item| !item.contains_key("owner")) {
        assert_eq!(mark.len(), 6, "{mark:?}");
        assert!(!format!("{mark:?}").contains("alice"));
    }
    let gone = world.store.get(&held, world.clock.now()).await;
    assert_eq!(gone.unwrap(), None);
    // The cancelled one's receiver was to be told, as of any cancel.
    assert_eq!(world.queue(QueueKind::Callback).len().await, 1);

    let again = tool(&world, true).run(&mut |_| {}).await.unwrap();
    assert!(again.is_complete());
    assert_eq!((again.erased, again.cancelled), (0, 0));
}

#[tokio::test]
async fn what_has_not_ended_is_left_and_told_unless_it_is_to_be_cancelled() {
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
async fn a_record_that_cannot_be_read_is_left_and_told() {
    let world = World::start().await;
    let corrupt = submit(&world, echo()).await;
    submit(&world, echo()).await;
    world.rest().await;
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
    let told: Vec<_> = outcome.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(told, [format!("operation {corrupt} is corrupt at status")]);
}

#[tokio::test]
async fn a_look_tells_what_there_is_and_changes_nothing() {
    let world = World::start().await;
    submit_as_bob(&world).await;
    let there = everything(&world).await;
    let corrupt = submit(&world, echo()).await;
    tamper(
        &world,
        &corrupt,
        "status",
        AttributeValue::S("asleep".into()),
    )
    .await;
    let before = stored(&world).await;
    let mut told = BTreeMap::new();
    let look = tool(&world, true);
    look.look(&mut |id, found| assert_eq!(told.insert(id.clone(), found), None))
        .await
        .unwrap();
    let expected = [
        (there.ended, Found::Ended),
        (there.marked, Found::Marked),
        (there.expired, Found::Expired),
        (there.pending, Found::Live),
        (there.held, Found::Live),
        (corrupt, Found::Unreadable),
    ];
    assert_eq!(told, BTreeMap::from(expected));
    assert_eq!(stored(&world).await, before);
}

#[tokio::test]
async fn broken_off_by_an_outage_it_is_begun_again() {
    let world = World::start().await;
    for _ in 0..3 {
        submit(&world, echo()).await;
    }
    world.rest().await;
    // The query for keys, then three requests for each: the second's mark is refused.
    world.wire.reset();
    world.wire.plan([(5, Fault::Refused)]);
    tool(&world, false).run(&mut |_| {}).await.unwrap_err();
    world.wire.plan([]);
    let outcome = tool(&world, false).run(&mut |_| {}).await.unwrap();
    assert!(outcome.is_complete());
    assert!((2..=3).contains(&outcome.erased));
    assert!(stored(&world).await.iter().all(|item| item.len() == 6));
}
