//! From the end of an operation to a receiver that believes it, or does not.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::api::Api;

use super::authority::Authority;
use super::keys::{NEW_SECRET, OLD_SECRET, PUBLIC_KEY, STRANGERS_PUBLIC_KEY, STRANGERS_SECRET};
use super::language::Language;
use super::receiver::Receiver;
use super::{AUTHORITY, ROTATING};

/// What comes back as other bytes from somebody who does not verify and read the very bytes: letters beyond ASCII, a decomposed
/// one, one outside of the basic plane, line separators, control characters, and what HTML escapes.
const TEXT: &str = "Žluťoučký kůň, e\u{301}, 日本, 🐎, \u{2028}\u{85}\u{7f}\u{1}\t\\\"</&>";

#[tokio::test]
async fn every_end_is_verified_with_each_key_alone() {
    let api = ROTATING.caller("ends");
    let languages = Language::of_this_run();
    let keys = [OLD_SECRET, NEW_SECRET, PUBLIC_KEY];
    let receivers = languages
        .iter()
        .flat_map(|language| keys.map(|key| verifies_every_end(&api, language, key)));
    join_all(receivers).await;
}

async fn verifies_every_end(api: &Api, language: &Language, key: &str) {
    let mut receiver = Receiver::start(language, AUTHORITY.identity(), key).await;
    let failure = json!({"message": TEXT, "retryable": false});
    // Reports its progress at short intervals, and so learns soon that it has been cancelled.
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
        let told = format!("{} with {key}: {report}", language.name());
        assert_eq!(report["verified"], true, "{told}");
        let event = &report["event"];
        assert_eq!(
            event["type"],
            format!("forrst.operation.{status}"),
            "{told}"
        );
        assert_eq!(event["data"]["operation_id"], id, "{told}");
        assert_eq!(event["data"]["metadata"], json!({"text": TEXT}), "{told}");
        let operation = api.reaches(&id, status).await.json();
        for member in ["result", "errors"] {
            assert_eq!(event["data"].get(member), operation.get(member), "{told}");
        }
        match status {
            "completed" => assert_eq!(operation["result"], arguments),
            "failed" => assert_eq!(operation["errors"][0]["message"], TEXT),
            _ => {}
        }
        let attempts = attempts(api, &id, "delivered").await;
        assert_eq!(attempts.len(), 1, "{told} {attempts:?}");
        assert_eq!(attempts[0]["status_code"], 204, "{told} {attempts:?}");
        last = report;
    }
    // Whoever cancels wakes the sender, and so may the worker, who finds a cancelled operation in its hands: then it comes twice.
    for again in receiver.end().await {
        assert_eq!(again, last);
    }
}

#[tokio::test]
async fn with_a_strangers_key_nothing_is_verified_and_the_refusal_is_on_record() {
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
async fn who_has_a_certificate_from_an_unknown_authority_gets_nothing() {
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
    let callback = api.callback_reaches(id, status).await;
    callback["attempts"].as_array().unwrap().clone()
}
