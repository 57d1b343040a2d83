//! The programs `operator` and `local` together, with the commands of `infra/RUNBOOK.md`.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use local::client::http_client;
use serde_json::{Value, json};
use shared::aws::{Aws, http_connector};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::domain::callback::{Callback, CallbackEvent};
use shared::domain::fingerprint::redrive_id;
use shared::domain::id::{ClaimId, CreateId, OperationId};
use shared::domain::operation::{Operation, Progress, Trace};
use shared::random::{Random, SeededRandom};
use shared::store::{ClaimOutcome, CreateOutcome, Draft, Store};
use tests::bundle::binaries;
use tests::samples::pending_operation;
use tests::terminal::{HOSTILE, assert_visible};
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const NO_SUCH_OPERATION: &str = "op_000000000000000000000000";

/// A bundle, and the file that names its store and queues.
struct Local {
    url: String,
    file: PathBuf,
    environment: Environment,
    store: Store,
    /// Kept open, since the functions log to it.
    _output: Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Local {
    async fn start(name: &str) -> Self {
        let file = directory().join(format!("{name}.env"));
        let mut process = Command::new(binaries().join("local"))
            .args(["--port", "0", "--binaries"])
            .arg(binaries())
            .arg("--environment")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = soon("the first line", lines.next_line()).await;
        let line = line.unwrap().unwrap();
        let variables = std::fs::read_to_string(&file).unwrap();
        let variables = variables.lines().map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name, value.trim_matches('"'))
        });
        let environment: Environment = variables.collect();
        let aws = Aws::new(&environment, http_connector(&environment).unwrap()).unwrap();
        let table = environment.required("TABLE_NAME").unwrap().to_owned();
        Self {
            url: line.strip_prefix("ready ").unwrap().to_owned(),
            file,
            store: Store::new(aws.dynamodb(), table),
            environment,
            _output: lines,
            process,
        }
    }

    /// Stops the bundle with all processes of its functions.
    async fn stop(mut self) {
        let process_id = self.process.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-TERM", &process_id]).status();
        assert!(sent.await.unwrap().success());
        soon("the end", self.process.wait()).await.unwrap();
    }

    /// Runs the tool with the bundle's variables.
    async fn operator(&self, arguments: &[&str]) -> Output {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"set -a; . "$0"; exec "$@""#]);
        shell.arg(&self.file);
        shell.arg(program()).args(arguments);
        run(shell).await
    }

    async fn submit(&self, body: Value) -> String {
        let submitted = http_client()
            .post(format!("{}/operations", self.url))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(submitted.status(), 202);
        let text = submitted.text().await.unwrap();
        let submitted: Value = serde_json::from_str(&text).unwrap();
        submitted["id"].as_str().unwrap().to_owned()
    }

    async fn wait_until_completed(&self, id: &str) {
        self.wait_for_status(id, "completed").await;
    }

    async fn wait_for_status(&self, id: &str, expected: &str) {
        let id = id.parse::<OperationId>().unwrap();
        until("the status", async || {
            let read = self.store.get(&id, SystemClock.now()).await.unwrap();
            let status = read.unwrap().status();
            (status.as_str() == expected).then_some(())
        })
        .await;
    }

    /// The id of the operation's redrive, which may not exist yet.
    async fn redrive_of(&self, id: &str) -> String {
        let id = id.parse::<OperationId>().unwrap();
        let read = self.store.get(&id, SystemClock.now()).await.unwrap();
        redrive_id(&read.unwrap().create_id).to_string()
    }

    /// Claims the operation as a worker that reports progress and then crashes.
    async fn report_progress(&self, id: &str) {
        let id = id.parse::<OperationId>().unwrap();
        let (now, lease) = (SystemClock.now(), Duration::from_secs(1));
        let operation = self.store.get(&id, now).await.unwrap().unwrap();
        let claim_id = ClaimId::from_bytes([9; 16]);
        let claim = self
            .store
            .claim(&id, &operation.create_id, claim_id, lease, now);
        let ClaimOutcome::Held(held) = claim.await.unwrap() else {
            panic!("it is held");
        };
        let progress = Progress {
            fraction: 0.5,
            message: Some(HOSTILE.to_owned()),
            at: now,
        };
        let renewed = self.store.renew(&held, lease, Some(&progress), now);
        renewed.await.unwrap();
    }

    /// An operation of `alice`'s without a message, as in a table that was restored.
    async fn restored(&self, seed: u64) -> String {
        self.stored(seed, |operation| operation.callback = None)
            .await
    }

    /// An operation of `alice`'s without a message.
    async fn stored(&self, seed: u64, with: impl FnOnce(&mut Operation)) -> String {
        let random: &dyn Random = &SeededRandom::new(seed);
        let mut operation = Operation {
            id: OperationId::from_bytes(random.bytes()),
            create_id: CreateId::from_bytes(random.bytes()),
            ..pending_operation(SystemClock.now())
        };
        with(&mut operation);
        let draft = Draft::new(&operation);
        let created = self.store.create(&draft, SystemClock.now()).await;
        assert!(matches!(created.unwrap(), CreateOutcome::New));
        operation.id.to_string()
    }
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn program() -> PathBuf {
    binaries().join("operator")
}

