//! Registered functions, whose work is done by targets over real HTTP.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::operation::{Operation, State};
use shared::metrics::{Metric, TARGET_CODES};
use tests::metrics::{Counted, key};
use tests::queues::QueueKind;
use tests::target::{FunctionsFile, Reply, Targets, resize};
use tests::world::World;
use tokio::time::timeout;

use super::work::{REAL_TIME_MAX, RunningWorker, lease_until};

/// A world with these functions. The file must exist for as long as functions start.
async fn world_with(functions: &[Value], url: &str) -> (Arc<World>, FunctionsFile) {
    let file = FunctionsFile::new(functions);
    let settings = [
        ("FUNCTIONS_FILE", file.path()),
        ("AWS_ENDPOINT_URL_LAMBDA", url),
    ];
    let world = Arc::new(World::with(settings).await);
    (world, file)
}

fn submission(arguments: &Value) -> Value {
    json!({"function": "image.resize", "arguments": arguments, "metadata": {"ref": "m-1"}})
}

async fn submit(world: &World) -> String {
    let response = world.submit(submission(&json!({"key": "a.png"}))).await;
    response.json["id"].as_str().unwrap().to_owned()
}

/// Submits, and starts a worker that holds the operation.
async fn submit_and_hold(world: &Arc<World>) -> (String, RunningWorker) {
    let id = submit(world).await;
    let running = RunningWorker::start(world).await;
    running.until(&id, is_held).await;
    (id, running)
}

/// Lets time pass until the operation has ended.
async fn ended(world: &World, id: &str) -> Value {
    world.drain().await;
    world.show(id).await
}

fn is_held(operation: &Operation) -> bool {
    matches!(operation.state, State::Processing { .. })
}

