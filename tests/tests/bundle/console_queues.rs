//! A queue that does not answer: the console names the error at its row, and the program logs it.

use std::path::Path;

use local::client::sdk_config;
use serde_json::Value;
use shared::config::Environment;

use super::local_program::{LocalProgram, answer};

const DELETED: &str = "ferry-dispatch-dead-letter";

#[tokio::test]
async fn the_console_shows_and_logs_why_a_queues_counts_are_not_known() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console_queues.env");
    let options = ["--environment", file.to_str().unwrap()];
    let local = LocalProgram::start(&options, &[]).await;
    let variables = std::fs::read_to_string(&file).unwrap();
    let variables = variables.lines().map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name, value.trim_matches('"'))
    });
    let environment: Environment = variables.collect();
    let endpoint = environment.required("AWS_ENDPOINT_URL_SQS").unwrap();
    let url = environment.required("DISPATCH_DEAD_LETTER_QUEUE_URL");
    aws_sdk_sqs::Client::new(&sdk_config(endpoint))
        .delete_queue()
        .queue_url(url.unwrap())
        .send()
        .await
        .unwrap();

    let (_, body) = answer(local.get_console("/api/queues")).await;
    let queues = body["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 4);
    for queue in queues {
        let error = queue["error"].as_str();
        if queue["name"] == DELETED {
            assert!(error.unwrap().contains("does not exist"), "{queue}");
            assert_eq!(queue["waiting"], Value::Null);
        } else {
            assert_eq!((error, queue["waiting"].as_u64()), (None, Some(0)));
        }
    }
    let log = local.stop().await;
    let line = log
        .lines()
        .find(|line| line.contains("counts cannot be read"));
    assert!(line.unwrap_or_default().contains(DELETED), "{log}");
}
