//! Every sample event goes through the handler that it is a sample for, and gets what it should.

#![expect(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::callback::{Callback, Event};
use shared::domain::id::{CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Owner, Payload};
use shared::store::Draft;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::pending_operation;
use tests::world::World;

/// The HTTP events: the state of the operation that they name, the status of the answer and a pointer into it with its value.
const HTTP: &[(&str, Stage, u16, &str, &str)] = &[
    ("submit/accepted", Stage::Absent, 202, "/status", "pending"),
    (
        "submit/accepted_with_everything",
        Stage::Absent,
        202,
        "/callback/status",
        "waiting",
    ),
    ("submit/base64", Stage::Absent, 202, "/status", "pending"),
    (
        "submit/forrst_async",
        Stage::Absent,
        200,
        "/extensions/0/data/status",
        "pending",
    ),
    (
        "submit/forrst_everything",
        Stage::Absent,
        200,
        "/extensions/2/data/status",
        "processed",
    ),
    (
        "submit/forrst_health",
        Stage::Absent,
        200,
        "/result/status",
        "healthy",
    ),
    (
        "submit/forrst_malformed_json",
        Stage::Absent,
        400,
        "/errors/0/code",
        "PARSE_ERROR",
    ),
    (
        "submit/forrst_other_protocol_version",
        Stage::Absent,
        400,
        "/errors/0/code",
        "INVALID_PROTOCOL_VERSION",
    ),
    (
        "submit/forrst_ping",
        Stage::Absent,
        200,
        "/result/status",
        "healthy",
    ),
    (
        "submit/forrst_status_unknown",
        Stage::Absent,
        404,
        "/errors/0/code",
        "ASYNC_OPERATION_NOT_FOUND",
    ),
    (
        "submit/forrst_unknown_extension",
        Stage::Absent,
        400,
        "/errors/0/code",
        "EXTENSION_NOT_SUPPORTED",
    ),
    (
        "submit/forrst_wrong_method",
        Stage::Absent,
        405,
        "/errors/0/code",
        "INVALID_REQUEST",
    ),
    (
        "submit/iam_authorizer",
        Stage::Absent,
        202,
        "/status",
        "pending",
    ),
    (
        "submit/idempotency_key",
        Stage::Absent,
        202,
        "/status",
        "pending",
    ),
    (
        "submit/lambda_authorizer",
        Stage::Absent,
        202,
        "/status",
        "pending",
    ),
    (
        "submit/malformed_json",
        Stage::Absent,
        400,
        "/code",
        "PARSE_ERROR",
    ),
    (
        "submit/no_authorizer",
        Stage::Absent,
        401,
        "/code",
        "UNAUTHORIZED",
    ),
    (
        "submit/not_an_object",
        Stage::Absent,
        400,
        "/code",
        "INVALID_REQUEST",
    ),
    (
        "submit/not_utf8",
        Stage::Absent,
        400,
        "/code",
        "PARSE_ERROR",
    ),
    (
        "submit/unknown_function",
        Stage::Absent,
        404,
        "/code",
        "FUNCTION_NOT_FOUND",
    ),
    (
        "submit/wrong_arguments",
        Stage::Absent,
        400,
        "/errors/0/pointer",
        "/arguments/csv",
    ),
    (
        "submit/wrong_content_type",
        Stage::Absent,
        415,
        "/code",
        "INVALID_REQUEST",
    ),
    (
        "submit/wrong_members",
        Stage::Absent,
        400,
        "/code",
        "INVALID_ARGUMENTS",
    ),
    ("status/cancel", Stage::Pending, 200, "/status", "cancelled"),
    (
        "status/cancel_if_match",
        Stage::Pending,
        200,
        "/status",
        "cancelled",
    ),
    (
        "status/cancel_if_match_stale",
        Stage::Pending,
        412,
        "/code",
        "ASYNC_VERSION_CONFLICT",
    ),
    ("status/delete", Stage::Delivered, 204, "", ""),
    (
        "status/functions",
        Stage::Absent,
        200,
        "/functions/0/name",
        "csv.summarize",
    ),
    ("status/get", Stage::Pending, 200, "/status", "pending"),
    ("status/get_if_none_match", Stage::Pending, 304, "", ""),
    (
        "status/get_malformed_id",
        Stage::Pending,
        404,
        "/code",
        "ASYNC_OPERATION_NOT_FOUND",
    ),
    (
        "status/get_no_authorizer",
        Stage::Pending,
        401,
        "/code",
        "UNAUTHORIZED",
    ),
    ("status/head", Stage::Pending, 200, "/status", "pending"),
    ("status/health", Stage::Absent, 200, "/status", "ok"),
    ("status/list", Stage::Absent, 200, "/operations", ""),
    (
        "status/list_wrong_limit",
        Stage::Absent,
        400,
        "/errors/0/pointer",
        "/query/limit",
    ),
    (
        "status/redeliver",
        Stage::Delivered,
        202,
        "/callback/status",
        "delivered",
    ),
    (
        "status/wrong_method",
        Stage::Pending,
        405,
        "/code",
        "INVALID_REQUEST",
    ),
];

