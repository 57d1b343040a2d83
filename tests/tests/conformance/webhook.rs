//! `webhook`: a callback when an operation ends.

use serde_json::{Value, json};
use tests::shape::assert_shape;
use tests::wait::until;

use super::server::{Server, extension, prefer_async};

#[tokio::test]
async fn a_registration_is_confirmed_and_its_callback_arrives() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    // The page uses both spellings.
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
            "registered": true, "callback_url": callbacks.url, "events": events,
            "signature_version": "v1",
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
                "operation_id": "<text>", "function": server.quick.function,
                "version": "<text>", "status": "completed", "result": "<anything>",
                "completed_at": "<time>",
            },
        });
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_shape(&shape, &body, &body);
    }
}

#[tokio::test]
async fn a_registration_defaults_to_some_events_and_a_signature_version() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    let options = json!({"callback_url": callbacks.url});
    let extensions = json!([prefer_async(), extension("webhook", &options)]);
    let exchange = server.call(&server.quick, extensions).await;
    let confirmed = json!({
        "registered": true, "callback_url": callbacks.url, "events": "<array>",
        "signature_version": "<text>",
    });
    exchange.has_data("webhook", &confirmed);
    let data = exchange.data("webhook");
    assert_ne!(data["events"], json!([]), "{exchange}");
    let version = data["signature_version"].as_str().unwrap();
    assert!(["v1", "v1a"].contains(&version), "{exchange}");
}

/// A server may support either signature, but must not confirm one that it does not support.
#[tokio::test]
async fn a_signature_version_is_confirmed_or_refused() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    for version in ["v1", "v1a", "v2"] {
        let options = json!({
            "callback_url": callbacks.url, "events": ["operation.failed"],
            "signature_version": version,
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
async fn wrong_callback_urls_and_events_are_refused() {
    let server = Server::start();
    // A public address by number: a name may resolve to an address that the operator has allowed.
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
