//! The program `local`, with the real functions.

use std::path::Path;
use std::process::{Output, Stdio};

use local::client::http_client;
use serde_json::{Value, json};
use tests::bundle::binaries;
use tests::processes::Process;
use tests::wait::{soon, until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("local"));
    command
        .args(arguments)
        .env_remove("AWS_LAMBDA_LOG_FORMAT")
        .env_remove("AWS_LAMBDA_LOG_LEVEL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = program(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    soon("the end", child.wait_with_output()).await.unwrap()
}

fn refusal(output: &Output) -> &str {
    let said = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    said.trim_end()
}

fn demo(path: &[&str]) -> Vec<String> {
    let directory = binaries().display().to_string();
    let arguments = ["demo", "--functions", &directory];
    let words = arguments.iter().chain(path);
    words.map(|word| (*word).to_owned()).collect()
}

async fn run_demo(path: &[&str]) -> Output {
    let arguments = demo(path);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&arguments, "").await
}

#[cfg(unix)]
#[tokio::test]
async fn either_signal_ends_it_with_every_process_that_it_started() {
    let directory = binaries().display().to_string();
    for signal in ["-INT", "-TERM"] {
        let mut child = program(&["--port", "0", "--functions", &directory])
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the first line", lines.next_line()).await;
        let line = line.unwrap().unwrap();
        let url = line.strip_prefix("ready ").unwrap();
        let body =
            json!({"function": "demo.countdown", "arguments": {"steps": 100, "step_ms": 60_000}});
        let submitted = http_client()
            .post(format!("{url}/operations"))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(submitted.status(), 202);
        let process_id = child.id().unwrap();
        let children = until("three functions", async || {
            let children = Process::children_of(process_id).await;
            (children.len() >= 3).then_some(children)
        })
        .await;

        let sent = Command::new("kill")
            .args([signal, &process_id.to_string()])
            .status();
        assert!(sent.await.unwrap().success());
        let status = soon("the end", child.wait()).await.unwrap();
        assert!(status.success(), "{signal}: {status}");
        let left = Process::all().await;
        for child in children {
            let gone = left.iter().all(|process| process.id != child.id);
            assert!(gone, "{signal} left {child:?} behind");
        }
    }
}

#[tokio::test]
async fn the_demonstration_shows_result_and_verified_callback() {
    let output = run_demo(&[]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let logged = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{logged}");
    assert_eq!(logged, "");
    for words in [
        "submitted  csv.summarize of time_zones.csv as op_",
        "completed  1672 rows",
        "utc_offset_hours",
        "callback   forrst.operation.completed as msg_",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(said.trim_end().ends_with("signature verified"), "{said}");
}

#[tokio::test]
async fn a_demonstration_that_cannot_be_is_one_line() {
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
            // Each line feed takes two bytes of JSON.
            file("large.csv", "1\n".repeat(100_000).as_bytes()),
            "is too large: its 200000 bytes are 300010 bytes of arguments, more than the 262144 \
             bytes (256 KiB) that a call takes",
        ),
        (
            // Whose byte 262,145 is within a character.
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
        let said = refusal(&output);
        assert!(
            said.starts_with("error: ") && said.contains(words),
            "{said}"
        );
    }

    let malformed = file("malformed.csv", b"a,b\n1\n");
    let output = run_demo(&[&malformed]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said,
        "error: the operation failed: MALFORMED_CSV: line 2, column 2: the record has 1 fields, the first one 2\n"
    );
}

#[tokio::test]
async fn a_function_runs_by_itself() {
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
async fn a_function_that_fails_by_itself_says_why_in_one_line() {
    for (name, arguments, said) in [
        (
            "csv.summarize",
            r#"{"csv": "a,b\n1"}"#,
            r#"error: MALFORMED_CSV: line 2, column 2: the record has 1 fields, the first one 2 {"line":2,"column":2}"#,
        ),
        (
            "csv.summarize",
            r#"{"csv": "city,note\r\nRiga,ok\r\nOslo,\"cap\r\nBergen,x\r\n"}"#,
            r#"error: MALFORMED_CSV: line 3, column 2: the quote that opens here is never closed {"line":3,"column":2}"#,
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
        assert_eq!(refusal(&output), said);
    }
}

/// The file is for a shell to read, and may hold secrets.
#[cfg(unix)]
#[tokio::test]
async fn its_variables_are_written_for_the_one_user_and_for_a_shell_to_take_as_they_are() {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundle.env");
    let _ = std::fs::remove_file(&file);
    let directory = binaries().display().to_string();
    let path = file.display().to_string();
    let arguments = [
        "--port",
        "0",
        "--functions",
        &directory,
        "--environment",
        &path,
    ];
    let child = program(&arguments)
        .env("PUBLIC_URL", "https://api.example.com/$(id)")
        .spawn()
        .unwrap();
    let output = soon("the end", child.wait_with_output()).await.unwrap();
    let expected = "PUBLIC_URL has a character that a shell would interpret";
    assert!(refusal(&output).ends_with(expected), "{}", refusal(&output));
    assert!(!file.exists());

    // Nothing, a file that others can read, and a link to one of the user's.
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
        let mut child = program(&arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the first line", lines.next_line()).await;
        assert!(line.unwrap().unwrap().starts_with("ready "));
        let written = std::fs::symlink_metadata(&file).unwrap();
        assert!(written.is_file(), "{state}");
        assert_eq!(written.permissions().mode() & 0o777, 0o600, "{state}");
        let lines = std::fs::read_to_string(&file).unwrap();
        assert!(lines.contains("WEBHOOK_SECRETS=\"whsec_"), "{state}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept", "{state}");
    }
    let names = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<_> = names.filter(|name| name.starts_with("bundle.")).collect();
    left.sort();
    assert_eq!(left, ["bundle.env", "bundle.other"]);
}
