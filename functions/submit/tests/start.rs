//! A missing setting ends the process at its start.
//!
//! The test names the binary, so `cargo test --workspace` builds it for the stories in `tests`.

use std::process::Command;

/// Every required setting but the table's name. Nothing listens at these addresses.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/callback"),
    ("DISPATCH_QUEUE_URL", "http://127.0.0.1:1/dispatch"),
];

#[test]
fn a_missing_table_name_is_reported_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_submit"))
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .output()
        .unwrap();
    let logged = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{logged}");
    assert_eq!(logged.lines().count(), 1, "{logged}");
    assert!(
        logged
            .trim_end()
            .ends_with("cannot run: TABLE_NAME is not set"),
        "{logged}"
    );
    assert!(output.stderr.is_empty());
}
