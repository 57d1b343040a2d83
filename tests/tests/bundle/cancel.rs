//! Cancels.

use reqwest::Method;

use super::BUNDLE;

#[tokio::test]
async fn a_running_operation_is_cancelled_and_a_repeated_cancel_answers_the_same() {
    let api = BUNDLE.caller("cancel");
    let id = api.submit_endless().await;
    let running = api.wait_for_status(&id, "processing").await;
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
