//! Erases.

use reqwest::Method;
use serde_json::json;

use super::BUNDLE;

#[tokio::test]
async fn an_ended_operation_is_erased_and_its_key_is_free_again() {
    let api = BUNDLE.caller("erase");
    let key = [("idempotency-key", "erased")];
    let body = json!({"function": "demo.echo", "arguments": {"text": "x".repeat(2000)}});
    let id = api.submit_with(&key, &body).await.id();
    api.wait_for_status(&id, "completed").await;
    let path = format!("/operations/{id}");

    let erased = api.send(Method::DELETE, &path, &[], "").await;
    assert_eq!((erased.status, &*erased.text), (204, ""));
    for method in [Method::GET, Method::DELETE] {
        let gone = api.send(method, &path, &[], "").await;
        gone.assert_problem(404, "ASYNC_OPERATION_NOT_FOUND");
    }

    let again = api.submit_with(&key, &body).await;
    assert_eq!((again.status, again.id()), (202, id.clone()));
    assert!(!again.headers.contains_key("idempotent-replayed"));
    let completed = api.wait_for_status(&id, "completed").await;
    assert_eq!(completed.json()["result"], body["arguments"]);
}
