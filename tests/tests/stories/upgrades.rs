//! This version completes what earlier versions of Ferry left in the table and in the queues.
//!
//! `tests/kept` holds that by version, for moments in an operation's life. What this version leaves
//! must match the newest files exactly. A change that leaves something else either raises `FORMAT`,
//! or these tests show that it is compatible; it adds its files to those of earlier versions
//! (shared/README.md, "Releases that overlap").

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use local::client::http_client;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::operation::Progress;
use shared::domain::time::Timestamp;
use shared::store::RenewOutcome;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::shape::assert_shape;
use tests::world::World;

use super::forrst::{call, data, deferred, extension};
use super::messages::{MINUTE, claim_and_vanish};

/// Moments, each with the operation once the queues are empty; null if it is gone.
fn moments() -> Vec<(&'static str, Value)> {
    let delivered = json!({"status": "delivered"});
    vec![
        (
            "pending",
            json!({"status": "completed", "attempt": 1, "result": large(), "callback": delivered}),
        ),
        (
            "forrst",
            json!({"status": "completed", "attempt": 1, "result": {}}),
        ),
        ("processing", json!({"status": "completed", "attempt": 2})),
        ("retrying", json!({"status": "completed", "attempt": 2})),
        (
            "continued",
            json!({"status": "completed", "attempt": 3, "result": {"legs": 3}}),
        ),
        (
            "sleeping",
            json!({"status": "completed", "attempt": 2, "result": {"legs": 2}}),
        ),
        (
            "starts_later",
            json!({"status": "completed", "attempt": 1, "result": large(), "callback": delivered}),
        ),
        // It continues from the state of the operation that it is a redrive of.
        (
            "redriven",
            json!({"status": "completed", "attempt": 1, "result": {"legs": 2}}),
        ),
        (
            "callback_due",
            json!({"status": "completed", "result": large(), "callback": delivered}),
        ),
        (
            "callback_failed_once",
            json!({"status": "failed", "callback": {
                "status": "delivered",
                "attempts": [{"status_code": 503}, {"status_code": 200}],
            }}),
        ),
        (
            "redelivery",
            json!({"status": "completed", "callback": {
                "status": "delivered",
                "attempts": [{"status_code": 200}, {"status_code": 200}],
            }}),
        ),
        (
            "completed",
            json!({"status": "completed", "result": large()}),
        ),
        (
            "failed",
            json!({"status": "failed", "errors": [{"code": "DEMO_FAILURE"}]}),
        ),
        (
            "cancelled",
            json!({"status": "cancelled", "attempt": 0, "callback": delivered}),
        ),
        ("erased", Value::Null),
    ]
}

#[tokio::test]
async fn this_version_completes_what_every_version_left() {
    let mut restored = 0;
    for directory in fs::read_dir(kept()).unwrap() {
        let directory = directory.unwrap().path();
        for file in fs::read_dir(&directory).unwrap() {
            let file = file.unwrap().path();
            let moment = file.file_stem().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&file).unwrap();
            ends_as_expected(moment, &text, &file.display().to_string()).await;
            restored += 1;
        }
    }
    assert!(restored >= moments().len());
}

/// Records of long work have format 2. Another release may add attributes that this one does not
/// know.
#[tokio::test]
async fn callbacks_of_long_work_are_sent() {
    for moment in ["callback_due", "callback_failed_once", "redelivery"] {
        let text = fs::read_to_string(file(&newest(), moment)).unwrap();
        let mut left: Value = serde_json::from_str(&text).unwrap();
        let items = left["items"].as_array_mut().unwrap().iter_mut();
        let mut heads = items.filter(|item| item["sk"]["S"] == "head");
        let head = heads.next().unwrap();
        assert_eq!(head["format"]["N"], "1");
        head["format"]["N"] = json!("2");
        head["later"] = json!({"L": []});
        ends_as_expected(moment, &left.to_string(), moment).await;
    }
}

/// Requires the end of [`moments`] for what is in `text`, once the queues are empty.
async fn ends_as_expected(moment: &str, text: &str, context: &str) {
    let mut moments = moments().into_iter();
    let (_, end) = moments.find(|(name, _)| *name == moment).unwrap();
    let receiver = Receiver::start().await;
    let left: Value = serde_json::from_str(&text.replace(RECEIVER, &receiver.url)).unwrap();
    let world = World::start().await;
    restore(&world, &left).await;
    world.drain().await;
    let id = operation(&left);
    let path = format!("/operations/{id}");
    let shown = world.request("GET", &path, &[], "").await;
    let context = format!("{context}: {}", shown.text);
    if end.is_null() {
        assert_eq!(shown.status, 404, "{context}");
    } else {
        assert_shape(&end, &shown.json, &context);
    }
}