/// Runs a command independently of the developer's AWS profile.
async fn run(mut command: Command) -> Output {
    command
        .env("HOME", directory())
        .env_remove("AWS_PROFILE")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    soon("the end", command.output()).await.unwrap()
}

/// Standard output of a run that exited with this code.
fn stdout(output: &Output, code: i32) -> &str {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    std::str::from_utf8(&output.stdout).unwrap().trim_end()
}

/// Standard error of a run that exited with this code and printed nothing else.
fn stderr(output: &Output, code: i32) -> &str {
    assert_eq!(stdout(output, code), "");
    std::str::from_utf8(&output.stderr).unwrap().trim_end()
}

#[tokio::test]
async fn every_command_works_with_a_running_bundle() {
    let local = Local::start("operator").await;

    let body = json!({"function": "demo.echo", "arguments": {"private": true}});
    let id = local.submit(body).await;
    local.wait_until_completed(&id).await;
    let shown = local.operator(&["show", &id]).await;
    assert!(!stdout(&shown, 0).contains("private"));
    let shown: Value = serde_json::from_str(stdout(&shown, 0)).unwrap();
    assert_eq!(shown["owner"], "local:anonymous");
    let shown = local.operator(&["show", &id, "--payloads"]).await;
    let shown: Value = serde_json::from_str(stdout(&shown, 0)).unwrap();
    assert_eq!(shown["result"], json!({"private": true}));
    let absent = local.operator(&["show", NO_SUCH_OPERATION]).await;
    let expected = format!("error: nothing is stored under {NO_SUCH_OPERATION} in ferry");
    assert_eq!(stderr(&absent, 1), expected);

    let restored = local.restored(1).await;
    let dry = local.operator(&["requeue", "--dry-run"]).await;
    let summary = |sent| {
        format!("1 live, 0 callbacks due, {sent} messages sent, 0 not sent, 0 records unreadable")
    };
    let expected = format!("dispatch {restored} pending\n{}", summary(0));
    assert_eq!(stdout(&dry, 0), expected);
    let requeued = local.operator(&["requeue"]).await;
    assert_eq!(stdout(&requeued, 0), summary(1));
    local.wait_until_completed(&restored).await;

    let live = local.restored(2).await;
    let alice = ["erase", "--owner", "local:alice"];
    let unconfirmed = local.operator(&alice).await;
    let errors = stderr(&unconfirmed, 1);
    assert!(errors.contains("--yes"), "{errors}");
    let dry = local.operator(&[&alice[..], &["--dry-run"]].concat()).await;
    let mut found: Vec<_> = stdout(&dry, 0).lines().collect();
    found.sort_unstable();
    let mut expected = [
        "2 of local:alice".to_owned(),
        format!("{restored} ended"),
        format!("{live} live"),
    ];
    expected.sort();
    assert_eq!(found, expected);
    let left = local.operator(&[&alice[..], &["--yes"]].concat()).await;
    let summary = "1 erased, 0 of them cancelled first, 1 live, 0 unreadable";
    assert_eq!(stdout(&left, 2), summary);
    let logged = String::from_utf8_lossy(&left.stderr);
    assert!(logged.contains(&format!("left: {live} has not ended")));
    let audited = format!(
        r#"audit="erase" actor="operator" operation_id={restored} owner="local:alice" outcome="done""#
    );
    assert!(logged.contains(&audited), "{logged}");
    let all = local
        .operator(&[&alice[..], &["--yes", "--cancel"]].concat())
        .await;
    let summary = "1 erased, 1 of them cancelled first, 0 live, 0 unreadable";
    assert_eq!(stdout(&all, 0), summary);
    let shown = local.operator(&["show", &live]).await;
    let shown: Value = serde_json::from_str(stdout(&shown, 0)).unwrap();
    assert_eq!(shown["record"], "tombstone");
    let shown = local.operator(&["show", &id]).await;
    assert_eq!(shown.status.code(), Some(0));
    local.stop().await;
}

