//! `extensions/async.md`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::receiver::Receiver;
use tests::world::World;

use super::super::{CANCEL, LIST, STATUS, data};
use super::{Page, about, operation_id, protocol, send};
use crate::stories::work::RunningWorker;

const EXAMPLES: usize = 20;

const PENDING: &str = "ruling: the first status is pending";
const RESULT: &str =
    "ruling: a completed operation has its result, as the table of members says, and no output";
const NO_ESTIMATE: &str = "ruling: there is no estimate of the end";
const SUCCESSFUL_READ: &str =
    "ruling: a poll of a failed operation succeeds, with the errors in its result";
const STANDARD_WEBHOOKS: &str = "ruling: callbacks follow the page of webhook";

/// A call that takes two seconds in steps of half a second.
fn report(id: &str, options: &Value) -> Value {
    json!({
        "protocol": protocol(),
        "id": id,
        "call": {
            "function": "demo.countdown", "version": "1.0.0",
            "arguments": {"steps": 4, "step_ms": 500},
        },
        "extensions": [{"urn": "urn:forrst:ext:async", "options": options}],
    })
}

/// The response to a deferred call.
fn accepted(id: &str, operation_id: &Value) -> Value {
    json!({
        "protocol": protocol(),
        "id": id,
        "result": null,
        "extensions": [{
            "urn": "urn:forrst:ext:async",
            "data": {
                "operation_id": operation_id,
                "status": "pending",
                "poll": {
                    "function": "urn:cline:forrst:ext:async:fn:status",
                    "version": "1.0.0",
                    "arguments": {"operation_id": operation_id},
                },
                "retry_after": {"value": "<count>", "unit": "second"},
            },
        }],
    })
}

fn response(id: &str, result: &Value) -> Value {
    json!({"protocol": protocol(), "id": id, "result": result})
}

/// Starts a worker on the operation and waits for its first progress.
async fn under_way(world: &Arc<World>, operation_id: &Value) -> RunningWorker {
    let running = RunningWorker::start(world).await;
    let id = operation_id.as_str().unwrap();
    let step = Duration::from_millis(50);
    running
        .while_time_passes(id, step, |operation| operation.progress.is_some())
        .await;
    running
}

#[tokio::test]
async fn every_example_of_the_async_page_works() {
    let mut page = Page::new("async.md", EXAMPLES);
    let world = Arc::new(World::start().await);

    polling(&mut page, &world).await;
    callbacks(&mut page, &world).await;
    cancellation(&mut page, &world).await;
    with_a_key(&mut page, &world).await;
    full_flow(&mut page, &world).await;
    functions(&mut page, &world).await;
    page.is_covered();
}

/// Examples 1 to 6.
async fn polling(page: &mut Page, world: &Arc<World>) {
    let request = report("req_101", &json!({"preferred": true}));
    let begun = page.request(1, world, &request).await;
    let id = operation_id(&begun);
    page.ruled_response(2, PENDING, &accepted("req_101", &id), &begun);

    let running = under_way(world, &id).await;
    let polled = page.request(3, world, &about("req_102", STATUS, &id)).await;
    let processing = json!({
        "operation_id": id, "status": "processing", "progress": "<number>",
        "started_at": "<time>",
    });
    let shape = response("req_102", &processing);
    page.ruled_response(4, NO_ESTIMATE, &shape, &polled);
    assert_eq!(polled.json["result"].get("estimated_completion"), None);

    assert!(!running.returned().await);
    let polled = send(world, &about("req_103", STATUS, &id)).await;
    let completed = json!({"operation_id": id, "status": "completed", "result": {"steps": 4}});
    page.ruled_response(5, RESULT, &response("req_103", &completed), &polled);

    let mut request = report("req_104", &json!({"preferred": true}));
    request["call"]["function"] = json!("demo.fail");
    request["call"]["arguments"] = json!({"message": "the ledger is closed"});
    let id = operation_id(&send(world, &request).await);
    world.pump_all().await;
    let polled = send(world, &about("req_105", STATUS, &id)).await;
    assert_eq!(polled.status, 200, "{}", polled.text);
    let failed = json!({
        "operation_id": id, "status": "failed", "completed_at": "<time>",
        "errors": [{"code": "DEMO_FAILURE", "message": "the ledger is closed"}],
    });
    page.ruled_response(6, SUCCESSFUL_READ, &response("req_105", &failed), &polled);
}

