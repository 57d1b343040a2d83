//! The probe function and a place to meet its processes, so that a test knows what is under way without waiting for time
//! to pass.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use local::function::{Function, FunctionError, FunctionSettings};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The example that cargo builds beside the tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let binary = test
        .ancestors()
        .nth(2)
        .expect("tests lie in target/PROFILE/deps")
        .join("examples/probe_function");
    assert!(
        binary.exists(),
        "{} is missing; `cargo build -p local --examples` builds it",
        binary.display()
    );
    binary
}

pub(crate) fn settings() -> FunctionSettings {
    FunctionSettings {
        name: "probe".to_owned(),
        binary: binary(),
        timeout: Duration::from_mins(1),
        memory_mb: 128,
        instances_max: 1,
        environment: Vec::new(),
    }
}

/// Invokes with an event and reads the answer as JSON.
pub(crate) async fn invoke(function: &Function, event: Value) -> Result<Value, FunctionError> {
    let answer = function.invoke(event.to_string().into()).await?;
    Ok(serde_json::from_slice(&answer).expect("the probe answers with JSON"))
}

/// Where probes report that they hold an invocation, and wait to be let go.
pub(crate) struct MeetingPoint(TcpListener);

/// A probe in the middle of an invocation. Dropping it lets the probe go on.
pub(crate) struct Visitor {
    pub(crate) process_id: u64,
    pub(crate) name: String,
    stream: BufReader<TcpStream>,
}

impl MeetingPoint {
    pub(crate) async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn invitation(&self, name: &str) -> Value {
        json!({"probe": {"meet": {"at": self.address(), "name": name}}})
    }

    pub(crate) async fn next(&self) -> Visitor {
        let (stream, _) = self.0.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let (process_id, name) = line.trim_end().split_once(' ').unwrap();
        Visitor {
            process_id: process_id.parse().unwrap(),
            name: name.to_owned(),
            stream,
        }
    }
}

impl Visitor {
    /// Completes once the probe's process is gone: nothing else ends its side of the connection.
    pub(crate) async fn gone(mut self) {
        let mut rest = Vec::new();
        // A killed process's socket is closed or reset, as the system likes.
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}
