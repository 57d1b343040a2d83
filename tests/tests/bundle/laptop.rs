//! The program's first minutes on a laptop: idle, with a wrong setting, with many callers who wait.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use local::client::http_client;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::bundle::binaries;
use tests::processes::Process;
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::TIMED;
use super::program::program;

/// Three long polls of each event source would have failed in this time, had they a short read timeout.
const IDLE: Duration = Duration::from_secs(15);

/// Submits that come one by one, so that some would meet an event source which has given up.
const SPACED_SUBMITS: usize = 12;

/// Waiting callers of each kind.
const WAITERS: usize = 20;

/// The longest that a caller who waits for nothing may take. It is far less than a waiting caller takes, and far more than
/// a busy machine needs.
const PROMPT: Duration = Duration::from_secs(8);

/// The longest that a bystander may take while every waiting caller has a process.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) struct Local {
    url: String,
    pub(crate) child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
}

impl Local {
    pub(crate) async fn start(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let directory = binaries().display().to_string();
        let options = [&["--port", "0", "--functions", &directory], options].concat();
        let mut child = program(&options)
            .env("AWS_LAMBDA_LOG_LEVEL", "WARN")
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = soon("the first line", stdout.next_line()).await.unwrap();
        Self {
            url: first.unwrap().strip_prefix("ready ").unwrap().to_owned(),
            stderr: child.stderr.take().unwrap(),
            child,
            stdout,
        }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        http_client().get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = http_client().post(format!("{}{path}", self.url));
        request.body(body.to_string())
    }

    /// What it has said after its first line. It ends by a signal, so that it ends its functions.
    pub(crate) async fn said(mut self) -> String {
        let process_id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-TERM", &process_id]).status();
        assert!(sent.await.unwrap().success());
        let mut said = String::new();
        let read = self.stderr.read_to_string(&mut said);
        soon("the end", read).await.unwrap();
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            said.push_str(&line);
        }
        said
    }
}

/// Work that outlasts every wait.
fn endless() -> Value {
    json!({"function": "demo.countdown", "arguments": {"steps": 100, "step_ms": 60_000}})
}

pub(crate) async fn answered(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test]
async fn an_idle_bundle_says_nothing_and_serves_whatever_comes_then() {
    let mut local = Local::start(&[], &[]).await;
    let line = timeout(IDLE, local.stdout.next_line()).await;
    assert!(line.is_err(), "{line:?}");
    for _ in 0..SPACED_SUBMITS {
        let request = local.post("/operations", &json!({"function": "demo.echo"}));
        let (status, operation) = answered(request.header("prefer", "wait=20")).await;
        assert_eq!((status, &operation["attempt"]), (200, &json!(1)));
    }
    assert_eq!(local.said().await, "");
}

/// Whichever function it is that refuses it, and in whichever format it logs that.
#[tokio::test]
async fn a_wrong_setting_ends_the_program_before_it_is_ready_with_one_line_that_names_it() {
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
            "submit cannot run: FORRST_WAIT_SECONDS must be a whole number from 0 to 20; worker cannot run: LEASE_SECONDS must be a whole number from 5 to 900",
        ),
        (
            &[("WAIT_SECONDS_MAX", "21")],
            "submit, status cannot run: WAIT_SECONDS_MAX must be a whole number from 0 to 20",
        ),
        (
            &[("CALLBACK_RETRY_SECONDS", "soon")],
            "callback cannot run: CALLBACK_RETRY_SECONDS must be at most 10 whole numbers up to 3600, separated by commas",
        ),
        (
            &[("WEBHOOK_SECRETS", "whsec_c2hvcnQ=")],
            "callback cannot run: WEBHOOK_SECRETS holds as secret 1 neither whsec_ with 24 to 64 bytes in base64 nor whsk_ with an Ed25519 key in base64",
        ),
        (
            &[("DEMO_FUNCTIONS", "2")],
            "submit, status, worker cannot run: DEMO_FUNCTIONS must be 0 or 1",
        ),
        (
            &[("SERVICE_NAME", "a b")],
            "submit, status, worker, callback cannot run: SERVICE_NAME must be at most 128 letters, digits and any of -_./#",
        ),
        (
            &[("AWS_LAMBDA_LOG_LEVEL", "loud")],
            "submit, status, worker, callback cannot run: AWS_LAMBDA_LOG_LEVEL must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
        ),
    ] {
        for arguments in [&["--port", "0"][..], &["demo"]] {
            let arguments = [arguments, &["--functions", &directory]].concat();
            let mut program = program(&arguments);
            let output = program.envs(settings.iter().copied()).output();
            let output = soon("the end", output).await.unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said, format!("error: {expected}\n"), "{arguments:?}");
            assert_eq!(output.status.code(), Some(1));
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        }
    }
}

