use serde_json::{Value as Json, json};

use super::*;
use crate::clock::ManualClock;
use crate::domain::time::Timestamp;

fn metrics(settings: &[(&str, &str)]) -> (Metrics, Arc<Mutex<Vec<Json>>>) {
    let lines: Arc<Mutex<Vec<Json>>> = Arc::default();
    let written = Arc::clone(&lines);
    let metrics = Metrics::to(
        &Environment::default().with(settings.iter().copied()),
        Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000))),
        move |line| {
            let line = line.strip_suffix('\n').unwrap();
            written
                .lock()
                .unwrap()
                .push(serde_json::from_str(line).unwrap());
        },
    );
    (metrics.unwrap(), lines)
}

#[test]
fn an_invocation_is_one_line() {
    let (metrics, lines) = metrics(&[("SERVICE_NAME", "orders")]);
    metrics.count(Metric::OperationsCompleted("demo.echo"));
    metrics.count(Metric::OperationsCompleted("demo.echo"));
    metrics.time(
        Metric::WorkDuration("demo.echo"),
        Duration::from_micros(7_900),
    );
    metrics.time(Metric::WorkDuration("demo.echo"), Duration::ZERO);
    metrics.count(Metric::RacesLost);
    metrics.flush();
    assert_eq!(
        *lines.lock().unwrap(),
        [json!({
            "_aws": {
                "Timestamp": 1_800_000_000_000_u64,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Ferry",
                        "Dimensions": [["service"], ["service", "function"]],
                        "Metrics": [
                            {"Name": "OperationsCompleted", "Unit": "Count"},
                            {"Name": "WorkDuration", "Unit": "Milliseconds"},
                        ],
                    },
                    {
                        "Namespace": "Ferry",
                        "Dimensions": [["service"]],
                        "Metrics": [{"Name": "RacesLost", "Unit": "Count"}],
                    },
                ],
            },
            "service": "orders",
            "function": "demo.echo",
            "OperationsCompleted": 2,
            "WorkDuration": [7, 0],
            "RacesLost": 1,
        })]
    );

    metrics.flush();
    assert_eq!(lines.lock().unwrap().len(), 1);
}

#[test]
fn each_function_of_a_batch_has_a_line_and_the_others_are_told_once() {
    let (metrics, lines) = metrics(&[("SERVICE_NAME", "orders"), ("METRICS_NAMESPACE", "Mine")]);
    for function in ["demo.echo", "demo.fail"] {
        metrics.count(Metric::AttemptsLost(function));
        metrics.count(Metric::RacesLost);
    }
    metrics.flush();
    let lines = lines.lock().unwrap();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["function"], &line["AttemptsLost"], &line["RacesLost"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("demo.echo"), &json!(1), &json!(2)),
            (&json!("demo.fail"), &json!(1), &Json::Null),
        ]
    );
    assert_eq!(
        lines[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"],
        "Mine"
    );
}

#[test]
fn no_more_values_are_told_than_the_format_allows() {
    let (metrics, lines) = metrics(&[("SERVICE_NAME", "orders")]);
    for _ in 0..=VALUES_MAX {
        metrics.time(Metric::QueueTime("demo.echo"), Duration::ZERO);
    }
    metrics.flush();
    let values = lines.lock().unwrap()[0]["QueueTime"].take();
    assert_eq!(values.as_array().unwrap().len(), VALUES_MAX);
}

#[test]
fn without_a_service_there_are_none() {
    let (metrics, lines) = metrics(&[("METRICS_NAMESPACE", "Mine")]);
    metrics.count(Metric::RacesLost);
    metrics.flush();
    assert!(lines.lock().unwrap().is_empty());
}

#[test]
fn a_name_that_cloudwatch_would_not_take_is_refused() {
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for (name, value) in [
        ("SERVICE_NAME", ":orders"),
        ("SERVICE_NAME", &long),
        ("METRICS_NAMESPACE", "Café"),
    ] {
        let environment = Environment::from_iter([(name, value)]);
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(0)));
        let refused = Metrics::new(&environment, clock).err().unwrap();
        assert!(
            refused.to_string().starts_with(&format!("{name} must be")),
            "{refused}"
        );
    }
}
