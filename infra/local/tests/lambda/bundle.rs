//! The bundle's wiring, with probes in place of the functions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout;
use local::bundle::{Bundle, FUNCTIONS, Settings, StartError, TABLE_NAME};
use local::client::{http_client, sdk_config};
use local::guard::Allowed;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::store::table::{BY_OWNER, TABLE_KEYS};
use tokio::net::TcpListener;

use crate::invoke_api;
use crate::probe::{self, HeldProbe, ProbeListener};
use crate::wait::soon;

fn settings(functions_directory: PathBuf) -> Settings {
    Settings {
        port: 0,
        console_port: None,
        instances: 1,
        http_instances: 1,
        require_token: false,
        allowed: Allowed::default(),
        worker_batch_size: 1,
        dynamodb: None,
        sqs: None,
        lambda: None,
        functions_directory,
        functions_file: None,
        environment: vec![("LEASE_SECONDS".to_owned(), "2".to_owned())],
        clock: Arc::new(SystemClock),
    }
}

/// A directory with a probe under each function's name.
fn functions(test: &str) -> PathBuf {
    let directory = invoke_api::directory(test);
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

/// Sends a message that the function which reads the queue holds until the test ends it.
async fn hold(
    listener: &ProbeListener,
    variables: &BTreeMap<String, String>,
    queue: &str,
    function: &str,
) -> HeldProbe {
    aws_sdk_sqs::Client::new(&sdk_config(&variables["AWS_ENDPOINT_URL_SQS"]))
        .send_message()
        .queue_url(&variables[queue])
        .message_body(listener.hold(function).to_string())
        .send()
        .await
        .unwrap();
    listener.accept().await
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
        // All are held at once, which shows that the dead letters have an invocation of their own.
        let held = hold(&listener, &variables, variable, function).await;
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
async fn the_workers_timeout_and_what_follows_from_it_are_a_setting() {
    let listener = ProbeListener::open().await;
    let mut settings = settings(functions("worker_timeout"));
    let setting = ("WORKER_TIMEOUT_SECONDS", "60");
    settings
        .environment
        .push((setting.0.to_owned(), setting.1.to_owned()));
    let bundle = Bundle::start(settings.clone()).await.unwrap();
    let variables = environment(&bundle, reqwest::Method::POST).await;
    assert_eq!(variables[setting.0], setting.1);
    let queues = aws_sdk_sqs::Client::new(&sdk_config(&variables["AWS_ENDPOINT_URL_SQS"]));
    for (variable, visibility_secs) in [
        ("DISPATCH_QUEUE_URL", "60"),
        ("DISPATCH_DEAD_LETTER_QUEUE_URL", "60"),
        ("CALLBACK_QUEUE_URL", "90"),
        ("CALLBACK_DEAD_LETTER_QUEUE_URL", "90"),
    ] {
        let attributes = queues
            .get_queue_attributes()
            .queue_url(&variables[variable])
            .attribute_names(VisibilityTimeout)
            .send()
            .await
            .unwrap();
        let visibility = &attributes.attributes().unwrap()[&VisibilityTimeout];
        assert_eq!(visibility, visibility_secs, "{variable}");
    }
    let sent_ms = SystemClock.now().as_millis();
    let held = hold(&listener, &variables, "DISPATCH_QUEUE_URL", "worker").await;
    let bounds = sent_ms..=SystemClock.now().as_millis();
    let began_ms = i64::try_from(held.deadline_ms).unwrap() - 60_000;
    assert!(bounds.contains(&began_ms), "{bounds:?} {began_ms}");
    bundle.stop().await;

    let path = invoke_api::directory("worker_timeout_file").join("functions.json");
    let mut function = greeting("greet", "hello");
    function["timeout_seconds"] = json!(31);
    write_functions_file(&path, &[function]);
    let started = Bundle::start(Settings {
        functions_file: Some(path),
        ..settings
    });
    let error = started.await.err().unwrap().to_string();
    assert!(
        error.ends_with("/functions/0/timeout_seconds must be a whole number from 1 to 30"),
        "{error}"
    );
}

fn write_functions_file(path: &Path, functions: &[Value]) {
    let file = json!({"format": 1, "functions": functions});
    // Renamed, as most editors do, so that the bundle never reads half of it.
    let new = path.with_extension("new");
    std::fs::write(&new, file.to_string()).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A registered function whose target answers with its environment, in which `GREETING` is.
fn greeting(name: &str, greeting: &str) -> Value {
    json!({
        "name": name,
        "version": "1.2.0",
        "description": "Answers.",
        "arguments_schema": {"type": "object"},
        "target": {
            "lambda": {"function": "greet:live"},
            "local": {"command": ["./bootstrap"], "environment": {"GREETING": greeting}},
        },
    })
}

#[tokio::test]
async fn a_functions_file_runs_targets_and_a_valid_change_takes_effect() {
    let directory = invoke_api::directory("functions_file");
    std::fs::hard_link(probe::binary(), directory.join("bootstrap")).unwrap();
    let path = directory.join("functions.json");
    write_functions_file(&path, &[greeting("greet", "hello")]);
    let mut bundle = Bundle::start(Settings {
        functions_file: Some(path.clone()),
        ..settings(functions("functions_file_binaries"))
    })
    .await
    .unwrap();
    let lines = |bundle: &Bundle| -> Vec<_> {
        let targets = bundle.targets().iter();
        targets.map(ToString::to_string).collect()
    };
    assert_eq!(lines(&bundle), ["greet 1.2.0: ./bootstrap"]);
    let variables = environment(&bundle, reqwest::Method::POST).await;
    let copy = variables["FUNCTIONS_FILE"].clone();
    let stream = variables["AWS_LAMBDA_LOG_STREAM_NAME"].clone();
    let endpoint = variables["AWS_ENDPOINT_URL_LAMBDA"].clone();
    let target_greets = async || {
        let response = http_client()
            .post(format!(
                "{endpoint}/2015-03-31/functions/greet:live/invocations"
            ))
            .body(json!({"probe": "environment"}).to_string())
            .send()
            .await
            .unwrap();
        let variables: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        variables["GREETING"].as_str().unwrap().to_owned()
    };
    assert_eq!(target_greets().await, "hello");

    let valid = std::fs::read(&copy).unwrap();
    std::fs::write(&path, "{").unwrap();
    let error = soon("the error", bundle.reload())
        .await
        .unwrap_err()
        .to_string();
    let expected = format!("{}:1:1 is not JSON: it ends too early", path.display());
    assert_eq!(
        error,
        format!("{expected}\nthe functions stay as they were")
    );
    assert_eq!(std::fs::read(&copy).unwrap(), valid);
    assert_eq!(target_greets().await, "hello");

    let invalid_schema = {
        let mut function = greeting("greet", "bye");
        function["arguments_schema"]["properties"] = json!({"n": {"minimum": "1"}});
        function["result_schema"] = json!({"maximum": []});
        function
    };
    write_functions_file(&path, &[invalid_schema]);
    let error = soon("the error", bundle.reload())
        .await
        .unwrap_err()
        .to_string();
    for place in [
        "76 /functions/0/arguments_schema/properties/n/minimum",
        "166 /functions/0/result_schema/maximum",
    ] {
        let line = format!("{}:1:{place} ", path.display());
        assert!(error.contains(&line), "{error}");
    }

    write_functions_file(&path, &[greeting("greet", "bye"), greeting("part", "bye")]);
    let reloaded = soon("the change", bundle.reload()).await.unwrap();
    assert!(reloaded.file_changed);
    let expected = ["greet 1.2.0: ./bootstrap", "part 1.2.0: ./bootstrap"];
    assert_eq!(lines(&bundle), expected);
    assert_ne!(std::fs::read(&copy).unwrap(), valid);
    assert_eq!(target_greets().await, "bye");
    let variables = environment(&bundle, reqwest::Method::POST).await;
    assert_ne!(variables["AWS_LAMBDA_LOG_STREAM_NAME"], stream);
    assert_eq!(variables["FUNCTIONS_FILE"], copy);

    write_functions_file(
        &path,
        &[greeting("greet", "bye"), greeting("part", "hello")],
    );
    let error = soon("the error", bundle.reload())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/functions/1/target/local must be that of greet 1.2.0"),
        "{error}"
    );

    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 33);
    let handler = std::fs::File::create(directory.join("app.py")).unwrap();
    handler.set_modified(later).unwrap();
    let reloaded = soon("the change", bundle.reload()).await.unwrap();
    assert!(!reloaded.file_changed);
    let changed: Vec<_> = reloaded.targets.iter().map(ToString::to_string).collect();
    assert_eq!(changed, expected);
    bundle.stop().await;
    assert!(!Path::new(&copy).exists());
}

#[tokio::test]
async fn dropping_a_bundle_kills_its_processes() {
    let listener = ProbeListener::open().await;
    let bundle = Bundle::start(settings(functions("dropped"))).await.unwrap();
    let variables = environment(&bundle, reqwest::Method::PUT).await;
    let held = hold(&listener, &variables, "DISPATCH_QUEUE_URL", "worker").await;
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
