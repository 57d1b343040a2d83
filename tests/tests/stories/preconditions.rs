//! `If-Match` and `If-None-Match` on the methods that write (RFC 9110, sections 13.1 and 13.2.2).

use serde_json::json;
use shared::domain::limits::BODY_BYTES_MAX;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::world::World;

/// Headers whose precondition an operation with this tag does not meet.
fn unmet(tag: &str) -> Vec<[(&'static str, String); 1]> {
    [
        ("if-match", "\"1.1.1\"".to_owned()),
        ("if-match", "\"another\"".to_owned()),
        ("if-match", format!("W/{tag}")),
        ("if-match", String::new()),
        (
            "if-match",
            format!("{}.ffffffffffffffff.0\"", tag.split('.').next().unwrap()),
        ),
        ("if-none-match", "*".to_owned()),
        ("if-none-match", tag.to_owned()),
        ("if-none-match", format!("\"x\", W/{tag}")),
    ]
    .into_iter()
    .map(|header| [header])
    .collect()
}

async fn is_refused(world: &World, method: &str, path: &str, tag: &str) {
    for headers in unmet(tag) {
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let refused = world.request(method, path, &headers, "").await;
        let context = format!("{method} {path} {headers:?}: {}", refused.text);
        assert_eq!(refused.status, 412, "{context}");
        assert_eq!(refused.json["code"], "ASYNC_VERSION_CONFLICT", "{context}");
    }
}

#[tokio::test]
async fn an_unmet_precondition_changes_nothing_and_comes_before_other_refusals() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let accepted = world.submit(body).await;
    let path = format!("/operations/{}", accepted.json["id"].as_str().unwrap());
    let (cancel, redeliver) = (format!("{path}/cancel"), format!("{path}/redeliver"));

    // The operation is active, so without an unmet precondition an erase and a redelivery are 409.
    let tag = accepted.headers["etag"].as_str().unwrap().to_owned();
    for (method, path) in [("POST", &cancel), ("DELETE", &path), ("POST", &redeliver)] {
        is_refused(&world, method, path, &tag).await;
    }
    for (method, path) in [("DELETE", &path), ("POST", &redeliver)] {
        let active = world.request(method, path, &[("if-match", &tag)], "").await;
        assert_eq!(active.status, 409, "{}", active.text);
    }

    world.drain().await;
    let ended = world.request("GET", &path, &[], "").await;
    let tag = ended.headers["etag"].as_str().unwrap().to_owned();
    assert_eq!(ended.json["callback"]["status"], "delivered");
    for (method, path) in [("POST", &cancel), ("DELETE", &path), ("POST", &redeliver)] {
        is_refused(&world, method, path, &tag).await;
    }
    assert!(world.queue(QueueKind::Callback).is_empty().await);
    assert_eq!(world.request("GET", &path, &[], "").await.json, ended.json);

    let met = [("if-match", &*tag), ("if-none-match", "\"1.1.1\"")];
    assert_eq!(world.request("POST", &cancel, &met, "").await.status, 409);
    assert_eq!(
        world.request("POST", &redeliver, &met, "").await.status,
        202
    );
    world.drain().await;
    assert_eq!(world.request("DELETE", &path, &met, "").await.status, 204);
    // A missing operation is reported before an unmet precondition.
    for (method, path) in [("POST", &cancel), ("DELETE", &path), ("POST", &redeliver)] {
        let stale = [("if-match", "\"1.1.1\"")];
        assert_eq!(world.request(method, path, &stale, "").await.status, 404);
    }
}

#[tokio::test]
async fn an_unmet_precondition_refuses_a_redrive_before_its_state_does() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.fail"})).await;
    let path = format!("/operations/{}", accepted.json["id"].as_str().unwrap());
    let redrive = format!("{path}/redrive");
    let tag = accepted.headers["etag"].as_str().unwrap();
    is_refused(&world, "POST", &redrive, tag).await;
    let met = [("if-match", tag)];
    let active = world.request("POST", &redrive, &met, "").await;
    assert_eq!(active.status, 409, "{}", active.text);
    world.drain().await;
    let failed = world.request("GET", &path, &[], "").await;
    let tag = failed.headers["etag"].as_str().unwrap();
    is_refused(&world, "POST", &redrive, tag).await;
    let met = [("if-match", tag), ("if-none-match", "\"1.1.1\"")];
    assert_eq!(world.request("POST", &redrive, &met, "").await.status, 202);
    // Of a replay as well.
    is_refused(&world, "POST", &redrive, tag).await;
}

