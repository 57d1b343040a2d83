//! `extensions/webhook.md`.

use serde_json::{Value, json};
use tests::receiver::Receiver;
use tests::world::World;

use super::super::data;
use super::{Page, operation_id, protocol, send};

const EXAMPLES: usize = 5;

const NULL_RESULT: &str =
    "ruling: a deferred call has no result yet, and its data says how to poll it";

#[tokio::test]
async fn every_example_of_the_webhook_page_works() {
    let mut page = Page::new("webhook.md", EXAMPLES);
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let request = json!({
        "protocol": protocol(),
        "id": "req_701",
        "call": {"function": "demo.echo", "version": "1.0.0", "arguments": {"harvest": "pears"}},
        "extensions": [
            {"urn": "urn:cline:forrst:ext:async", "options": {"accept": true}},
            {
                "urn": "urn:cline:forrst:ext:webhook",
                "options": {
                    "callback_url": receiver.url,
                    "events": ["operation.completed", "operation.failed"],
                    "signature_version": "v1",
                },
            },
        ],
    });
    let begun = page.request(1, &world, &request).await;
    let id = operation_id(&begun);
    let confirmation = json!({
        "protocol": protocol(),
        "id": "req_701",
        "result": null,
        "extensions": [
            {
                "urn": "urn:cline:forrst:ext:async",
                "data": {"operation_id": id, "status": "pending", "poll": "<object>"},
            },
            {
                "urn": "urn:cline:forrst:ext:webhook",
                "data": {
                    "registered": true,
                    "callback_url": receiver.url,
                    "events": ["operation.completed", "operation.failed"],
                    "signature_version": "v1",
                },
            },
        ],
    });
    page.ruled_response(2, NULL_RESULT, &confirmation, &begun);

    world.pump_all().await;
    let deliveries = receiver.received();
    assert_eq!(deliveries.len(), 1);
    let delivery = &deliveries[0];
    assert_eq!(delivery.header("content-type"), "application/json");
    let webhook_id = delivery.header("webhook-id");
    let ulid = webhook_id.strip_prefix("msg_").unwrap();
    assert_eq!(ulid.len(), 26, "{webhook_id}");
    let seconds: Result<u64, _> = delivery.header("webhook-timestamp").parse();
    assert!(seconds.is_ok());
    let signature = delivery.header("webhook-signature");
    assert!(signature.starts_with("v1,"), "{signature}");
    let body = json!({
        "type": "forrst.operation.completed",
        "timestamp": "<time>",
        "data": {
            "operation_id": id,
            "function": "demo.echo",
            "version": "1.0.0",
            "status": "completed",
            "result": {"harvest": "pears"},
            "completed_at": "<time>",
        },
    });
    page.ruled(3, "as the page has it", &body, &delivery.verified());

    // The receiver's response: only its status counts.
    let shown = world.show(id.as_str().unwrap()).await;
    let delivered = json!({"status": "delivered", "attempts": [{"status_code": 200}]});
    page.ruled(4, "as the page has it", &delivered, &shown["callback"]);

    integration(&mut page, &world, &receiver).await;
    page.is_covered();
}

/// The last example, a part of a request.
async fn integration(page: &mut Page, world: &World, receiver: &Receiver) {
    let part = json!({
        "extensions": [
            {"urn": "urn:cline:forrst:ext:async", "options": {"accept": true}},
            {
                "urn": "urn:cline:forrst:ext:webhook",
                "options": {
                    "callback_url": receiver.url,
                    "events": ["operation.completed", "operation.failed"],
                },
            },
        ],
    });
    let mut request = json!({
        "protocol": protocol(), "id": "req_702", "call": {"function": "demo.fail"},
    });
    request["extensions"] = part["extensions"].clone();
    let begun = page.request(5, world, &request).await;
    assert_eq!(data(&begun, "webhook")["signature_version"], "v1");
    world.pump_all().await;
    let types = |event: &str| -> Vec<Value> {
        let bodies = receiver.received().into_iter();
        let bodies = bodies.map(|delivery| delivery.verified());
        bodies.filter(|body| body["type"] == event).collect()
    };
    assert_eq!(types("forrst.operation.failed").len(), 1);

    // An event that was not requested makes no callback.
    request["id"] = json!("req_703");
    request["call"]["function"] = json!("demo.echo");
    request["extensions"][1]["options"]["events"] = json!(["operation.failed"]);
    let begun = send(world, &request).await;
    world.pump_all().await;
    let id = operation_id(&begun);
    let shown = world.show(id.as_str().unwrap()).await;
    assert_eq!(shown["callback"]["status"], "skipped");
    assert_eq!(types("forrst.operation.completed").len(), 1);
}