/// Examples 7 and 8.
async fn callbacks(page: &mut Page, world: &Arc<World>) {
    let receiver = Receiver::start().await;
    let options = json!({"preferred": true, "callback_url": receiver.url});
    let mut request = report("req_201", &options);
    request["call"]["function"] = json!("demo.echo");
    request["call"]["arguments"] = json!({"season": "autumn"});
    let begun = page.request(7, world, &request).await;
    world.pump_all().await;
    let delivery = receiver.received().pop().expect("a callback");
    let shape = json!({
        "type": "forrst.operation.completed",
        "timestamp": "<time>",
        "data": {
            "operation_id": operation_id(&begun),
            "original_request_id": "req_201",
            "status": "completed",
            "result": {"season": "autumn"},
            "completed_at": "<time>",
        },
    });
    page.ruled(8, STANDARD_WEBHOOKS, &shape, &delivery.verified());
    assert!(!delivery.headers.contains_key("x-forrst-signature"));
}

/// Examples 9 to 11.
async fn cancellation(page: &mut Page, world: &Arc<World>) {
    let begun = send(world, &report("req_301", &json!({"preferred": true}))).await;
    let id = operation_id(&begun);
    let cancel = about("req_302", CANCEL, &id);
    let cancelled = page.request(9, world, &cancel).await;
    let result = json!({"operation_id": id, "status": "cancelled", "cancelled_at": "<time>"});
    page.response(10, &response("req_302", &result), &cancelled);
    // The worker acknowledges the message of the cancelled operation.
    world.drain().await;

    let mut request = report("req_303", &json!({"preferred": true}));
    request["call"]["function"] = json!("demo.echo");
    let id = operation_id(&send(world, &request).await);
    world.pump_all().await;
    let refused = send(world, &about("req_304", CANCEL, &id)).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let shape = json!({
        "protocol": protocol(),
        "id": "req_304",
        "result": null,
        "errors": [{
            "code": "ASYNC_CANNOT_CANCEL",
            "message": "<text>",
            "details": {"operation_id": id, "status": "completed"},
        }],
    });
    page.response(11, &shape, &refused);
}

/// Example 12, and the rules below it on the page.
async fn with_a_key(page: &mut Page, world: &Arc<World>) {
    let mut request = report("req_401", &json!({"preferred": true}));
    let key = json!({"urn": "urn:forrst:ext:idempotency", "options": {"key": "report_of_autumn"}});
    request["extensions"].as_array_mut().unwrap().push(key);
    let first = page.request(12, world, &request).await;
    request["id"] = json!("req_402");
    let second = send(world, &request).await;
    assert_eq!(operation_id(&second), operation_id(&first));
    assert_eq!(second.json["result"], Value::Null);

    let running = under_way(world, &operation_id(&first)).await;
    assert!(!running.returned().await);
    request["id"] = json!("req_403");
    let third = send(world, &request).await;
    assert_eq!(third.json["result"], json!({"steps": 4}), "{}", third.text);
    world.drain().await;
}

/// Examples 13 to 16.
async fn full_flow(page: &mut Page, world: &Arc<World>) {
    let mut request = report("req_501", &json!({"preferred": true}));
    request["context"] = json!({"trace_id": "trace_501", "span_id": "span_501"});
    let begun = page.request(13, world, &request).await;
    let id = operation_id(&begun);
    page.ruled_response(14, PENDING, &accepted("req_501", &id), &begun);

    // Example 15 has both a request and its response.
    let running = under_way(world, &id).await;
    let polled = page
        .request(15, world, &about("req_502", STATUS, &id))
        .await;
    let processing = json!({
        "operation_id": id, "status": "processing", "progress": "<number>",
        "message": "step 1 of 4",
    });
    let shape = response("req_502", &processing);
    tests::shape::assert_shape(&shape, &polled.json, &polled.text);

    assert!(!running.returned().await);
    let polled = send(world, &about("req_503", STATUS, &id)).await;
    let completed = json!({"operation_id": id, "status": "completed", "result": {"steps": 4}});
    page.ruled_response(16, RESULT, &response("req_503", &completed), &polled);
}

/// Examples 17 to 20.
async fn functions(page: &mut Page, world: &Arc<World>) {
    let begun = send(world, &report("req_601", &json!({"preferred": true}))).await;
    let id = operation_id(&begun);
    let running = under_way(world, &id).await;
    page.request(17, world, &about("req_602", STATUS, &id))
        .await;

    let mut list = about("req_603", LIST, &id);
    list["call"]["arguments"] = json!({"status": "processing", "limit": 10});
    let listed = page.request(19, world, &list).await;
    let operations = json!([{
        "id": id, "function": "demo.countdown", "version": "1.0.0", "status": "processing",
        "progress": "<number>", "started_at": "<time>",
    }]);
    assert_eq!(
        listed.json["result"]["operations"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // The same page, when another page follows.
    list["call"]["arguments"] = json!({"limit": 1});
    let listed = send(world, &list).await;
    let shape = json!({"operations": operations, "next_cursor": "<text>"});
    page.ruled(20, "as the page has it", &shape, &listed.json["result"]);

    page.request(18, world, &about("req_604", CANCEL, &id))
        .await;
    assert_eq!(data(&begun, "async")["status"], "pending");
    assert!(running.returned().await);
}
