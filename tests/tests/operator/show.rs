//! `show`: everything that is stored under an id.

use operator::show::View;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::operation::{Payload, SavedState};
use shared::domain::time::Timestamp;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::Fault;
use tests::world::World;

use super::{AttributeValue, claim_and_vanish, created, get, store, submit, tamper};

async fn show_at(world: &World, id: &OperationId, with_payloads: bool, now: Timestamp) -> Value {
    let inspected = store(world).inspect(id).await.unwrap();
    let view = View::new(id, &inspected, with_payloads, now);
    let text = serde_json::to_string_pretty(&view.unwrap()).unwrap();
    assert!(!text.contains("token=secret"), "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn show(world: &World, id: &OperationId) -> Value {
    show_at(world, id, false, world.clock.now()).await
}

fn with_callback(receiver: &Receiver) -> Value {
    json!({
        "function": "demo.echo",
        "arguments": {"private": "argument"},
        "metadata": {"private": "metadata"},
        "callback_url": receiver.url,
    })
}

#[tokio::test]
async fn it_shows_what_the_owner_sees_and_what_only_the_record_has() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = submit(&world, with_callback(&receiver)).await;
    let pending = show(&world, &id).await;
    let operation = get(&world, &id).await;
    for (pointer, value) in [
        ("/id", json!(id.as_str())),
        ("/record", json!("operation")),
        ("/owner", json!("local:alice")),
        ("/create_id", json!(operation.create_id.as_str())),
        ("/format", json!(1)),
        ("/expired", json!(false)),
        ("/operation/status", json!("pending")),
        ("/operation/lock_version", json!(1)),
        ("/internal/availability", json!("claimable")),
        ("/internal/attempts_max", json!(3)),
        ("/internal/idempotent", json!(false)),
        ("/internal/callback/attempts_made", json!(0)),
        (
            "/internal/callback/webhook_id",
            json!(operation.webhook_id()),
        ),
        ("/payload_items", json!([])),
    ] {
        assert_eq!(pending.pointer(pointer), Some(&value), "{pointer}");
    }
    let url = pending["operation"]["callback"]["url"].as_str().unwrap();
    assert!(url.ends_with("/hook?REDACTED"), "{url}");

    claim_and_vanish(&world, &id).await;
    let held = show(&world, &id).await;
    assert_eq!(held["internal"]["availability"], "busy");
    assert_eq!(held["internal"]["lease_until"], "2027-01-15T08:01:00.000Z");
    assert!(held["internal"]["claim_id"].is_string());

    receiver.answer_next([(503, None)]);
    world.clock.advance(super::LEASE);
    world.pump_all().await;
    let ended = show(&world, &id).await;
    assert_eq!(ended["operation"]["status"], "completed");
    assert_eq!(
        ended["operation"]["callback"]["attempts"][0]["status_code"],
        503
    );
    assert_eq!(ended["internal"]["callback"]["attempts_made"], 1);
    assert!(ended["internal"]["callback"]["next_attempt_at"].is_string());
    assert!(ended["internal"]["lease_until"].is_null());
    assert!(!ended.to_string().contains("private"));
}

#[tokio::test]
async fn start_wake_up_attempts_and_the_size_of_the_saved_state_are_shown() {
    let world = World::start().await;
    let later = json!({"function": "demo.echo", "start_after_seconds": 3600});
    let later = submit(&world, later).await;
    let shown = show(&world, &later).await;
    let starts_at = "2027-01-15T09:00:00.000Z";
    assert_eq!(shown["operation"]["starts_at"], starts_at);
    assert_eq!(shown["internal"]["availability"], "busy");
    assert_eq!(shown["internal"]["lease_until"], starts_at);
    assert!(shown["internal"]["saved_state"].is_null());

    let arguments = json!({"legs": 2, "wait_seconds": 3000});
    let sleeping = submit(
        &world,
        json!({"function": "demo.long", "arguments": arguments}),
    )
    .await;
    world.pump_all().await;
    let shown = show(&world, &sleeping).await;
    let (at, resumes_at) = ("2027-01-15T08:00:00.000Z", "2027-01-15T08:50:00.000Z");
    let continued = json!([
        {"number": 1, "started_at": at, "ended_at": at, "outcome": "continued"},
    ]);
    assert_eq!(shown["operation"]["attempts"], continued);
    assert_eq!(shown["operation"]["resumes_at"], resumes_at);
    assert_eq!(shown["internal"]["lease_until"], resumes_at);
    let state = json!({"legs_done": 1});
    let bytes = state.to_string().len();
    let saved = json!({"attempt": 1, "bytes": bytes});
    assert_eq!(shown["internal"]["saved_state"], saved);
    assert!(!shown.to_string().contains("legs_done"));
    let shown = show_at(&world, &sleeping, true, world.clock.now()).await;
    assert_eq!(shown["state"], state);
}

