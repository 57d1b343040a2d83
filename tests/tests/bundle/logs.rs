//! What the functions log, and what they must not.

use local::client::http_client;
use serde_json::{Value, json};
use tests::bundle::binaries;
use tests::receiver::{Delivery, Receiver, SECRET};
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::program::program;

/// A bundle whose whole output is read.
struct Logged {
    url: String,
    child: Child,
    log: JoinHandle<String>,
}

impl Logged {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let directory = binaries().display().to_string();
        let mut child = program(&["--port", "0", "--functions", &directory])
            .env("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8")
            .env("WEBHOOK_SECRETS", SECRET)
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().unwrap();
        let (told, url) = oneshot::channel();
        // Read all along, or the functions would wait for room in the pipes.
        let log = tokio::spawn(async move {
            let (mut told, mut log, mut errors) = (Some(told), String::new(), String::new());
            let lines = async {
                while let Some(line) = stdout.next_line().await.unwrap() {
                    if let Some(url) = line.strip_prefix("ready ") {
                        told.take().unwrap().send(url.to_owned()).unwrap();
                    }
                    log.push_str(&line);
                    log.push('\n');
                }
            };
            let ((), read) = tokio::join!(lines, stderr.read_to_string(&mut errors));
            read.unwrap();
            log + &errors
        });
        let url = soon("the first line", url).await.unwrap();
        Self { url, child, log }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        let mut request = http_client().post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Everything that was logged, after its end.
    async fn end(mut self) -> String {
        let process_id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-TERM", &process_id]).status();
        assert!(sent.await.unwrap().success());
        soon("the end", self.child.wait()).await.unwrap();
        self.log.await.unwrap()
    }
}

/// What a caller says and nobody else is to read.
const SAID: [&str; 4] = [
    "s3cret-argument",
    "s3cret-metadata",
    "s3cret-token",
    "s3cret-key",
];

fn callback_url(receiver: &Receiver) -> String {
    receiver.url.replace("secret", SAID[2])
}

async fn delivery(receiver: &Receiver) -> Delivery {
    let delivery = until("a callback", async || receiver.received().pop()).await;
    assert_eq!(delivery.verified()["data"]["result"]["a"], SAID[0]);
    delivery
}

fn assert_holds_nothing_said(log: &str) {
    for secret in SAID
        .into_iter()
        .chain([SECRET.trim_start_matches("whsec_")])
    {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

/// Whatever level is asked for: the runtime would log events, and the SDK requests and answers.
#[tokio::test]
async fn no_log_holds_what_callers_send() {
    let receiver = Receiver::start().await;
    let bundle = Logged::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    let body = json!({
        "function": "demo.echo", "arguments": {"a": SAID[0]}, "metadata": {"m": SAID[1]},
        "callback_url": callback_url(&receiver),
    });
    let headers = [("idempotency-key", SAID[3])];
    let (status, _) = bundle.post("/operations", &headers, &body).await;
    assert_eq!(status, 202);
    delivery(&receiver).await;

    let log = bundle.end().await;
    assert!(log.contains("DEBUG"), "{log}");
    assert_holds_nothing_said(&log);
}

/// From the call to the callback, in lines that a program reads.
#[tokio::test]
async fn a_trace_is_found_in_the_lines_of_worker_and_callback() {
    let receiver = Receiver::start().await;
    let bundle = Logged::start(&[
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
    ])
    .await;
    let extension = |name: &str, options: Value| json!({"urn": format!("urn:cline:forrst:ext:{name}"), "options": options});
    let call = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": "req_traced",
        "call": {"function": "demo.echo", "arguments": {"a": SAID[0]}},
        "context": {"note": SAID[1]},
        "extensions": [
            extension("async", json!({"preferred": true})),
            extension("tracing", json!({
                "trace_id": "trace-of-the-order", "span_id": "span-of-the-shop", "baggage": {"note": SAID[1]},
            })),
            extension("idempotency", json!({"key": SAID[3]})),
            extension("webhook", json!({"callback_url": callback_url(&receiver)})),
        ],
    });
    let (status, answer) = bundle.post("/forrst", &[], &call).await;
    assert_eq!(status, 200, "{answer}");
    let data = |name: &str| {
        let extensions = answer["extensions"].as_array().unwrap();
        let urn = format!("urn:cline:forrst:ext:{name}");
        let found = extensions.iter().find(|one| one["urn"] == urn.as_str());
        found.unwrap()["data"].clone()
    };
    delivery(&receiver).await;

    let log = bundle.end().await;
    assert_holds_nothing_said(&log);
    // What the program itself says is not JSON.
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    // One of the worker's and one of the callback function's.
    for message in ["attempt ended", "callback attempted"] {
        let line = lines.iter().find(|line| line["message"] == message);
        let span = &line.unwrap_or_else(|| panic!("no {message}: {log}"))["span"];
        assert_eq!(span["operation_id"], data("async")["operation_id"], "{log}");
        assert_eq!(span["trace_id"], "trace-of-the-order", "{log}");
        assert_eq!(span["span_id"], data("tracing")["span_id"], "{log}");
    }
}