/// The id of the operation: of a redrive rather than of the one that it came from.
fn operation(left: &Value) -> &str {
    let items = left["items"].as_array().unwrap();
    let redrive = items.iter().find(|item| item["redrive_of"].is_object());
    redrive.unwrap_or(&items[0])["pk"]["S"].as_str().unwrap()
}

#[tokio::test]
async fn this_version_leaves_exactly_what_is_kept() {
    // The name of the directory to write: a version, followed by a number for each later state of
    // `main` that leaves something else.
    let keep = std::env::var_os("KEEP");
    let writes = keep.is_some();
    let directory = keep.map_or_else(newest, |name| kept().join(name));
    for (moment, _) in moments() {
        let left = leave(moment).await;
        if writes {
            let text = serde_json::to_string_pretty(&left).unwrap() + "\n";
            fs::create_dir_all(&directory).unwrap();
            fs::write(file(&directory, moment), text).unwrap();
        }
        let text = fs::read_to_string(file(&directory, moment)).unwrap();
        let kept: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(masked(left), masked(kept), "{moment}");
    }
}

/// Replaces the URL of the receiver, which has another port in each run.
const RECEIVER: &str = "http://127.0.0.1:0/hook";

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kept")
}

/// The directory of the newest version.
fn newest() -> PathBuf {
    let version = |directory: &PathBuf| -> Vec<u32> {
        let name = directory.file_name().unwrap().to_str().unwrap();
        name.split('.')
            .map(|number| number.parse().unwrap())
            .collect()
    };
    let directories = fs::read_dir(kept()).unwrap();
    let directories = directories.map(|directory| directory.unwrap().path());
    directories.max_by_key(version).unwrap()
}

fn file(directory: &Path, moment: &str) -> PathBuf {
    directory.join(format!("{moment}.json"))
}

/// A payload that does not fit into an operation's head, even compressed.
fn large() -> Value {
    let text: String = (1..600_u64).map(|n| n.pow(5).to_string()).collect();
    json!({ "text": text })
}

/// Brings an operation to a moment, and returns what the table and the queues then hold.
async fn leave(moment: &str) -> Value {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let echo = json!({
        "function": "demo.echo", "arguments": large(), "metadata": {"order": 17},
        "callback_url": receiver.url,
    });
    let fail = |arguments| json!({"function": "demo.fail", "arguments": arguments});
    let long = |arguments| json!({"function": "demo.long", "arguments": arguments});
    let body = match moment {
        "retrying" => fail(json!({"retryable": true, "succeed_on_attempt": 2})),
        "failed" => fail(json!({})),
        "continued" => long(json!({"legs": 3})),
        "sleeping" => long(json!({"legs": 2, "wait_seconds": 3000})),
        "redriven" => {
            let mut body = long(json!({"legs": 2, "wait_seconds": 3000}));
            body["deadline_seconds"] = json!(60);
            body
        }
        "starts_later" => {
            let mut body = echo;
            body["start_after_seconds"] = json!(3000);
            body
        }
        "callback_failed_once" => {
            receiver.answer_next([(503, None)]);
            let mut body = fail(json!({}));
            body["callback_url"] = json!(receiver.url);
            body
        }
        _ => echo,
    };
    let id = if moment == "forrst" {
        let trace = extension("tracing", &json!({"trace_id": "trace", "span_id": "span"}));
        let response = call(&world, "demo.echo", &json!({}), &deferred(&[trace])).await;
        data(&response, "async")["operation_id"].clone()
    } else {
        let (key, body) = ([("idempotency-key", "kept")], body.to_string());
        let response = world.request("POST", "/operations", &key, &body).await;
        response.json["id"].clone()
    };
    let id = id.as_str().unwrap().to_owned();
    let path = format!("/operations/{id}");
    let pump = async |kind| assert!(world.pump(kind).await);
    match moment {
        "pending" | "forrst" | "starts_later" => {}
        "processing" => report_and_vanish(&world, &id).await,
        "retrying" | "callback_due" | "failed" | "continued" | "sleeping" => {
            pump(QueueKind::Dispatch).await;
        }
        "callback_failed_once" | "completed" => {
            pump(QueueKind::Dispatch).await;
            pump(QueueKind::Callback).await;
        }
        "redelivery" | "erased" => {
            pump(QueueKind::Dispatch).await;
            pump(QueueKind::Callback).await;
            let (method, path) = match moment {
                "erased" => ("DELETE", path),
                _ => ("POST", format!("{path}/redeliver")),
            };
            let response = world.request(method, &path, &[], "").await;
            assert!((200..300).contains(&response.status), "{}", response.text);
        }
        "redriven" => {
            pump(QueueKind::Dispatch).await;
            world.clock.advance(MINUTE);
            pump(QueueKind::Dispatch).await;
            let path = format!("{path}/redrive");
            let response = world.request("POST", &path, &[], "").await;
            assert_eq!(response.status, 202, "{}", response.text);
        }
        "cancelled" => {
            let path = format!("{path}/cancel");
            let response = world.request("POST", &path, &[], "").await;
            assert_eq!(response.status, 200, "{}", response.text);
        }
        other => panic!("{other} is not a moment"),
    }
    let items = dynamodb(&world, "Scan", json!({})).await["Items"].take();
    let mut left = json!({"now": world.clock.now().as_millis(), "items": items});
    for (queue, kind) in QUEUES {
        // Includes those that wait for a visibility timeout or a delay.
        world.clock.advance(Duration::from_secs(900));
        let messages = world.queue(kind).receive(10).await;
        let bodies = messages
            .iter()
            .map(|message| serde_json::from_str::<Value>(message.body().unwrap()).unwrap());
        left[queue] = bodies.collect();
    }
    let text = left.to_string().replace(&receiver.url, RECEIVER);
    serde_json::from_str(&text).unwrap()
}

