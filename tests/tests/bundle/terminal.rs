//! Text from callers and functions that the program prints to a terminal.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use axum::Router;
use axum::routing::post;
use local::bundle::FUNCTIONS;
use local::client::http_client;
use serde_json::{Value, json};
use tests::bundle::binaries;
use tests::terminal::{HOSTILE, assert_visible};
use tests::wait::soon;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::local_program::{program, run, signal};

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

async fn run_visible(arguments: &[&str], input: &str) -> Output {
    let output = run(arguments, input).await;
    assert_visible(&output);
    output
}

/// On standard output, on standard error, and in the reason why a function cannot run.
#[tokio::test]
async fn the_output_of_functions_is_escaped() {
    let directory = directory("hostile-functions");
    for function in FUNCTIONS {
        let text = match function.name {
            "worker" => format!("cannot run: {HOSTILE}"),
            _ => HOSTILE.to_owned(),
        };
        let script = format!("#!/bin/sh\necho 'out {text}'\necho 'err {text}' >&2\nexit 1\n");
        let binary = directory.join(function.name);
        std::fs::write(&binary, script).unwrap();
        std::fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
    }
    let functions = directory.display().to_string();
    let output = run_visible(&["--port", "0", "--binaries", &functions], "").await;
    let assert_contains = |bytes: &[u8], words: &str| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(text.contains(words), "{words}: {text}");
    };
    assert_contains(
        &output.stdout,
        "out \\u001b]0;title\\u0007\\u009b1m\\u202e\\u007f\\u2028\n",
    );
    assert_contains(&output.stderr, "err \\u001b]0;title");
    assert_contains(&output.stderr, "worker cannot run: \\u001b]0;title");
}

#[tokio::test]
async fn the_error_of_an_invocation_is_escaped() {
    let error = json!({"errorType": HOSTILE, "errorMessage": HOSTILE}).to_string();
    let routes = Router::new()
        .route(
            "/2015-03-31/functions/status/invocations",
            post(async || r#"{"statusCode": 200}"#),
        )
        .route(
            "/2015-03-31/functions/submit/invocations",
            post(async || ([("x-amz-function-error", "Unhandled")], error)),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut child = program(&["--port", "0", "--lambda", &endpoint])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let line = soon("the first line", lines.next_line())
        .await
        .unwrap()
        .unwrap();
    let url = line.strip_prefix("ready ").unwrap();
    let submitted = http_client().post(format!("{url}/operations")).send().await;
    assert_eq!(submitted.unwrap().status(), 500);
    signal(&child, "-TERM").await;
    let output = soon("the end", child.wait_with_output()).await.unwrap();
    assert_visible(&output);
    server.abort();
}

#[tokio::test]
async fn a_functions_result_and_error_are_escaped_and_json_keeps_its_value() {
    let arguments = json!({ "a": HOSTILE, HOSTILE: [] });
    let output = run_visible(&["run", "demo.echo", "-"], &arguments.to_string()).await;
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result, arguments);
    let arguments = json!({"code": "MINE", "message": format!("{HOSTILE}\n{HOSTILE}")});
    let output = run_visible(&["run", "demo.fail", "-"], &arguments.to_string()).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let name = format!("demo.{HOSTILE}");
    run_visible(&["run", &name, "-"], "{}").await;
}

#[tokio::test]
async fn the_demonstration_escapes_the_tables_name_and_columns() {
    let table = directory("hostile-tables").join(format!("{HOSTILE}.csv"));
    std::fs::write(&table, format!("\"{HOSTILE}\",b\n1,2\n")).unwrap();
    let path = table.display().to_string();
    let functions = binaries().display().to_string();
    let output = run_visible(&["demo", "--binaries", &functions, &path], "").await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("hostile-tables/\\u001b]0;title"),
        "{stdout}"
    );
    assert!(stdout.contains("│ \\u001b]0;title"), "{stdout}");
}
