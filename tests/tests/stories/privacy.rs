//! What remains of a caller's data: nothing after an erase, and nothing of a refused submit.

use std::time::Duration;

use serde_json::json;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::wire::{Fault, Outage, Service};
use tests::world::World;

const KEY: [(&str, &str); 1] = [("idempotency-key", "k")];

/// The sort keys of all items in the table, sorted.
async fn stored(world: &World) -> Vec<String> {
    let scan = world.dynamodb.scan().table_name("ferry").send().await;
    let items = scan.unwrap().items.unwrap();
    let mut keys: Vec<_> = items
        .iter()
        .map(|item| item["sk"].as_s().unwrap().clone())
        .collect();
    keys.sort();
    keys
}

fn large() -> String {
    let text = incompressible(2000);
    json!({"function": "demo.echo", "arguments": {"t": text}, "metadata": {"t": text}}).to_string()
}

#[tokio::test]
async fn an_erase_leaves_only_a_tombstone_even_after_replays_and_conflicts() {
    let world = World::start().await;
    let submit = async |body: &str| world.request("POST", "/operations", &KEY, body).await;
    let first = submit(&large()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    for _ in 0..3 {
        assert_eq!(
            submit(&large()).await.headers["idempotent-replayed"],
            "true"
        );
    }
    let other = json!({"function": "demo.echo", "arguments": {"t": incompressible(3000)}});
    assert_eq!(submit(&other.to_string()).await.status, 409);
    world.drain().await;
    let path = format!("/operations/{}", first.json["id"].as_str().unwrap());
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);

    let left = world.dynamodb.scan().table_name("ferry").send().await;
    let [tombstone] = left.unwrap().items.unwrap().try_into().unwrap();
    assert!(tombstone.contains_key("erased_at") && !tombstone.contains_key("owner"));
}

/// Both submits have read that the key has no operation.
#[tokio::test]
async fn a_submit_whose_create_is_refused_leaves_no_payload_items() {
    let world = World::start().await;
    let body = large();
    let loses = world.request("POST", "/operations", &KEY, &body);
    let wins = world.request("POST", "/operations", &KEY, &body);
    world.wire.plan([]);
    // Read, message and two payload items come before the create.
    let (replay, accepted) = world.wire.delay(4, loses, wins).await;
    assert!(accepted.headers["idempotent-replayed"].is_null());
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    assert_eq!(replay.json["id"], accepted.json["id"]);
    let left = stored(&world).await;
    assert_eq!(left.len(), 3, "{left:?}");
    world.drain().await;
    let id = accepted.json["id"].as_str().unwrap();
    assert_eq!(world.show(id).await["status"], "completed");
}

#[tokio::test]
async fn a_submit_whose_message_cannot_be_sent_leaves_no_payload_items() {
    let world = World::start().await;
    world.wire.set_outages(&[Outage {
        service: Service::Queues,
        fault: Fault::AccessDenied,
        only: String::new(),
    }]);
    let refused = world.request("POST", "/operations", &[], &large()).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(stored(&world).await, [""; 0]);
}

#[tokio::test]
async fn an_erase_that_ran_out_of_time_is_completed_by_the_next() {
    let world = World::start().await;
    let id = world
        .submit(serde_json::from_str(&large()).unwrap())
        .await
        .json["id"]
        .clone();
    let path = format!("/operations/{}", id.as_str().unwrap());
    assert!(world.pump(QueueKind::Dispatch).await);

    let erase = world.request("DELETE", &path, &[], "");
    let wait = async { world.clock.advance(Duration::from_secs(20)) };
    world.wire.plan([]);
    // Read and mark come before the query of the items to delete.
    let (unfinished, ()) = world.wire.delay(2, erase, wait).await;
    assert_eq!(unfinished.status, 503, "{}", unfinished.text);
    assert_eq!(unfinished.json["code"], "UNAVAILABLE");
    assert!(unfinished.headers["retry-after"].is_string());
    assert_eq!(stored(&world).await.len(), 4);
    assert_eq!(world.request("GET", &path, &[], "").await.status, 404);

    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(stored(&world).await, ["head"]);
}
