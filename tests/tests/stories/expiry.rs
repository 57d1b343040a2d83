//! What expires and what does not. The embedded store deletes nothing by itself, so an expired
//! record stays in the table.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::{ClaimId, OperationId};
use shared::store::ClaimOutcome;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

async fn status(world: &World, id: &str) -> u16 {
    let path = format!("/operations/{id}");
    world.request("GET", &path, &[], "").await.status
}

/// All items of the table.
async fn stored(world: &World) -> Vec<HashMap<String, AttributeValue>> {
    let table = world.environment.required("TABLE_NAME").unwrap();
    let scanned = world.dynamodb.scan().table_name(table).send().await;
    scanned.unwrap().items().to_vec()
}

#[tokio::test]
async fn an_expired_operation_is_absent_and_its_key_free_even_before_the_store_deletes_it() {
    let world = World::start().await;
    let body =
        json!({"function": "demo.echo", "arguments": {"n": 1}, "ttl_seconds": 60}).to_string();
    let key = [("idempotency-key", "k")];
    let first = world.request("POST", "/operations", &key, &body).await.json;
    world.drain().await;
    let id = first["id"].as_str().unwrap();
    assert_eq!(world.show(id).await["status"], "completed");
    world.clock.advance(Duration::from_secs(60));
    let path = format!("/operations/{id}");
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/cancel")),
        ("POST", format!("{path}/redeliver")),
    ] {
        let response = world.request(method, &path, &[], "").await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (404, &json!("ASYNC_OPERATION_NOT_FOUND"))
        );
    }
    assert_eq!(
        world.request("GET", "/operations", &[], "").await.json,
        json!({"operations": [], "examined": 1})
    );

    let other = json!({"function": "demo.echo", "arguments": {"n": 2}}).to_string();
    let again = world.request("POST", "/operations", &key, &other).await;
    assert_eq!((again.status, &again.json["id"]), (202, &first["id"]));
    assert!(again.headers["idempotent-replayed"].is_null());
    world.drain().await;
    assert_eq!(world.show(id).await["result"], json!({"n": 2}));
    let list = world.request("GET", "/operations", &[], "").await.json;
    assert_eq!(list["operations"].as_array().unwrap().len(), 1);
}

/// Whether it waits for a worker, for the end of a dead worker's lease, or for the end of an
/// attempt.
#[tokio::test]
async fn an_active_operation_does_not_expire() {
    let world = World::start().await;
    let body = json!({"function": "demo.echo", "ttl_seconds": 60, "deadline_seconds": 7 * 86_400});
    let body = body.to_string();
    let submit = async || {
        let key = [("idempotency-key", "k")];
        let response = world.request("POST", "/operations", &key, &body);
        response.await.json
    };
    let id = submit().await["id"].as_str().unwrap().to_owned();
    let expect_status = async |status: &str| {
        assert_eq!(world.show(&id).await["status"], status);
        let list = world.request("GET", "/operations", &[], "").await.json;
        assert_eq!(list["operations"][0]["status"], status);
        assert_eq!(submit().await["status"], status, "a replay's response");
    };
    world.clock.advance(3 * DAY);
    expect_status("pending").await;

    let parsed = id.parse::<OperationId>().unwrap();
    let now = world.clock.now();
    let operation = world.store.get(&parsed, now).await.unwrap().unwrap();
    let claim_id = ClaimId::from_bytes([9; 16]);
    let claimed = world
        .store
        .claim(&parsed, &operation.create_id, claim_id, MINUTE, now)
        .await;
    assert!(matches!(claimed.unwrap(), ClaimOutcome::Held(_)));
    world.clock.advance(3 * DAY);
    expect_status("processing").await;

    world.pump_all().await;
    expect_status("completed").await;
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(status(&world, &id).await, 200);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&world, &id).await, 404);
}

#[tokio::test]
async fn a_message_that_outlives_its_operation_runs_nothing() {
    let world = World::start().await;
    let body = json!({"function": "demo.echo", "ttl_seconds": 60});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    let queue = world.queue(QueueKind::Dispatch);
    let [message] = queue.receive(1).await.try_into().unwrap();
    let body = message.body().unwrap().to_owned();
    let event = queue.event(&[message]);
    let worker = world.another_worker();
    let response: Value = world.serve(&worker, QueueKind::Dispatch, event).await;
    assert_eq!(response["batchItemFailures"], json!([]));
    assert_eq!(world.show(id).await["status"], "completed");

    world.clock.advance(MINUTE);
    let before = stored(&world).await;
    queue.send(&body).await;
    let took = world.drain().await;
    assert_eq!(took, Duration::ZERO, "acknowledged when it is received");
    assert_eq!(status(&world, id).await, 404);
    assert_eq!(stored(&world).await, before);
}

#[tokio::test]
async fn a_wake_up_that_outlives_its_operation_makes_no_post() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "ttl_seconds": 60, "callback_url": receiver.url});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    assert!(world.pump(QueueKind::Dispatch).await);
    world.clock.advance(7 * DAY);
    assert_eq!(status(&world, id).await, 404);
    let before = stored(&world).await;
    assert!(world.pump(QueueKind::Callback).await);
    assert!(world.queue(QueueKind::Callback).is_empty().await);
    assert_eq!(receiver.received().len(), 0);
    assert_eq!(stored(&world).await, before);
}
