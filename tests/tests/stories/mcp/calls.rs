//! Calls of tools.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::time::Timestamp;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::wire::Fault;
use tests::world::{Response, World};

use super::{
    OPERATION_ID, TASKS, borrowed, error_code, legacy, modern, request, send, start, texts,
};

/// Calls a tool as a modern client without tasks, and handles the work while it waits.
async fn call(world: &World, tool: &str, arguments: &str) -> Response {
    let (headers, body) = modern("tools/call", json!({"name": tool, "arguments": "@"}), false);
    let body = body.replace("\"@\"", arguments);
    let headers = borrowed(&headers);
    let request = world.request("POST", "/mcp", &headers, &body);
    world
        .while_waiting(Some(Duration::from_millis(300)), request)
        .await
}

#[tokio::test]
async fn a_call_waits_for_its_result_in_both_eras() {
    let world = World::start().await;
    let modern = call(&world, "csv_summarize", r#"{"csv":"city\nRiga\n"}"#).await;
    let id = &modern.json["result"]["_meta"][OPERATION_ID];
    let summary = world.show(id.as_str().unwrap()).await["result"].clone();
    let text = r#"{"rows":1,"columns":[{"name":"city","count":1,"distinct":1}]}"#;
    assert_eq!(summary, serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(
        modern.json["result"],
        json!({
            "resultType": "complete",
            "content": [{"type": "text", "text": text}],
            "structuredContent": summary,
            "isError": false,
            "_meta": {
                "io.modelcontextprotocol/serverInfo": {
                    "name": "ferry", "version": env!("CARGO_PKG_VERSION"),
                },
                OPERATION_ID: id,
            },
        })
    );

    let params = json!({"name": "csv_summarize", "arguments": {"csv": "city\nRiga\n"}, "task": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let body = body.to_string();
    let headers = [("mcp-protocol-version", "2025-06-18")];
    let request = world.request("POST", "/mcp", &headers, &body);
    let legacy = world.while_waiting(Some(Duration::ZERO), request).await;
    let mut result = legacy.json["result"].clone();
    result.as_object_mut().unwrap().remove("_meta");
    assert_eq!(
        result,
        json!({
            "content": [{"type": "text", "text": text}],
            "structuredContent": summary,
            "isError": false,
        })
    );
}

#[tokio::test]
async fn numbers_and_keys_come_back_as_they_were_sent() {
    let world = World::start().await;
    let arguments =
        r#"{"b":1.50,"a":9007199254740993,"caf\u00e9":[1e400,-0.0,18446744073709551616]}"#;
    let response = call(&world, "demo_echo", arguments).await;
    let structured = format!(r#""structuredContent":{arguments}"#);
    assert!(response.text.contains(&structured), "{}", response.text);
}

#[tokio::test]
async fn a_long_result_is_whole_for_programs_and_cut_for_models() {
    let world = World::with([("MCP_WAIT_SECONDS", "0")]).await;
    let id = start(
        &world,
        "demo_echo",
        &json!({"text": incompressible(100_000)}),
    )
    .await;
    world.pump_all().await;
    let task = request(&world, "tasks/get", json!({"taskId": id}), true).await;
    let result = &task.json["result"]["result"];
    let whole = result["structuredContent"].to_string();
    assert_eq!(whole.len(), 100_011);
    let content = result["content"].as_array().unwrap();
    assert_eq!(content[0]["text"].as_str().unwrap(), &whole[..65_536]);
    assert_eq!(
        content[1]["text"],
        "These are the first 65536 of 100011 bytes; structuredContent has all of them."
    );
}

#[tokio::test]
async fn wrong_arguments_are_a_result_that_names_each_and_nothing_is_written() {
    let world = World::start().await;
    let large = format!(r#"{{"csv":"{}"}}"#, "x".repeat(262_144));
    for (tool, arguments, expected) in [
        ("csv_summarize", "{}", &["/csv is required"][..]),
        (
            "csv_summarize",
            r#"{"csv":7,"more":1}"#,
            &["/csv must be a string", "/more is not a known member"],
        ),
        (
            "demo_echo",
            r#"{"a":1,"a":2}"#,
            &["/a is given more than once"],
        ),
        (
            "csv_summarize",
            large.as_str(),
            &["arguments must be at most 262144 bytes, but is 262154"],
        ),
        ("ferry_get_operation", "{}", &["/operation_id is required"]),
        (
            "ferry_get_operation",
            r#"{"operation_id":7,"wait_seconds":11,"more":1}"#,
            &[
                "/operation_id must be a string",
                "/wait_seconds must be a whole number from 0 to 10",
                "/more is not a known member",
            ],
        ),
        (
            "ferry_cancel_operation",
            r#"{"operation_id":"op_1","wait_seconds":1}"#,
            &["/wait_seconds is not a known member"],
        ),
    ] {
        let response = call_now(&world, tool, arguments).await;
        let result = &response.json["result"];
        assert_eq!(
            (response.status, &result["isError"]),
            (200, &json!(true)),
            "{arguments}"
        );
        assert_eq!(texts(&response), expected, "{arguments}");
        assert_eq!(result.get("structuredContent"), None);
    }
    for (name, arguments, message) in [
        (json!("no_such"), json!({}), "unknown tool: no_such"),
        (json!("demo.echo"), json!({}), "unknown tool: demo.echo"),
        (json!(""), json!({}), "unknown tool: "),
        (json!("demo_echo"), json!([]), "arguments must be an object"),
        (
            json!("demo_echo"),
            json!("{}"),
            "arguments must be an object",
        ),
        (json!("demo_echo"), json!(7), "arguments must be an object"),
    ] {
        let params = json!({"name": name, "arguments": arguments});
        for response in [
            request(&world, "tools/call", params.clone(), true).await,
            legacy(&world, "tools/call", &params).await,
        ] {
            assert_eq!(
                (response.status, error_code(&response)),
                (200, Some(-32602))
            );
            assert_eq!(response.json["error"]["message"], message);
        }
    }
    let unnamed = legacy(&world, "tools/call", &json!({})).await;
    assert_eq!(error_code(&unnamed), Some(-32602));
    assert!(world.wire.calls().is_empty());
}

/// As [`call`], when there is no work.
async fn call_now(world: &World, tool: &str, arguments: &str) -> Response {
    let (headers, body) = modern("tools/call", json!({"name": tool, "arguments": "@"}), false);
    send(
        world,
        &borrowed(&headers),
        &body.replace("\"@\"", arguments),
    )
    .await
}

#[tokio::test]
async fn twenty_wrong_arguments_are_named_and_that_there_are_more() {
    let world = World::start().await;
    let wrong = |count: usize| -> Value { (0..count).map(|n| (format!("m{n:02}"), n)).collect() };
    for (count, texts_shown) in [(19, 20), (20, 21), (500, 21)] {
        // The required member is missing as well.
        let response = call_now(&world, "csv_summarize", &wrong(count).to_string()).await;
        let shown = texts(&response);
        assert_eq!(shown.len(), texts_shown, "{count}");
        let more = shown.last().unwrap();
        let says_more = *more == "more than 20 parts of the arguments are wrong";
        assert_eq!(says_more, count > 19, "{more}");
    }
}

#[tokio::test]
async fn arguments_may_be_left_out() {
    let world = World::with([("WAIT_SECONDS_MAX", "0")]).await;
    for params in [
        json!({"name": "demo_echo"}),
        json!({"name": "demo_echo", "arguments": null}),
    ] {
        let response = request(&world, "tools/call", params, false).await;
        assert!(
            texts(&response)[0].contains("still running"),
            "{}",
            response.text
        );
    }
}

fn took_ms(world: &World, begun: Timestamp) -> u128 {
    world.clock.now().since(begun).as_millis()
}

#[tokio::test]
async fn a_client_without_tasks_waits_longest_and_then_learns_how_to_follow() {
    for (settings, tasks_ms, others_ms) in [
        (
            [("MCP_WAIT_SECONDS", ""), ("WAIT_SECONDS_MAX", "")],
            2_000,
            10_000,
        ),
        (
            [("MCP_WAIT_SECONDS", "20"), ("WAIT_SECONDS_MAX", "")],
            10_000,
            10_000,
        ),
        (
            [("MCP_WAIT_SECONDS", "0"), ("WAIT_SECONDS_MAX", "20")],
            0,
            20_000,
        ),
        ([("MCP_WAIT_SECONDS", ""), ("WAIT_SECONDS_MAX", "0")], 0, 0),
    ] {
        let world = World::with(settings).await;
        let params = json!({"name": "demo_echo", "arguments": {}});
        let begun = world.clock.now();
        let task = request(&world, "tools/call", params.clone(), true).await;
        assert_eq!(took_ms(&world, begun), tasks_ms, "{settings:?}");
        assert_eq!(task.json["result"]["resultType"], "task");
        for is_modern in [true, false] {
            let begun = world.clock.now();
            let response = if is_modern {
                request(&world, "tools/call", params.clone(), false).await
            } else {
                // Tasks are of the modern era, whatever a legacy request declares.
                let mut params = params.clone();
                let capabilities = json!({"extensions": {TASKS: {}}});
                params["_meta"] =
                    json!({"io.modelcontextprotocol/clientCapabilities": capabilities});
                legacy(&world, "tools/call", &params).await
            };
            assert_eq!(took_ms(&world, begun), others_ms, "{settings:?}");
            let result = &response.json["result"];
            assert_eq!((response.status, &result["isError"]), (200, &json!(true)));
            assert_eq!(result.get("structuredContent"), None);
            assert_eq!(result.get("taskId"), None);
            let id = result["_meta"][OPERATION_ID].as_str().unwrap();
            let [text] = texts(&response)[..] else {
                panic!("{}", response.text);
            };
            let again = match others_ms / 1000 {
                0 => "in 1 s, and then after each retry_after that it returns,".to_owned(),
                secs => format!("and wait_seconds {secs}"),
            };
            let follow = format!(
                "The operation {id} is still running. Call ferry_get_operation with operation_id \
                 {id} {again} until it has ended; its result is kept for 24 hours after its end."
            );
            assert_eq!(text, follow);
        }
    }
}

#[tokio::test]
async fn a_repeated_call_with_a_key_is_one_operation() {
    let world = World::with([("MCP_WAIT_SECONDS", "0")]).await;
    let call = async |key: Value, arguments: Value| {
        let meta = json!({"ferry/idempotencyKey": key});
        let params = json!({"name": "demo_echo", "arguments": arguments, "_meta": meta});
        request(&world, "tools/call", params, true).await
    };
    let first = call(json!("order-17"), json!({"n": 1})).await;
    let replay = call(json!("order-17"), json!({"n": 1})).await;
    let id = &first.json["result"]["taskId"];
    assert_eq!(&replay.json["result"]["taskId"], id);
    world.pump_all().await;
    let ended = call(json!("order-17"), json!({"n": 1})).await;
    assert_eq!(ended.json["result"]["structuredContent"], json!({"n": 1}));
    assert_eq!(&ended.json["result"]["_meta"][OPERATION_ID], id);
    // The key names the same operation for every protocol.
    let headers = [("idempotency-key", "order-17")];
    let body = r#"{"function":"demo.echo","arguments":{"n":1}}"#;
    let rest = world.request("POST", "/operations", &headers, body).await;
    assert_eq!((rest.status, &rest.json["id"]), (200, id));

    world.wire.reset();
    let other = call(json!("order-17"), json!({"n": 2})).await;
    assert_eq!(error_code(&other), Some(-32602), "{}", other.text);
    for key in [
        json!(""),
        json!("\u{e9}"),
        json!("x".repeat(256)),
        json!(7),
        json!({}),
    ] {
        let refused = call(key, json!({"n": 1})).await;
        assert_eq!(error_code(&refused), Some(-32602));
        let message = refused.json["error"]["message"].as_str().unwrap();
        let rule =
            "params._meta ferry/idempotencyKey must have 1 to 255 printable ASCII characters";
        assert_eq!(message, rule);
    }
    assert_eq!(
        world
            .wire
            .calls()
            .iter()
            .filter(|call| *call != "GetItem")
            .count(),
        0
    );
}

/// The id of the caller's trace, in the record that logs and callbacks read.
#[tokio::test]
async fn an_operation_belongs_to_the_trace_of_its_call() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let world = World::with([("MCP_WAIT_SECONDS", "0")]).await;
    for (traceparent, expected) in [
        (format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(TRACE)),
        (format!("cc-{TRACE}-00f067aa0ba902b7-01-what"), Some(TRACE)),
        (format!("00-{TRACE}-00f067aa0ba902b7-01-what"), None),
        (format!("ff-{TRACE}-00f067aa0ba902b7-01"), None),
        (
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            None,
        ),
        (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
        (format!("00-{TRACE}-0000000000000000-01"), None),
        (format!("00-{TRACE}-00f067aa0ba902b7"), None),
        ("x".repeat(55), None),
        (String::new(), None),
    ] {
        let meta = json!({"traceparent": traceparent});
        let params = json!({"name": "demo_echo", "_meta": meta});
        let response = request(&world, "tools/call", params, true).await;
        let id = response.json["result"]["taskId"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let owner = "local:alice".parse().unwrap();
        let now = world.clock.now();
        let operation = world
            .store
            .get_for(&id, &owner, now)
            .await
            .unwrap()
            .unwrap();
        let trace = operation.origin.trace.map(|trace| trace.trace_id);
        assert_eq!(trace.as_deref(), expected, "{traceparent}");
    }
}

/// Whatever fails, a task can be read from the moment it is announced.
#[tokio::test]
async fn a_task_is_never_announced_before_it_can_be_read() {
    let mut announced = 0;
    for key in [None, Some("k")] {
        for fault in Fault::ALL {
            for number in 0..6 {
                let world = World::with([("MCP_WAIT_SECONDS", "0")]).await;
                world.wire.plan([(number, fault)]);
                let arguments = json!({"text": incompressible(2_000)});
                let meta = key.map_or(json!({}), |key| json!({"ferry/idempotencyKey": key}));
                let params = json!({"name": "demo_echo", "arguments": arguments, "_meta": meta});
                let (headers, body) = modern("tools/call", params, true);
                let headers = borrowed(&headers);
                let call = world.request("POST", "/mcp", &headers, &body);
                let response = world.wire.process(&world.clock, call).await;
                world.wire.plan([]);
                let Some(response) = response else { continue };
                if error_code(&response).is_some() {
                    assert_eq!(
                        (response.status, error_code(&response)),
                        (200, Some(-32603))
                    );
                    assert_eq!(response.json["error"]["message"], "please try again");
                    continue;
                }
                let id = response.json["result"]["taskId"].clone();
                let task = request(&world, "tasks/get", json!({"taskId": id}), true).await;
                assert_eq!(
                    task.json["result"]["status"], "working",
                    "{fault:?} at {number}"
                );
                world.pump(QueueKind::Dispatch).await;
                announced += 1;
            }
        }
    }
    assert!(announced > 20, "{announced}");
}
