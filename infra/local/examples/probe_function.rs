//! A function for the bundle's own tests: it does what its event tells it to.
//!
//! The event's `probe` member says what; failing that the `probe` member of the JSON in `body`, as a gateway delivers it, or
//! in the first record's `body`, as a queue does. Without one the event is the answer.

use std::net::SocketAddr;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Probe {
    /// Answer with this.
    Reply(Value),
    /// Answer with a string of this many bytes.
    ReplyBytes(usize),
    /// Return an error that says this.
    Fail(String),
    /// Panic with this.
    Panic(String),
    /// End the process with this code.
    Exit(i32),
    /// Answer with the environment.
    Environment,
    /// Answer with what the runtime told about the invocation.
    Context,
    /// Give back the records at these places.
    FailRecords(Vec<usize>),
    /// Connect to `at`, send the process id, `name` and the event in a line each, and wait until the other side hangs up;
    /// then answer with the process id, or do as `then` says.
    Meet {
        at: SocketAddr,
        name: String,
        then: Option<Box<Probe>>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::vars().any(|(name, _)| name == "PROBE_INIT_FAILS") {
        return Err("the probe was told to fail in its init phase".into());
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    match probe(&event.payload)? {
        None => Ok(event.payload),
        Some(Probe::Meet { at, name, then }) => {
            meet(at, &name, &event.payload).await?;
            match then {
                None => Ok(json!(std::process::id())),
                Some(then) => act(*then, &event),
            }
        }
        Some(probe) => act(probe, &event),
    }
}

fn act(probe: Probe, event: &LambdaEvent<Value>) -> Result<Value, Error> {
    match probe {
        Probe::Reply(value) => Ok(value),
        Probe::ReplyBytes(bytes) => Ok(json!("x".repeat(bytes))),
        Probe::Fail(message) => Err(message.into()),
        Probe::Panic(message) => panic!("{message}"),
        Probe::Exit(code) => std::process::exit(code),
        Probe::Environment => Ok(std::env::vars()
            .map(|(name, value)| (name, json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()),
        Probe::Context => Ok(json!({
            "request_id": event.context.request_id,
            "arn": event.context.invoked_function_arn,
            "trace_id": event.context.xray_trace_id,
            "deadline_ms": event.context.deadline,
        })),
        Probe::FailRecords(places) => {
            let records = &event.payload["Records"];
            let failures = places.iter().map(|place| {
                let identifier = &records[*place]["messageId"];
                json!({ "itemIdentifier": identifier })
            });
            Ok(json!({"batchItemFailures": failures.collect::<Vec<_>>()}))
        }
        Probe::Meet { .. } => Err("a meeting leads to no other meeting".into()),
    }
}

async fn meet(at: SocketAddr, name: &str, event: &Value) -> Result<(), Error> {
    let mut stream = TcpStream::connect(at).await?;
    let lines = format!("{}\n{name}\n{event}\n", std::process::id());
    stream.write_all(lines.as_bytes()).await?;
    // Far longer than any test waits: a test that forgot this process must not leave it behind.
    let hung_up = stream.read_u8();
    let _ = tokio::time::timeout(Duration::from_mins(1), hung_up).await;
    Ok(())
}

fn probe(event: &Value) -> Result<Option<Probe>, Error> {
    let told = |event: &Value| event.get("probe").cloned();
    let body = ["/body", "/Records/0/body"]
        .into_iter()
        .find_map(|pointer| event.pointer(pointer)?.as_str())
        .and_then(|body| serde_json::from_str(body).ok());
    match told(event).or_else(|| told(&body?)) {
        None => Ok(None),
        Some(probe) => Ok(Some(serde_json::from_value(probe)?)),
    }
}
