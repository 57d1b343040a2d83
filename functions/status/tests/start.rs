//! A wrong setting ends the process at its start.
//!
//! The test names the binary, so `cargo test --workspace` builds it for the stories in `tests`.

use std::process::Command;

/// Every required setting. Nothing listens at these addresses.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("TABLE_NAME", "ferry"),
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/callback"),
];

#[test]
fn a_malformed_switch_is_reported_in_one_line_without_its_value() {
    let output = Command::new(env!("CARGO_BIN_EXE_status"))
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .env("DEMO_FUNCTIONS", "maybe")
        .output()
        .unwrap();
    let logged = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{logged}");
    assert_eq!(logged.lines().count(), 1, "{logged}");
    assert!(
        logged
            .trim_end()
            .ends_with("cannot run: DEMO_FUNCTIONS must be 0 or 1"),
        "{logged}"
    );
    assert!(!logged.contains("maybe"), "{logged}");
    assert!(output.stderr.is_empty());
}
