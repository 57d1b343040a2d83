//! Submits with an idempotency key.

use serde_json::json;

use super::BUNDLE;

#[tokio::test]
async fn a_replay_answers_with_the_operation_in_its_current_state() {
    let api = BUNDLE.caller("replay");
    let key = [("idempotency-key", "order 1")];
    let quoted = [("idempotency-key", "\"order 1\"")];
    let body = json!({"function": "demo.echo", "arguments": {"a": 1, "b": [2]}});
    let first = api.submit_with(&key, &body).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert!(!first.headers.contains_key("idempotent-replayed"));

    let completed = api.wait_for_status(&first.id(), "completed").await;
    let reordered =
        json!({"arguments": {"b": [2.0], "a": 1}, "function": "demo.echo", "metadata": {"n": 2}});
    let replay = api.submit_with(&quoted, &reordered).await;
    assert_eq!(replay.status, 200, "{}", replay.text);
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.text, completed.text);
    assert_eq!(replay.header("location"), first.header("location"));

    // Another owner's key is another key.
    let other = BUNDLE.caller("replay-other").submit_with(&key, &body).await;
    assert_eq!(other.status, 202);
    assert_ne!(other.id(), first.id());
}
