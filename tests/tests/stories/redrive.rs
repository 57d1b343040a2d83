//! Redrives: a failed operation runs again, as a new one.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::attempt::Continuation;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Payload};
use shared::store::FinishOutcome;
use tests::logs::Logged;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::Fault;
use tests::world::{Response, World};

use super::messages::{MINUTE, claim_and_vanish, codes};

const MARGIN: Duration = Duration::from_secs(15 * 60);

async fn submit(world: &World, body: Value) -> String {
    id(&world.submit(body).await)
}

fn id(response: &Response) -> String {
    response.json["id"].as_str().unwrap().to_owned()
}

async fn redrive(world: &World, id: &str, body: &str) -> Response {
    let path = format!("/operations/{id}/redrive");
    world.request("POST", &path, &[], body).await
}

/// Redrives, and expects a new operation.
async fn redriven(world: &World, of: &str, body: &str) -> Response {
    let response = redrive(world, of, body).await;
    assert_eq!(response.status, 202, "{}", response.text);
    assert!(response.headers["idempotent-replayed"].is_null());
    assert_eq!(response.json["redrive_of"], of);
    response
}

async fn read(world: &World, id: &str) -> Operation {
    let (id, now) = (id.parse::<OperationId>().unwrap(), world.clock.now());
    world.store.get(&id, now).await.unwrap().unwrap()
}

/// Lets the workers of an operation's next attempts die until it fails.
async fn fail(world: &World, id: &str) {
    for _ in 0..3 {
        claim_and_vanish(world, id).await;
        world.clock.advance(MINUTE);
    }
    world.drain().await;
    assert_eq!(codes(&world.show(id).await), ["WORKER_LOST"]);
}

/// An operation of three legs that failed in its second one.
async fn failed_in_its_second_leg(world: &World) -> String {
    let body = json!({"function": "demo.long", "arguments": {"legs": 3}});
    let id = submit(world, body).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    fail(world, &id).await;
    id
}

/// The same, with a state that does not fit the head.
async fn failed_with_a_large_state(world: &World) -> String {
    let body = json!({"function": "demo.long", "arguments": {"legs": 3}});
    let id = submit(world, body).await;
    let (held, now) = (claim_and_vanish(world, &id).await, world.clock.now());
    let state = json!({"legs_done": 1, "text": incompressible(2000)});
    let continuation = Continuation {
        state: Json::of(&state).unwrap(),
        resumes_at: now,
        attempts_max: 4,
    };
    let continued = world.store.continue_from(&held, &continuation, now).await;
    assert!(matches!(continued, Ok(FinishOutcome::Written(_))));
    fail(world, &id).await;
    id
}

/// The sort keys of an operation's payload items.
async fn payload_items(world: &World, id: &str) -> Vec<String> {
    let id = id.parse::<OperationId>().unwrap();
    let items = world.store.inspect(&id).await.unwrap().payloads;
    items.into_iter().map(|item| item.key).collect()
}

async fn set(world: &World, id: &str, attribute: &str, text: &str) {
    let update = world.dynamodb.update_item().table_name("ferry");
    let update = update
        .key("pk", AttributeValue::S(id.to_owned()))
        .key("sk", AttributeValue::S("head".to_owned()))
        .update_expression("SET #attribute = :value")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", AttributeValue::S(text.to_owned()));
    update.send().await.unwrap();
}

