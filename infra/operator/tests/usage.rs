//! How the program responds to wrong arguments.
//!
//! The reference to the binary here also makes `cargo test --workspace` build it for the suite in
//! `tests`.

use std::process::Command;

#[test]
fn without_a_command_it_lists_all_commands() {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    for command in ["requeue", "redrive", "show", "erase", "check", "--help"] {
        assert!(errors.contains(command), "{errors}");
    }
}

#[test]
fn each_command_says_what_its_rate_limits_and_has_its_own_default() {
    for (command, limits, rate) in [
        ("requeue", "requests", 5),
        ("redrive", "redrives", 20),
        ("erase", "operations", 20),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args([command, "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let mut lines = help.lines();
        let line = lines.find(|line| line.contains("--per-second <N>"));
        let line = line.unwrap_or_else(|| panic!("no rate: {help}"));
        assert!(
            line.contains(&format!("The most {limits} a second")),
            "{line}"
        );
        assert!(line.ends_with(&format!("[default: {rate}]")), "{line}");
    }
}

#[test]
fn a_wrong_argument_or_setting_is_refused_in_one_line_that_names_it() {
    for (arguments, expected) in [
        (
            &["show", "op_1"][..],
            "<OPERATION>': an operation's id is op_ and 24 digits",
        ),
        (&["show"], "<OPERATION>"),
        (
            &["requeue", "--per-second", "0"],
            "--per-second <N>': 0 is not in 1..=1000",
        ),
        (&["requeue", "--dry"], "--dry"),
        (&["redrive"], "--function <FUNCTION>"),
        (
            &["redrive", "--function", "f", "--code", "C"],
            "--since <TIME>",
        ),
        (
            &["redrive", "--since", "yesterday"],
            "--since <TIME>': must be an RFC 3339 date and time",
        ),
        (
            &["redrive", "--per-second", "1001"],
            "--per-second <N>': 1001 is not in 1..=1000",
        ),
        (
            &["redrive", "--from", "end"],
            "--from <FROM>': must be state or start",
        ),
        (&["erase"], "--owner <OWNER>"),
        (
            &["erase", "--owner", "bob"],
            "--owner <OWNER>': an owner is jwt:",
        ),
        (
            &["erase", "--owner", "jwt:"],
            "--owner <OWNER>': an owner is jwt:",
        ),
        (
            &["erase", "--owner", "ldap:bob"],
            "--owner <OWNER>': an owner is jwt:",
        ),
        (&["check"], "<FILE>"),
        (
            &["check", "f", "--region", "here"],
            "--region <REGION>': a region is such as eu-central-1",
        ),
        (
            &["check", "f", "--region", "eu-central-1", "--account", "1"],
            "--account <ACCOUNT>': an account is a number of 12 digits",
        ),
        (
            &["check", "f", "--account", "123456789012"],
            "--region <REGION>",
        ),
        (
            &["check", "f", "--worker-timeout", "1801"],
            "--worker-timeout <SECONDS>': 1801 is not in 60..=1800",
        ),
        (
            &["check", "f", "--arns", "", "--print-arns"],
            "--print-arns",
        ),
        (
            &["check", "missing.json"],
            "error: missing.json cannot be read: ",
        ),
        (&["requeue"], "TABLE_NAME is not set"),
        (
            &[
                "redrive",
                "--function",
                "f",
                "--code",
                "C",
                "--since",
                "2026-11-23T19:00:00Z",
            ],
            "TABLE_NAME is not set",
        ),
        (
            &["show", "op_0123456789abcdef01234567"],
            "TABLE_NAME is not set",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