#[tokio::test]
async fn redrive_lists_first_then_redrives_once_with_progress_and_audit() {
    let local = Local::start("redrive").await;
    let since = SystemClock.now().to_string();
    let failing = |code: &str| json!({"function": "demo.fail", "arguments": {"code": code}});
    let mut failed = Vec::new();
    for code in ["BROKEN", "BROKEN", "OTHER"] {
        let id = local.submit(failing(code)).await;
        local.wait_for_status(&id, "failed").await;
        failed.push(id);
    }
    failed.pop();
    let redrive = [
        "redrive",
        "--function",
        "demo.fail",
        "--since",
        &since,
        "--code",
        "BROKEN",
    ];
    let run = async |options: &[&str]| local.operator(&[&redrive[..], options].concat()).await;
    let summary = |selected, redriven, before, refused| {
        format!(
            "{selected} selected, {redriven} redriven, {before} redriven before, {refused} \
             refused, 0 records unreadable"
        )
    };

    let dry = run(&["--dry-run"]).await;
    let mut listed: Vec<_> = stdout(&dry, 0).lines().collect();
    assert_eq!(listed.pop(), Some(&*summary(2, 0, 0, 0)));
    listed.sort_unstable();
    failed.sort();
    assert_eq!(listed, failed);
    let progress = String::from_utf8_lossy(&dry.stderr);
    assert_eq!(progress, "3 items read, 2 selected, 0 redriven\n");

    let refused = run(&["--from", "state"]).await;
    assert_eq!(stdout(&refused, 2), summary(2, 0, 0, 2));
    let logged = String::from_utf8_lossy(&refused.stderr);
    for id in &failed {
        let reason = format!("not redriven: {id}: it saved no state");
        assert!(logged.contains(&reason), "{logged}");
    }
    // Neither run changed anything.
    let redriven = run(&["--per-second", "1000"]).await;
    assert_eq!(stdout(&redriven, 0), summary(2, 2, 0, 0));
    let logged = String::from_utf8_lossy(&redriven.stderr);
    assert!(logged.contains("3 items read, 2 selected, 2 redriven"));
    for id in &failed {
        let audited = format!(
            r#"audit="redrive" actor="operator" operation_id={id} owner="local:anonymous" outcome="done""#
        );
        assert!(logged.contains(&audited), "{logged}");
    }

    for id in &failed {
        let new = local.redrive_of(id).await;
        local.wait_for_status(&new, "failed").await;
    }
    // The new operations have failed as well, before this run begins.
    let again = run(&[]).await;
    assert_eq!(stdout(&again, 0), summary(4, 2, 2, 0));
    local.stop().await;
}