/// Claims an operation and reports progress as a worker that then dies.
async fn report_and_vanish(world: &World, id: &str) {
    let held = claim_and_vanish(world, id).await;
    let now = world.clock.now();
    let progress = Progress {
        fraction: 0.5,
        message: Some("half of it".to_owned()),
        at: now,
    };
    let renewed = world.store.renew(&held, MINUTE, Some(&progress), now);
    assert!(matches!(renewed.await, Ok(RenewOutcome::Held)));
}

const QUEUES: [(&str, QueueKind); 2] = [
    ("dispatch", QueueKind::Dispatch),
    ("callback", QueueKind::Callback),
];

/// The local store requires a signature, and does not verify it.
const SIGNATURE: &str = "AWS4-HMAC-SHA256 \
                         Credential=local/20270115/us-east-1/dynamodb/aws4_request, \
                         SignedHeaders=host;x-amz-date, Signature=none";

async fn restore(world: &World, left: &Value) {
    let then = Timestamp::from_millis(left["now"].as_i64().unwrap());
    world.clock.advance(then.since(world.clock.now()));
    for item in left["items"].as_array().unwrap() {
        dynamodb(world, "PutItem", json!({ "Item": item })).await;
    }
    for (queue, kind) in QUEUES {
        for body in left[queue].as_array().unwrap() {
            world.queue(kind).send(&body.to_string()).await;
        }
    }
}

/// Calls DynamoDB for the table, with DynamoDB's JSON.
async fn dynamodb(world: &World, call: &str, mut body: Value) -> Value {
    let setting = |name| world.environment.required(name).unwrap();
    body["TableName"] = json!(setting("TABLE_NAME"));
    let request = http_client()
        .post(setting("AWS_ENDPOINT_URL_DYNAMODB"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{call}"))
        .header("x-amz-date", "20270115T080000Z")
        .header("authorization", SIGNATURE)
        .body(body.to_string());
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Masks what differs from run to run: the hash, which includes the receiver's port, and the
/// durations of its responses. Everything else follows from the world's clock and seed.
fn masked(mut left: Value) -> Value {
    for item in left["items"].as_array_mut().unwrap() {
        if let Some(hash) = item.get_mut("request_hash") {
            *hash = json!({"B": "masked"});
        }
        if let Some(attempts) = item.get_mut("callback_attempts") {
            let mut attempts_made: Value =
                serde_json::from_str(attempts["S"].as_str().unwrap()).unwrap();
            for attempt in attempts_made.as_array_mut().unwrap() {
                attempt["ms"] = json!("masked");
            }
            *attempts = json!({"S": attempts_made});
        }
    }
    left
}
