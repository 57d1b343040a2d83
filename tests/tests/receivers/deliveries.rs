//! From an operation's end to a receiver that verifies the callback.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::api::Api;

use super::authority::Authority;
use super::keys::{NEW_SECRET, OLD_SECRET, PUBLIC_KEY, STRANGERS_PUBLIC_KEY, STRANGERS_SECRET};
use super::language::Language;
use super::receiver::Receiver;
use super::{AUTHORITY, ROTATING};

/// Text that comes back changed unless the receiver verifies and parses the very bytes that it got:
/// letters beyond ASCII, a decomposed one, one outside of the basic plane, line separators, control
/// characters, and characters that HTML escapes.
const TEXT: &str = "Žluťoučký kůň, e\u{301}, 日本, 🐎, \u{2028}\u{85}\u{7f}\u{1}\t\\\"</&>";

#[tokio::test]
async fn each_key_alone_verifies_every_outcome() {
    let api = ROTATING.caller("outcomes");
    let languages = Language::of_this_run();
    let keys = [OLD_SECRET, NEW_SECRET, PUBLIC_KEY];
    let receivers = languages
        .iter()
        .flat_map(|language| keys.map(|key| verifies_every_outcome(&api, language, key)));
    join_all(receivers).await;
}

async fn verifies_every_outcome(api: &Api, language: &Language, key: &str) {
    let mut receiver = Receiver::start(language, AUTHORITY.identity(), key).await;
    let failure = json!({"message": TEXT, "retryable": false});
    // It reports progress at short intervals, and so notices a cancel soon.
    let countdown = json!({"steps": 10_000, "step_ms": 100});
    let mut last = Value::Null;
    for (function, arguments, status) in [
        ("demo.echo", json!({TEXT: TEXT}), "completed"),
        ("demo.fail", failure, "failed"),
        ("demo.countdown", countdown, "cancelled"),
    ] {
        let id = submit(api, function, &arguments, &receiver).await;
        if status == "cancelled" {
            let cancelled = api.post(&format!("/operations/{id}/cancel")).await;
            assert_eq!(cancelled.status, 200, "{}", cancelled.text);
        }
        let report = receiver.report().await;
        let context = format!("{} with {key}: {report}", language.name());
        assert_eq!(report["verified"], true, "{context}");
        let event = &report["event"];
        assert_eq!(
            event["type"],
            format!("forrst.operation.{status}"),
            "{context}"
        );
        assert_eq!(event["data"]["operation_id"], id, "{context}");
        assert_eq!(
            event["data"]["metadata"],
            json!({"text": TEXT}),
            "{context}"
        );
        let operation = api.wait_for_status(&id, status).await.json();
        for member in ["result", "errors"] {
            assert_eq!(
                event["data"].get(member),
                operation.get(member),
                "{context}"
            );
        }
        match status {
            "completed" => assert_eq!(operation["result"], arguments),
            "failed" => assert_eq!(operation["errors"][0]["message"], TEXT),
            _ => {}
        }
        let attempts = attempts(api, &id, "delivered").await;
        assert_eq!(attempts.len(), 1, "{context} {attempts:?}");
        assert_eq!(attempts[0]["status_code"], 204, "{context} {attempts:?}");
        last = report;
    }
    // Both the cancel and the worker that held the operation may send a wake-up, so the callback
    // for the cancelled operation may arrive twice.
    for again in receiver.end().await {
        assert_eq!(again, last);
    }
}

#[tokio::test]
async fn another_key_verifies_nothing_and_the_attempts_record_the_refusal() {
    let api = ROTATING.caller("stranger");
    let refused = async |language: &Language, key: &str| {
        let mut receiver = Receiver::start(language, AUTHORITY.identity(), key).await;
        let id = submit(&api, "demo.echo", &json!({}), &receiver).await;
        let attempts = attempts(&api, &id, "exhausted").await;
        // The schedule has one wait.
        assert_eq!(attempts.len(), 2, "{attempts:?}");
        for attempt in attempts {
            assert_eq!(attempt["status_code"], 400, "{attempt}");
            assert_eq!(receiver.report().await, json!({"verified": false}));
        }
        assert_eq!(receiver.end().await, Vec::<Value>::new());
    };
    let languages = Language::of_this_run();
    let keys = [STRANGERS_SECRET, STRANGERS_PUBLIC_KEY];
    let receivers = languages
        .iter()
        .flat_map(|language| keys.map(|key| refused(language, key)));
    join_all(receivers).await;
}

#[tokio::test]
async fn a_receiver_with_a_certificate_of_an_unknown_authority_gets_nothing() {
    let api = ROTATING.caller("certificate");
    let unknown = Authority::new("unknown");
    let languages = Language::of_this_run();
    let receivers = languages.iter().map(async |language| {
        let receiver = Receiver::start(language, unknown.identity(), NEW_SECRET).await;
        let id = submit(&api, "demo.echo", &json!({}), &receiver).await;
        let attempts = attempts(&api, &id, "exhausted").await;
        assert_eq!(attempts.len(), 2, "{attempts:?}");
        for attempt in attempts {
            assert_eq!(attempt["error"], "TLS: certificate issuer not trusted");
        }
        assert_eq!(receiver.end().await, Vec::<Value>::new());
    });
    join_all(receivers).await;
}

async fn submit(api: &Api, function: &str, arguments: &Value, receiver: &Receiver) -> String {
    let body = json!({
        "function": function,
        "arguments": arguments,
        "metadata": {"text": TEXT},
        "callback_url": receiver.url,
    });
    api.submit(&body).await.id()
}

async fn attempts(api: &Api, id: &str, status: &str) -> Vec<Value> {
    let callback = api.wait_for_callback_status(id, status).await;
    callback["attempts"].as_array().unwrap().clone()
}
