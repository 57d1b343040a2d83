//! Every sample event goes through the handler that it is a sample for, and gets what it should.

use serde_json::json;
use shared::clock::Clock as _;
use shared::store::Draft;
use tests::events::{self, HTTP, QUEUED, Stage};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

/// A world with the samples' operation in it.
async fn world(stage: Stage, receiver: &Receiver) -> World {
    let world = World::start().await;
    if stage == Stage::Absent {
        return world;
    }
    let now = world.clock.now();
    let operation = events::operation(stage, now, &receiver.url);
    world
        .store
        .create(&Draft::new(&operation), now)
        .await
        .unwrap();
    if stage != Stage::Pending {
        let queue = world.queue(QueueKind::Dispatch);
        let event = events::dispatch().event(&queue, now).await;
        let response = world
            .serve(&world.another_worker(), QueueKind::Dispatch, event)
            .await;
        assert_eq!(response, json!({"batchItemFailures": []}));
    }
    if stage == Stage::Delivered {
        assert!(world.pump(QueueKind::Callback).await);
    }
    world
}

#[tokio::test]
async fn http_events_are_answered() {
    let receiver = Receiver::start().await;
    for sample in HTTP {
        let world = world(sample.stage, &receiver).await;
        sample.check(&world.answer(events::event(sample.name)).await);
    }
}

#[tokio::test]
async fn queue_events_are_answered() {
    for sample in QUEUED {
        let receiver = Receiver::start().await;
        let world = world(sample.stage, &receiver).await;
        let posts = receiver.received().len();
        let queue = world.queue(sample.queue);
        let event = sample.event(&queue, world.clock.now()).await;
        let response = world
            .serve(&world.another_worker(), sample.queue, event)
            .await;
        sample.check(&response, receiver.received().len() - posts);
    }
}

#[test]
fn every_sample_is_in_a_table() {
    let listed = HTTP
        .iter()
        .map(|sample| sample.name.to_owned())
        .chain(QUEUED.iter().map(|sample| sample.name.to_owned()))
        .collect();
    assert_eq!(events::files(), listed);
}
