//! What the functions log, and what they must not log.

use local::client::http_client;
use serde_json::{Value, json};
use shared::metrics::Metric;
use tests::bundle::binaries;
use tests::metrics::{key, read};
use tests::receiver::{Delivery, Receiver, SECRET};
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::local_program::{program, signal};

/// The program, with its whole output.
struct Logged {
    url: String,
    child: Child,
    log: JoinHandle<String>,
}

impl Logged {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let directory = binaries().display().to_string();
        let mut child = program(&["--port", "0", "--binaries", &directory])
            .env("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8")
            .env("WEBHOOK_SECRETS", SECRET)
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().unwrap();
        let (ready, url) = oneshot::channel();
        // Read continuously, because full pipes would block the functions.
        let log = tokio::spawn(async move {
            let (mut ready, mut log, mut errors) = (Some(ready), String::new(), String::new());
            let lines = async {
                while let Some(line) = stdout.next_line().await.unwrap() {
                    if let Some(url) = line.strip_prefix("ready ") {
                        ready.take().unwrap().send(url.to_owned()).unwrap();
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

    /// Ends the program and returns its output.
    async fn stop(mut self) -> String {
        signal(&self.child, "-TERM").await;
        soon("the end", self.child.wait()).await.unwrap();
        self.log.await.unwrap()
    }
}

/// Text from a caller that must not be in a log.
const SECRETS: [&str; 4] = [
    "s3cret-argument",
    "s3cret-metadata",
    "s3cret-token",
    "s3cret-key",
];

fn callback_url(receiver: &Receiver) -> String {
    receiver.url.replace("secret", SECRETS[2])
}

async fn delivery(receiver: &Receiver) -> Delivery {
    let delivery = until("a callback", async || receiver.received().pop()).await;
    assert_eq!(delivery.verified()["data"]["result"]["a"], SECRETS[0]);
    delivery
}

fn assert_has_no_secret(log: &str) {
    for secret in SECRETS
        .into_iter()
        .chain([SECRET.trim_start_matches("whsec_")])
    {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

/// Even at `TRACE`, where the runtime could log events, and the SDK requests and responses.
#[tokio::test]
async fn no_log_has_text_from_callers() {
    let receiver = Receiver::start().await;
    let bundle = Logged::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    let body = json!({
        "function": "demo.echo", "arguments": {"a": SECRETS[0]}, "metadata": {"m": SECRETS[1]},
        "callback_url": callback_url(&receiver),
    });
    let headers = [("idempotency-key", SECRETS[3])];
    let (status, _) = bundle.post("/operations", &headers, &body).await;
    assert_eq!(status, 202);
    delivery(&receiver).await;

    let log = bundle.stop().await;
    assert!(log.contains("DEBUG"), "{log}");
    assert_has_no_secret(&log);
}

/// From the call to the callback, in JSON lines.
#[tokio::test]
async fn a_callers_trace_is_in_the_lines_of_submit_worker_and_callback() {
    let receiver = Receiver::start().await;
    let bundle = Logged::start(&[
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
    ])
    .await;
    let extension = |name: &str, options: Value| {
        let urn = format!("urn:cline:forrst:ext:{name}");
        json!({"urn": urn, "options": options})
    };
    let call = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": "req_traced",
        "call": {"function": "demo.echo", "arguments": {"a": SECRETS[0]}},
        "context": {"note": SECRETS[1]},
        "extensions": [
            extension("async", json!({"preferred": true})),
            extension("tracing", json!({
                "trace_id": "trace-of-the-order",
                "span_id": "span-of-the-shop",
                "baggage": {"note": SECRETS[1]},
            })),
            extension("idempotency", json!({"key": SECRETS[3]})),
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

    let log = bundle.stop().await;
    assert_has_no_secret(&log);
    // One line each of submit, worker and callback.
    for message in ["submitted", "attempt ended", "callback attempted"] {
        let line = &lines_with(&lines(&log), message)[0];
        assert_eq!(line["operation_id"], data("async")["operation_id"], "{log}");
        assert_eq!(line["trace_id"], "trace-of-the-order", "{log}");
        assert_eq!(line["span_id"], data("tracing")["span_id"], "{log}");
    }
}

/// An operator finds an operation's lines by its id, by a request's id and by a trace's id.
#[tokio::test]
async fn every_line_names_request_and_operation_and_owners_actions_are_audited() {
    let receiver = Receiver::start().await;
    let bundle = Logged::start(&[
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("SERVICE_NAME", "orders"),
        ("METRICS_NAMESPACE", "Shop"),
    ])
    .await;
    let body = json!({
        "function": "demo.echo", "arguments": {"a": SECRETS[0]}, "metadata": {"m": SECRETS[1]},
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

    let log = bundle.stop().await;
    assert_has_no_secret(&log);
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
    let trace = &lines_with(&lines, "submitted")[0]["xray_trace_id"];
    assert!(trace.as_str().unwrap().starts_with("1-"), "{trace}");
    for message in ["attempt ended", "callback attempted"] {
        assert_eq!(
            &lines_with(&lines, message)[0]["xray_trace_id"],
            trace,
            "{log}"
        );
    }
    let audited = lines_with(&lines, "owner's request");
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
    let cancel = lines_with(&lines, "owner's request")
        .into_iter()
        .find(|line| line["audit"] == "cancel");
    assert_eq!(cancel.unwrap()["gateway_request_id"], refused["request_id"]);

    for line in &metrics {
        assert_eq!(line["service"], "orders");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Shop");
    }
    // One line of submit, one of callback for each delivery, and two of worker: by function, and by
    // function and outcome.
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
    assert_eq!(read(&metrics), expected.into_iter().collect());
}

/// At `WARN` there is no other line that names the operation.
#[tokio::test]
async fn a_warning_names_request_and_operation_at_every_log_level() {
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
    let log = bundle.stop().await;
    let line = &lines_with(&lines(&log), "callback exhausted")[0];
    assert_eq!(line["operation_id"], submitted["id"]);
    for name in ["requestId", "message_id", "xray_trace_id"] {
        assert!(line[name].is_string(), "{name}: {log}");
    }
    assert!(!log.contains("INFO"), "{log}");
}

/// The functions' lines. The program's own lines are not JSON.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn lines_with(lines: &[Value], message: &str) -> Vec<Value> {
    let found: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == message)
        .cloned()
        .collect();
    assert!(!found.is_empty(), "no {message} in {lines:?}");
    found
}
