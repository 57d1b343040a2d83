//! How the process starts, or rather does not: a setting that is wrong ends it at once.
//!
//! Naming the binary here is also what makes `cargo test --workspace` build it for the stories in `tests`.

use std::process::Command;

/// Everything that it needs; nothing listens there.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("TABLE_NAME", "ferry"),
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/callback"),
    ("CALLBACK_DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/dead"),
];

#[test]
fn a_malformed_secret_is_told_in_one_line_without_its_value() {
    let output = Command::new(env!("CARGO_BIN_EXE_callback"))
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .env("WEBHOOK_SECRETS", "whsec_c2hvcnQ=")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.trim_end().ends_with("cannot run: WEBHOOK_SECRETS holds as secret 1 neither whsec_ with 24 to 64 bytes in base64 nor whsk_ with an Ed25519 key in base64"), "{said}");
    assert!(!said.contains("c2hvcnQ="), "{said}");
    assert!(output.stderr.is_empty());
}
