//! How the worker handles a dispatch message, by the record that it finds.

use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::{ClaimId, CreateId, OperationId};
use shared::domain::operation::Operation;
use shared::queue::{Dispatch, Message as _};
use shared::store::{ClaimOutcome, Draft, Held};
use tests::logs::Logged;
use tests::queues::QueueKind;
use tests::world::World;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// The message that a submit of this operation sends.
pub(super) fn message_of(operation: &Operation) -> String {
    Dispatch {
        operation_id: operation.id.clone(),
        create_id: operation.create_id.clone(),
        function: operation.function.clone(),
        function_version: operation.function_version.clone(),
        read_first: false,
        group: None,
    }
    .to_body()
}

/// Creates the record and the message that a submit of this operation leaves.
pub(super) async fn leave_submitted(world: &World, operation: &Operation) {
    let now = world.clock.now();
    let draft = Draft::new(operation);
    world.store.create(&draft, now).await.unwrap();
    let queue = world.queue(QueueKind::Dispatch);
    queue.send(&message_of(operation)).await;
}

pub(super) fn message(operation_id: &str, create_id: CreateId) -> String {
    Dispatch {
        operation_id: operation_id.parse::<OperationId>().unwrap(),
        create_id,
        function: "demo.echo".into(),
        function_version: "1.0.0".into(),
        read_first: false,
        group: None,
    }
    .to_body()
}

pub(super) fn message_without_record() -> String {
    message("op_000000000000000000000000", CreateId::from_bytes([1; 16]))
}

pub(super) async fn create_id(world: &World, id: &str) -> CreateId {
    use shared::clock::Clock as _;
    let id = id.parse::<OperationId>().unwrap();
    world
        .store
        .get(&id, world.clock.now())
        .await
        .unwrap()
        .unwrap()
        .create_id
}

/// Claims an operation as a worker that then dies.
pub(super) async fn claim_and_vanish(world: &World, id: &str) -> Box<Held> {
    use shared::clock::Clock as _;
    let create_id = create_id(world, id).await;
    let (id, claim_id) = (
        id.parse::<OperationId>().unwrap(),
        ClaimId::from_bytes([9; 16]),
    );
    let claimed = world
        .store
        .claim(&id, &create_id, claim_id, MINUTE, world.clock.now())
        .await
        .unwrap();
    match claimed {
        ClaimOutcome::Held(held) => held,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_without_a_record_is_returned_with_backoff_and_dropped_after_15_minutes() {
    let world = World::start().await;
    let queue = world.queue(QueueKind::Dispatch);
    queue.send(&message_without_record()).await;
    let mut waits = Vec::new();
    let mut waited = 0;
    let dead_letters = world.queue(QueueKind::DispatchDeadLetter);
    loop {
        if world.pump(QueueKind::Dispatch).await {
            waits.push(waited);
            waited = 0;
            if queue.is_empty().await {
                break;
            }
        }
        assert!(dead_letters.is_empty().await);
        world.clock.advance(Duration::from_secs(1));
        waited += 1;
    }
    // The tenth receive, the last one before it would become a dead letter, drops it.
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 646]);
}

#[tokio::test]
async fn the_message_of_an_operation_that_is_gone_is_acknowledged_when_it_arrives() {
    let world = World::start().await;
    let queue = world.queue(QueueKind::Dispatch);
    for (start, expires) in [(60, false), (0, false), (0, true)] {
        let body = json!({"function": "demo.echo", "start_after_seconds": start});
        let id = world.submit(body).await.json["id"].clone();
        let path = format!("/operations/{}", id.as_str().unwrap());
        let cancel = format!("{path}/cancel");
        let cancelled = world.request("POST", &cancel, &[], "").await;
        assert_eq!(cancelled.status, 200);
        if expires {
            world.clock.advance(48 * 60 * MINUTE);
        } else {
            let erased = world.request("DELETE", &path, &[], "").await;
            assert_eq!(erased.status, 204);
        }
        world.clock.advance(Duration::from_secs(start));
        assert!(world.pump(QueueKind::Dispatch).await);
        assert_eq!(queue.len().await, 0);
    }
}

