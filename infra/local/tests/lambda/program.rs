//! The program `local`: its output, its exit and its errors. The test serves the functions, as
//! `cargo lambda watch` does, so nothing has to be built.

use std::process::Stdio;

use axum::Router;
use axum::routing::post;
use local::client::http_client;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::probe::soon;

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
