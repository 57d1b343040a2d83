//! How the process starts, or rather does not: a setting that is wrong ends it at once.
//!
//! Naming the binary here is also what makes `cargo test --workspace` build it for the stories in `tests`.

use std::process::Command;

/// Everything that it needs; nothing listens there.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/callback"),
    ("DISPATCH_QUEUE_URL", "http://127.0.0.1:1/dispatch"),
];

#[test]
fn a_missing_table_name_is_told_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_submit"))
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.trim_end()
            .ends_with("cannot run: TABLE_NAME is not set"),
        "{said}"
    );
    assert!(output.stderr.is_empty());
}
