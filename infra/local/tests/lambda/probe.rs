//! The probe function, and a listener that holds its invocations, so that a test knows which
//! invocations are running without a sleep.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use local::function::{Function, FunctionError, FunctionSettings, INIT_TIMEOUT};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::soon;

/// The example `probe_function`, which cargo builds with the tests.
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
        command: binary().into(),
        timeout: Duration::from_mins(1),
        init_timeout: INIT_TIMEOUT,
        memory_mb: 128,
        instances_max: 1,
        instances_eager: usize::MAX,
        environment: Vec::new(),
        log_prefix: String::new(),
    }
}

/// Returns the response as JSON.
pub(crate) async fn invoke(function: &Function, event: Value) -> Result<Value, FunctionError> {
    let response = function.invoke(event.to_string().into()).await?;
    Ok(serde_json::from_slice(&response).expect("the probe answers with JSON"))
}

/// Probes connect to it during an invocation, and are held until the connection closes.
pub(crate) struct ProbeListener(TcpListener);

/// A probe in the middle of an invocation. Dropping it lets the probe answer.
pub(crate) struct HeldProbe {
    pub(crate) process_id: u64,
    pub(crate) name: String,
    pub(crate) event: Value,
    /// The invocation's, since 1970.
    pub(crate) deadline_ms: u64,
    stream: BufReader<TcpStream>,
}

impl ProbeListener {
    pub(crate) async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// An event that holds the probe, which then answers with its process id.
    pub(crate) fn hold(&self, name: &str) -> Value {
        json!({"probe": {"hold": {"at": self.address(), "name": name}}})
    }

    /// An event that holds the probe, which then does `then`.
    pub(crate) fn hold_then(&self, name: &str, then: &Value) -> Value {
        json!({"probe": {"hold": {"at": self.address(), "name": name, "then": then}}})
    }

    pub(crate) async fn accept(&self) -> HeldProbe {
        soon("an invocation", async {
            let (stream, _) = self.0.accept().await.unwrap();
            let mut lines = BufReader::new(stream).lines();
            let mut line = async || lines.next_line().await.unwrap().unwrap();
            HeldProbe {
                process_id: line().await.parse().unwrap(),
                name: line().await,
                event: serde_json::from_str(&line().await).unwrap(),
                deadline_ms: line().await.parse().unwrap(),
                stream: lines.into_inner(),
            }
        })
        .await
    }
}

impl HeldProbe {
    /// Completes when the probe's process has ended, which alone closes its end of the connection.
    pub(crate) async fn ended(mut self) {
        let mut rest = Vec::new();
        // The operating system closes or resets the socket of a killed process.
        let _ = soon("the end of the process", self.stream.read_to_end(&mut rest)).await;
    }
}
