//! How the process starts, or rather does not: a setting that is wrong ends it at once.
//!
//! Naming the binary here is also what makes `cargo test --workspace` build it for the stories in `tests`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use tokio::net::TcpListener;
use tokio::process::Command;

/// Everything that it needs; nothing listens there.
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

/// Starts it with these settings as well; what it said before it ended.
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

/// The same, of one that has to end because of its settings.
async fn said(settings: &[(&str, &str)]) -> String {
    let (code, said) = output(settings).await;
    assert_eq!(code, Some(1), "{said}");
    said
}

#[tokio::test]
async fn a_malformed_secret_is_told_in_one_line_without_its_value() {
    let said = said(&[("WEBHOOK_SECRETS", "whsec_c2hvcnQ=")]).await;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.trim_end().ends_with("cannot run: WEBHOOK_SECRETS holds as secret 1 neither whsec_ with 24 to 64 bytes in base64 nor whsk_ with an Ed25519 key in base64"), "{said}");
    assert!(!said.contains("c2hvcnQ="), "{said}");
}

/// It starts all the same, and ends here only for want of Lambda's runtime.
#[tokio::test]
async fn a_promised_signature_that_no_secret_makes_is_told() {
    let settings = [
        ("WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("WEBHOOK_SIGNATURE_VERSIONS", "v1,v1a"),
    ];
    let (_, said) = output(&settings).await;
    let told = "WEBHOOK_SIGNATURE_VERSIONS promises v1a, and no secret is of that kind";
    assert!(said.contains(told), "{said}");
    assert!(!said.contains("promises v1,"), "{said}");
    assert!(!said.contains("cannot run"), "{said}");
}

/// The SDK logs what it receives, from that level on.
#[tokio::test]
async fn the_most_talkative_log_does_not_tell_what_secrets_manager_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = r#"{"SecretString": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw t0psecret"}"#;
    let server = Router::new().fallback(async move || answer);
    tokio::spawn(async move { axum::serve(listener, server).await });
    let said = said(&[
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("WEBHOOK_SECRETS_ARN", "webhooks"),
    ])
    .await;
    assert!(
        said.contains("GetSecretValue"),
        "the call is in the log: {said}"
    );
    assert!(said.contains("WEBHOOK_SECRETS_ARN names a secret that holds as secret 2 neither"));
    for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "t0psecret"] {
        assert!(!said.contains(secret), "{said}");
    }
}