#[tokio::test]
async fn an_absent_operation_and_an_unmet_precondition_refuse_a_redrive_before_its_body_does() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.fail"})).await;
    let of = |id: &str| format!("/operations/{id}/redrive");
    let found = of(accepted.json["id"].as_str().unwrap());
    let absent = of("op_000000000000000000000000");
    let large = " ".repeat(BODY_BYTES_MAX + 1);
    let stale = ("if-match", "\"1.1.1\"");
    for (content_type, body, status) in [
        ("application/json", r#"{"from":"x"}"#, 400),
        ("application/json", "{", 400),
        ("application/json", &large, 413),
        ("text/plain", "{}", 415),
    ] {
        let content_type = ("content-type", content_type);
        let send = async |path, headers: &[_]| {
            let response = world.request("POST", path, headers, body).await;
            response.status
        };
        assert_eq!(send(&found, &[content_type]).await, status, "{body:.20}");
        let (found, absent) = (
            send(&found, &[content_type, stale]).await,
            send(&absent, &[content_type, stale]).await,
        );
        assert_eq!((found, absent), (412, 404), "{body:.20}");
    }
}

#[tokio::test]
async fn every_tag_in_a_list_counts() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.echo"})).await;
    world.drain().await;
    let path = format!("/operations/{}", accepted.json["id"].as_str().unwrap());
    let ended = world.request("GET", &path, &[], "").await;
    let tag = ended.headers["etag"].as_str().unwrap();
    let others: Vec<_> = (10..29).map(|n| format!("\"{n}.1.{n}\"")).collect();
    let most = format!("{}, {tag}", others.join(", "));
    let more = format!("\"9.1.9\", {most}");
    for unmet in [&most, &more] {
        is_unmet(&world, "DELETE", &path, &[("if-none-match", unmet)]).await;
    }
    let active = world.submit(json!({"function": "demo.echo"})).await;
    let cancel = format!("/operations/{}/cancel", active.json["id"].as_str().unwrap());
    let tag = active.headers["etag"].as_str().unwrap();
    let most = format!("{}, {tag}", others.join(", "));
    let none = format!("{}, \"9.1.9\"", others.join(", "));
    is_unmet(&world, "POST", &cancel, &[("if-none-match", &most)]).await;
    // More tags than one DynamoDB condition can hold.
    for header in ["if-match", "if-none-match"] {
        is_unmet(
            &world,
            "POST",
            &cancel,
            &[(header, &format!("\"9.1.9\", {most}"))],
        )
        .await;
    }
    let met = [("if-match", &*most), ("if-none-match", &*none)];
    assert_eq!(world.request("POST", &cancel, &met, "").await.status, 200);
}

async fn is_unmet(world: &World, method: &str, path: &str, headers: &[(&str, &str)]) {
    let refused = world.request(method, path, headers, "").await;
    assert_eq!(refused.status, 412, "{headers:?}: {}", refused.text);
}

/// A caller who did not get the response repeats the cancel with the tag from before it.
#[tokio::test]
async fn a_cancel_may_be_repeated_with_its_original_tag() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.echo"})).await;
    let cancel = format!(
        "/operations/{}/cancel",
        accepted.json["id"].as_str().unwrap()
    );
    let tag = accepted.headers["etag"].as_str().unwrap();
    let first = world
        .request("POST", &cancel, &[("if-match", tag)], "")
        .await;
    assert_eq!(first.status, 200);
    let now = first.headers["etag"].as_str().unwrap();
    for tag in [tag, now, "*"] {
        let again = world
            .request("POST", &cancel, &[("if-match", tag)], "")
            .await;
        assert_eq!((again.status, &again.json), (200, &first.json), "{tag}");
    }
    is_refused(&world, "POST", &cancel, now).await;
}
