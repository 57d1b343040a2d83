//! `webhook`: somebody is told of the end of an operation.

use serde_json::{Value, json};
use tests::shape::assert_shape;
use tests::wait::until;

use super::server::{Server, extension, prefer_async};

#[tokio::test]
async fn a_registration_is_confirmed_and_kept() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    // Both spellings are the page's own.
    for events in [
        json!(["operation.completed", "operation.failed"]),
        json!(["forrst.operation.completed"]),
    ] {
        let options = json!({
            "callback_url": callbacks.url, "events": events, "signature_version": "v1",
        });
        let extensions = json!([prefer_async(), extension("webhook", &options)]);
        let exchange = server.call(&server.quick, extensions).await;
        let confirmed = json!({
            "registered": true, "callback_url": callbacks.url, "events": events, "signature_version": "v1",
        });
        exchange.has_data("webhook", &confirmed);
    }
    let Some(receiver) = callbacks.receiver else {
        return;
    };
    let deliveries = until("two deliveries", async || {
        let deliveries = receiver.received();
        (deliveries.len() >= 2).then_some(deliveries)
    })
    .await;
    for delivery in deliveries {
        let body = String::from_utf8(delivery.body.to_vec()).unwrap();
        assert_eq!(delivery.header("content-type"), "application/json");
        assert!(delivery.header("webhook-id").starts_with("msg_"), "{body}");
        assert!(delivery.header("webhook-timestamp").parse::<u64>().is_ok());
        assert!(
            delivery.header("webhook-signature").starts_with("v1,"),
            "{body}"
        );
        let shape = json!({
            "type": "forrst.operation.completed",
            "timestamp": "<time>",
            "data": {
                "operation_id": "<text>", "function": server.quick.function, "version": "<text>",
                "status": "completed", "result": "<anything>", "completed_at": "<time>",
            },
        });
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_shape(&shape, &body, &body);
    }
}

#[tokio::test]
async fn every_event_and_a_signature_of_the_servers_choice_are_the_default() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    let options = json!({"callback_url": callbacks.url});
    let extensions = json!([prefer_async(), extension("webhook", &options)]);
    let exchange = server.call(&server.quick, extensions).await;
    let confirmed = json!({
        "registered": true, "callback_url": callbacks.url, "events": "<array>", "signature_version": "<text>",
    });
    exchange.has_data("webhook", &confirmed);
    let data = exchange.data("webhook");
    assert_ne!(data["events"], json!([]), "{exchange}");
    let version = data["signature_version"].as_str().unwrap();
    assert!(["v1", "v1a"].contains(&version), "{exchange}");
}

/// Which signatures a server can make is its own affair; it must not promise another.
#[tokio::test]
async fn a_signature_is_promised_or_refused() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    for version in ["v1", "v1a", "v2"] {
        let options = json!({
            "callback_url": callbacks.url, "events": ["operation.failed"], "signature_version": version,
        });
        let extensions = json!([extension("webhook", &options)]);
        let exchange = server.call(&server.quick, extensions).await;
        if exchange.json.get("errors").is_some() {
            let pointer = "/extensions/0/options/signature_version";
            exchange.is_refused(&["INVALID_ARGUMENTS"], pointer);
        } else {
            assert_ne!(version, "v2", "{exchange}");
            exchange.has_data("webhook", &json!({"signature_version": version}));
        }
    }
}

#[tokio::test]
async fn what_nobody_can_call_is_refused() {
    let server = Server::start();
    // A public address by its number: a name may lead to one that a server's operator has allowed.
    for url in ["no url", "http://8.8.8.8/hook", "ftp://example.com/hook"] {
        for (name, options) in [
            ("webhook", json!({"callback_url": url})),
            ("async", json!({"callback_url": url, "preferred": true})),
        ] {
            let exchange = server
                .call(&server.quick, json!([extension(name, &options)]))
                .await;
            let pointer = "/extensions/0/options/callback_url";
            exchange.is_refused(&["INVALID_ARGUMENTS"], pointer);
        }
    }
    let callbacks = server.callbacks().await;
    let options = json!({"callback_url": callbacks.url, "events": ["operation.paused"]});
    let exchange = server
        .call(&server.quick, json!([extension("webhook", &options)]))
        .await;
    let errors = exchange.errors();
    assert!(
        errors[0].1.starts_with("/extensions/0/options/events"),
        "{exchange}"
    );
}