/// The queue events: the operation's state, and how many records are returned.
const QUEUED: &[(&str, QueueKind, Stage, usize)] = &[
    ("worker/dispatch", QueueKind::Dispatch, Stage::Pending, 0),
    (
        "worker/dispatch_malformed",
        QueueKind::Dispatch,
        Stage::Pending,
        1,
    ),
    (
        "worker/dispatch_newer_format",
        QueueKind::Dispatch,
        Stage::Pending,
        1,
    ),
    (
        "worker/dispatch_second_malformed",
        QueueKind::Dispatch,
        Stage::Pending,
        1,
    ),
    // Its sample is weeks old by then, so it is sent afresh and acknowledged.
    (
        "worker/dispatch_unknown_function",
        QueueKind::Dispatch,
        Stage::Pending,
        0,
    ),
    (
        "worker/dead_letter",
        QueueKind::DispatchDeadLetter,
        Stage::Pending,
        0,
    ),
    (
        "worker/dead_letter_malformed",
        QueueKind::DispatchDeadLetter,
        Stage::Pending,
        0,
    ),
    (
        "worker/dead_letter_newer_format",
        QueueKind::DispatchDeadLetter,
        Stage::Pending,
        1,
    ),
    ("callback/wake_up", QueueKind::Callback, Stage::Due, 0),
    (
        "callback/wake_up_malformed",
        QueueKind::Callback,
        Stage::Due,
        1,
    ),
    (
        "callback/wake_up_newer_format",
        QueueKind::Callback,
        Stage::Due,
        1,
    ),
    (
        "callback/wake_up_redelivery",
        QueueKind::Callback,
        Stage::Delivered,
        0,
    ),
    (
        "callback/wake_up_second_malformed",
        QueueKind::Callback,
        Stage::Due,
        1,
    ),
    (
        "callback/dead_letter",
        QueueKind::CallbackDeadLetter,
        Stage::Due,
        0,
    ),
    (
        "callback/dead_letter_malformed",
        QueueKind::CallbackDeadLetter,
        Stage::Due,
        0,
    ),
];

/// How far the operation that the samples name has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Absent,
    Pending,
    /// Ended, and its callback due.
    Due,
    /// Ended, and its callback delivered.
    Delivered,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn event(name: &str) -> Value {
    let text = std::fs::read_to_string(directory().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A world with the samples' operation in it.
async fn world(stage: Stage, receiver: &Receiver) -> World {
    let world = World::start().await;
    if stage == Stage::Absent {
        return world;
    }
    let now = world.clock.now();
    let operation = Operation {
        id: OperationId::parse("op_5f0c1d9e8b7a6c4d3e2f1a0b").unwrap(),
        create_id: CreateId::from_bytes([9; 16]),
        owner: Owner::new("jwt", "alice").unwrap(),
        function: "csv.summarize".into(),
        arguments: Payload::Here(Json::parse(r#"{"csv":"a\n1\n"}"#).unwrap()),
        callback: Some(Callback::new(receiver.url.clone(), Event::ALL.to_vec())),
        ..pending_operation(now)
    };
    world
        .store
        .create(&Draft::new(&operation), now)
        .await
        .unwrap();
    if stage != Stage::Pending {
        let mut event = event("worker/dispatch");
        receive(&world, QueueKind::Dispatch, &mut event).await;
        let answer = world
            .serve(&world.another_worker(), QueueKind::Dispatch, event)
            .await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
    }
    if stage == Stage::Delivered {
        assert!(world.pump(QueueKind::Callback).await);
    }
    world
}

/// Gives an event's records the receipt handles of messages that are really in flight.
async fn receive(world: &World, kind: QueueKind, event: &mut Value) {
    let queue = world.queue(kind);
    for record in event["Records"].as_array_mut().unwrap() {
        queue.send(record["body"].as_str().unwrap()).await;
        let [message] = queue.receive(1).await.try_into().unwrap();
        record["receiptHandle"] = json!(message.receipt_handle().unwrap());
    }
}

#[tokio::test]
async fn http_events_are_answered() {
    let receiver = Receiver::start().await;
    for (name, stage, status, pointer, value) in HTTP {
        let world = world(*stage, &receiver).await;
        let answer = world.answer(event(name)).await;
        assert_eq!(answer.status, *status, "{name}: {}", answer.text);
        match answer.json.pointer(pointer) {
            Some(Value::Array(_)) => assert_eq!(*pointer, "/operations"),
            Some(Value::String(found)) => assert_eq!(found, value, "{name}"),
            found => assert!(
                pointer.is_empty() && found == Some(&Value::Null),
                "{name}: {}",
                answer.text
            ),
        }
    }
}

#[tokio::test]
async fn queue_events_are_answered() {
    for (name, kind, stage, returned) in QUEUED {
        let receiver = Receiver::start().await;
        let world = world(*stage, &receiver).await;
        let posts = receiver.received().len();
        let mut event = event(name);
        receive(&world, *kind, &mut event).await;
        let answer = world.serve(&world.another_worker(), *kind, event).await;
        assert_eq!(
            answer["batchItemFailures"].as_array().unwrap().len(),
            *returned,
            "{name}: {answer}"
        );
        let posted = receiver.received().len() - posts;
        let posts = matches!(
            *name,
            "callback/wake_up"
                | "callback/wake_up_redelivery"
                | "callback/wake_up_second_malformed"
        );
        assert_eq!(posted, usize::from(posts), "{name}");
    }
}

#[test]
fn every_sample_is_in_a_table() {
    let mut files = BTreeSet::new();
    for function in std::fs::read_dir(directory()).unwrap() {
        let function = function.unwrap();
        for file in std::fs::read_dir(function.path()).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".json").unwrap();
            files.insert(format!(
                "{}/{name}",
                function.file_name().into_string().unwrap()
            ));
        }
    }
    let listed = HTTP
        .iter()
        .map(|row| row.0)
        .chain(QUEUED.iter().map(|row| row.0))
        .map(str::to_owned)
        .collect();
    assert_eq!(files, listed);
}
