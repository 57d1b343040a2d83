//! The bundle's wiring, with probes in place of the functions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_dynamodb::types::KeySchemaElement;
use local::bundle::{Bundle, FUNCTIONS, Settings, StartError, TABLE_NAME};
use local::client::{http_client, sdk_config};
use local::guard::Allowed;
use serde_json::json;
use shared::clock::SystemClock;
use shared::store::table::{BY_OWNER, TABLE_KEYS};
use tokio::net::TcpListener;

use crate::probe::{self, ProbeListener};

fn settings(functions_directory: PathBuf) -> Settings {
    Settings {
        port: 0,
        instances: 1,
        http_instances: 1,
        require_token: false,
        allowed: Allowed::default(),
        worker_batch_size: 1,
        dynamodb: None,
        sqs: None,
        lambda: None,
        functions_directory,
        environment: vec![("LEASE_SECONDS".to_owned(), "2".to_owned())],
        clock: Arc::new(SystemClock),
    }
}

/// A directory with a probe under each function's name.
fn functions(test: &str) -> PathBuf {
    let directory = probe::directory(test);
    for function in FUNCTIONS {
        let binary = directory
            .join(function.name)
            .with_extension(std::env::consts::EXE_EXTENSION);
        std::fs::hard_link(probe::binary(), binary).unwrap();
    }
    directory
}

async fn environment(bundle: &Bundle, method: reqwest::Method) -> BTreeMap<String, String> {
    let response = http_client()
        .request(method, format!("{}/operations", bundle.url()))
        .header("content-type", "application/json")
        .body(json!({"probe": "environment"}).to_string())
        .send()
        .await
        .unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_bundle_starts_wires_and_stops_every_part() {
    let listener = ProbeListener::open().await;
    let bundle = Bundle::start(settings(functions("every_part")))
        .await
        .unwrap();
    bundle.ready().await.unwrap();

    let variables = environment(&bundle, reqwest::Method::POST).await;
    assert_eq!(variables["AWS_LAMBDA_FUNCTION_NAME"], "submit");
    assert_eq!(variables["PUBLIC_URL"], bundle.url());
    assert_eq!(variables["DEMO_FUNCTIONS"], "1");
    assert_eq!(variables["LEASE_SECONDS"], "2");
    for (name, value) in bundle.function_environment() {
        assert_eq!(&variables[name], value);
    }

    let store = aws_sdk_dynamodb::Client::new(&sdk_config(&variables["AWS_ENDPOINT_URL_DYNAMODB"]));
    assert_eq!(variables["TABLE_NAME"], TABLE_NAME);
    let described = store
        .describe_table()
        .table_name(TABLE_NAME)
        .send()
        .await
        .unwrap();
    let table = described.table.unwrap();
    let keys: Vec<_> = table
        .key_schema()
        .iter()
        .map(KeySchemaElement::attribute_name)
        .collect();
    assert_eq!(keys, TABLE_KEYS);
    let index = table.global_secondary_indexes()[0].index_name();
    assert_eq!(index, Some(BY_OWNER));

    let queues = aws_sdk_sqs::Client::new(&sdk_config(&variables["AWS_ENDPOINT_URL_SQS"]));
    let mut all_held = Vec::new();
    for (variable, queue, function) in [
        ("DISPATCH_QUEUE_URL", "ferry-dispatch", "worker"),
        (
            "DISPATCH_DEAD_LETTER_QUEUE_URL",
            "ferry-dispatch-dead-letter",
            "worker",
        ),
        ("CALLBACK_QUEUE_URL", "ferry-callback", "callback"),
        (
            "CALLBACK_DEAD_LETTER_QUEUE_URL",
            "ferry-callback-dead-letter",
            "callback",
        ),
    ] {
        queues
            .send_message()
            .queue_url(&variables[variable])
            .message_body(listener.hold(function).to_string())
            .send()
            .await
            .unwrap();
        // All are held at once, which shows that the dead letters have an invocation of their own.
        let held = listener.accept().await;
        assert_eq!(held.name, function);
        assert_eq!(
            held.event["Records"][0]["eventSourceARN"],
            format!("arn:aws:sqs:us-east-1:000000000000:{queue}")
        );
        all_held.push(held);
    }

    bundle.stop().await;
    for held in all_held {
        held.ended().await;
    }
}

#[tokio::test]
async fn dropping_a_bundle_kills_its_processes() {
    let listener = ProbeListener::open().await;
    let bundle = Bundle::start(settings(functions("dropped"))).await.unwrap();
    let variables = environment(&bundle, reqwest::Method::PUT).await;
    let queues = aws_sdk_sqs::Client::new(&sdk_config(&variables["AWS_ENDPOINT_URL_SQS"]));
    queues
        .send_message()
        .queue_url(&variables["DISPATCH_QUEUE_URL"])
        .message_body(listener.hold("worker").to_string())
        .send()
        .await
        .unwrap();
    let held = listener.accept().await;
    drop(bundle);
    held.ended().await;
}

#[tokio::test]
async fn a_port_in_use_and_a_missing_binary_are_errors_that_name_them() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let started = Bundle::start(Settings {
        port,
        ..settings(functions("port_in_use"))
    })
    .await;
    assert!(
        matches!(started.err(), Some(StartError::Listen { port: refused, .. }) if refused == port)
    );

    let directory = functions("not_built");
    std::fs::remove_file(
        directory
            .join("worker")
            .with_extension(std::env::consts::EXE_EXTENSION),
    )
    .unwrap();
    let started = Bundle::start(settings(directory)).await;
    let error = started.err().unwrap().to_string();
    assert!(
        error.contains("worker") && error.ends_with("is missing"),
        "{error}"
    );
}
