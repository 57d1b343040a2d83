//! A wrong setting ends the process at once.
//!
//! Naming the binary here also makes `cargo test --workspace` build it for the tests in `tests`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use tokio::net::TcpListener;
use tokio::process::Command;

/// The required settings. Nothing listens at these addresses.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("TABLE_NAME", "ferry"),
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/callback"),
    ("CALLBACK_DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/dead"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
    ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1"),
];

/// Starts the process with these settings as well. Returns its exit code and its log.
async fn output(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let process = Command::new(env!("CARGO_BIN_EXE_callback"))
        .env_clear()
        .envs(SETTINGS.iter().chain(settings).copied())
        .output();
    let output = process.await.unwrap();
    assert!(output.stderr.is_empty());
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// The log of a process that its settings prevent from starting.
async fn log_of_failed_start(settings: &[(&str, &str)]) -> String {
    let (code, log) = output(settings).await;
    assert_eq!(code, Some(1), "{log}");
    log
}

#[tokio::test]
async fn a_malformed_secret_is_logged_in_one_line_without_its_value() {
    let log = log_of_failed_start(&[("WEBHOOK_SECRETS", "whsec_c2hvcnQ=")]).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    let expected = "cannot run: WEBHOOK_SECRETS is malformed: secret 1 must be whsec_ followed by \
        24 to 64 bytes in base64, or whsk_ followed by an Ed25519 key in base64";
    assert!(log.trim_end().ends_with(expected), "{log}");
    assert!(!log.contains("c2hvcnQ="), "{log}");
}

/// The process starts all the same, and ends only because there is no Lambda runtime here.
#[tokio::test]
async fn a_promised_signature_that_no_secret_makes_is_logged() {
    let settings = [
        ("WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("WEBHOOK_SIGNATURE_VERSIONS", "v1,v1a"),
    ];
    let (_, log) = output(&settings).await;
    let expected = "WEBHOOK_SIGNATURE_VERSIONS promises v1a, but no secret makes that signature";
    assert!(log.contains(expected), "{log}");
    assert!(!log.contains("promises v1,"), "{log}");
    assert!(!log.contains("cannot run"), "{log}");
}

/// At TRACE, the SDK would log what it receives.
#[tokio::test]
async fn the_most_verbose_log_has_no_secret_from_secrets_manager() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let response = r#"{"SecretString": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw t0psecret"}"#;
    let server = Router::new().fallback(async move || response);
    tokio::spawn(async move { axum::serve(listener, server).await });
    let log = log_of_failed_start(&[
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("WEBHOOK_SECRETS_ARN", "webhooks"),
    ])
    .await;
    assert!(
        log.contains("GetSecretValue"),
        "the call is in the log: {log}"
    );
    let expected = "WEBHOOK_SECRETS_ARN refers to a secret that is malformed: secret 2 must be";
    assert!(log.contains(expected), "{log}");
    for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "t0psecret"] {
        assert!(!log.contains(secret), "{log}");
    }
}
