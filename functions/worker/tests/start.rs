//! A wrong setting ends the process at once.
//!
//! Naming the binary here also makes `cargo test --workspace` build it for the tests in `tests`.

use std::process::Command;

/// The required settings. Nothing listens at these addresses.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("TABLE_NAME", "ferry"),
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/callback"),
    ("DISPATCH_QUEUE_URL", "http://127.0.0.1:1/dispatch"),
    ("DISPATCH_DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/dead"),
];

#[test]
fn a_lease_out_of_bounds_is_logged_in_one_line_without_its_value() {
    let output = Command::new(env!("CARGO_BIN_EXE_worker"))
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .env("LEASE_SECONDS", "86399")
        .output()
        .unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.trim_end()
            .ends_with("cannot run: LEASE_SECONDS must be a whole number from 5 to 900"),
        "{log}"
    );
    assert!(!log.contains("86399"), "{log}");
    assert!(output.stderr.is_empty());
}