/// A redrive has the hash of a replay as well, and its id follows from the failed operation's.
#[tokio::test]
async fn only_an_operation_with_a_key_is_shown_as_idempotent() {
    let world = World::start().await;
    let key = [("idempotency-key", "k")];
    let body = json!({"function": "demo.fail"}).to_string();
    let keyed = world.request("POST", "/operations", &key, &body).await;
    world.drain().await;
    let keyed = keyed.json["id"].as_str().unwrap();
    let path = format!("/operations/{keyed}/redrive");
    let redrive = world.request("POST", &path, &[], "").await;
    let redrive = redrive.json["id"].as_str().unwrap();
    for (id, idempotent) in [(keyed, true), (redrive, false)] {
        let shown = show(&world, &id.parse().unwrap()).await;
        assert_eq!(shown["internal"]["idempotent"], idempotent);
    }
}

#[tokio::test]
async fn a_saved_state_in_an_item_has_its_size_until_the_item_is_lost() {
    let world = World::start().await;
    let state = incompressible(3000);
    let redrive = created(&world, 1, |operation| {
        operation.saved_state = Some(SavedState {
            attempt: 0,
            value: Payload::Inline(Json::of(&state).unwrap()),
        });
    })
    .await;
    let shown = show_at(&world, &redrive.id, true, world.clock.now()).await;
    let saved = |bytes: Option<usize>| json!({"attempt": 0, "bytes": bytes});
    assert_eq!(shown["internal"]["saved_state"], saved(Some(3002)));
    assert_eq!(shown["state"], json!(state));
    let item = shown["payload_items"][0]["key"].as_str().unwrap();

    world.delete_item(redrive.id.as_str(), item).await;
    let shown = show(&world, &redrive.id).await;
    assert_eq!(shown["internal"]["saved_state"], saved(None));
}

#[tokio::test]
async fn payloads_are_shown_on_request_whether_inline_or_external() {
    let world = World::start().await;
    for text in ["short".to_owned(), incompressible(3000)] {
        let arguments = json!({"text": text});
        let body = json!({"function": "demo.echo", "arguments": arguments, "metadata": {"n": 1}});
        let id = submit(&world, body).await;
        world.drain().await;
        let now = world.clock.now();
        let hidden = show_at(&world, &id, false, now).await;
        assert!(!hidden.to_string().contains(&text));
        let items = if text.len() > 1000 { 2 } else { 0 };
        assert_eq!(hidden["payload_items"].as_array().unwrap().len(), items);
        let shown = show_at(&world, &id, true, now).await;
        assert_eq!(shown["arguments"], arguments);
        assert_eq!(shown["metadata"], json!({"n": 1}));
        assert_eq!(shown["result"], arguments);
    }
}

#[tokio::test]
async fn expired_half_erased_and_erased_operations_are_shown() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = submit(&world, with_callback(&receiver)).await;
    world.drain().await;

    let expires_at = get(&world, &id).await.expires_at;
    let expired = show_at(&world, &id, false, expires_at).await;
    assert_eq!(expired["expired"], true);
    assert_eq!(expired["operation"]["status"], "completed");

    let path = format!("/operations/{id}");
    world.wire.reset();
    world.wire.plan([(2, Fault::AccessDenied)]);
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 503);
    world.wire.plan([]);
    let half_erased = show(&world, &id).await;
    assert_eq!(half_erased["record"], "operation");
    assert_eq!(half_erased["owner"], "local:alice");
    assert!(half_erased["erased_at"].is_string());

    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    let tombstone = show(&world, &id).await;
    assert_eq!(tombstone["record"], "tombstone");
    assert!(tombstone["erased_at"].is_string() && tombstone["create_id"].is_string());
    assert!(tombstone["owner"].is_null() && tombstone["operation"].is_null());
}

#[tokio::test]
async fn an_unreadable_record_is_shown_as_far_as_it_can_be_read() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    for (name, value, problem) in [
        (
            "status",
            AttributeValue::S("asleep".into()),
            "corrupt at status",
        ),
        (
            "attempt",
            AttributeValue::S("one".into()),
            "corrupt at attempt",
        ),
        (
            "format",
            AttributeValue::N("3".into()),
            "the newer format 3",
        ),
    ] {
        let id = submit(&world, with_callback(&receiver)).await;
        tamper(&world, &id, name, value).await;
        let shown = show_at(&world, &id, true, world.clock.now()).await;
        assert_eq!(shown["record"], "unreadable");
        let reason = shown["problem"].as_str().unwrap();
        assert!(reason.ends_with(problem), "{reason}");
        assert_eq!(shown["attributes"]["owner"], "local:alice");
        assert!(!shown.to_string().contains("private"));
    }
    // Their dispatch messages are still in the queue.
    assert_eq!(world.queue(QueueKind::Dispatch).len().await, 3);
}

#[tokio::test]
async fn an_id_under_which_nothing_is_stored_has_no_view() {
    let world = World::start().await;
    let id = OperationId::from_bytes([0; 12]);
    let inspected = store(&world).inspect(&id).await.unwrap();
    assert!(View::new(&id, &inspected, true, world.clock.now()).is_none());
}
