//! The program on a laptop: idle, with a malformed setting, and with many waiting callers.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::bundle::binaries;
use tests::processes::Process;
use tests::wait::{soon, until};
use tokio::time::timeout;

use super::TIMED;
use super::local_program::{LocalProgram, answer, program};

/// Long enough for three long polls of each event source to fail, if their read timeout were short.
const IDLE: Duration = Duration::from_secs(15);

/// Submits one after the other, so that some would find an event source that has stopped.
const SPACED_SUBMITS: usize = 12;

/// Waiting callers of each kind.
const WAITERS: usize = 20;

/// The longest response for a caller that does not wait: far shorter than a wait, and far longer
/// than a busy machine needs.
const PROMPT: Duration = Duration::from_secs(8);

/// The longest response for another caller once every waiting caller has a process.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Work that takes longer than every wait.
fn endless() -> Value {
    json!({"function": "demo.countdown", "arguments": {"steps": 100, "step_ms": 60_000}})
}

#[tokio::test]
async fn an_idle_bundle_logs_nothing_and_then_serves_submits() {
    let mut local = LocalProgram::start(&[], &[]).await;
    let line = timeout(IDLE, local.stdout.next_line()).await;
    assert!(line.is_err(), "{line:?}");
    for _ in 0..SPACED_SUBMITS {
        let request = local.post("/operations", &json!({"function": "demo.echo"}));
        let (status, operation) = answer(request.header("prefer", "wait=20")).await;
        assert_eq!((status, &operation["attempt"]), (200, &json!(1)));
    }
    assert_eq!(local.stop().await, "");
}

/// Whichever function refuses the setting, and in either log format.
#[tokio::test]
async fn a_malformed_setting_ends_the_program_before_it_is_ready_with_one_line_that_names_it() {
    let directory = binaries().display().to_string();
    for (settings, expected) in [
        (
            &[("LEASE_SECONDS", "3")][..],
            "worker cannot run: LEASE_SECONDS must be a whole number from 5 to 900",
        ),
        (
            &[("LEASE_SECONDS", "3"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")],
            "worker cannot run: LEASE_SECONDS must be a whole number from 5 to 900",
        ),
        (
            &[("LEASE_SECONDS", "3"), ("FORRST_WAIT_SECONDS", "21")],
            "submit cannot run: FORRST_WAIT_SECONDS must be a whole number from 0 to 20; \
             worker cannot run: LEASE_SECONDS must be a whole number from 5 to 900",
        ),
        (
            &[("WAIT_SECONDS_MAX", "21")],
            "submit, status cannot run: WAIT_SECONDS_MAX must be a whole number from 0 to 20",
        ),
        (
            &[("CALLBACK_RETRY_SECONDS", "soon")],
            "callback cannot run: CALLBACK_RETRY_SECONDS must be at most 10 whole numbers up to \
             3600, separated by commas",
        ),
        (
            &[("WEBHOOK_SECRETS", "whsec_c2hvcnQ=")],
            "callback cannot run: WEBHOOK_SECRETS is malformed: secret 1 must be whsec_ followed \
             by 24 to 64 bytes in base64, or whsk_ followed by an Ed25519 key in base64",
        ),
        (
            &[("DEMO_FUNCTIONS", "2")],
            "submit, status, worker cannot run: DEMO_FUNCTIONS must be 0 or 1",
        ),
        (
            &[("WORKER_TIMEOUT_SECONDS", "59")],
            "submit, status, worker cannot run: WORKER_TIMEOUT_SECONDS must be a whole number from \
             60 to 1800",
        ),
        (
            &[("SERVICE_NAME", "a b")],
            "submit, status, worker, callback cannot run: SERVICE_NAME must be at most 128 \
             letters, digits and any of -_./#",
        ),
        (
            &[("AWS_LAMBDA_LOG_LEVEL", "loud")],
            "submit, status, worker, callback cannot run: AWS_LAMBDA_LOG_LEVEL must be TRACE, \
             DEBUG, INFO, WARN, ERROR or FATAL",
        ),
    ] {
        for arguments in [&["--port", "0"][..], &["demo"]] {
            let arguments = [arguments, &["--binaries", &directory]].concat();
            let mut program = program(&arguments);
            let output = program.envs(settings.iter().copied()).output();
            let output = soon("the end", output).await.unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(stderr, format!("error: {expected}\n"), "{arguments:?}");
            assert_eq!(output.status.code(), Some(1));
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        }
    }
}

#[tokio::test]
async fn waiting_callers_do_not_block_other_callers() {
    let settings = [("FORRST_WAIT_SECONDS", "20"), ("WAIT_SECONDS_MAX", "20")];
    let local = LocalProgram::start(&[], &settings).await;
    let long = endless();
    let (_, operation) = answer(local.post("/operations", &long)).await;
    let path = format!("/operations/{}", operation["id"].as_str().unwrap());
    let call = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"}, "id": "req_1", "call": long,
    });
    let waiting = (0..WAITERS).flat_map(|_| {
        [
            local.get(&path).header("prefer", "wait=20"),
            local.post("/operations", &long).header("prefer", "wait=20"),
            local.post("/forrst", &call),
        ]
    });
    let waiting = join_all(waiting.map(answer));

    let process_id = local.child.id().unwrap();
    let others = async {
        until("a process for each waiting caller", async || {
            for request in [
                local.get("/health"),
                local.get("/functions"),
                local.get(&path),
                local.post("/operations", &json!({"function": "demo.echo"})),
            ] {
                let answered = timeout(PROMPT, answer(request)).await;
                let (status, body) = answered.expect("a response at once");
                assert!(matches!(status, 200 | 202), "{body}");
            }
            let children = Process::children_of(process_id).await;
            let of = |name| children.iter().filter(|child| child.name == name).count();
            (of("submit") > 2 * WAITERS && of("status") > WAITERS).then_some(())
        })
        .await;
    };
    let (answers, ()) = tokio::join!(waiting, others);
    for (status, body) in answers {
        assert!(matches!(status, 200 | 202), "{body}");
    }
    assert_eq!(local.stop().await, "");
}