#[tokio::test]
async fn a_failed_operation_runs_again_as_a_new_one_and_stays_as_it_is() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let body = json!({
        "function": "demo.echo", "arguments": {"n": 1}, "metadata": {"order": 17},
        "callback_url": receiver.url, "callback_events": ["completed", "failed"],
        "deadline_seconds": 1800,
    });
    let failed = submit(&world, body).await;
    fail(&world, &failed).await;
    let before = world.show(&failed).await;

    let accepted = redriven(&world, &failed, "").await;
    let redrive = id(&accepted);
    assert_ne!(redrive, failed);
    let location = accepted.headers["location"].as_str().unwrap();
    assert!(location.ends_with(&format!("/operations/{redrive}")));
    for (member, expected) in [
        ("status", json!("pending")),
        ("attempt", json!(0)),
        ("metadata", json!({"order": 17})),
        ("version", json!("1.0.0")),
    ] {
        assert_eq!(accepted.json[member], expected, "{member}");
    }
    let events = &accepted.json["callback"]["events"];
    assert_eq!(events, &json!(["completed", "failed"]));
    let stored = read(&world, &redrive).await;
    let deadline = stored.deadline_at.since(stored.created_at);
    assert_eq!(deadline, Duration::from_secs(1800));

    world.drain().await;
    let done = world.show(&redrive).await;
    assert_eq!(
        (&done["status"], &done["result"], &done["redrive_of"]),
        (&json!("completed"), &json!({"n": 1}), &json!(failed))
    );
    assert_eq!(world.show(&failed).await, before);
    let list = world.request("GET", "/operations", &[], "").await.json;
    assert_eq!(list["operations"][0]["redrive_of"], failed);
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn work_continues_from_the_last_state_or_begins_again_from_the_start() {
    for (body, attempts) in [
        ("", 2),
        (r#"{"from":"state"}"#, 2),
        (r#"{"from":"start"}"#, 3),
    ] {
        let world = World::start().await;
        let failed = failed_in_its_second_leg(&world).await;
        let redrive = id(&redriven(&world, &failed, body).await);
        world.drain().await;
        let done = world.show(&redrive).await;
        assert_eq!(
            (&done["result"], &done["attempt"]),
            (&json!({"legs": 3}), &json!(attempts)),
            "{body}"
        );
        assert!(read(&world, &failed).await.saved_state.is_some());
    }
}

/// A release that knows no states would begin the work again; one without a redrive's members runs
/// a redrive from the start as any other operation.
#[tokio::test]
async fn a_redrive_has_the_next_format_only_with_a_state() {
    for (body, format) in [("", "2"), (r#"{"from":"start"}"#, "1")] {
        let world = World::start().await;
        let failed = failed_in_its_second_leg(&world).await;
        let redrive = id(&redriven(&world, &failed, body).await);
        let get = world.dynamodb.get_item().table_name("ferry");
        let get = get
            .key("pk", AttributeValue::S(redrive))
            .key("sk", AttributeValue::S("head".to_owned()));
        let head = get.send().await.unwrap().item.unwrap();
        assert_eq!(head["format"].as_n().unwrap(), format);
    }
}

#[tokio::test]
async fn an_external_state_is_copied_and_erased_with_the_redrive() {
    let world = World::start().await;
    let failed = failed_with_a_large_state(&world).await;
    let old = read(&world, &failed).await;
    assert_eq!(old.saved_state.unwrap().value, Payload::External);
    let redrive = id(&redriven(&world, &failed, "").await);
    let new = read(&world, &redrive).await;
    let copied = format!("state#{}#0", new.create_id.as_str());
    assert_eq!(new.saved_state.unwrap().attempt, 0);
    assert!(payload_items(&world, &redrive).await.contains(&copied));
    world.drain().await;
    assert_eq!(world.show(&redrive).await["result"], json!({"legs": 3}));
    let path = format!("/operations/{redrive}");
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    assert!(payload_items(&world, &redrive).await.is_empty());
}

#[tokio::test]
async fn a_repeated_redrive_gets_the_first_one_as_it_is_now() {
    let world = World::start().await;
    let failed = failed_in_its_second_leg(&world).await;
    let first = redriven(&world, &failed, "").await;
    // By default it continues from the state; times are ignored.
    for body in [
        "",
        r#"{"from":"state"}"#,
        r#"{"deadline_seconds":5,"ttl_seconds":60}"#,
    ] {
        let again = redrive(&world, &failed, body).await;
        assert_eq!((again.status, &again.json), (202, &first.json), "{body}");
        assert_eq!(again.headers["idempotent-replayed"], "true");
    }
    let other = redrive(&world, &failed, r#"{"from":"start"}"#).await;
    assert_eq!(
        (other.status, &other.json["code"]),
        (409, &json!("IDEMPOTENCY_CONFLICT"))
    );
    assert!(other.text.contains(&id(&first)), "{}", other.text);
    world.drain().await;
    let ended = redrive(&world, &failed, "").await;
    assert_eq!(
        (
            ended.status,
            &ended.json["status"],
            &ended.headers["idempotent-replayed"]
        ),
        (200, &json!("completed"), &json!("true"))
    );
    let other = redrive(&world, &failed, r#"{"from":"start"}"#).await;
    assert_eq!(other.status, 409, "the state is gone, and the hash is not");
}

#[tokio::test]
async fn the_log_line_of_a_repeated_redrive_names_the_first_one() {
    let world = World::start().await;
    let failed = failed_in_its_second_leg(&world).await;
    let first = id(&redriven(&world, &failed, "").await);
    let logged = Logged::start();
    for (body, outcome) in [("", "replayed"), (r#"{"from":"start"}"#, "conflict")] {
        redrive(&world, &failed, body).await;
        let lines = logged.take();
        let submitted = format!("operation_id={first}}}: submitted ");
        let [line] = lines
            .iter()
            .filter(|line| line.contains(&submitted))
            .collect::<Vec<_>>()[..]
        else {
            panic!("{lines:?}");
        };
        assert!(line.contains(outcome), "{line}");
    }
}

#[tokio::test]
async fn two_redrives_at_once_create_one_operation() {
    for (bodies, status) in [
        (["", ""], 202),
        ([r#"{"from":"start"}"#, r#"{"from":"state"}"#], 409),
    ] {
        let world = World::start().await;
        let failed = failed_in_its_second_leg(&world).await;
        world.wire.plan([]);
        // Two reads and the message come before the create.
        let [delayed, other] = bodies.map(|body| redrive(&world, &failed, body));
        let (delayed, created) = world.wire.delay(3, delayed, other).await;
        assert_eq!(created.status, 202, "{}", created.text);
        assert!(created.headers["idempotent-replayed"].is_null());
        assert_eq!(delayed.status, status, "{}", delayed.text);
        world.drain().await;
        let list = world.request("GET", "/operations", &[], "").await.json;
        assert_eq!(list["operations"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_crash_between_message_and_record_leaves_nothing_that_a_repeat_does_not_recover() {
    let world = World::start().await;
    let failed = failed_in_its_second_leg(&world).await;
    world.wire.plan([(3, Fault::CrashBefore)]);
    let crashed = redrive(&world, &failed, "");
    assert!(world.wire.process(&world.clock, crashed).await.is_none());
    assert_eq!(world.queue(QueueKind::Dispatch).len().await, 1);
    let redrive = id(&redriven(&world, &failed, "").await);
    // The first message names another incarnation, and is dropped.
    world.drain().await;
    let done = world.show(&redrive).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(2))
    );
}

/// The response of the create is lost, so the SDK repeats it and finds its own record.
#[tokio::test]
async fn a_lost_response_to_the_create_is_not_a_replay() {
    let world = World::start().await;
    let failed = failed_in_its_second_leg(&world).await;
    world.wire.plan([(3, Fault::Lost)]);
    redriven(&world, &failed, "").await;
}

#[tokio::test]
async fn a_failed_redrive_is_redriven_itself() {
    let world = World::start().await;
    let failed = failed_in_its_second_leg(&world).await;
    // It fails in its first leg, with the state that it brought along.
    let second = id(&redriven(&world, &failed, "").await);
    fail(&world, &second).await;
    // It takes a leg, and fails with that state.
    let third = id(&redriven(&world, &second, "").await);
    assert!(world.pump(QueueKind::Dispatch).await);
    fail(&world, &third).await;
    let fourth = id(&redriven(&world, &third, "").await);
    world.drain().await;
    let done = world.show(&fourth).await;
    assert_eq!(
        (&done["result"], &done["attempt"]),
        (&json!({"legs": 3}), &json!(1))
    );
    let replay = redrive(&world, &failed, "").await;
    assert_eq!(id(&replay), second);
    assert_eq!(replay.json["status"], "failed");
}

#[tokio::test]
async fn only_a_failed_operation_is_redriven() {
    let world = World::start().await;
    let pending = submit(&world, json!({"function": "demo.echo"})).await;
    let processing = submit(&world, json!({"function": "demo.echo"})).await;
    claim_and_vanish(&world, &processing).await;
    let cancelled = submit(&world, json!({"function": "demo.echo"})).await;
    let path = format!("/operations/{cancelled}/cancel");
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    for (id, status) in [
        (&pending, "pending"),
        (&processing, "processing"),
        (&cancelled, "cancelled"),
    ] {
        refused(&world, id, "", 409, "CONFLICT", status).await;
    }
    world.clock.advance(MINUTE);
    world.drain().await;
    refused(&world, &pending, "", 409, "CONFLICT", "completed").await;
}

/// A refusal that sends and writes nothing, and has this in its detail.
async fn refused(world: &World, id: &str, body: &str, status: u16, code: &str, detail: &str) {
    world.wire.reset();
    let response = redrive(world, id, body).await;
    assert_eq!(
        (response.status, &response.json["code"]),
        (status, &json!(code)),
        "{}",
        response.text
    );
    let found = response.json["detail"].as_str().unwrap();
    assert!(found.contains(detail), "{found}");
    let calls = world.wire.calls();
    assert!(calls.iter().all(|call| call == "GetItem"), "{calls:?}");
}

#[tokio::test]
async fn a_foreign_an_erased_and_an_expired_operation_are_absent() {
    let world = World::start().await;
    let body = json!({"function": "demo.fail", "ttl_seconds": 60});
    let failed = submit(&world, body.clone()).await;
    world.drain().await;
    let path = format!("/operations/{failed}/redrive");
    let foreign = world.request_of("bob", "POST", &path, &[], b"").await;
    assert_eq!(foreign.json["code"], "ASYNC_OPERATION_NOT_FOUND");
    let absent = "ASYNC_OPERATION_NOT_FOUND";
    refused(
        &world,
        "op_000000000000000000000000",
        "",
        404,
        absent,
        "no such",
    )
    .await;
    world.clock.advance(Duration::from_secs(61));
    refused(&world, &failed, "", 404, absent, "no such").await;
    let erased = submit(&world, body).await;
    world.drain().await;
    let path = format!("/operations/{erased}");
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    refused(&world, &erased, "", 404, absent, "no such").await;
}

#[tokio::test]
async fn a_redrive_from_a_state_needs_one() {
    let world = World::start().await;
    let failed = submit(&world, json!({"function": "demo.fail"})).await;
    world.drain().await;
    let from_state = r#"{"from":"state"}"#;
    refused(
        &world,
        &failed,
        from_state,
        409,
        "CONFLICT",
        "saved no state",
    )
    .await;
    let response = redrive(&world, &failed, from_state).await;
    assert_eq!(response.json["errors"][0]["pointer"], "/from");
    redriven(&world, &failed, r#"{"from":"start"}"#).await;
}

#[tokio::test]
async fn missing_arguments_or_a_missing_state_are_a_conflict_and_a_replay_needs_neither() {
    let world = World::start().await;
    let failed = failed_with_a_large_state(&world).await;
    for item in payload_items(&world, &failed).await {
        if item.starts_with("state#") {
            world.delete_item(&failed, &item).await;
        }
    }
    refused(&world, &failed, "", 409, "CONFLICT", "state").await;
    let redrive = id(&redriven(&world, &failed, r#"{"from":"start"}"#).await);
    world.drain().await;
    assert_eq!(world.show(&redrive).await["result"], json!({"legs": 3}));

    let body = json!({"function": "demo.fail", "arguments": {"message": incompressible(900)}});
    let failed = submit(&world, body.clone()).await;
    let redriven_before = submit(&world, body).await;
    world.drain().await;
    redriven(&world, &redriven_before, "").await;
    for id in [&failed, &redriven_before] {
        for item in payload_items(&world, id).await {
            world.delete_item(id, &item).await;
        }
    }
    refused(&world, &failed, "", 409, "CONFLICT", "arguments").await;
    let replay = self::redrive(&world, &redriven_before, "").await;
    assert_eq!(replay.headers["idempotent-replayed"], "true");
}

/// The head is read, and then the operation and its payload items are erased.
#[tokio::test]
async fn an_operation_that_is_erased_while_it_is_redriven_is_absent() {
    let world = World::start().await;
    let body = json!({"function": "demo.fail", "arguments": {"message": incompressible(900)}});
    let failed = submit(&world, body).await;
    world.drain().await;
    let path = format!("/operations/{failed}");
    world.wire.plan([]);
    let erase = world.request("DELETE", &path, &[], "");
    let redrive = redrive(&world, &failed, "");
    let (redriven, erased) = world.wire.delay(2, redrive, erase).await;
    assert_eq!(erased.status, 204);
    assert_eq!(redriven.json["code"], "ASYNC_OPERATION_NOT_FOUND");
    assert!(world.queue(QueueKind::Dispatch).is_empty().await);
}

#[tokio::test]
async fn a_function_or_version_that_is_gone_is_not_found() {
    let world = World::start().await;
    for (attribute, value, code) in [
        ("function_version", "9.0.0", "VERSION_NOT_FOUND"),
        ("function", "demo.gone", "FUNCTION_NOT_FOUND"),
    ] {
        let failed = submit(&world, json!({"function": "demo.fail"})).await;
        world.drain().await;
        set(&world, &failed, attribute, value).await;
        refused(&world, &failed, "", 404, code, "there is no").await;
    }
}

#[tokio::test]
async fn a_stored_version_that_is_none_is_an_internal_error() {
    let world = World::start().await;
    let failed = submit(&world, json!({"function": "demo.fail"})).await;
    world.drain().await;
    set(&world, &failed, "function_version", "newest").await;
    refused(&world, &failed, "", 500, "INTERNAL_ERROR", "").await;
}

#[tokio::test]
async fn arguments_and_callback_are_checked_as_a_submits() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    for (attribute, value, pointer) in [
        ("arguments", r#"{"mode":"other"}"#, "/arguments/mode"),
        ("callback_url", "http://10.0.0.1/", "/callback_url"),
    ] {
        let body = json!({"function": "demo.fail", "callback_url": receiver.url});
        let failed = submit(&world, body).await;
        world.drain().await;
        set(&world, &failed, attribute, value).await;
        refused(&world, &failed, "", 400, "INVALID_ARGUMENTS", pointer).await;
    }
}

#[tokio::test]
async fn a_redrive_is_kept_longer_than_the_operation_it_came_from() {
    for (body, redrive_ttl) in [("", 3600), (r#"{"ttl_seconds":60}"#, 60)] {
        let world = World::start().await;
        let submitted = json!({"function": "demo.fail", "ttl_seconds": 3600});
        let failed = submit(&world, submitted).await;
        world.drain().await;
        let old = read(&world, &failed).await;
        let redrive = id(&redriven(&world, &failed, body).await);
        let path = format!("/operations/{redrive}/cancel");
        assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
        let new = read(&world, &redrive).await;
        assert!(new.retention_secs >= redrive_ttl);
        let longer = new.expires_at.since(old.expires_at);
        assert!(longer >= MARGIN && longer < MARGIN + MINUTE, "{longer:?}");
        // To the last moment, a repeat is a replay.
        let last = old.expires_at - Duration::from_millis(1);
        world.clock.advance(last.since(world.clock.now()));
        let replay = self::redrive(&world, &failed, "").await;
        assert_eq!((replay.status, id(&replay)), (200, redrive));
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(self::redrive(&world, &failed, "").await.status, 404);
    }
}

/// Otherwise the redrive would expire first, and a repeated request would run the work again.
#[tokio::test]
async fn a_redelivery_does_not_let_an_operation_be_redriven_for_longer() {
    let receiver = Receiver::start().await;
    let world = World::start().await;
    let body = json!({"function": "demo.fail", "callback_url": receiver.url});
    let [failed, untried] = [
        submit(&world, body.clone()).await,
        submit(&world, body).await,
    ];
    world.drain().await;
    let redrive = id(&redriven(&world, &failed, "").await);
    world.drain().await;
    let kept = read(&world, &failed).await;
    let last = kept.retained_until().unwrap() - Duration::from_secs(1);
    world.clock.advance(last.since(world.clock.now()));
    for id in [&failed, &untried] {
        let path = format!("/operations/{id}/redeliver");
        assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    }
    world.drain().await;
    world.clock.advance(Duration::from_secs(1));
    // While the redrive can be read, a repeated request gets it.
    let replay = self::redrive(&world, &failed, "").await;
    assert_eq!((replay.status, id(&replay)), (200, redrive));
    refused(&world, &untried, "", 409, "CONFLICT", "callback only").await;
    world.clock.advance(Duration::from_secs(86_400));
    refused(&world, &failed, "", 409, "CONFLICT", "callback only").await;
}

#[tokio::test]
async fn deadline_and_ttl_are_the_old_ones_unless_named() {
    for (body, deadline_secs, ttl_secs) in [
        ("", 100, 7200),
        (r#"{"deadline_seconds":5,"ttl_seconds":100000}"#, 5, 100_000),
    ] {
        let world = World::start().await;
        let failed = submit(
            &world,
            json!({"function": "demo.fail", "deadline_seconds": 100, "ttl_seconds": 7200}),
        )
        .await;
        world.drain().await;
        world.clock.advance(Duration::from_secs(3600));
        let redrive = id(&redriven(&world, &failed, body).await);
        let new = read(&world, &redrive).await;
        assert_eq!(
            (
                new.deadline_at.since(new.created_at).as_secs(),
                new.retention_secs
            ),
            (deadline_secs, ttl_secs)
        );
    }
}

#[tokio::test]
async fn after_an_erase_of_the_redrive_the_operation_is_redriven_again() {
    let world = World::start().await;
    let failed = submit(&world, json!({"function": "demo.fail"})).await;
    world.drain().await;
    let first = redriven(&world, &failed, "").await;
    world.drain().await;
    let path = format!("/operations/{}", id(&first));
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    world.clock.advance(Duration::from_secs(1));
    let second = redriven(&world, &failed, "").await;
    assert_eq!(id(&second), id(&first));
    world.drain().await;
    assert_eq!(world.show(&id(&second)).await["status"], "failed");
}

/// Redrives until the request is answered, and not with a server error, as a caller does.
async fn redrive_until_answered(world: &World, id: &str) -> Response {
    for _ in 0..12 {
        let request = redrive(world, id, "");
        match Box::pin(world.wire.process(&world.clock, request)).await {
            Some(response) if response.status < 500 => return response,
            _ => world.clock.advance(Duration::from_secs(1)),
        }
    }
    panic!("the redrive is never answered");
}

#[tokio::test]
async fn every_single_fault_of_a_redrive_leaves_one_redrive_that_ends() {
    let world = World::start().await;
    // Two reads, one of the arguments, the message and the copy, and the create.
    for (n, fault) in (0..6).flat_map(|n| Fault::ALL.map(|fault| (n, fault))) {
        let body = json!({"function": "demo.fail", "arguments": {"message": incompressible(900)}});
        let failed = submit(&world, body).await;
        world.drain().await;
        let before = world.show(&failed).await;
        world.wire.reset();
        world.wire.plan([(n, fault)]);
        let redrive = redrive_until_answered(&world, &failed).await;
        assert_eq!(redrive.status, 202, "{n} {fault:?}: {}", redrive.text);
        assert_eq!(world.wire.unconditional_writes(), 0);
        world.wire.plan([]);
        world.drain().await;
        let ended = world.show(&id(&redrive)).await;
        assert_eq!(
            (&ended["status"], &ended["attempt"], &ended["redrive_of"]),
            (&json!("failed"), &json!(1), &json!(failed)),
            "{n} {fault:?}"
        );
        assert_eq!(world.show(&failed).await, before, "{n} {fault:?}");
        for kind in QueueKind::ALL {
            assert!(world.queue(kind).is_empty().await, "{n} {fault:?}");
        }
    }
}
