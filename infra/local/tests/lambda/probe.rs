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
        instances_eager: usize::MAX,
        environment: Vec::new(),
    }
}

/// Invokes with an event and reads the answer as JSON.
pub(crate) async fn invoke(function: &Function, event: Value) -> Result<Value, FunctionError> {
    let answer = function.invoke(event.to_string().into()).await?;
    Ok(serde_json::from_slice(&answer).expect("the probe answers with JSON"))
}

/// How long a test waits for what has to come. It is only ever waited out by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    let Ok(happened) = tokio::time::timeout(PATIENCE, happening).await else {
        panic!("{what} did not happen within {} s", PATIENCE.as_secs());
    };
    happened
}

/// Where probes report that they hold an invocation, and wait to be let go.
pub(crate) struct MeetingPoint(TcpListener);

/// A probe in the middle of an invocation. Dropping it lets the probe go on.
pub(crate) struct Visitor {
    pub(crate) process_id: u64,
    pub(crate) name: String,
    pub(crate) event: Value,
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

    /// An invitation with something to do afterwards.
    pub(crate) fn invitation_and(&self, name: &str, then: &Value) -> Value {
        json!({"probe": {"meet": {"at": self.address(), "name": name, "then": then}}})
    }

    pub(crate) async fn next(&self) -> Visitor {
        soon("a visit", async {
            let (stream, _) = self.0.accept().await.unwrap();
            let mut lines = BufReader::new(stream).lines();
            let mut line = async || lines.next_line().await.unwrap().unwrap();
            Visitor {
                process_id: line().await.parse().unwrap(),
                name: line().await,
                event: serde_json::from_str(&line().await).unwrap(),
                stream: lines.into_inner(),
            }
        })
        .await
    }
}

impl Visitor {
    /// Completes once the probe's process is gone: nothing else ends its side of the connection.
    pub(crate) async fn gone(mut self) {
        let mut rest = Vec::new();
        // A killed process's socket is closed or reset, as the system likes.
        let _ = soon("the end", self.stream.read_to_end(&mut rest)).await;
    }
}