#[tokio::test]
async fn callers_who_wait_keep_no_other_caller_out() {
    let settings = [("FORRST_WAIT_SECONDS", "20"), ("WAIT_SECONDS_MAX", "20")];
    let local = Local::start(&[], &settings).await;
    let long = endless();
    let (_, operation) = answered(local.post("/operations", &long)).await;
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
    let waiting = join_all(waiting.map(answered));

    let process_id = local.child.id().unwrap();
    let others = async {
        until("a process for each who waits", async || {
            for request in [
                local.get("/health"),
                local.get("/functions"),
                local.get(&path),
                local.post("/operations", &json!({"function": "demo.echo"})),
            ] {
                let answer = timeout(PROMPT, answered(request)).await;
                let (status, answer) = answer.expect("an answer at once");
                assert!(matches!(status, 200 | 202), "{answer}");
            }
            let children = Process::children_of(process_id).await;
            let of = |name| children.iter().filter(|child| child.name == name).count();
            (of("submit") > 2 * WAITERS && of("status") > WAITERS).then_some(())
        })
        .await;
    };
    let (answers, ()) = tokio::join!(waiting, others);
    for (status, answer) in answers {
        assert!(matches!(status, 200 | 202), "{answer}");
    }
    assert_eq!(local.said().await, "");
}

/// Of the default bundle. The processes of the waiting callers use the processors while they start,
/// so the bystander's requests are timed once all of them have started.
#[tokio::test]
async fn a_bystander_is_answered_at_once_while_twenty_callers_wait() {
    let _timed = TIMED.lock().await;
    let local = Local::start(&[], &[]).await;
    let long = endless();
    let (_, operation) = answered(local.post("/operations", &long)).await;
    let path = format!("/operations/{}", operation["id"].as_str().unwrap());
    let waiting = (0..WAITERS / 2).flat_map(|_| {
        [
            local.get(&path).header("prefer", "wait=20"),
            local.post("/operations", &long).header("prefer", "wait=20"),
        ]
    });
    let mut waiting = pin!(join_all(waiting.map(answered)));
    let process_id = local.child.id().unwrap();
    let all_wait = until("a process for each who waits", async || {
        let children = Process::children_of(process_id).await;
        let of = |name| children.iter().filter(|child| child.name == name).count();
        let has_each = |name| of(name) >= WAITERS / 2;
        (has_each("submit") && has_each("status")).then_some(())
    });
    let bystander = async {
        all_wait.await;
        for request in [
            local.get("/health"),
            local.get("/functions"),
            local.get(&path),
            local.post("/operations", &json!({"function": "demo.echo"})),
        ] {
            let answer = timeout(AT_ONCE, answered(request)).await;
            let (status, answer) = answer.expect("an answer at once");
            assert!(matches!(status, 200 | 202), "{answer}");
        }
    };
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("a caller did not wait"),
        () = bystander => {}
    }
    for (status, answer) in waiting.await {
        assert!(matches!(status, 200 | 202), "{answer}");
    }
    assert_eq!(local.said().await, "");
}

#[tokio::test]
async fn with_require_token_only_health_answers_a_request_without_one() {
    let local = Local::start(&["--require-token"], &[]).await;
    for path in ["/operations", "/functions", "/operations/op_1"] {
        let (status, answer) = answered(local.get(path)).await;
        assert_eq!((status, answer), (401, json!({"message": "Unauthorized"})));
    }
    let echo = json!({"function": "demo.echo"});
    for path in ["/operations", "/forrst"] {
        let (status, answer) = answered(local.post(path, &echo)).await;
        assert_eq!((status, answer), (401, json!({"message": "Unauthorized"})));
    }
    let named = local
        .post("/operations", &echo)
        .header("authorization", "Bearer alice");
    assert_eq!(answered(named).await.0, 202);
    assert_eq!(answered(local.get("/health")).await.0, 200);
    assert_eq!(local.said().await, "");
}
