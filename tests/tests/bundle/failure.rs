//! Work that fails, in every way.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::api::Api;
use tests::receiver::Receiver;

use super::BUNDLE;

/// How an operation is expected to end.
enum Expected {
    /// On this attempt.
    Completed(u32),
    /// On this attempt, with errors of these codes.
    Failed(u32, &'static [&'static str]),
}

use Expected::{Completed, Failed};

/// One test, so that the waits for leases, timeouts and backoffs overlap, and overlap with work
/// that succeeds.
#[tokio::test]
async fn every_failure_ends_its_operation_with_a_callback_and_no_other_operation() {
    let api = BUNDLE.caller("failure");
    let fail = |arguments: Value| json!({"function": "demo.fail", "arguments": arguments});
    let cases = [
        (
            fail(json!({"code": "MINE", "message": "so it goes"})),
            Failed(1, &["MINE"]),
        ),
        (
            fail(json!({"retryable": true, "succeed_on_attempt": 2})),
            Completed(2),
        ),
        (
            fail(json!({"mode": "panic"})),
            Failed(3, &["INTERNAL_ERROR", "ATTEMPTS_EXHAUSTED"]),
        ),
        // The process ends while it holds the operation.
        (
            fail(json!({"mode": "exit", "succeed_on_attempt": 2})),
            Completed(2),
        ),
        (fail(json!({"mode": "exit"})), Failed(3, &["WORKER_LOST"])),
        // It never returns; the attempt's timeout ends it.
        (
            fail(json!({"mode": "hang", "succeed_on_attempt": 2})),
            Completed(2),
        ),
        (
            // Long enough for the attempt to start on a busy machine.
            json!({
                "function": "demo.countdown",
                "arguments": {"steps": 100, "step_ms": 60_000},
                "deadline_seconds": 10,
            }),
            Failed(1, &["DEADLINE_EXCEEDED"]),
        ),
        (
            json!({"function": "csv.summarize", "arguments": {"csv": "a,b\n1\n"}}),
            Failed(1, &["MALFORMED_CSV"]),
        ),
        (
            json!({"function": "demo.countdown", "arguments": {"steps": 30, "step_ms": 100}}),
            Completed(1),
        ),
        (
            json!({"function": "demo.countdown", "arguments": {"steps": 1, "step_ms": 1}}),
            Completed(1),
        ),
        // Each leg is an attempt.
        (
            json!({"function": "demo.long", "arguments": {"legs": 3, "wait_seconds": 1}}),
            Completed(3),
        ),
    ];
    let ends = cases
        .iter()
        .map(|(body, expected)| ends(&api, body, expected));
    join_all(ends).await;
}

async fn ends(api: &Api, body: &Value, expected: &Expected) {
    let receiver = Receiver::start().await;
    let mut with_callback = body.clone();
    with_callback["callback_url"] = json!(receiver.url);
    let id = api.submit(&with_callback).await.id();
    match expected {
        Completed(attempt) => {
            let operation = api.wait_for_status(&id, "completed").await.json();
            if body["function"] == "demo.fail" {
                assert_eq!(operation["result"], json!({"attempt": attempt}), "{body}");
            }
            assert_eq!(operation["attempt"], *attempt, "{body}");
            assert!(operation.get("errors").is_none(), "{operation}");
        }
        Failed(attempt, codes) => {
            let operation = api.wait_for_status(&id, "failed").await.json();
            let errors = operation["errors"].as_array().unwrap();
            let shown: Vec<_> = errors
                .iter()
                .map(|error| error["code"].as_str().unwrap())
                .collect();
            assert_eq!(shown, *codes, "{operation}");
            assert_eq!(operation["attempt"], *attempt, "{operation}");
            assert!(operation.get("result").is_none(), "{operation}");
            assert!(operation["completed_at"].is_string(), "{operation}");
        }
    }
    api.wait_for_callback_status(&id, "delivered").await;
    let operation = api.get(&format!("/operations/{id}")).await.json();
    let [delivery] = receiver.received().try_into().unwrap();
    let data = &delivery.verified()["data"];
    for member in ["status", "attempt", "result", "errors"] {
        assert_eq!(data.get(member), operation.get(member), "{body}: {member}");
    }
}

#[tokio::test]
async fn a_functions_error_has_its_message_and_details() {
    let api = BUNDLE.caller("failure-details");
    let body = json!({"function": "csv.summarize", "arguments": {"csv": "a,b\n1,2\n3\n"}});
    let id = api.submit(&body).await.id();
    let operation = api.wait_for_status(&id, "failed").await.json();
    let expected = json!([{
        "code": "MALFORMED_CSV",
        "message": "line 3, column 2: the record has 1 fields, the first one 2",
        "details": {"line": 3, "column": 2},
    }]);
    assert_eq!(operation["errors"], expected);
}
