//! A receiver in any language.

use std::ffi::OsStr;

use serde_json::Value;
use tests::wait::soon;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::authority::Identity;
use crate::in_process;
use crate::language::Language;

/// Responds with 204 to requests that its key verifies, and with 400 to others.
pub(crate) struct Receiver {
    pub(crate) url: String,
    reports: UnboundedReceiver<Value>,
    running: Running,
}

enum Running {
    InProcess(JoinSet<()>),
    Process(Child),
}

impl Receiver {
    /// Starts a receiver with this certificate and this key.
    pub(crate) async fn start(language: &Language, identity: &Identity, key: &str) -> Self {
        let (reporter, reports) = unbounded_channel();
        let arguments = [identity.file.as_os_str(), OsStr::new(key)];
        let child = match language {
            Language::Rust => None,
            Language::Python(python) => Some(python.start(include_str!("receiver.py"), &arguments)),
            Language::Node(node) => Some(node.start(include_str!("receiver.mjs"), &arguments)),
        };
        let (port, running) = if let Some(mut child) = child {
            let port = listen(&mut child, reporter).await;
            (port, Running::Process(child))
        } else {
            let (port, server) = in_process::serve(identity, key, reporter).await;
            (port, Running::InProcess(server))
        };
        Self {
            url: format!("https://127.0.0.1:{port}/hook"),
            reports,
            running,
        }
    }

    /// The report on the next request: whether it is `verified`, and if so the `event`.
    pub(crate) async fn report(&mut self) -> Value {
        let report = soon("a callback", self.reports.recv()).await;
        report.expect("a receiver that ends early has written why")
    }

    /// Ends the receiver, and returns the remaining reports.
    pub(crate) async fn end(mut self) -> Vec<Value> {
        match self.running {
            Running::InProcess(server) => {
                drop(server);
                self.reports.close();
            }
            Running::Process(mut child) => {
                drop(child.stdin.take());
                let status = soon("the receiver's end", child.wait()).await.unwrap();
                assert!(status.success(), "{status}");
            }
        }
        let mut rest = Vec::new();
        while let Some(report) = self.reports.recv().await {
            rest.push(report);
        }
        rest
    }
}

/// Reads the receiver's output: the first line is its port, every other line a report.
async fn listen(child: &mut Child, reporter: UnboundedSender<Value>) -> u16 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = soon("the receiver's start", lines.next_line()).await;
    tokio::spawn(async move {
        while let Some(line) = lines.next_line().await.unwrap() {
            // The channel is closed when a test has failed.
            let _ = reporter.send(serde_json::from_str(&line).unwrap());
        }
    });
    let port = first.unwrap().and_then(|line| line.parse().ok());
    port.expect("a receiver that does not start has written why")
}
