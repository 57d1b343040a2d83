//! The protocol's system functions.

use serde_json::json;
use tests::wire::Fault;
use tests::world::World;

use super::{CANCEL, HEALTH, STATUS, call, codes, envelope, start};

/// The store applies the write, the SDK retries it, and the retry finds the operation already
/// cancelled by the first try.
#[tokio::test]
async fn a_cancel_whose_response_was_lost_succeeds() {
    let world = World::start().await;
    let id = start(&world, "demo.echo", &json!({})).await;
    world.wire.plan([(0, Fault::Lost)]);
    let cancelled = call(&world, CANCEL, &json!({"operation_id": id}), &json!([])).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    assert_eq!(cancelled.json["result"]["status"], "cancelled");
}

#[tokio::test]
async fn another_owners_operation_is_not_found() {
    let world = World::start().await;
    let id = start(&world, "demo.echo", &json!({})).await;
    for function in [STATUS, CANCEL] {
        let body = |id: &str| envelope(function, &json!({"operation_id": id}), &json!([]));
        let theirs = world
            .request_of("bob", "POST", "/forrst", &[], body(&id).as_bytes())
            .await;
        let missing = body("op_000000000000000000000000");
        let missing = world
            .request_of("bob", "POST", "/forrst", &[], missing.as_bytes())
            .await;
        assert_eq!(theirs.status, 404, "{}", theirs.text);
        assert_eq!(codes(&theirs), ["ASYNC_OPERATION_NOT_FOUND"]);
        assert_eq!(theirs.text, missing.text);
    }
    // A malformed id costs no read.
    world.wire.reset();
    let malformed = call(&world, STATUS, &json!({"operation_id": "op_1"}), &json!([])).await;
    assert_eq!(malformed.status, 404);
    assert_eq!(world.wire.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn health_checks_the_table_and_the_queue_and_reports_the_worst() {
    let world = World::start().await;
    let healthy = call(&world, HEALTH, &json!({}), &json!([])).await;
    assert_eq!(
        healthy.json["result"]["status"], "healthy",
        "{}",
        healthy.text
    );
    let mut calls = world.wire.calls();
    calls.sort();
    assert_eq!(calls, ["GetItem", "GetQueueAttributes"]);

    world.wire.reset();
    let itself = call(&world, HEALTH, &json!({"component": "self"}), &json!([])).await;
    assert_eq!(itself.json["result"]["status"], "healthy");
    assert_eq!(world.wire.calls(), Vec::<String>::new());

    world.wire.plan([(0, Fault::AlwaysThrottled)]);
    let sick = call(&world, HEALTH, &json!({"component": "queue"}), &json!([])).await;
    assert_eq!(sick.status, 503, "{}", sick.text);
    assert_eq!(sick.json["result"]["status"], "unhealthy");
    assert_eq!(
        sick.json["result"]["components"],
        json!({"queue": {"status": "unhealthy"}})
    );
}
