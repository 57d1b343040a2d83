//! Cancels.

use reqwest::Method;
use serde_json::json;

use crate::BUNDLE;

#[tokio::test]
async fn a_running_operation_is_cancelled_and_a_repeated_cancel_answers_the_same() {
    let api = BUNDLE.caller("cancel");
    let id = api.submit_endless().await;
    let running = api.reaches(&id, "processing").await;
    let cancel = format!("/operations/{id}/cancel");

    let cancelled = api
        .send(
            Method::POST,
            &cancel,
            &[("if-match", running.header("etag"))],
            "",
        )
        .await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let operation = cancelled.json();
    assert_eq!(operation["status"], "cancelled");
    assert!(operation["cancelled_at"].is_string());
    assert!(operation.get("completed_at").is_none());

    // A repeated cancel ignores that the version has changed.
    let again = api
        .send(
            Method::POST,
            &cancel,
            &[("if-match", running.header("etag"))],
            "",
        )
        .await;
    assert_eq!((again.status, &again.text), (200, &cancelled.text));
}

#[tokio::test]
async fn a_cancel_of_another_version_changes_nothing() {
    let api = BUNDLE.caller("cancel-version");
    let id = api.submit_endless().await;
    let cancel = format!("/operations/{id}/cancel");
    let other = api
        .send(Method::POST, &cancel, &[("if-match", "\"1.1.1\"")], "")
        .await;
    other.is_problem(412, "ASYNC_VERSION_CONFLICT");
    api.reaches(&id, "processing").await;
    assert_eq!(api.post(&cancel).await.status, 200);
}

#[tokio::test]
async fn a_completed_or_failed_operation_cannot_be_cancelled() {
    let api = BUNDLE.caller("cancel-ended");
    for (function, status) in [("demo.echo", "completed"), ("demo.fail", "failed")] {
        let id = api.submit(&json!({"function": function})).await.id();
        let ended = api.reaches(&id, status).await;
        let refused = api.post(&format!("/operations/{id}/cancel")).await;
        refused.is_problem(409, "ASYNC_CANNOT_CANCEL");
        assert_eq!(api.reaches(&id, status).await.text, ended.text);
    }
}
