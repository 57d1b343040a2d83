//! `extensions/idempotency.md`.

use std::time::Duration;

use serde_json::{Value, json};
use tests::world::World;

use super::super::data;
use super::{Page, operation_id, protocol, send};

const EXAMPLES: usize = 5;

const PROCESSING: &str =
    "ruling: a duplicate gets the existing operation, and no IDEMPOTENCY_PROCESSING";

fn charge(id: &str, key: &str, amount: u32) -> Value {
    json!({
        "protocol": protocol(),
        "id": id,
        "call": {
            "function": "demo.echo",
            "version": "1.0.0",
            "arguments": {"amount": amount, "currency": "EUR", "customer": "c-17"},
        },
        "extensions": [{"urn": "urn:forrst:ext:idempotency", "options": {"key": key}}],
    })
}

/// A response with a result and the state of the key.
fn response(id: &str, result: &Value, data: &Value) -> Value {
    json!({
        "protocol": protocol(),
        "id": id,
        "result": result,
        "extensions": [{"urn": "urn:forrst:ext:idempotency", "data": data}],
    })
}

#[tokio::test]
async fn every_example_of_the_idempotency_page_works() {
    const KEY: &str = "charge_of_autumn";
    let mut page = Page::new("idempotency.md", EXAMPLES);
    let world = World::start().await;
    let result = json!({"amount": 25, "currency": "EUR", "customer": "c-17"});

    let first = charge("req_801", KEY, 25);
    let call = page.request(1, &world, &first);
    let work_after = Some(Duration::from_millis(300));
    let processed = world.while_waiting(work_after, call).await;
    let key_state = json!({
        "key": KEY, "status": "processed", "original_request_id": "req_801",
        "expires_at": "<time>",
    });
    let shape = response("req_801", &result, &key_state);
    page.response(2, &shape, &processed);

    let cached = send(&world, &charge("req_802", KEY, 25)).await;
    let key_state = json!({
        "key": KEY, "status": "cached", "original_request_id": "req_801",
        "cached_at": "<time>", "expires_at": "<time>",
    });
    page.response(3, &response("req_802", &result, &key_state), &cached);

    let conflict = send(&world, &charge("req_803", KEY, 26)).await;
    assert_eq!(conflict.status, 409, "{}", conflict.text);
    let key_state = json!({"key": KEY, "status": "conflict", "original_request_id": "req_801"});
    let mut shape = response("req_803", &Value::Null, &key_state);
    shape["errors"] = json!([{
        "code": "IDEMPOTENCY_CONFLICT",
        "message": "<text>",
        "details": {"key": KEY, "original_arguments_hash": "<text>"},
    }]);
    page.response(4, &shape, &conflict);
    let hash = &conflict.json["errors"][0]["details"]["original_arguments_hash"];
    assert!(hash.as_str().unwrap().starts_with("sha256:"), "{hash}");

    processing(&mut page, &world).await;
    page.is_covered();
}

/// The last example: the first call has not ended.
async fn processing(page: &mut Page, world: &World) {
    const KEY: &str = "charge_of_winter";
    let prefer = json!({"urn": "urn:forrst:ext:async", "options": {"preferred": true}});
    let mut request = charge("req_804", KEY, 25);
    request["extensions"].as_array_mut().unwrap().push(prefer);
    let first = send(world, &request).await;

    let duplicate = charge("req_805", KEY, 25);
    let answer = world.while_waiting(None, send(world, &duplicate)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(data(&answer, "idempotency")["status"], "processing");
    let shape = json!({
        "protocol": protocol(),
        "id": "req_805",
        "result": null,
        "extensions": [
            {
                "urn": "urn:forrst:ext:async",
                "data": {
                    "operation_id": operation_id(&first), "poll": "<object>",
                    "retry_after": {"value": "<count>", "unit": "second"},
                },
            },
            {
                "urn": "urn:forrst:ext:idempotency",
                "data": {"key": KEY, "status": "processing", "original_request_id": "req_804"},
            },
        ],
    });
    page.ruled_response(5, PROCESSING, &shape, &answer);
}
