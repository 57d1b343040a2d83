//! The binaries of `cargo lambda build`, in the bundle.

use std::path::PathBuf;
use std::sync::Arc;

use local::bundle::Settings;
use serde_json::{Value, json};
use tests::api::Api;
use tests::bundle::{RunningBundle, settings};
use tests::receiver::{Receiver, SECRET};

use crate::variable;

/// A bundle for each directory of binaries.
fn bundles() -> Vec<Arc<RunningBundle>> {
    let directories = variable("BUILT_FUNCTIONS");
    let start = |directory: &str| {
        println!("the functions in {directory}");
        let environment = [
            ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            // The shortest, because a test would wait for the lease of an aborted process.
            ("LEASE_SECONDS", "5"),
            ("WEBHOOK_SECRETS", SECRET),
        ];
        Arc::new(RunningBundle::start(Settings {
            functions_directory: PathBuf::from(directory),
            functions_file: None,
            ..settings(
                environment
                    .map(|(name, value)| (name, value.to_owned()))
                    .into(),
            )
        }))
    };
    directories.split(':').map(start).collect()
}

/// cargo-lambda's default profile aborts on a panic. The worker would end, and the error would be
/// `WORKER_LOST`.
#[tokio::test]
async fn a_panic_is_a_failed_attempt() {
    for bundle in bundles() {
        let api = Api::new(bundle, "built");
        let body = json!({"function": "demo.fail", "arguments": {"mode": "panic"}});
        let id = api.submit(&body).await.id();
        let operation = api.wait_for_status(&id, "failed").await.json();
        assert_eq!(operation["errors"][0]["code"], "INTERNAL_ERROR");
        assert_eq!(operation["errors"][1]["code"], "ATTEMPTS_EXHAUSTED");
    }
}

#[tokio::test]
async fn an_operation_completes_and_is_called_back() {
    let receiver = Receiver::start().await;
    for bundle in bundles() {
        let api = Api::new(bundle, "built");
        let body = json!({
            "function": "csv.summarize",
            "arguments": {"csv": "a\n1\n3\n"},
            "callback_url": receiver.url,
        });
        let id = api.submit(&body).await.id();
        let operation = api.wait_for_status(&id, "completed").await.json();
        assert_eq!(operation["result"]["rows"], 2, "{operation}");
        api.wait_for_callback_status(&id, "delivered").await;
        let body: Value = receiver.received().pop().unwrap().verified();
        assert_eq!(body["data"]["operation_id"], json!(id));
    }
}
