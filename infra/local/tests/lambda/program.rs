//! The program `local`: its output, its exit and its errors. The test serves the functions, as
//! `cargo lambda watch` does, so nothing has to be built.

use std::process::{Output, Stdio};

use axum::Router;
use axum::routing::post;
use local::client::http_client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::invoke_api;
use crate::probe;
use crate::wait::soon;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_prints_its_url_when_ready_and_succeeds_after_a_signal() {
    let routes = Router::new().route(
        "/2015-03-31/functions/status/invocations",
        post(async || r#"{"statusCode": 200, "body": "well"}"#),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    for signal in ["-INT", "-TERM"] {
        let mut child = program(&["--port", "0", "--lambda", &endpoint])
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the first line", lines.next_line())
            .await
            .unwrap()
            .unwrap();
        let url = line.strip_prefix("ready ").unwrap();
        let response = http_client()
            .get(format!("{url}/health"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.text().await.unwrap(), "well");

        let process_id = child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &process_id]).status();
        assert!(sent.await.unwrap().success());
        assert!(
            soon("the end", child.wait()).await.unwrap().success(),
            "{signal}"
        );
    }
    server.abort();
}

const FUNCTIONS_FILE: &str = r#"{"format": 1, "functions": [{
  "name": "image.resize", "version": "1.2.0", "description": "Resizes an image.",
  "arguments_schema": {"type": "object"},
  "target": {
    "lambda": {"function": "image-resize"},
    "local": {"command": ["python3", "-m", "awslambdaric", "app.handler"], "directory": "../resize"}
  }
}]}"#;

#[cfg(unix)]
#[tokio::test]
async fn the_targets_of_the_functions_file_are_listed_at_the_start_and_after_a_change() {
    let routes = Router::new().route(
        "/2015-03-31/functions/status/invocations",
        post(async || r#"{"statusCode": 200, "body": "well"}"#),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let file = invoke_api::directory("program_functions_file").join("functions.json");
    std::fs::write(&file, FUNCTIONS_FILE).unwrap();
    let path = file.to_str().unwrap();

    let mut child = program(&[
        "--port",
        "0",
        "--lambda",
        &endpoint,
        "--functions-file",
        path,
    ])
    .spawn()
    .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut line = async || soon("a line", output.next_line()).await.unwrap().unwrap();
    assert!(line().await.starts_with("ready "));
    assert!(line().await.starts_with("console "));
    let target = "target image.resize 1.2.0: python3 -m awslambdaric app.handler (../resize)";
    assert_eq!(line().await, target);

    std::fs::write(&file, FUNCTIONS_FILE.replace("1.2.0", "1.2")).unwrap();
    let error = soon("the error", async {
        loop {
            let line = errors.next_line().await.unwrap().unwrap();
            if line.contains("/functions/0/version") {
                break line;
            }
        }
    })
    .await;
    assert!(
        error.starts_with(&format!("error: {path}:2:38 ")),
        "{error}"
    );
    std::fs::write(&file, FUNCTIONS_FILE.replace("1.2.0", "1.3.0")).unwrap();
    let reloaded = format!("reloaded {path}");
    assert_eq!(line().await, reloaded);
    assert_eq!(line().await, target.replace("1.2.0", "1.3.0"));
    std::fs::write(&file, r#"{"format": 1, "functions": []}"#).unwrap();
    assert_eq!(line().await, reloaded);
    let process_id = child.id().unwrap().to_string();
    let sent = Command::new("kill").arg(&process_id).status();
    assert!(sent.await.unwrap().success());
    assert!(soon("the end", child.wait()).await.unwrap().success());
    server.abort();

    std::fs::write(
        &file,
        FUNCTIONS_FILE.replace("1.2.0", "1.2").replace("1,", "2,"),
    )
    .unwrap();
    let output = program(&[
        "--port",
        "0",
        "--lambda",
        &endpoint,
        "--functions-file",
        path,
    ])
    .output();
    let output = soon("the end", output).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with(&format!("error: {path}:")), "{stderr}");
}

/// Runs a registered function with this command, in a directory of the test.
/// Its result should have this `type`.
async fn run(test: &str, command: &[&str], arguments: &Value, result_type: &str) -> Output {
    let directory = invoke_api::directory(test);
    let functions = json!({"format": 1, "functions": [{
        "name": "image.resize",
        "version": "1.2.0",
        "description": "Resizes an image.",
        "arguments_schema": {"type": "object", "required": ["width"]},
        "result_schema": {"properties": {"type": {"const": result_type}}},
        "target": {"lambda": {"function": "image-resize"}, "local": {"command": command}},
    }]});
    let [file, input] = ["functions.json", "arguments.json"].map(|name| directory.join(name));
    std::fs::write(&file, functions.to_string()).unwrap();
    std::fs::write(&input, arguments.to_string()).unwrap();
    let [file, input] = [file, input].map(|path| path.display().to_string());
    let arguments = ["run", "image.resize", &input, "--functions-file", &file];
    soon("the end", program(&arguments).output()).await.unwrap()
}

#[tokio::test]
async fn the_run_command_invokes_a_target_and_prints_its_result_alone() {
    let probe = probe::binary().display().to_string();
    let command = ["sh", "-c", "echo resizing; exec \"$0\"", &probe];
    let output = run(
        "run_target",
        &command,
        &json!({"width": 1.5}),
        "ferry.attempt",
    )
    .await;
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(event["type"], "ferry.attempt");
    let data = &event["data"];
    assert_eq!(data["function"], "image.resize");
    assert_eq!(data["version"], "1.2.0");
    assert_eq!(data["attempt"], 1);
    assert_eq!(data["arguments"], json!({"width": 1.5}));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "image.resize: resizing\n");
}

#[tokio::test]
async fn a_result_that_does_not_match_its_schema_is_a_warning() {
    let probe = probe::binary().display().to_string();
    let output = run("run_result", &[&probe], &json!({"width": 1}), "resized").await;
    assert!(output.status.success());
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["type"], "ferry.attempt");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let warning = "the result does not match result_schema: /type must be \"resized\"";
    assert!(stderr.contains(warning), "{stderr}");
}

