//! What the program says of a wrong use.
//!
//! Naming the binary here is also what makes `cargo test --workspace` build it for the suite in `tests`.

use std::process::Command;

#[test]
fn without_a_command_all_of_them_are_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    for command in ["requeue", "show", "erase", "--help"] {
        assert!(told.contains(command), "{told}");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_refused_in_one_line_that_names_it() {
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
        (&["requeue"], "TABLE_NAME is not set"),
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
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
