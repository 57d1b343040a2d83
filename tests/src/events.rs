//! The sample events in `events/`, with the expected responses. They are the same in one process
//! and through an emulator of Lambda.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::callback::{Callback, CallbackEvent};
use shared::domain::id::{CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Owner, Payload};
use shared::domain::time::Timestamp;

use crate::queues::{QueueKind, TestQueue};
use crate::samples::pending_operation;
use crate::world::Response;

use Stage::{Absent, Delivered, Due, Failed, Pending};

/// The age of an event's messages when it is handled: older than any that a function still waits
/// for, so that the outcome does not depend on the day.
const MESSAGE_AGE: Duration = Duration::from_secs(30 * 86_400);

/// The state of the operation that the samples name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It does not exist.
    Absent,
    /// It was submitted.
    Pending,
    /// It has completed, and its callback is due.
    Due,
    /// It has failed, and its callback is due.
    Failed,
    /// It has ended, and its callback was delivered.
    Delivered,
}

/// An event of the HTTP API.
#[derive(Debug, Clone, Copy)]
pub struct HttpSample {
    /// The function and the file, as `submit/accepted`.
    pub name: &'static str,
    /// The operation's state before the event.
    pub stage: Stage,
    status: u16,
    pointer: &'static str,
    value: &'static str,
}

/// An event of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueSample {
    /// The function and the file, as `worker/dispatch`.
    pub name: &'static str,
    /// The queue that it comes from.
    pub queue: QueueKind,
    /// The operation's state before the event.
    pub stage: Stage,
    returned: usize,
    posted: usize,
}

/// The HTTP API's events: the status of the response, and a pointer into it with its value.
pub const HTTP: &[HttpSample] = &[
    http("submit/accepted", Absent, 202, "/status", "pending"),
    http(
        "submit/accepted_with_everything",
        Absent,
        202,
        "/callback/status",
        "waiting",
    ),
    http("submit/base64", Absent, 202, "/status", "pending"),
    http("submit/cognito_identity", Absent, 202, "/status", "pending"),
    http(
        "submit/cognito_without_identity",
        Absent,
        401,
        "/code",
        "UNAUTHORIZED",
    ),
    http(
        "submit/forrst_async",
        Absent,
        200,
        "/extensions/0/data/status",
        "pending",
    ),
    http(
        "submit/forrst_everything",
        Absent,
        200,
        "/extensions/2/data/status",
        "processed",
    ),
    http(
        "submit/forrst_health",
        Absent,
        200,
        "/result/status",
        "healthy",
    ),
    http(
        "submit/forrst_malformed_json",
        Absent,
        400,
        "/errors/0/code",
        "PARSE_ERROR",
    ),
    http(
        "submit/forrst_other_protocol_version",
        Absent,
        400,
        "/errors/0/code",
        "INVALID_PROTOCOL_VERSION",
    ),
    http(
        "submit/forrst_ping",
        Absent,
        200,
        "/result/status",
        "healthy",
    ),
    http(
        "submit/forrst_status_unknown",
        Absent,
        404,
        "/errors/0/code",
        "ASYNC_OPERATION_NOT_FOUND",
    ),
    http(
        "submit/forrst_unknown_extension",
        Absent,
        400,
        "/errors/0/code",
        "EXTENSION_NOT_SUPPORTED",
    ),
    http(
        "submit/forrst_wrong_method",
        Absent,
        405,
        "/errors/0/code",
        "INVALID_REQUEST",
    ),
    http("submit/iam_authorizer", Absent, 202, "/status", "pending"),
    http(
        "submit/iam_federated_user",
        Absent,
        202,
        "/status",
        "pending",
    ),
    http("submit/iam_root", Absent, 202, "/status", "pending"),
    http("submit/iam_user", Absent, 202, "/status", "pending"),
    http("submit/idempotency_key", Absent, 202, "/status", "pending"),
    http(
        "submit/lambda_authorizer",
        Absent,
        202,
        "/status",
        "pending",
    ),
    http("submit/malformed_json", Absent, 400, "/code", "PARSE_ERROR"),
    http(
        "submit/mcp_discover",
        Absent,
        200,
        "/result/cacheScope",
        "public",
    ),
    http(
        "submit/mcp_header_mismatch",
        Absent,
        400,
        "/error/message",
        "the header Mcp-Name does not match the body",
    ),
    http(
        "submit/mcp_initialize",
        Absent,
        200,
        "/result/protocolVersion",
        "2025-11-25",
    ),
    http(
        "submit/mcp_task_unknown",
        Absent,
        200,
        "/error/message",
        "task not found",
    ),
    http(
        "submit/mcp_wrong_arguments",
        Absent,
        200,
        "/result/content/0/text",
        "/csv must be a string",
    ),
    http(
        "submit/mcp_wrong_method",
        Absent,
        405,
        "/code",
        "INVALID_REQUEST",
    ),
    http("submit/no_authorizer", Absent, 401, "/code", "UNAUTHORIZED"),
    http(
        "submit/not_an_object",
        Absent,
        400,
        "/code",
        "INVALID_REQUEST",
    ),
    http("submit/not_utf8", Absent, 400, "/code", "PARSE_ERROR"),
    http("submit/start_later", Absent, 202, "/status", "pending"),
    http(
        "submit/unknown_function",
        Absent,
        404,
        "/code",
        "FUNCTION_NOT_FOUND",
    ),
    http(
        "submit/wrong_arguments",
        Absent,
        400,
        "/errors/0/pointer",
        "/arguments/csv",
    ),
    http(
        "submit/wrong_content_type",
        Absent,
        415,
        "/code",
        "INVALID_REQUEST",
    ),
    http(
        "submit/wrong_members",
        Absent,
        400,
        "/code",
        "INVALID_ARGUMENTS",
    ),
    http("status/cancel", Pending, 200, "/status", "cancelled"),
    http(
        "status/cancel_if_match",
        Pending,
        200,
        "/status",
        "cancelled",
    ),
    http(
        "status/cancel_if_match_stale",
        Pending,
        412,
        "/code",
        "ASYNC_VERSION_CONFLICT",
    ),
    http("status/delete", Delivered, 204, "", ""),
    http(
        "status/functions",
        Absent,
        200,
        "/functions/0/name",
        "csv.summarize",
    ),
    http("status/get", Pending, 200, "/status", "pending"),
    http("status/get_if_none_match", Pending, 304, "", ""),
    http(
        "status/get_malformed_id",
        Pending,
        404,
        "/code",
        "ASYNC_OPERATION_NOT_FOUND",
    ),
    http(
        "status/get_no_authorizer",
        Pending,
        401,
        "/code",
        "UNAUTHORIZED",
    ),
    http("status/head", Pending, 200, "/status", "pending"),
    http("status/health", Absent, 200, "/status", "ok"),
    http("status/list", Absent, 200, "/operations", ""),
    http(
        "status/list_wrong_limit",
        Absent,
        400,
        "/errors/0/pointer",
        "/query/limit",
    ),
    http(
        "submit/redrive",
        Failed,
        202,
        "/redrive_of",
        "op_5f0c1d9e8b7a6c4d3e2f1a0b",
    ),
    http(
        "status/protected_resource",
        Absent,
        404,
        "/code",
        "ASYNC_OPERATION_NOT_FOUND",
    ),
    http(
        "status/redeliver",
        Delivered,
        202,
        "/callback/status",
        "delivered",
    ),
    http(
        "status/wrong_method",
        Pending,
        405,
        "/code",
        "INVALID_REQUEST",
    ),
];