#[tokio::test]
async fn the_run_command_says_why_a_target_failed_or_did_not_start() {
    let probe = probe::binary().display().to_string();
    for (command, arguments, expected) in [
        (
            &[&*probe][..],
            json!({"width": 1, "probe": {"fail": "too wide"}}),
            "too wide",
        ),
        (
            &[&*probe],
            json!({"width": 1, "probe": {"exit": 3}}),
            "TARGET_CRASHED: the target ended without a result: RequestId: ",
        ),
        (
            &["sh", "-c", "printf 'no bucket\\n\\tis set\\n' >&2; exit 1"],
            json!({"width": 1}),
            "before it asked for an invocation\nno bucket\n\tis set\n",
        ),
        (
            &["no-such-interpreter"],
            json!({"width": 1}),
            "no-such-interpreter: not found in PATH",
        ),
        (&[&*probe], json!({}), "INVALID_ARGUMENTS: /arguments/width"),
    ] {
        let output = run("run_failing", command, &arguments, "ferry.attempt").await;
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let stderr = String::from_utf8(output.stderr).unwrap();
        let lines = stderr.split_inclusive('\n');
        let is_log = |line: &&str| !line.starts_with("error: ");
        let error: String = lines.skip_while(is_log).collect();
        assert!(
            error.starts_with("error: ") && error.contains(expected),
            "{stderr}"
        );
        assert!(!stderr.contains("worker::"), "{stderr}");
    }
}

#[tokio::test]
async fn an_error_at_the_start_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, words) in [
        (
            &["--port", port.as_str(), "--lambda", "http://127.0.0.1:1"][..],
            "cannot listen on 127.0.0.1:",
        ),
        (
            &[
                "--port",
                "0",
                "--dynamodb",
                "http://127.0.0.1:1",
                "--lambda",
                "http://127.0.0.1:1",
            ],
            "the store is not usable",
        ),
        (&["--port", "65536"], "'--port <PORT>'"),
        (&["--instances", "0"], "'--instances <N>'"),
        (&["--sqs", "queues"], "'--sqs <URL>'"),
        (&["--lambda", "https://127.0.0.1"], "'--lambda <URL>'"),
        (
            &["--allowed-host", "host.docker.internal:3000"],
            "'--allowed-host <NAME>'",
        ),
        (&["--cors-origin", "*"], "'--cors-origin <ORIGIN>'"),
        (&["--cors-origin", "null"], "'--cors-origin <ORIGIN>'"),
        (
            &["--cors-origin", "https://app.example.com/"],
            "'--cors-origin <ORIGIN>'",
        ),
        (
            &[
                "--port",
                "0",
                "--lambda",
                "http://127.0.0.1:1",
                "--functions-file",
                "/nowhere",
            ],
            "/nowhere cannot be used",
        ),
        (&["--colour"], "'--colour'"),
        (&["--functions", "target/debug"], "'--functions'"),
        (&["run"], "<NAME> <FILE>"),
        (&["--port", "0", "demo"], "'--port <PORT>'"),
    ] {
        let output = soon("the end", program(arguments).output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains(words),
            "{stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}
