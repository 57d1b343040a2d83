//! Submits with an idempotency key.

use futures_util::future::join_all;
use serde_json::json;

use crate::BUNDLE;

#[tokio::test]
async fn a_replay_answers_with_the_operation_in_its_current_state() {
    let api = BUNDLE.caller("replay");
    let key = [("idempotency-key", "order 1")];
    let quoted = [("idempotency-key", "\"order 1\"")];
    let body = json!({"function": "demo.echo", "arguments": {"a": 1, "b": [2]}});
    let first = api.submit_with(&key, &body).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert!(!first.headers.contains_key("idempotent-replayed"));

    let completed = api.reaches(&first.id(), "completed").await;
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

#[tokio::test]
async fn a_key_used_for_another_request_is_a_conflict() {
    let api = BUNDLE.caller("conflict");
    let key = [("idempotency-key", "order-1")];
    let first = api
        .submit_with(
            &key,
            &json!({"function": "demo.echo", "arguments": {"a": 1}}),
        )
        .await;
    assert_eq!(first.status, 202, "{}", first.text);
    let other = api
        .submit_with(
            &key,
            &json!({"function": "demo.echo", "arguments": {"a": 2}}),
        )
        .await;
    other.is_problem(409, "IDEMPOTENCY_CONFLICT");
    api.reaches(&first.id(), "completed").await;
}

#[tokio::test]
async fn sixteen_concurrent_submits_with_one_key_are_one_operation() {
    let key = [("idempotency-key", "at-once")];
    let body = json!({"function": "demo.echo", "arguments": {"a": 1}});
    // Keeps the bundle running after the last submit.
    let api = BUNDLE.caller("sixteen");
    let submits = (0..16).map(|_| async {
        let answer = BUNDLE.caller("sixteen").submit_with(&key, &body).await;
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text);
        let replayed = answer.headers.contains_key("idempotent-replayed");
        (answer.id(), replayed)
    });
    let answers = join_all(submits).await;
    assert!(answers.iter().all(|(id, _)| *id == answers[0].0));
    let created = answers.iter().filter(|(_, replayed)| !replayed).count();
    assert_eq!(created, 1, "{answers:?}");
    let completed = api.reaches(&answers[0].0, "completed").await;
    assert_eq!(completed.json()["attempt"], 1);
}
