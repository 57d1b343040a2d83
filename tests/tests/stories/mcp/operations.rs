//! The tools for operations.

use std::time::Duration;

use serde_json::{Value, json};
use tests::world::{Response, World};

use super::{OPERATION_ID, borrowed, legacy, modern, request, texts};

async fn submit(world: &World) -> String {
    let accepted = world
        .submit(json!({"function": "demo.echo", "arguments": {"n": 1}}))
        .await;
    accepted.json["id"].as_str().unwrap().to_owned()
}

async fn call(world: &World, tool: &str, arguments: Value) -> Response {
    request(
        world,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
        false,
    )
    .await
}

#[tokio::test]
async fn an_operation_is_shown_as_rest_shows_it_in_both_eras() {
    let world = World::start().await;
    let id = submit(&world).await;
    for _ in 0..2 {
        let params = json!({"name": "ferry_get_operation", "arguments": {"operation_id": id}});
        let of_modern = request(&world, "tools/call", params.clone(), true).await;
        let of_legacy = legacy(&world, "tools/call", &params).await;
        for response in [of_modern, of_legacy] {
            let result = &response.json["result"];
            assert_eq!(result["structuredContent"], world.show(&id).await);
            assert_eq!(result["isError"], false);
            assert_eq!(result["_meta"][OPERATION_ID], id);
            let text: Value = serde_json::from_str(texts(&response)[0]).unwrap();
            assert_eq!(text, result["structuredContent"]);
        }
        world.pump_all().await;
    }
}

#[tokio::test]
async fn a_read_waits_for_the_end() {
    let world = World::start().await;
    let id = submit(&world).await;
    let arguments = json!({"operation_id": id, "wait_seconds": "@"});
    let params = json!({"name": "ferry_get_operation", "arguments": arguments});
    let (headers, body) = modern("tools/call", params, false);
    // In another spelling of a whole number.
    let body = body.replace("\"@\"", "0.5e1");
    let headers = borrowed(&headers);
    let call = world.request("POST", "/mcp", &headers, &body);
    let response = world
        .while_waiting(Some(Duration::from_secs(1)), call)
        .await;
    let shown = &response.json["result"]["structuredContent"];
    assert_eq!(
        (&shown["status"], &shown["result"]),
        (&json!("completed"), &json!({"n": 1}))
    );
}

#[tokio::test]
async fn a_cancel_is_as_by_rest() {
    let world = World::start().await;
    let (live, ended) = (submit(&world).await, submit(&world).await);
    for _ in 0..2 {
        let response = call(
            &world,
            "ferry_cancel_operation",
            json!({"operation_id": live}),
        )
        .await;
        let result = &response.json["result"];
        assert_eq!(
            (&result["isError"], &result["structuredContent"]["status"]),
            (&json!(false), &json!("cancelled")),
            "{}",
            response.text
        );
    }
    world.pump_all().await;
    let response = call(
        &world,
        "ferry_cancel_operation",
        json!({"operation_id": ended}),
    )
    .await;
    assert_eq!(response.json["result"]["isError"], true);
    assert_eq!(
        texts(&response),
        ["the operation is completed and cannot be cancelled"]
    );
}

#[tokio::test]
async fn an_operation_of_another_owner_is_missing_like_a_malformed_id() {
    let world = World::start().await;
    let foreign = world
        .request_of(
            "bob",
            "POST",
            "/operations",
            &[],
            br#"{"function":"demo.echo"}"#,
        )
        .await;
    let foreign = foreign.json["id"].as_str().unwrap();
    for tool in ["ferry_get_operation", "ferry_cancel_operation"] {
        for id in [foreign, "op_000000000000000000000000", "op_1", ""] {
            world.wire.reset();
            let response = call(&world, tool, json!({"operation_id": id})).await;
            assert_eq!(response.json["result"]["isError"], true, "{id}");
            assert_eq!(
                texts(&response),
                ["there is no such operation, or it has expired"]
            );
            let is_malformed = id.len() < 20;
            assert_eq!(world.wire.calls().is_empty(), is_malformed, "{tool} {id}");
        }
    }
}
