//! The metrics in the log of an invocation whose process must end.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use local::function::{FunctionSettings, INIT_TIMEOUT, Instance, Invocation};
use serde_json::Value;
use shared::clock::{Clock as _, SystemClock};
use shared::metrics::Metric;
use tests::metrics::{Key, key, read};

/// The version that the local Runtime API reports.
const VERSION: &str = "$LATEST";

#[tokio::test]
async fn an_exit_that_a_caller_caused_is_counted_before_the_process_ends() {
    let began = SystemClock.now().as_millis();
    let lines = log_of("caller").await;
    let expected = [
        (Metric::RaceLost, 1),
        (Metric::CallerCausedExit, 1),
        (Metric::CallerCausedExitOfVersion(VERSION), 1),
    ];
    assert_eq!(read(&lines), counts(&expected));
    for line in lines {
        let timestamp = line["_aws"]["Timestamp"].as_i64().unwrap();
        assert!((began..=SystemClock.now().as_millis()).contains(&timestamp));
    }
}

#[tokio::test]
async fn an_exit_that_the_version_caused_is_counted_only_by_lambda() {
    let lines = log_of("version").await;
    assert_eq!(read(&lines), counts(&[(Metric::RaceLost, 1)]));
}

fn counts(metrics: &[(Metric<'_>, u64)]) -> BTreeMap<Key, u64> {
    let counts = metrics.iter().map(|(metric, count)| (key(*metric), *count));
    counts.collect()
}

/// The metrics that a process writes in the invocation that ends it.
async fn log_of(cause: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("exits-{cause}"));
    std::fs::create_dir_all(&directory).unwrap();
    let (log, bootstrap) = (directory.join("log"), directory.join("bootstrap"));
    let function = env!("CARGO_BIN_EXE_ending_function");
    let script = format!("#!/bin/sh\nexec '{function}' >'{}'\n", log.display());
    std::fs::write(&bootstrap, script).unwrap();
    std::fs::set_permissions(&bootstrap, PermissionsExt::from_mode(0o755)).unwrap();
    let settings = FunctionSettings {
        name: "ending".to_owned(),
        command: bootstrap.into(),
        timeout: Duration::from_mins(1),
        init_timeout: INIT_TIMEOUT,
        memory_mb: 128,
        instances_max: 1,
        instances_eager: 1,
        environment: vec![("SERVICE_NAME".to_owned(), "ferry".to_owned())],
        log_prefix: String::new(),
    };
    let mut instance = Instance::spawn(&settings, 0).await.unwrap();
    let invocation = Invocation {
        request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        function_arn: "arn:aws:lambda:us-east-1:000000000000:function:ending".to_owned(),
        trace_id: "Root=1-5759e988-bd862e3fe1be46a994272793".to_owned(),
        deadline: SystemClock.now() + Duration::from_mins(1),
        event: Value::from(cause).to_string().into(),
    };
    let ended = instance.invoke(invocation).await.unwrap_err();
    assert!(ended.to_string().contains("exit status: 1"), "{ended}");
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| !line["_aws"].is_null())
        .collect()
}