#[tokio::test]
async fn an_operation_whose_record_is_created_after_its_message_runs() {
    let world = World::start().await;
    // Deletes the record, so that the message is received before the record exists.
    let accepted = world.submit(json!({"function": "demo.echo"})).await.json;
    let id = accepted["id"].as_str().unwrap().to_owned();
    let table = world
        .dynamodb
        .scan()
        .table_name("ferry")
        .send()
        .await
        .unwrap()
        .items
        .unwrap();
    let key = std::collections::HashMap::from([
        ("pk".to_owned(), table[0]["pk"].clone()),
        ("sk".to_owned(), table[0]["sk"].clone()),
    ]);
    world
        .dynamodb
        .delete_item()
        .table_name("ferry")
        .set_key(Some(key))
        .send()
        .await
        .unwrap();
    assert!(world.pump(QueueKind::Dispatch).await);
    world
        .dynamodb
        .put_item()
        .table_name("ferry")
        .set_item(Some(table[0].clone()))
        .send()
        .await
        .unwrap();
    assert_eq!(world.drain().await, Duration::from_secs(1));
    assert_eq!(world.show(&id).await["status"], "completed");
}

#[tokio::test]
async fn another_incarnations_message_changes_nothing_and_is_dropped_after_15_minutes() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.echo"})).await.json;
    let id = accepted["id"].as_str().unwrap();
    world.drain().await;
    let before = world.show(id).await;
    let queue = world.queue(QueueKind::Dispatch);
    queue
        .send(&message(id, CreateId::from_bytes([1; 16])))
        .await;
    assert!(world.pump(QueueKind::Dispatch).await);
    world.clock.advance(15 * MINUTE);
    assert!(
        !world.pump(QueueKind::Dispatch).await,
        "it waits in one step"
    );
    world.clock.advance(Duration::from_secs(1));
    assert!(world.pump(QueueKind::Dispatch).await);
    assert!(queue.is_empty().await);
    assert_eq!(world.show(id).await, before);
}

#[tokio::test]
async fn a_message_for_a_held_operation_waits_until_the_lease_expires() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let id = id.as_str().unwrap();
    claim_and_vanish(&world, id).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(world.show(id).await["status"], "processing");
    world.clock.advance(Duration::from_secs(59));
    assert!(!world.pump(QueueKind::Dispatch).await);
    world.clock.advance(Duration::from_secs(1));
    assert!(world.pump(QueueKind::Dispatch).await);
    let done = world.show(id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(2))
    );
}

#[tokio::test]
async fn an_operation_whose_last_attempt_was_lost_is_given_up() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let id = id.as_str().unwrap();
    for _ in 0..3 {
        claim_and_vanish(&world, id).await;
        world.clock.advance(MINUTE);
    }
    world.pump_all().await;
    let failed = world.show(id).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(3))
    );
    assert_eq!(failed["errors"].as_array().unwrap().len(), 1);
    assert_eq!(failed["errors"][0]["code"], "WORKER_LOST");
    assert!(world.queue(QueueKind::Dispatch).is_empty().await);
}

#[tokio::test]
async fn a_duplicate_message_of_an_ended_operation_changes_nothing() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let id = id.as_str().unwrap();
    let duplicate = message(id, create_id(&world, id).await);
    world.pump_all().await;
    let before = world.show(id).await;
    world.queue(QueueKind::Dispatch).send(&duplicate).await;
    assert_eq!(world.drain().await, Duration::ZERO);
    assert_eq!(world.show(id).await, before);
}

#[tokio::test]
async fn an_old_message_is_sent_again() {
    let world = World::start().await;
    let queue = world.queue(QueueKind::Dispatch);
    let day = 86_400;
    let body = json!({"function": "demo.echo", "deadline_seconds": 7 * day});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    world.clock.advance(Duration::from_secs(6 * day + 1));
    claim_and_vanish(&world, id).await;
    let sent_again_at = world.clock.now();
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(
        queue.len().await,
        1,
        "a fresh message, delayed until the lease expires"
    );
    world.clock.advance(MINUTE);
    let [fresh] = queue.receive(10).await.try_into().unwrap();
    assert_eq!(
        fresh.body(),
        Some(message(id, create_id(&world, id).await).as_str())
    );
    let attributes = fresh.attributes().unwrap();
    assert_eq!(
        attributes[&MessageSystemAttributeName::SentTimestamp],
        sent_again_at.as_millis().to_string(),
        "a message whose visibility changed would keep its age"
    );
}

#[tokio::test]
async fn an_operation_of_an_unknown_function_waits_until_the_deadline() {
    for kind in [QueueKind::Dispatch, QueueKind::DispatchDeadLetter] {
        waits_for_its_function_until_the_deadline(kind).await;
    }
}

