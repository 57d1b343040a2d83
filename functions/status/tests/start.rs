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
];

#[test]
fn a_switch_that_is_neither_is_told_in_one_line_without_its_value() {
    let output = Command::new(env!("CARGO_BIN_EXE_status"))
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .env("DEMO_FUNCTIONS", "maybe")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.trim_end()
            .ends_with("cannot run: DEMO_FUNCTIONS must be 0 or 1"),
        "{said}"
    );
    assert!(!said.contains("maybe"), "{said}");
    assert!(output.stderr.is_empty());
}
