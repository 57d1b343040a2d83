//! An operation from its submission to its end, as its caller observes it.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::operation::Owner;
use shared::domain::precondition::Preconditions;
use shared::store::EraseOutcome;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::world::World;

#[tokio::test]
async fn numbers_and_member_names_are_returned_exactly_as_sent() {
    let world = World::start().await;
    let exact = concat!(
        r#"{"z":9007199254740993,"a":18446744073709551615,"big":1e400,"#,
        r#""f":1.0e5,"t":1.10,"é":"\u00e9","n":-0}"#
    );
    let body =
        format!(r#"{{ "function" : "demo.echo", "arguments" : {exact}, "metadata" : {exact} }}"#);
    let response = world.request("POST", "/operations", &[], &body).await;
    assert_eq!(response.status, 202, "{}", response.text);
    assert!(
        response.text.contains(&format!(r#""metadata":{exact}"#)),
        "{}",
        response.text
    );
    // The id comes from the header, because the test's JSON parser cannot hold numbers this large.
    let id = response.headers["location"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    world.pump_all().await;
    let shown = world
        .request("GET", &format!("/operations/{id}"), &[], "")
        .await;
    assert!(
        shown.text.contains(&format!(r#""result":{exact}"#)),
        "{}",
        shown.text
    );
    assert!(
        shown.text.contains(&format!(r#""metadata":{exact}"#)),
        "{}",
        shown.text
    );
}

#[tokio::test]
async fn an_operation_has_exactly_these_members() {
    let world = World::start().await;
    let accepted = world
        .submit(json!({"function": "demo.echo", "arguments": {"a": 1}}))
        .await;
    assert_eq!(
        accepted.json,
        json!({
            "id": accepted.json["id"], "function": "demo.echo", "version": "1.0.0",
            "status": "pending", "attempt": 0, "lock_version": 1,
            "created_at": "2027-01-15T08:00:00.000Z", "updated_at": "2027-01-15T08:00:00.000Z",
            "deadline_at": "2027-01-15T09:00:00.000Z", "expires_at": "2027-01-29T09:00:00.000Z",
            "progress": null, "progress_message": null, "progress_updated_at": null,
            "retry_after": {"value": 1, "unit": "second"}, "metadata": {},
        })
    );
    assert_eq!(accepted.headers["retry-after"], "1");
    assert_eq!(accepted.headers["cache-control"], "private, no-cache");
    assert_eq!(accepted.headers["request-id"], "request-1");
    let id = accepted.json["id"].as_str().unwrap();
    assert_eq!(
        accepted.headers["location"],
        format!("http://ferry.example.com/operations/{id}")
    );

    world.clock.advance(Duration::from_secs(5));
    world.pump_all().await;
    let done = world.show(id).await;
    assert_eq!(
        done,
        json!({
            "id": id, "function": "demo.echo", "version": "1.0.0", "status": "completed",
            "attempt": 1, "lock_version": 3,
            "created_at": "2027-01-15T08:00:00.000Z", "updated_at": "2027-01-15T08:00:05.000Z",
            "started_at": "2027-01-15T08:00:05.000Z", "completed_at": "2027-01-15T08:00:05.000Z",
            "deadline_at": "2027-01-15T09:00:00.000Z", "expires_at": "2027-01-16T08:00:05.000Z",
            "progress": 1.0, "progress_message": null,
            "progress_updated_at": "2027-01-15T08:00:05.000Z",
            "attempts": [{
                "number": 1, "outcome": "completed",
                "started_at": "2027-01-15T08:00:05.000Z", "ended_at": "2027-01-15T08:00:05.000Z",
            }],
            "metadata": {}, "result": {"a": 1},
        })
    );
}

#[tokio::test]
async fn an_idempotency_key_names_one_operation_in_every_state() {
    let world = World::start().await;
    let submit = async |key: &str, body: Value| {
        world
            .request(
                "POST",
                "/operations",
                &[("idempotency-key", key)],
                &body.to_string(),
            )
            .await
    };
    let body = json!({
        "function": "demo.echo", "arguments": {"a": 1, "b": [1.0]}, "metadata": {"first": true},
    });
    let first = submit("k", body).await;
    assert!(first.headers["idempotent-replayed"].is_null());

    let same = json!({
        "arguments": {"b": [1], "a": 1.0}, "function": "demo.echo", "metadata": {"first": false},
    });
    let replay = submit("\"k\"", same.clone()).await;
    assert_eq!(
        (replay.status, &replay.headers["idempotent-replayed"]),
        (202, &json!("true"))
    );
    assert_eq!(replay.json, first.json);

    world.pump_all().await;
    let late = submit("k", same).await;
    assert_eq!(
        (late.status, &late.json["status"]),
        (200, &json!("completed"))
    );
    assert!(late.headers["retry-after"].is_null());

    let other = submit("k", json!({"function": "demo.echo", "arguments": {"a": 2}})).await;
    assert_eq!(
        (other.status, &other.json["code"]),
        (409, &json!("IDEMPOTENCY_CONFLICT"))
    );
    // The version as requested is part of the key, and so is the owner.
    let named = submit(
        "k",
        json!({"function": "demo.echo", "version": "1.0.0", "arguments": {"a": 2}}),
    )
    .await;
    assert_eq!(named.status, 202);
    assert_ne!(named.json["id"], first.json["id"]);
    let body = json!({"function": "demo.echo", "arguments": {"a": 2}}).to_string();
    let bobs = world
        .request_of(
            "bob",
            "POST",
            "/operations",
            &[("idempotency-key", "k")],
            body.as_bytes(),
        )
        .await;
    assert_eq!(bobs.status, 202);

    assert_eq!(
        world.drain().await.as_secs() / 3600,
        0,
        "the replays' messages are dropped within the hour"
    );
    assert_eq!(
        world.show(first.json["id"].as_str().unwrap()).await["attempt"],
        1
    );
}

#[tokio::test]
async fn a_cancelled_operation_never_runs_and_stays_cancelled() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.echo"})).await;
    let path = format!(
        "/operations/{}/cancel",
        accepted.json["id"].as_str().unwrap()
    );
    let stale = world
        .request("POST", &path, &[("if-match", "\"1.1.1\"")], "")
        .await;
    assert_eq!(
        (stale.status, &stale.json["code"]),
        (412, &json!("ASYNC_VERSION_CONFLICT"))
    );
    let tag = accepted.headers["etag"].as_str().unwrap();
    let cancelled = world.request("POST", &path, &[("if-match", tag)], "").await;
    assert_eq!(
        (cancelled.status, &cancelled.json["status"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(cancelled.json["cancelled_at"], cancelled.json["updated_at"]);
    assert!(cancelled.json["completed_at"].is_null() && cancelled.json["retry_after"].is_null());
    let again = world.request("POST", &path, &[], "").await;
    assert_eq!((again.status, &again.json), (200, &cancelled.json));
    world.drain().await;
    assert_eq!(
        world.show(cancelled.json["id"].as_str().unwrap()).await,
        cancelled.json
    );
}

#[tokio::test]
async fn an_ended_operation_cannot_be_cancelled_and_an_active_one_cannot_be_erased() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let path = format!("/operations/{}", id.as_str().unwrap());
    let active = world.request("DELETE", &path, &[], "").await;
    assert_eq!(
        (active.status, &active.json["code"]),
        (409, &json!("CONFLICT"))
    );
    world.pump_all().await;
    let ended = world
        .request("POST", &format!("{path}/cancel"), &[], "")
        .await;
    assert_eq!(
        (ended.status, &ended.json["code"]),
        (409, &json!("ASYNC_CANNOT_CANCEL"))
    );
    let erased = world.request("DELETE", &path, &[], "").await;
    assert_eq!((erased.status, erased.text.as_str()), (204, ""));
    assert_eq!(world.request("GET", &path, &[], "").await.status, 404);
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 404);
}

#[tokio::test]
async fn an_erase_leaves_a_tombstone_without_the_callers_data() {
    let world = World::start().await;
    let text = incompressible(2000);
    let body = json!({"function": "demo.echo", "arguments": {"t": text}, "metadata": {"t": text}});
    let id = world.submit(body).await.json["id"].clone();
    world.pump_all().await;
    let path = format!("/operations/{}", id.as_str().unwrap());
    assert_eq!(
        world.show(id.as_str().unwrap()).await["metadata"],
        json!({"t": text})
    );
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    let left = world.dynamodb.scan().table_name("ferry").send().await;
    let [tombstone] = left.unwrap().items.unwrap().try_into().unwrap();
    let mut names: Vec<_> = tombstone.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["create_id", "delete_at", "erased_at", "format", "pk", "sk"]
    );
}

/// As when the clock of the process that erased is ahead: the submit may have started before the
/// erase.
#[tokio::test]
async fn a_submit_that_began_before_the_erase_gets_503_with_retry_after() {
    let world = World::start().await;
    let (body, key) = (r#"{"function":"demo.echo"}"#, [("idempotency-key", "k")]);
    let first = world.request("POST", "/operations", &key, body).await;
    assert_eq!(first.status, 202);
    world.pump_all().await;
    let id = first.json["id"]
        .as_str()
        .unwrap()
        .parse::<OperationId>()
        .unwrap();
    let alice = Owner::new("local", "alice").unwrap();
    let ahead = world.clock.now() + Duration::from_secs(2);
    let erased = world
        .store
        .erase(&id, &alice, &Preconditions::NONE, ahead)
        .await
        .unwrap();
    assert_eq!(erased, EraseOutcome::Erased);

    let refused = world.request("POST", "/operations", &key, body).await;
    assert_eq!(
        (refused.status, &refused.json["code"]),
        (503, &json!("UNAVAILABLE"))
    );
    assert_eq!(refused.headers["retry-after"], "1");
    world.clock.advance(Duration::from_secs(2));
    let accepted = world.request("POST", "/operations", &key, body).await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.json["id"], first.json["id"]);
    world.drain().await;
    assert_eq!(world.show(id.as_str()).await["status"], "completed");
}

#[tokio::test]
async fn another_owners_operation_gets_the_response_of_a_missing_one() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    world.pump_all().await;
    let id = id.as_str().unwrap();
    for (method, verb) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/redeliver"),
    ] {
        let bobs = world
            .request_of("bob", method, &format!("/operations/{id}{verb}"), &[], b"")
            .await;
        let missing = format!("/operations/op_000000000000000000000000{verb}");
        let missing = world.request_of("bob", method, &missing, &[], b"").await;
        assert_eq!(bobs.status, 404);
        assert_eq!(
            (bobs.status, bobs.text, bobs.headers),
            (missing.status, missing.text, missing.headers)
        );
    }
    let list = world
        .request_of("bob", "GET", "/operations", &[], b"")
        .await;
    assert_eq!(list.json, json!({"operations": [], "examined": 0}));
    assert_eq!(world.show(id).await["status"], "completed");
}

#[tokio::test]
async fn a_retryable_error_is_retried_and_a_permanent_one_is_not() {
    let world = World::start().await;
    let arguments = json!({
        "code": "FLAKY", "message": "once more", "retryable": true, "succeed_on_attempt": 2,
    });
    let id = world
        .submit(json!({"function": "demo.fail", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    let id = id.as_str().unwrap();
    assert!(world.pump(QueueKind::Dispatch).await);
    let between = world.show(id).await;
    assert_eq!(
        (&between["status"], &between["attempt"]),
        (&json!("processing"), &json!(1))
    );
    assert!(between["errors"].is_null());
    world.drain().await;
    let done = world.show(id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(2))
    );
    assert_eq!(done["result"], json!({"attempt": 2}));

    let id = world.submit(json!({"function": "demo.fail"})).await.json["id"].clone();
    world.pump_all().await;
    let failed = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(
        failed["errors"],
        json!([{"code": "DEMO_FAILURE", "message": "asked to fail"}])
    );
    assert_eq!(failed["completed_at"], failed["updated_at"]);
}

#[tokio::test]
async fn an_operation_without_attempts_left_fails_with_the_functions_error_first() {
    let world = World::start().await;
    let arguments = json!({"code": "FLAKY", "message": "never", "retryable": true});
    let id = world
        .submit(json!({"function": "demo.fail", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    world.drain().await;
    let failed = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(3))
    );
    assert_eq!(
        failed["errors"],
        json!([
            {"code": "FLAKY", "message": "never"},
            {"code": "ATTEMPTS_EXHAUSTED", "message": "every attempt failed"},
        ])
    );
}

#[tokio::test]
async fn an_operation_that_was_never_claimed_fails_at_its_deadline() {
    let world = World::start().await;
    let id = world
        .submit(json!({"function": "demo.echo", "deadline_seconds": 1}))
        .await
        .json["id"]
        .clone();
    world.clock.advance(Duration::from_secs(1));
    world.pump_all().await;
    let failed = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(0))
    );
    assert_eq!(failed["errors"][0]["code"], "DEADLINE_EXCEEDED");
}