/// `ends_in` is the queue that has the message at the deadline.
async fn waits_for_its_function_until_the_deadline(ends_in: QueueKind) {
    let world = World::start().await;
    let id = world
        .submit(json!({"function": "demo.echo", "deadline_seconds": 3600}))
        .await
        .json["id"]
        .clone();
    let id = id.as_str().unwrap();
    let older = World::with([("DEMO_FUNCTIONS", "0")]).await;
    // A worker of an older release, which has fewer functions, on this world's queue and store.
    let environment = world.environment.clone().with([("DEMO_FUNCTIONS", "0")]);
    let worker = older_worker(&world, &environment);
    drop(older);
    assert!(world.pump_by(&worker, QueueKind::Dispatch, 1).await);
    let waiting = world.show(id).await;
    assert_eq!(
        (&waiting["status"], &waiting["attempt"]),
        (&json!("pending"), &json!(0))
    );
    world.clock.advance(Duration::from_secs(3600));
    if ends_in == QueueKind::DispatchDeadLetter {
        let body = message(id, create_id(&world, id).await);
        world.queue(ends_in).send(&body).await;
    }
    assert!(world.pump_by(&worker, ends_in, 1).await);
    let failed = world.show(id).await;
    assert_eq!(codes(&failed), ["FUNCTION_NOT_FOUND", "DEADLINE_EXCEEDED"]);
    assert!(world.queue(ends_in).is_empty().await);
}

/// Submits `demo.echo`, and replaces its message with one that names another function.
async fn submit_falsified(world: &World, function: &str) -> String {
    let body = json!({"function": "demo.echo", "arguments": {"a": 1}, "deadline_seconds": 3600});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    world.queue(QueueKind::Dispatch).purge().await;
    send_false(world, &id, function).await;
    id
}

async fn send_false(world: &World, id: &str, function: &str) {
    let message = Dispatch {
        operation_id: id.parse::<OperationId>().unwrap(),
        create_id: create_id(world, id).await,
        function: function.to_owned(),
        function_version: "1.0.0".to_owned(),
        read_first: false,
        group: None,
    };
    let queue = world.queue(QueueKind::Dispatch);
    queue.send(&message.to_body()).await;
}

#[tokio::test]
async fn the_worker_runs_the_function_of_the_record_and_not_of_the_message() {
    let (world, logged) = (World::start().await, Logged::start());
    let id = submit_falsified(&world, "demo.fail").await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["result"], &done["attempt"]),
        (&json!("completed"), &json!({"a": 1}), &json!(1))
    );
    assert!(world.queue(QueueKind::Dispatch).is_empty().await);
    let errors = logged.take().into_iter();
    let errors: Vec<_> = errors.filter(|line| line.contains("ERROR")).collect();
    let [error] = errors.as_slice() else {
        panic!("{errors:?}")
    };
    for part in [id.as_str(), "demo.echo", "demo.fail"] {
        assert!(error.contains(part), "{error}");
    }
}

/// A message with the wrong function costs an attempt, at whose end the worker sends a correct one.
#[tokio::test]
async fn a_record_with_an_unknown_function_waits_for_a_worker_that_has_it() {
    let world = World::start().await;
    let environment = world.environment.clone().with([("DEMO_FUNCTIONS", "0")]);
    let worker = older_worker(&world, &environment);
    let queue = world.queue(QueueKind::Dispatch);
    let falsified = async || {
        let id = submit_falsified(&world, "csv.summarize").await;
        assert!(world.pump_by(&worker, QueueKind::Dispatch, 1).await);
        id
    };
    let attempts_of = async |id: &str| {
        let shown = world.show(id).await;
        (shown["status"].clone(), shown["attempt"].clone())
    };

    let id = falsified().await;
    for _ in 0..5 {
        assert_eq!(queue.len().await, 1);
        assert_eq!(attempts_of(&id).await, (json!("processing"), json!(1)));
        assert!(world.pump_by(&worker, QueueKind::Dispatch, 1).await);
        world.clock.advance(MINUTE);
    }
    world.drain().await;
    assert_eq!(attempts_of(&id).await, (json!("completed"), json!(2)));

    let id = falsified().await;
    world.clock.advance(Duration::from_secs(3600));
    assert!(world.pump_by(&worker, QueueKind::Dispatch, 1).await);
    let failed = world.show(&id).await;
    assert_eq!(codes(&failed), ["FUNCTION_NOT_FOUND", "DEADLINE_EXCEEDED"]);
    assert!(queue.is_empty().await);

    let id = falsified().await;
    for _ in 0..2 {
        queue.purge().await;
        send_false(&world, &id, "csv.summarize").await;
        assert!(world.pump_by(&worker, QueueKind::Dispatch, 1).await);
    }
    let failed = world.show(&id).await;
    assert_eq!(codes(&failed), ["FUNCTION_NOT_FOUND", "ATTEMPTS_EXHAUSTED"]);
    assert!(queue.is_empty().await);
}