/// With the default settings. The waiting callers' processes keep the processors busy while they
/// start, so the other requests are timed once all of them have started.
#[tokio::test]
async fn another_caller_is_answered_within_a_second_while_twenty_callers_wait() {
    let _timed = TIMED.lock().await;
    let local = LocalProgram::start(&[], &[]).await;
    let long = endless();
    let (_, operation) = answer(local.post("/operations", &long)).await;
    let path = format!("/operations/{}", operation["id"].as_str().unwrap());
    let waiting = (0..WAITERS / 2).flat_map(|_| {
        [
            local.get(&path).header("prefer", "wait=20"),
            local.post("/operations", &long).header("prefer", "wait=20"),
        ]
    });
    let mut waiting = pin!(join_all(waiting.map(answer)));
    let process_id = local.child.id().unwrap();
    let all_wait = until("a process for each waiting caller", async || {
        let children = Process::children_of(process_id).await;
        let of = |name| children.iter().filter(|child| child.name == name).count();
        let has_each = |name| of(name) >= WAITERS / 2;
        (has_each("submit") && has_each("status")).then_some(())
    });
    let others = async {
        all_wait.await;
        for request in [
            local.get("/health"),
            local.get("/functions"),
            local.get(&path),
            local.post("/operations", &json!({"function": "demo.echo"})),
        ] {
            let answered = timeout(AT_ONCE, answer(request)).await;
            let (status, body) = answered.expect("a response at once");
            assert!(matches!(status, 200 | 202), "{body}");
        }
    };
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("a caller did not wait"),
        () = others => {}
    }
    for (status, body) in waiting.await {
        assert!(matches!(status, 200 | 202), "{body}");
    }
    assert_eq!(local.stop().await, "");
}

#[tokio::test]
async fn with_require_token_only_health_answers_a_request_without_one() {
    let local = LocalProgram::start(&["--require-token"], &[]).await;
    for path in ["/operations", "/functions", "/operations/op_1"] {
        let (status, body) = answer(local.get(path)).await;
        assert_eq!((status, body), (401, json!({"message": "Unauthorized"})));
    }
    let echo = json!({"function": "demo.echo"});
    for path in ["/operations", "/forrst"] {
        let (status, body) = answer(local.post(path, &echo)).await;
        assert_eq!((status, body), (401, json!({"message": "Unauthorized"})));
    }
    let named = local
        .post("/operations", &echo)
        .header("authorization", "Bearer alice");
    assert_eq!(answer(named).await.0, 202);
    assert_eq!(answer(local.get("/health")).await.0, 200);
    assert_eq!(local.stop().await, "");
}