#[tokio::test]
async fn a_registered_function_is_completed_by_its_target() {
    let targets = Targets::start(|_| Reply::Returned(r#"{"bytes": 1e3}"#.to_owned())).await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    // Numbers reach the target as they were sent.
    let body = r#"{"function":"image.resize","arguments":{"key":"a.png","width":1.0e2}}"#;
    let response = world.request("POST", "/operations", &[], body).await;
    assert_eq!(response.status, 202, "{}", response.text);
    let id = response.json["id"].as_str().unwrap();
    let submitted_at = world.clock.now();
    let done = ended(&world, id).await;
    assert_eq!(
        (&done["status"], &done["attempt"], &done["result"]),
        (&json!("completed"), &json!(1), &json!({"bytes": 1e3}))
    );
    let documents = targets.documents();
    assert!(targets.bodies()[0].contains(r#""width":1.0e2"#));
    let expected = json!({
        "type": "ferry.attempt",
        "timestamp": submitted_at.to_string(),
        "data": {
            "operation_id": id,
            "function": "image.resize",
            "version": "1.2.0",
            "attempt": 1,
            "attempts_max": 3,
            "deadline": (submitted_at + Duration::from_secs(55)).to_string(),
            "arguments": {"key": "a.png", "width": 1.0e2},
        },
    });
    assert_eq!(documents, [expected]);
}

#[tokio::test]
async fn a_target_gets_owner_and_metadata_only_if_the_file_says_so() {
    let targets = Targets::start(|_| Reply::Returned("null".to_owned())).await;
    let mut function = resize();
    function["send_owner"] = json!(true);
    function["send_metadata"] = json!(true);
    let (world, _file) = world_with(&[function], &targets.url).await;
    let id = submit(&world).await;
    assert_eq!(ended(&world, &id).await["status"], "completed");
    let data = &targets.documents()[0]["data"];
    assert_eq!(
        (&data["owner"], &data["metadata"]),
        (&json!("local:alice"), &json!({"ref": "m-1"}))
    );
}

#[tokio::test]
async fn a_target_continues_after_a_wait_and_gets_its_state() {
    let targets = Targets::start(|data| {
        let rows = data["state"]["rows"].as_u64().unwrap_or(0) + 1;
        Reply::Returned(match rows {
            3 => json!({"rows": rows}).to_string(),
            _ => json!({"$continue": {"state": {"rows": rows}, "after_seconds": 90}}).to_string(),
        })
    })
    .await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let id = submit(&world).await;
    let submitted_at = world.clock.now();
    for leg in 0..3_u32 {
        assert!(world.pump(QueueKind::Dispatch).await);
        let documents = targets.documents();
        let data = &documents.last().unwrap()["data"];
        // Numbers over all legs: a target's fence.
        assert_eq!(
            (&data["attempt"], &data["attempts_max"]),
            (&json!(leg + 1), &json!(leg + 3))
        );
        let state = (leg > 0).then(|| json!({"rows": leg}));
        assert_eq!(data.get("state"), state.as_ref());
        world.clock.advance(Duration::from_secs(90));
    }
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["result"]),
        (&json!("completed"), &json!({"rows": 3}))
    );
    let last = targets.documents()[2]["timestamp"].clone();
    let resumed_at = submitted_at + Duration::from_secs(180);
    assert_eq!(last, json!(resumed_at.to_string()));
}

#[tokio::test]
async fn a_target_that_continues_wrongly_fails_with_the_name_of_the_member() {
    for (members, code, message) in [
        (
            json!({"state": 1, "after_seconds": -1}),
            "TARGET_ANSWER_INVALID",
            "the target's $continue.after_seconds must be a whole number from 0 to 604800",
        ),
        (
            json!({"state": "a".repeat(65_535)}),
            "STATE_TOO_LARGE",
            "the state has 65537 bytes; the limit is 65536",
        ),
    ] {
        let reply = json!({"$continue": members}).to_string();
        let targets = Targets::start(move |_| Reply::Returned(reply.clone())).await;
        let (world, _file) = world_with(&[resize()], &targets.url).await;
        let id = submit(&world).await;
        let failed = ended(&world, &id).await;
        assert_eq!(
            (&failed["attempt"], &failed["errors"]),
            (&json!(1), &json!([{"code": code, "message": message}]))
        );
    }
}

#[tokio::test]
async fn an_error_is_retried_unless_it_is_named_as_permanent() {
    let targets = Targets::start(|data| match data["attempt"].as_u64() {
        Some(1) => Reply::Raised(json!({"errorType": "KeyError", "errorMessage": "not yet"})),
        _ => Reply::Raised(json!({
            "errorType": "ValueError",
            "errorMessage": "no such image",
            "stackTrace": ["File \"app.py\", line 1"],
        })),
    })
    .await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let id = submit(&world).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let retried = world.show(&id).await;
    assert_eq!(retried["status"], "processing");
    let failed = ended(&world, &id).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(2))
    );
    assert_eq!(
        failed["errors"],
        json!([{"code": "VALUE_ERROR", "message": "no such image"}])
    );
    assert!(!failed.to_string().contains("app.py"));
    let attempts: Vec<_> = targets
        .documents()
        .iter()
        .map(|document| {
            (
                document["data"]["operation_id"].clone(),
                document["data"]["attempt"].clone(),
            )
        })
        .collect();
    assert_eq!(attempts, [(json!(id), json!(1)), (json!(id), json!(2))]);
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_the_operation_at_once() {
    let large = format!("\"{}\"", "x".repeat(256 * 1024));
    let targets = Targets::start(move |_| Reply::Returned(large.clone())).await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let id = submit(&world).await;
    let failed = ended(&world, &id).await;
    assert_eq!(failed["errors"][0]["code"], "RESULT_TOO_LARGE");
    assert_eq!(targets.documents().len(), 1);
}

#[tokio::test]
async fn the_worker_keeps_its_lease_while_a_target_works() {
    let targets = Targets::start(|_| Reply::Later("1".to_owned())).await;
    let mut function = resize();
    function["timeout_seconds"] = json!(300);
    let (world, _file) = world_with(&[function], &targets.url).await;
    let id = submit(&world).await;
    let start = world.clock.now().as_secs();
    let running = RunningWorker::start(&world).await;
    running.until(&id, is_held).await;
    for beat in 1..=4 {
        world.clock.advance(Duration::from_secs(20));
        let expected = start + beat * 20 + 60;
        running
            .until(&id, |operation| lease_until(operation) == expected)
            .await;
    }
    targets.release();
    assert!(!running.returned().await);
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
    assert_eq!(targets.documents().len(), 1);
}

#[tokio::test]
async fn a_target_that_exceeds_the_attempts_time_is_invoked_again_by_another_attempt() {
    let targets = Targets::start(|data| match data["attempt"].as_u64() {
        Some(1) => Reply::Later("1".to_owned()),
        _ => Reply::Returned("2".to_owned()),
    })
    .await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let (id, running) = submit_and_hold(&world).await;
    assert!(running.returned().await);
    let done = ended(&world, &id).await;
    assert_eq!((&done["attempt"], &done["result"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn a_cancel_ends_the_wait_for_a_target() {
    let targets = Targets::start(|_| Reply::Later("1".to_owned())).await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let (id, running) = submit_and_hold(&world).await;
    let cancelled = world
        .request("POST", &format!("/operations/{id}/cancel"), &[], "")
        .await;
    assert_eq!(cancelled.status, 200);
    // The next heartbeat finds the cancel; neither the target nor the attempt's time ends the wait.
    world.clock.advance(Duration::from_secs(20));
    assert!(running.returned_now().await);
    assert_eq!(ended(&world, &id).await["status"], "cancelled");
}

#[tokio::test]
async fn a_worker_that_dies_while_it_waits_loses_one_attempt() {
    let targets = Targets::start(|data| match data["attempt"].as_u64() {
        Some(1) => Reply::Later("1".to_owned()),
        _ => Reply::Returned("2".to_owned()),
    })
    .await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let (id, running) = submit_and_hold(&world).await;
    // As when its process is killed: nothing of it runs on.
    running.kill().await;
    let done = ended(&world, &id).await;
    assert_eq!(
        (&done["status"], &done["attempt"], &done["result"]),
        (&json!("completed"), &json!(2), &json!(2))
    );
}

#[tokio::test]
async fn a_message_that_is_done_is_deleted_while_its_neighbour_waits() {
    let targets = Targets::start(|data| match data["arguments"]["key"].as_str() {
        Some("slow") => Reply::Later("1".to_owned()),
        _ => Reply::Returned("2".to_owned()),
    })
    .await;
    let mut function = resize();
    function["timeout_seconds"] = json!(300);
    let (world, _file) = world_with(&[function], &targets.url).await;
    let mut ids = Vec::new();
    for key in ["slow", "fast"] {
        let response = world.submit(submission(&json!({"key": key}))).await;
        ids.push(response.json["id"].as_str().unwrap().to_owned());
    }
    let queue = world.queue(QueueKind::Dispatch);
    let messages = queue.receive(2).await;
    assert_eq!(messages.len(), 2);
    let (event, by_worker) = (queue.event(&messages), world.another_worker());
    let for_task = Arc::clone(&world);
    let served =
        tokio::spawn(async move { for_task.serve(&by_worker, QueueKind::Dispatch, event).await });
    let is_deleted = async {
        while world.show(&ids[1]).await["status"] != "completed" || queue.len().await == 2 {
            world.clock.advance(Duration::from_secs(1));
        }
    };
    timeout(REAL_TIME_MAX, is_deleted).await.unwrap();
    // The other message stays, hidden: its operation is still held.
    assert_eq!(queue.len().await, 1);
    assert_eq!(world.show(&ids[0]).await["status"], "processing");
    targets.release();
    let response = served.await.unwrap();
    queue.delete_acknowledged(&messages, &response).await;
    assert!(queue.is_empty().await);
}

#[tokio::test]
async fn callers_see_a_registered_function_as_they_see_a_compiled_one() {
    let targets = Targets::start(|_| Reply::Returned("1".to_owned())).await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let listed = world.request("GET", "/functions", &[], "").await.json;
    let functions = listed["functions"].as_array().unwrap();
    let shown = functions
        .iter()
        .find(|function| function["name"] == "image.resize");
    let shown = shown.unwrap();
    assert_eq!(shown["arguments_schema"], resize()["arguments_schema"]);
    assert_eq!(shown["result_schema"], resize()["result_schema"]);
    assert_eq!(shown["limits"]["attempts_max"], 3);
    assert_eq!(shown["limits"]["attempt_timeout_seconds"], 60);
    // What the target is, is the operator's business.
    assert!(!shown.to_string().contains("image-resize:live"));
    let envelope = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": "req_1",
        "call": {
            "function": "urn:cline:forrst:fn:describe",
            "version": "1.0.0",
            "arguments": {"function": "image.resize"},
        },
    });
    let described = world
        .request("POST", "/forrst", &[], &envelope.to_string())
        .await
        .json;
    let result = &described["result"];
    assert_eq!(result["side_effects"], json!(["update"]));
    assert_eq!(result["recommended_version"], "1.2.0");
    let arguments = &result["versions"][0]["schema"]["arguments"];
    assert_eq!(arguments, &resize()["arguments_schema"]);
    assert!(!described.to_string().contains("image-resize:live"));
}

#[tokio::test]
async fn arguments_are_checked_by_the_registered_schema_before_anything_is_written() {
    let targets = Targets::start(|_| Reply::Returned("1".to_owned())).await;
    let (world, _file) = world_with(&[resize()], &targets.url).await;
    let wrong = submission(&json!({"width": 0, "height": 1}));
    let refused = world
        .request("POST", "/operations", &[], &wrong.to_string())
        .await;
    assert_eq!(
        (refused.status, &refused.json["code"]),
        (400, &json!("INVALID_ARGUMENTS"))
    );
    assert_eq!(
        refused.json["errors"],
        json!([
            {"pointer": "/arguments/width", "detail": "must be at least 1"},
            {"pointer": "/arguments/height", "detail": "is not a known member"},
            {"pointer": "/arguments/key", "detail": "is required"},
        ])
    );
    assert!(world.wire.calls().is_empty());
}

#[tokio::test]
async fn a_function_whose_schema_is_not_valid_cannot_be_called() {
    let targets = Targets::start(|_| Reply::Returned("1".to_owned())).await;
    let mut function = resize();
    function["arguments_schema"]["properties"]["key"]["minLength"] = json!("one");
    let (world, _file) = world_with(&[function], &targets.url).await;
    let body = submission(&json!({"key": "a"})).to_string();
    let refused = world.request("POST", "/operations", &[], &body).await;
    assert_eq!(
        (refused.status, &refused.json["code"]),
        (500, &json!("INTERNAL_ERROR"))
    );
    assert_eq!(refused.json["detail"], "the function cannot be called");
    assert!(world.wire.calls().is_empty());
}

#[tokio::test]
async fn an_error_of_a_target_is_counted_by_its_code() {
    let raised = |kind: &str| Reply::Raised(json!({"errorType": kind, "errorMessage": "m"}));
    let refused = |status, code: &str| Reply::Refused(status, code.to_owned());
    for (reply, code) in [
        (raised("KeyError"), Some("RETRYABLE")),
        (raised("ValueError"), Some("PERMANENT")),
        (raised("Runtime.ExitError"), Some("TARGET_CRASHED")),
        (raised("Sandbox.Timedout"), Some("TARGET_TIMED_OUT")),
        (
            Reply::Returned("?".to_owned()),
            Some("TARGET_ANSWER_INVALID"),
        ),
        (
            Reply::Returned(format!("\"{}\"", "x".repeat(256 * 1024))),
            Some("RESULT_TOO_LARGE"),
        ),
        (Reply::Cut, Some("TARGET_LOST")),
        (
            refused(403, "AccessDeniedException"),
            Some("TARGET_UNAVAILABLE"),
        ),
        (refused(500, "ServiceException"), Some("TARGET_UNAVAILABLE")),
        (
            refused(413, "RequestTooLargeException"),
            Some("TARGET_REFUSED"),
        ),
        (Reply::Returned("1".to_owned()), None),
    ] {
        let targets = Targets::start(move |_| reply.clone()).await;
        let mut function = resize();
        function["attempts"] = json!(1);
        let (world, _file) = world_with(&[function], &targets.url).await;
        submit(&world).await;
        let counted = Counted::start();
        assert!(world.pump(QueueKind::Dispatch).await);
        let counted = counted.take();
        let of_code = |code| counted.get(&key(Metric::TargetError(code)));
        let found: Vec<_> = TARGET_CODES
            .into_iter()
            .filter(|code| of_code(code).is_some())
            .collect();
        assert_eq!(found, code.into_iter().collect::<Vec<_>>());
    }
}
