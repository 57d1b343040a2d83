//! What the functions log, and what they must not.

use local::client::http_client;
use serde_json::{Value, json};
use shared::metrics::Metric;
use tests::bundle::binaries;
use tests::metrics::{key, told};
use tests::receiver::{Delivery, Receiver, SECRET};
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::program::program;

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
    // One of submit's, one of the worker's and one of the callback function's.
    for message in ["submitted", "attempt ended", "callback attempted"] {
        let line = &said(&lines(&log), message)[0];
        assert_eq!(line["operation_id"], data("async")["operation_id"], "{log}");
        assert_eq!(line["trace_id"], "trace-of-the-order", "{log}");
        assert_eq!(line["span_id"], data("tracing")["span_id"], "{log}");
    }
}

/// As an operator follows an operation: by its id, by a request's, by a trace's.
#[tokio::test]
async fn every_line_says_for_whom_and_what_owners_do_is_audited() {
    let receiver = Receiver::start().await;
    let bundle = Logged::start(&[
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("SERVICE_NAME", "orders"),
        ("METRICS_NAMESPACE", "Shop"),
    ])
    .await;
    let body = json!({
        "function": "demo.echo", "arguments": {"a": SAID[0]}, "metadata": {"m": SAID[1]},
        "callback_url": callback_url(&receiver),
    });
    let (_, submitted) = bundle.post("/operations", &[], &body).await;
    let id = submitted["id"].as_str().unwrap();
    delivery(&receiver).await;
    let path = |action: &str| format!("/operations/{id}/{action}");
    until("a redelivery", async || {
        let (status, _) = bundle.post(&path("redeliver"), &[], &json!({})).await;
        (status == 202).then_some(())
    })
    .await;
    until("another callback", async || {
        (receiver.received().len() == 2).then_some(())
    })
    .await;
    let (status, refused) = bundle.post(&path("cancel"), &[], &json!({})).await;
    assert_eq!(status, 409);
    let url = format!("{}/operations/{id}", bundle.url);
    let erased = http_client().delete(url).send().await.unwrap();
    assert_eq!(erased.status(), 204);

    let log = bundle.end().await;
    assert_holds_nothing_said(&log);
    let (metrics, lines): (Vec<_>, Vec<_>) = lines(&log)
        .into_iter()
        .partition(|line| line.get("_aws").is_some());
    assert!(!lines.is_empty());
    for line in &lines {
        assert!(
            !line["requestId"].as_str().unwrap_or_default().is_empty(),
            "{line}"
        );
        assert_eq!(line["operation_id"], id, "{line}");
    }
    let trace = &said(&lines, "submitted")[0]["xray_trace_id"];
    assert!(trace.as_str().unwrap().starts_with("1-"), "{trace}");
    for message in ["attempt ended", "callback attempted"] {
        assert_eq!(&said(&lines, message)[0]["xray_trace_id"], trace, "{log}");
    }
    let audited = said(&lines, "audited");
    let audited: Vec<_> = audited
        .iter()
        .map(|line| ["audit", "outcome", "owner"].map(|name| line[name].as_str().unwrap()))
        // Those before the first callback was recorded were refused.
        .filter(|audited| audited[..2] != ["redeliver", "CONFLICT"])
        .collect();
    assert_eq!(
        audited,
        [
            ["redeliver", "done", "local:anonymous"],
            ["cancel", "ASYNC_CANNOT_CANCEL", "local:anonymous"],
            ["erase", "done", "local:anonymous"],
        ]
    );
    let cancel = said(&lines, "audited")
        .into_iter()
        .find(|line| line["audit"] == "cancel");
    assert_eq!(cancel.unwrap()["gateway_request_id"], refused["request_id"]);

    for line in &metrics {
        assert_eq!(line["service"], "orders");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Shop");
    }
    // One line each of submit's and, for each callback, the callback function's; two of the worker's, by function and by outcome, too.
    assert_eq!(metrics.len(), 5, "{log}");
    let expected = [
        (Metric::CallbackDelivered, 2),
        (Metric::SubmitAccepted("demo.echo"), 1),
        (Metric::OperationCompleted("demo.echo"), 1),
        (Metric::AttemptCompleted("demo.echo"), 1),
        (Metric::QueueTime("demo.echo"), 1),
        (Metric::WorkDuration("demo.echo"), 1),
    ];
    let expected = expected.map(|(metric, amount)| (key(metric), amount));
    assert_eq!(told(&metrics), expected.into_iter().collect());
}

/// A function that logs nothing but trouble has nothing else to tell whose it was.
#[tokio::test]
async fn trouble_says_for_whom_at_every_log_level() {
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None), (500, None)]);
    let bundle = Logged::start(&[
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("CALLBACK_RETRY_SECONDS", "0"),
    ])
    .await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let (_, submitted) = bundle.post("/operations", &[], &body).await;
    let path = format!("{}{}", bundle.url, "/operations/") + submitted["id"].as_str().unwrap();
    until("the last attempt", async || {
        let shown = http_client().get(&path).send().await.unwrap();
        let shown: Value = serde_json::from_str(&shown.text().await.unwrap()).unwrap();
        (shown["callback"]["status"] == "exhausted").then_some(())
    })
    .await;
    let log = bundle.end().await;
    let line = &said(&lines(&log), "callback exhausted")[0];
    assert_eq!(line["operation_id"], submitted["id"]);
    for name in ["requestId", "message_id", "xray_trace_id"] {
        assert!(line[name].is_string(), "{name}: {log}");
    }
    assert!(!log.contains("INFO"), "{log}");
}

/// What the functions logged; what the program itself says is not JSON.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn said(lines: &[Value], message: &str) -> Vec<Value> {
    let said: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == message)
        .cloned()
        .collect();
    assert!(!said.is_empty(), "no {message} in {lines:?}");
    said
}
