//! The program `local`, with the workspace's functions.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tests::bundle::binaries;
use tests::processes::Process;
use tests::wait::{soon, until};

use super::local_program::{LocalProgram, answer, program, run, signal};

/// The single line of a failed run.
fn error_line(output: &Output) -> &str {
    let stderr = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end()
}

async fn run_demo(path: &[&str]) -> Output {
    let directory = binaries().display().to_string();
    let arguments = [&["demo", "--binaries", &directory], path].concat();
    run(&arguments, "").await
}

#[cfg(unix)]
#[tokio::test]
async fn either_signal_ends_the_program_and_every_process_that_it_started() {
    for name in ["-INT", "-TERM"] {
        let mut local = LocalProgram::start(&[], &[]).await;
        let body =
            json!({"function": "demo.countdown", "arguments": {"steps": 100, "step_ms": 60_000}});
        assert_eq!(answer(local.post("/operations", &body)).await.0, 202);
        let process_id = local.child.id().unwrap();
        let children = until("three functions", async || {
            let children = Process::children_of(process_id).await;
            (children.len() >= 3).then_some(children)
        })
        .await;

        signal(&local.child, name).await;
        let status = soon("the end", local.child.wait()).await.unwrap();
        assert!(status.success(), "{name}: {status}");
        let processes = Process::all().await;
        for child in children {
            let has_ended = processes.iter().all(|process| process.id != child.id);
            assert!(has_ended, "{name} left {child:?} running");
        }
    }
}

#[tokio::test]
async fn the_demonstration_shows_the_result_and_the_verified_callback() {
    let output = run_demo(&[]).await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "");
    for words in [
        "submitted  csv.summarize of time_zones.csv as op_",
        "completed  1672 rows",
        "utc_offset_hours",
        "callback   forrst.operation.completed as msg_",
    ] {
        assert!(stdout.contains(words), "{stdout}");
    }
    assert!(
        stdout.trim_end().ends_with("signature verified"),
        "{stdout}"
    );
}

#[tokio::test]
async fn a_demonstration_that_fails_prints_one_line() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let missing = directory.join("no such table.csv").display().to_string();
    for (path, words) in [
        (missing, "cannot be read: No such file"),
        (file("latin1.csv", b"city\nZ\xfcrich\n"), "is not UTF-8"),
        (
            // Each line feed takes two bytes in JSON.
            file("large.csv", "1\n".repeat(100_000).as_bytes()),
            "is too large: its 200000 bytes are 300010 bytes of arguments, more than the 262144 \
             bytes (256 KiB) that a call takes",
        ),
        (
            // Byte 262,145 is within a character.
            file("larger.csv", "aäää".repeat(100_000).as_bytes()),
            "is too large: its 700000 bytes are 700010 bytes of arguments, more than the 262144 \
             bytes (256 KiB) that a call takes",
        ),
        (
            file("largest.csv", "aäää".repeat(2_500_000).as_bytes()),
            "is too large: it has at least 17500000 bytes, and a call takes 262144 bytes \
             (256 KiB) of arguments",
        ),
        (
            "/dev/zero".to_owned(),
            "is too large: it has at least 16777217 bytes, and a call takes 262144 bytes \
             (256 KiB) of arguments",
        ),
    ] {
        let output = run_demo(&[&path]).await;
        let line = error_line(&output);
        assert!(
            line.starts_with("error: ") && line.contains(words),
            "{line}"
        );
    }

    let malformed = file("malformed.csv", b"a,b\n1\n");
    let output = run_demo(&[&malformed]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr,
        "error: the operation failed: MALFORMED_CSV: line 2, column 2: the record has 1 fields, \
         the first one 2\n"
    );
}

#[tokio::test]
async fn the_run_command_prints_progress_and_the_exact_result() {
    let output = run(
        &["run", "demo.countdown", "-"],
        r#"{"steps": 2, "step_ms": 1}"#,
    )
    .await;
    assert!(output.status.success());
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result, json!({"steps": 2}));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        " 50 % step 1 of 2\n100 % step 2 of 2\n"
    );

    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exact.json");
    let exact = r#"{"z":9007199254740993,"a":1.0e5}"#;
    std::fs::write(&path, exact).unwrap();
    let output = run(&["run", "demo.echo", path.to_str().unwrap()], "").await;
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), exact);
}

#[tokio::test]
async fn the_run_command_prints_an_error_in_one_line() {
    for (name, arguments, expected) in [
        (
            "csv.summarize",
            r#"{"csv": "a,b\n1"}"#,
            "error: MALFORMED_CSV: line 2, column 2: the record has 1 fields, the first one 2 \
             {\"line\":2,\"column\":2}",
        ),
        (
            "csv.summarize",
            r#"{"csv": "city,note\r\nRiga,ok\r\nOslo,\"cap\r\nBergen,x\r\n"}"#,
            "error: MALFORMED_CSV: line 3, column 2: the quote that opens here is never closed \
             {\"line\":3,\"column\":2}",
        ),
        (
            "demo.countdown",
            r#"{"steps": 0, "step_ms": 1}"#,
            "error: INVALID_ARGUMENTS: /arguments/steps must be at least 1",
        ),
        (
            "demo.echo",
            "[]",
            "error: INVALID_ARGUMENTS: /arguments must be an object",
        ),
        (
            "demo.ech",
            "{}",
            "error: FUNCTION_NOT_FOUND: there is no function demo.ech",
        ),
        (
            "demo.echo",
            "{",
            "error: - is not JSON: EOF while parsing an object at line 1 column 1",
        ),
    ] {
        let output = run(&["run", name, "-"], arguments).await;
        assert_eq!(error_line(&output), expected);
    }
}

/// A shell reads the file, and it may contain secrets.
#[cfg(unix)]
#[tokio::test]
async fn the_file_of_variables_is_private_and_has_no_value_that_a_shell_would_interpret() {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundle.env");
    let _ = std::fs::remove_file(&file);
    let directory = binaries().display().to_string();
    let path = file.display().to_string();
    let options = ["--environment", &path];
    let mut refused = program(&[&["--port", "0", "--binaries", &directory], &options[..]].concat());
    let refused = refused.env("PUBLIC_URL", "https://api.example.com/$(id)");
    let output = soon("the end", refused.output()).await.unwrap();
    let line = error_line(&output);
    let expected = "PUBLIC_URL has a character that a shell would interpret";
    assert!(line.ends_with(expected), "{line}");
    assert!(!file.exists());

    // No file, a file that others can read, and a link to one of the user's files.
    let other = file.with_extension("other");
    for state in ["absent", "readable", "link"] {
        std::fs::write(&other, "kept").unwrap();
        std::fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        match state {
            "readable" => _ = std::fs::copy(&other, &file).unwrap(),
            "link" => {
                std::fs::remove_file(&file).unwrap();
                symlink(&other, &file).unwrap();
            }
            _ => {}
        }
        let _local = LocalProgram::start(&options, &[]).await;
        let written = std::fs::symlink_metadata(&file).unwrap();
        assert!(written.is_file(), "{state}");
        assert_eq!(written.permissions().mode() & 0o777, 0o600, "{state}");
        let lines = std::fs::read_to_string(&file).unwrap();
        assert!(lines.contains("WEBHOOK_SECRETS=\"whsec_"), "{state}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept", "{state}");
    }
    let names = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("bundle.")).collect();
    names.sort();
    assert_eq!(names, ["bundle.env", "bundle.other"]);
}
