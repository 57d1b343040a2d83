//! Cancelling.

use reqwest::Method;
use serde_json::json;

use super::BUNDLE;

#[tokio::test]
async fn a_running_operation_is_cancelled_once_and_for_all() {
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

    // The tag is of another version by now, which a repeated cancel need not care about.
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