/// Every text that callers and functions choose. The owner is stored directly, since the gateway
/// would refuse such a one.
#[tokio::test]
async fn texts_of_callers_and_functions_are_escaped_and_keep_their_value_in_json() {
    let local = Local::start("hostile").await;
    let failing = json!({
        "function": "demo.fail", "arguments": {"code": HOSTILE, "message": HOSTILE},
        "metadata": {HOSTILE: HOSTILE},
    });
    let failed = local.submit(failing).await;
    local.wait_for_status(&failed, "failed").await;
    let echo = json!({"function": "demo.echo", "arguments": {HOSTILE: HOSTILE}});
    let completed = local.submit(echo).await;
    local.wait_until_completed(&completed).await;

    let owner = format!("local:{HOSTILE}");
    let stored = local
        .stored(4, |operation| {
            let trace = Trace {
                trace_id: HOSTILE.to_owned(),
                span_id: HOSTILE.to_owned(),
            };
            operation.owner = owner.parse().unwrap();
            operation.function = HOSTILE.to_owned();
            operation.function_version = HOSTILE.to_owned();
            operation.origin.request_id = Some(HOSTILE.to_owned());
            operation.origin.trace = Some(trace);
            let url = format!("https://example.com/{HOSTILE}?secret");
            operation.callback = Some(Callback::new(url, CallbackEvent::ALL.to_vec()));
        })
        .await;
    local.report_progress(&stored).await;
    let shown = async |id: &str| {
        let output = local.operator(&["show", id, "--payloads"]).await;
        assert_visible(&output);
        serde_json::from_str::<Value>(stdout(&output, 0)).unwrap()
    };
    let view = shown(&failed).await;
    assert_eq!(view["operation"]["errors"][0]["message"], HOSTILE);
    assert_eq!(view["metadata"][HOSTILE], HOSTILE);
    assert_eq!(shown(&completed).await["result"][HOSTILE], HOSTILE);
    let view = shown(&stored).await;
    for pointer in [
        "/operation/function",
        "/operation/version",
        "/operation/progress_message",
        "/internal/origin_request_id",
        "/internal/trace_id",
        "/internal/span_id",
    ] {
        assert_eq!(view.pointer(pointer), Some(&json!(HOSTILE)), "{pointer}");
    }
    assert_eq!(view["owner"], owner);
    let url = view["operation"]["callback"]["url"].as_str().unwrap();
    assert!(url.contains(HOSTILE), "{url}");

    for options in [&["--dry-run"][..], &["--yes", "--cancel"]] {
        let erase = [&["erase", "--owner", &owner][..], options].concat();
        let erased = local.operator(&erase).await;
        assert_eq!(erased.status.code(), Some(0));
        assert_visible(&erased);
    }
    let misspelled = format!("ldap:{HOSTILE}");
    assert_visible(&local.operator(&["erase", "--owner", &misspelled]).await);
    local.stop().await;
}

#[tokio::test]
async fn credentials_may_come_from_a_profile_with_a_process() {
    let local = Local::start("profile").await;
    let id = local.restored(3).await;
    let credentials =
        json!({"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret"});
    let file = directory().join("credentials.json");
    std::fs::write(&file, credentials.to_string()).unwrap();
    let config = directory().join("config");
    let profile = format!(
        "[profile night]\nregion = us-east-1\ncredential_process = cat '{}'\n",
        file.display()
    );
    std::fs::write(&config, profile).unwrap();
    let mut command = Command::new(program());
    command.args(["show", &id, "--payloads"]);
    for name in ["TABLE_NAME", "AWS_ENDPOINT_URL_DYNAMODB"] {
        command.env(name, local.environment.required(name).unwrap());
    }
    command.env("AWS_CONFIG_FILE", config);
    command.env("AWS_PROFILE", "night");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_REGION"] {
        command.env_remove(name);
    }
    let shown = soon("the end", command.output()).await.unwrap();
    let shown: Value = serde_json::from_str(stdout(&shown, 0)).unwrap();
    assert_eq!(shown["arguments"], json!({"a": 1}));
    local.stop().await;
}