/// The queues' events: how many records are returned, and how many callbacks are posted.
pub const QUEUED: &[QueueSample] = &[
    queued("worker/dispatch", QueueKind::Dispatch, Pending, 0, 0),
    queued(
        "worker/dispatch_malformed",
        QueueKind::Dispatch,
        Pending,
        1,
        0,
    ),
    queued(
        "worker/dispatch_newer_format",
        QueueKind::Dispatch,
        Pending,
        1,
        0,
    ),
    queued(
        "worker/dispatch_read_first",
        QueueKind::Dispatch,
        Pending,
        0,
        0,
    ),
    queued(
        "worker/dispatch_second_malformed",
        QueueKind::Dispatch,
        Pending,
        1,
        0,
    ),
    // A message of this age is sent afresh and acknowledged.
    queued(
        "worker/dispatch_unknown_function",
        QueueKind::Dispatch,
        Pending,
        0,
        0,
    ),
    queued(
        "worker/dead_letter",
        QueueKind::DispatchDeadLetter,
        Pending,
        0,
        0,
    ),
    queued(
        "worker/dead_letter_malformed",
        QueueKind::DispatchDeadLetter,
        Pending,
        0,
        0,
    ),
    queued(
        "worker/dead_letter_newer_format",
        QueueKind::DispatchDeadLetter,
        Pending,
        1,
        0,
    ),
    queued("callback/wake_up", QueueKind::Callback, Due, 0, 1),
    queued("callback/wake_up_malformed", QueueKind::Callback, Due, 1, 0),
    queued(
        "callback/wake_up_newer_format",
        QueueKind::Callback,
        Due,
        1,
        0,
    ),
    queued(
        "callback/wake_up_redelivery",
        QueueKind::Callback,
        Delivered,
        0,
        1,
    ),
    queued(
        "callback/wake_up_second_malformed",
        QueueKind::Callback,
        Due,
        1,
        1,
    ),
    queued(
        "callback/dead_letter",
        QueueKind::CallbackDeadLetter,
        Due,
        0,
        0,
    ),
    queued(
        "callback/dead_letter_malformed",
        QueueKind::CallbackDeadLetter,
        Due,
        0,
        0,
    ),
];

