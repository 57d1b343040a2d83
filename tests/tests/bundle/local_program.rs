//! The program `local`, as a user starts it.

use std::process::{Output, Stdio};

use local::client::http_client;
use reqwest::RequestBuilder;
use serde_json::Value;
use tests::bundle::binaries;
use tests::wait::soon;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// The program with these arguments, killed when it is dropped.
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

/// Runs the program to its end.
pub(crate) async fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = program(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    soon("the end", child.wait_with_output()).await.unwrap()
}

/// Ends a process as `kill` does.
pub(crate) async fn signal(child: &Child, name: &str) {
    let process_id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args([name, &process_id]).status();
    assert!(sent.await.unwrap().success());
}

/// The program, serving the bundle on a free port with the workspace's functions.
pub(crate) struct LocalProgram {
    pub(crate) url: String,
    /// `None` when it serves no console.
    console: Option<String>,
    pub(crate) child: Child,
    pub(crate) stdout: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
}

impl LocalProgram {
    /// Waits until the bundle is ready. The functions log warnings and errors only.
    pub(crate) async fn start(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let directory = binaries().display().to_string();
        let options = [&["--port", "0", "--binaries", &directory], options].concat();
        let mut child = program(&options)
            .env("AWS_LAMBDA_LOG_LEVEL", "WARN")
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = soon("the first line", stdout.next_line()).await.unwrap();
        let mut console = None;
        if !options.contains(&"--no-console") {
            let second = soon("the second line", stdout.next_line()).await.unwrap();
            let second = second.unwrap();
            assert!(second.starts_with("console http://127.0.0.1:"));
            console = second.strip_prefix("console ").map(str::to_owned);
        }
        Self {
            console,
            url: first.unwrap().strip_prefix("ready ").unwrap().to_owned(),
            stderr: child.stderr.take().unwrap(),
            child,
            stdout,
        }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        http_client().get(format!("{}{path}", self.url))
    }

    /// A request as the console's page sends it.
    pub(crate) fn get_console(&self, path: &str) -> RequestBuilder {
        let url = self.console.as_ref().unwrap();
        let request = http_client().get(format!("{url}{path}"));
        request.header("x-ferry-console", "1")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = http_client().post(format!("{}{path}", self.url));
        request.body(body.to_string())
    }

    /// Ends the program with a signal, so that it ends its functions. Returns its output after the
    /// lines with its URLs.
    pub(crate) async fn stop(mut self) -> String {
        signal(&self.child, "-TERM").await;
        let mut output = String::new();
        let read = self.stderr.read_to_string(&mut output);
        soon("the end", read).await.unwrap();
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            output.push_str(&line);
        }
        output
    }
}

/// Status and body.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}
