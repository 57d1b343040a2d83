//! From a submit to its result.

use reqwest::Method;
use serde_json::json;

use tests::wait::until;

use super::BUNDLE;

#[tokio::test]
async fn an_accepted_operation_has_location_and_retry_after() {
    let api = BUNDLE.caller("accepted");
    let submitted = api.submit(&json!({"function": "demo.echo"})).await;
    let id = submitted.id();
    assert!(id.starts_with("op_") && id.len() == 27, "{id}");
    assert_eq!(submitted.header("retry-after"), "1");
    assert_eq!(submitted.header("cache-control"), "private, no-cache");
    assert_eq!(submitted.header("content-type"), "application/json");
    assert!(!submitted.header("request-id").is_empty());
    let operation = submitted.json();
    assert_eq!(operation["status"], "pending");
    assert_eq!(operation["version"], "1.0.0");
    assert_eq!(operation["attempt"], 0);
    assert_eq!(operation["metadata"], json!({}));
    assert_eq!(
        operation["retry_after"],
        json!({"value": 1, "unit": "second"})
    );

    api.wait_for_status(&id, "completed").await;
    let path = submitted.header("location");
    let path = &path[path.find("/operations/").unwrap()..];
    let completed = api.get(path).await;
    assert_eq!(completed.id(), id);
    assert!(!completed.headers.contains_key("retry-after"));
    assert_ne!(completed.header("etag"), submitted.header("etag"));
    assert_ne!(
        completed.header("request-id"),
        submitted.header("request-id")
    );
    let operation = completed.json();
    assert_eq!(operation["attempt"], 1);
    assert_eq!(operation["progress"], 1.0);
    assert_eq!(operation["result"], json!({}));
    assert!(operation["started_at"].as_str() <= operation["completed_at"].as_str());
}

#[tokio::test]
async fn progress_grows_and_names_its_step() {
    let api = BUNDLE.caller("progress");
    let submitted = api
        .submit(&json!({"function": "demo.countdown", "arguments": {"steps": 25, "step_ms": 100}}))
        .await;
    let path = format!("/operations/{}", submitted.id());
    let mut seen = Vec::new();
    until("the end", async || {
        let operation = api.get(&path).await.json();
        if let Some(progress) = operation["progress"].as_f64() {
            seen.push((progress, operation["progress_message"].to_string()));
        }
        (operation["status"] == "completed").then_some(())
    })
    .await;
    seen.dedup();
    assert!(
        seen.is_sorted_by(|earlier, later| earlier.0 <= later.0),
        "{seen:?}"
    );
    let last = seen.pop().unwrap();
    assert!((last.0 - 1.0).abs() < f64::EPSILON, "{last:?}");
    // Progress is written at most once a second.
    assert!(seen.len() >= 2, "{seen:?}");
    for (progress, message) in seen {
        let step = (progress * 25.0).round();
        assert_eq!(message, format!("\"step {step} of 25\""));
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let api = BUNDLE.caller("head");
    let id = api.submit(&json!({"function": "demo.echo"})).await.id();
    api.wait_for_status(&id, "completed").await;
    for path in [
        &*format!("/operations/{id}"),
        "/operations",
        "/functions",
        "/health",
    ] {
        let shown = api.get(path).await;
        let head = api.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, &*head.text), (200, ""), "{path}");
        for name in ["content-type", "content-length", "cache-control", "etag"] {
            assert_eq!(head.headers.get(name), shown.headers.get(name), "{path}");
        }
    }
}
