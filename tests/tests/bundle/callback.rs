//! Callbacks, from an operation's end to the receiver.

use std::collections::BTreeSet;

use serde_json::json;
use tests::receiver::{Delivery, Receiver};
use tests::wait::until;

use super::BUNDLE;

/// The `count`-th delivery, from 1.
async fn delivery(receiver: &Receiver, count: usize) -> Delivery {
    until("a callback", async || {
        receiver.received().into_iter().nth(count - 1)
    })
    .await
}

#[tokio::test]
async fn every_terminal_state_is_called_back_with_a_signature() {
    let api = BUNDLE.caller("callback");
    let receiver = Receiver::start().await;
    let ends = [
        ("demo.echo", json!({"a": 1}), "completed"),
        ("demo.fail", json!({"code": "MINE"}), "failed"),
        (
            "demo.countdown",
            json!({"steps": 100, "step_ms": 60_000}),
            "cancelled",
        ),
    ];
    for (count, (function, arguments, status)) in (1..).zip(ends) {
        let submitted = api
            .submit(&json!({
                "function": function,
                "arguments": arguments,
                "metadata": {"order": 7},
                "callback_url": receiver.url,
            }))
            .await;
        let id = submitted.id();
        assert_eq!(submitted.json()["callback"]["status"], "waiting");
        if status == "cancelled" {
            let cancelled = api.post(&format!("/operations/{id}/cancel")).await;
            assert_eq!(cancelled.status, 200, "{}", cancelled.text);
        }
        let delivery = delivery(&receiver, count).await;
        assert!(delivery.header("webhook-id").starts_with("msg_"));
        let body = delivery.verified();
        assert_eq!(body["type"], format!("forrst.operation.{status}"));
        let data = &body["data"];
        assert_eq!(data["operation_id"], id);
        assert_eq!(data["status"], status);
        assert_eq!(data["metadata"], json!({"order": 7}));
        let operation = api.wait_for_status(&id, status).await.json();
        for member in [
            "result",
            "errors",
            "completed_at",
            "cancelled_at",
            "attempt",
        ] {
            assert_eq!(data.get(member), operation.get(member), "{member}: {data}");
        }

        let callback = api.wait_for_callback_status(&id, "delivered").await;
        let redacted = callback["url"].as_str().unwrap();
        assert!(!redacted.contains("secret"), "{redacted}");
        let attempts = callback["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{callback}");
        assert_eq!(attempts[0]["status_code"], 200, "{callback}");
    }
    // The cancel sends a callback message, and so may the worker that held the operation. Then the
    // same callback is delivered twice.
    let deliveries = receiver.received().into_iter();
    let ids: BTreeSet<_> = deliveries.map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_redelivery_has_the_same_id_and_body() {
    let api = BUNDLE.caller("redeliver");
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = api.submit(&body).await.id();
    let first = delivery(&receiver, 1).await;
    api.wait_for_callback_status(&id, "delivered").await;

    let path = format!("/operations/{id}/redeliver");
    let accepted = api.post(&path).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let second = delivery(&receiver, 2).await;
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(second.verified(), first.verified());
    until("two deliveries on record", async || {
        let callback = api.wait_for_callback_status(&id, "delivered").await;
        (callback["attempts"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_callback_without_url_event_or_end_is_neither_sent_nor_redelivered() {
    let api = BUNDLE.caller("redeliver-not");
    let receiver = Receiver::start().await;
    let other_event = json!({
        "function": "demo.echo",
        "callback_url": receiver.url,
        "callback_events": ["failed"],
    });
    for body in [other_event, json!({"function": "demo.echo"})] {
        let id = api.submit(&body).await.id();
        api.wait_for_status(&id, "completed").await;
        let refused = api.post(&format!("/operations/{id}/redeliver")).await;
        refused.assert_problem(409, "CONFLICT");
    }
    let id = api.submit_endless().await;
    let refused = api.post(&format!("/operations/{id}/redeliver")).await;
    refused.assert_problem(409, "CONFLICT");
    let cancelled = api.post(&format!("/operations/{id}/cancel")).await;
    assert_eq!(cancelled.status, 200);
    assert!(receiver.received().is_empty());
}