const fn http(
    name: &'static str,
    stage: Stage,
    status: u16,
    pointer: &'static str,
    value: &'static str,
) -> HttpSample {
    HttpSample {
        name,
        stage,
        status,
        pointer,
        value,
    }
}

const fn queued(
    name: &'static str,
    queue: QueueKind,
    stage: Stage,
    returned: usize,
    posted: usize,
) -> QueueSample {
    QueueSample {
        name,
        queue,
        stage,
        returned,
        posted,
    }
}

impl HttpSample {
    /// Checks the response.
    pub fn check(&self, response: &Response) {
        let Self {
            name,
            pointer,
            value,
            ..
        } = *self;
        assert_eq!(response.status, self.status, "{name}: {}", response.text);
        match response.json.pointer(pointer) {
            Some(Value::Array(_)) => assert_eq!(pointer, "/operations"),
            Some(Value::String(found)) => assert_eq!(found, value, "{name}"),
            found => assert!(
                pointer.is_empty() && found == Some(&Value::Null),
                "{name}: {}",
                response.text
            ),
        }
    }
}

impl QueueSample {
    /// Checks the response and the number of posts.
    pub fn check(&self, response: &Value, posted: usize) {
        let returned = response["batchItemFailures"].as_array().unwrap().len();
        assert_eq!(returned, self.returned, "{}: {response}", self.name);
        assert_eq!(posted, self.posted, "{}", self.name);
    }

    /// The event, with the receipt handles of messages that are in flight, and with
    /// `MESSAGE_AGE`.
    pub async fn event(&self, queue: &TestQueue, now: Timestamp) -> Value {
        let mut event = event(self.name);
        let sent_at = (now - MESSAGE_AGE).as_millis().to_string();
        for record in event["Records"].as_array_mut().unwrap() {
            queue.send(record["body"].as_str().unwrap()).await;
            let [message] = queue.receive(1).await.try_into().unwrap();
            record["receiptHandle"] = json!(message.receipt_handle().unwrap());
            record["attributes"]["SentTimestamp"] = json!(sent_at);
        }
        event
    }
}

/// The sample that takes the operation from `Pending` to `Due`, or to `Failed`.
#[must_use]
pub fn dispatch() -> QueueSample {
    sample("worker/dispatch")
}

/// The sample that takes the operation from `Due` to `Delivered`.
#[must_use]
pub fn wake_up() -> QueueSample {
    sample("callback/wake_up")
}

fn sample(name: &str) -> QueueSample {
    let sample = QUEUED.iter().find(|sample| sample.name == name);
    *sample.expect("the sample exists")
}

/// The operation that the samples name, as it is submitted, with a callback to this URL. One that
/// is brought to `Failed` has no attempts.
#[must_use]
pub fn operation(stage: Stage, now: Timestamp, callback_url: &str) -> Operation {
    Operation {
        id: "op_5f0c1d9e8b7a6c4d3e2f1a0b"
            .parse::<OperationId>()
            .unwrap(),
        create_id: CreateId::from_bytes([9; 16]),
        owner: Owner::new("jwt", "alice").unwrap(),
        function: "csv.summarize".into(),
        attempts_max: if stage == Failed { 0 } else { 3 },
        arguments: Payload::Inline(r#"{"csv":"a\n1\n"}"#.parse::<Json>().unwrap()),
        callback: Some(Callback::new(
            callback_url.into(),
            CallbackEvent::ALL.to_vec(),
        )),
        ..pending_operation(now)
    }
}

/// The event in a file.
#[must_use]
pub fn event(name: &str) -> Value {
    let text = std::fs::read_to_string(file(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The path of an event's file.
#[must_use]
pub fn file(name: &str) -> PathBuf {
    directory().join(name).with_extension("json")
}

/// The names of all event files.
#[must_use]
pub fn files() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for function in std::fs::read_dir(directory()).unwrap() {
        let function = function.unwrap();
        for file in std::fs::read_dir(function.path()).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            let function = function.file_name().into_string().unwrap();
            let name = file.strip_suffix(".json").unwrap();
            names.insert(format!("{function}/{name}"));
        }
    }
    names
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}