#[tokio::test]
async fn an_operation_whose_only_message_names_an_unknown_function_runs_the_records_function() {
    for kind in [QueueKind::Dispatch, QueueKind::DispatchDeadLetter] {
        let (world, logged) = (World::start().await, Logged::start());
        let id = submit_falsified(&world, "unheard.of").await;
        let queue = world.queue(QueueKind::Dispatch);
        let [message] = queue.receive(1).await.try_into().unwrap();
        queue.purge().await;
        world.queue(kind).send(message.body().unwrap()).await;
        assert!(world.pump(kind).await);
        let is_reported = |line: &String| line.contains("ERROR") && line.contains("unheard.of");
        assert!(logged.take().iter().any(is_reported));
        assert!(world.pump(QueueKind::Dispatch).await);
        let done = world.show(&id).await;
        assert_eq!(
            (&done["status"], &done["attempt"]),
            (&json!("completed"), &json!(1))
        );
        assert!(queue.is_empty().await && world.queue(kind).is_empty().await);
    }
}

fn older_worker(world: &World, environment: &shared::config::Environment) -> worker::Handler {
    let aws = shared::aws::Aws::new(environment, world.wire.connector()).unwrap();
    let random = std::sync::Arc::new(shared::random::SeededRandom::new(3));
    worker::Handler::new(
        environment,
        &aws,
        std::sync::Arc::new(world.clock.clone()),
        random,
    )
    .unwrap()
}

pub(super) fn codes(operation: &Value) -> Vec<&str> {
    operation["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn malformed_messages_do_not_disturb_their_neighbours() {
    let world = World::start().await;
    let queue = world.queue(QueueKind::Dispatch);
    queue.send("not JSON").await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    queue.send(r#"{"format":2,"unheard":"of"}"#).await;
    let worker = world.another_worker();
    let messages = queue.receive(10).await;
    assert_eq!(messages.len(), 3);
    let response = world
        .serve(&worker, QueueKind::Dispatch, queue.event(&messages))
        .await;
    let failed: Vec<_> = response["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(failed.len(), 2);
    queue.delete_acknowledged(&messages, &response).await;
    assert_eq!(
        world.show(id.as_str().unwrap()).await["status"],
        "completed"
    );
    assert_eq!(queue.len().await, 2);
}

#[tokio::test]
async fn a_record_of_a_newer_format_stays_unchanged() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let id = id.as_str().unwrap();
    set(&world, id, "format", "3").await;
    let before = world
        .dynamodb
        .scan()
        .table_name("ferry")
        .send()
        .await
        .unwrap()
        .items;
    assert!(world.pump(QueueKind::Dispatch).await);
    let path = format!("/operations/{id}");
    for (method, path) in [
        ("GET", path.clone()),
        ("POST", format!("{path}/cancel")),
        ("DELETE", path.clone()),
    ] {
        let response = world.request(method, &path, &[], "").await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (503, &json!("UNAVAILABLE")),
            "{method} {path}"
        );
        assert_eq!(response.headers["retry-after"], "1");
        let bobs = world.request_of("bob", method, &path, &[], b"").await;
        assert_eq!(bobs.status, 404, "another owner gets no hint of it");
    }
    assert_eq!(
        world
            .dynamodb
            .scan()
            .table_name("ferry")
            .send()
            .await
            .unwrap()
            .items,
        before
    );
    assert!(!world.queue(QueueKind::Dispatch).is_empty().await);
    let listed = world.request("GET", "/operations", &[], "").await;
    assert_eq!(
        (listed.status, &listed.json["operations"]),
        (200, &json!([]))
    );
    // As after the return of the newer release.
    set(&world, id, "format", "1").await;
    world.drain().await;
    assert_eq!(world.show(id).await["status"], "completed");
}

async fn set(world: &World, id: &str, attribute: &str, number: &str) {
    use aws_sdk_dynamodb::types::AttributeValue;
    world
        .dynamodb
        .update_item()
        .table_name("ferry")
        .key("pk", AttributeValue::S(id.to_owned()))
        .key("sk", AttributeValue::S("head".to_owned()))
        .update_expression("SET #attribute = :number")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":number", AttributeValue::N(number.to_owned()))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_corrupt_record_is_an_internal_error_without_details() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let id = id.as_str().unwrap();
    set(&world, id, "ended_at", "1").await;
    let response = world
        .request("GET", &format!("/operations/{id}"), &[], "")
        .await;
    assert_eq!(
        (response.status, &response.json["code"]),
        (500, &json!("INTERNAL_ERROR"))
    );
    assert!(!response.text.contains("ended_at"));
}
