//! Tasks: operations as their clients follow them.

use std::time::Duration;

use serde_json::{Value, json};
use tests::queues::QueueKind;
use tests::wire::Fault;
use tests::world::{Response, World};

use super::{OPERATION_ID, error_code, request, start, texts};

async fn world() -> World {
    World::with([("MCP_WAIT_SECONDS", "0")]).await
}

async fn get(world: &World, id: &str) -> Response {
    request(world, "tasks/get", json!({"taskId": id}), true).await
}

/// The result without the members that every result has.
fn members(response: &Response) -> Value {
    let mut result = response.json["result"].clone();
    let members = result
        .as_object_mut()
        .unwrap_or_else(|| panic!("{}", response.text));
    members.remove("_meta");
    result
}

#[tokio::test]
async fn a_task_is_followed_to_its_result() {
    let world = world().await;
    let params = json!({"name": "demo_echo", "arguments": {"n": 1}});
    let created = request(&world, "tools/call", params, true).await;
    let id = created.json["result"]["taskId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(created.json["result"]["_meta"][OPERATION_ID], id);
    let shown = world.show(&id).await;
    let task = json!({
        "resultType": "task",
        "taskId": id,
        "status": "working",
        "createdAt": shown["created_at"],
        "lastUpdatedAt": shown["updated_at"],
        // A day to read it, if it ended now.
        "ttlMs": 86_400_000,
        "pollIntervalMs": 1000,
    });
    assert_eq!(members(&created), task);
    let mut expected = task;
    expected["resultType"] = json!("complete");
    assert_eq!(members(&get(&world, &id).await), expected);

    world.pump_all().await;
    let shown = world.show(&id).await;
    let ended = members(&get(&world, &id).await);
    assert_eq!(
        ended,
        json!({
            "resultType": "complete",
            "taskId": id,
            "status": "completed",
            "createdAt": shown["created_at"],
            "lastUpdatedAt": shown["updated_at"],
            "ttlMs": 86_400_000,
            "result": {
                "resultType": "complete",
                "content": [{"type": "text", "text": r#"{"n":1}"#}],
                "structuredContent": {"n": 1},
                "isError": false,
                "_meta": {OPERATION_ID: id},
            },
        })
    );
}

#[tokio::test]
async fn a_task_is_kept_for_no_shorter_than_was_promised_while_it_ran() {
    let world = world().await;
    let id = start(&world, "demo_echo", &json!({})).await;
    let ttl_ms = async || {
        let task = members(&get(&world, &id).await);
        task["ttlMs"].as_u64().unwrap()
    };
    let mut promised = Vec::new();
    for _ in 0..3 {
        world.clock.advance(Duration::from_millis(10_400));
        promised.push(ttl_ms().await);
    }
    assert_eq!(promised, [86_410_000, 86_420_000, 86_431_000]);
    world.pump_all().await;
    assert_eq!(ttl_ms().await, 86_431_000);
}

#[tokio::test]
async fn a_poll_costs_one_read_and_a_malformed_id_none() {
    let world = world().await;
    let id = start(&world, "demo_echo", &json!({})).await;
    for (method, task_id, calls) in [
        ("tasks/get", id.as_str(), &["GetItem"][..]),
        ("tasks/update", &id, &["GetItem"]),
        ("tasks/get", "op_000000000000000000000000", &["GetItem"]),
        ("tasks/get", "x", &[]),
        ("tasks/cancel", "x", &[]),
        ("tasks/update", "x", &[]),
        ("tasks/get", "", &[]),
    ] {
        world.wire.reset();
        request(&world, method, json!({"taskId": task_id}), true).await;
        assert_eq!(world.wire.calls(), calls, "{method} {task_id}");
    }
}

#[tokio::test]
async fn a_task_that_is_not_the_callers_is_not_found_like_a_malformed_one() {
    let world = world().await;
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
    let mine = start(&world, "demo_echo", &json!({})).await;
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let mut responses = Vec::new();
        for id in [foreign, "op_000000000000000000000000", "op_1", "x y"] {
            let response = request(&world, method, json!({"taskId": id}), true).await;
            assert_eq!(error_code(&response), Some(-32602), "{method} {id}");
            responses.push((response.status, response.text));
        }
        assert!(
            responses.windows(2).all(|pair| pair[0] == pair[1]),
            "{responses:?}"
        );
        for id in [json!(7), json!({}), Value::Null] {
            let response = request(&world, method, json!({"taskId": id}), true).await;
            assert_eq!(error_code(&response), Some(-32602), "{method} {id}");
        }
    }
    world.pump_all().await;
    let path = format!("/operations/{mine}");
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(error_code(&get(&world, &mine).await), Some(-32602));
}

#[tokio::test]
async fn a_cancelled_task_stays_cancelled_and_a_repeated_cancel_is_acknowledged() {
    let world = world().await;
    let id = start(&world, "demo_echo", &json!({})).await;
    let ended = start(&world, "demo_echo", &json!({})).await;
    let cancel =
        async |id: &str| request(&world, "tasks/cancel", json!({"taskId": id}), true).await;
    let acknowledged = json!({"resultType": "complete"});
    assert_eq!(members(&cancel(&id).await), acknowledged);
    world.pump_all().await;
    let task = members(&get(&world, &id).await);
    assert_eq!(
        (&task["status"], task.get("result")),
        (&json!("cancelled"), None)
    );
    for id in [&id, &ended] {
        let before = world.show(id).await;
        assert_eq!(members(&cancel(id).await), acknowledged);
        let params = json!({"taskId": id, "inputResponses": {"q1": {"action": "accept"}}});
        let updated = request(&world, "tasks/update", params, true).await;
        assert_eq!(members(&updated), acknowledged);
        assert_eq!(world.show(id).await, before);
    }
}

/// How an operation ended, in the terms of the protocol: only what never ran to an end of its own
/// is an error of the protocol.
#[tokio::test]
async fn a_failed_function_is_a_completed_task_and_a_crashed_one_a_failed_task() {
    let world = world().await;
    let fail = async |arguments: Value| {
        let id = start(&world, "demo_fail", &arguments).await;
        world.drain().await;
        id
    };
    let own = fail(json!({"code": "OUT_OF_STOCK", "message": "none left"})).await;
    let task = members(&get(&world, &own).await);
    assert_eq!(
        (&task["status"], &task["statusMessage"]),
        (&json!("completed"), &json!("none left")),
        "{task}"
    );
    assert_eq!(
        task["result"],
        json!({
            "resultType": "complete",
            "content": [{"type": "text", "text": "OUT_OF_STOCK: none left"}],
            "isError": true,
            "_meta": {OPERATION_ID: own},
        })
    );

    let crashed = fail(json!({"mode": "panic"})).await;
    let errors = world.show(&crashed).await["errors"].clone();
    assert_eq!(errors[0]["code"], "INTERNAL_ERROR");
    let task = members(&get(&world, &crashed).await);
    let message = &errors[0]["message"];
    assert_eq!(
        (&task["status"], &task["statusMessage"]),
        (&json!("failed"), message),
        "{task}"
    );
    assert_eq!(task.get("result"), None);
    let data = json!({"operation_id": crashed, "errors": errors});
    let error = json!({"code": -32603, "message": message, "data": data});
    assert_eq!(task["error"], error);

    // A repeated call gets the same.
    for (arguments, code) in [
        (json!({"code": "OUT_OF_STOCK"}), None),
        (json!({"mode": "panic"}), Some(-32603)),
    ] {
        let meta = json!({"ferry/idempotencyKey": "k"});
        let params = json!({"name": "demo_fail", "arguments": arguments, "_meta": meta});
        let world = self::world().await;
        request(&world, "tools/call", params.clone(), true).await;
        world.drain().await;
        let response = request(&world, "tools/call", params, true).await;
        assert_eq!(
            (response.status, error_code(&response)),
            (200, code),
            "{}",
            response.text
        );
        if code.is_none() {
            assert_eq!(response.json["result"]["isError"], true);
            assert!(texts(&response)[0].starts_with("OUT_OF_STOCK: "));
        }
    }
}

/// Its last error, here. A task that ended well has none.
#[tokio::test]
async fn a_working_task_shows_what_its_work_reports() {
    let world = world().await;
    let arguments = json!({"retryable": true, "message": "busy", "succeed_on_attempt": 2});
    let id = start(&world, "demo_fail", &arguments).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let task = members(&get(&world, &id).await);
    assert_eq!(
        (&task["status"], &task["statusMessage"]),
        (&json!("working"), &json!("busy"))
    );
    // A tenth of its age, from ten seconds on.
    world.clock.advance(Duration::from_secs(40));
    let task = members(&get(&world, &id).await);
    assert_eq!(task["pollIntervalMs"], 4_000);
    world.drain().await;
    let task = members(&get(&world, &id).await);
    assert_eq!(
        (&task["status"], task.get("statusMessage")),
        (&json!("completed"), None)
    );
}

#[tokio::test]
async fn a_store_that_fails_is_an_internal_error_without_internals() {
    let world = world().await;
    let id = start(&world, "demo_echo", &json!({})).await;
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        world.wire.reset();
        world.wire.plan([(0, Fault::AccessDenied)]);
        let response = request(&world, method, json!({"taskId": id}), true).await;
        let error = json!({"code": -32603, "message": "please try again"});
        assert_eq!(
            (response.status, &response.json["error"]),
            (200, &error),
            "{method}"
        );
        assert_eq!(response.json["id"], 1);
    }
}
