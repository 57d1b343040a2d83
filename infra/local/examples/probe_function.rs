//! A function for this crate's tests: it does what its event says.
//!
//! It reads the member `probe` of the event, else of the JSON in the event's `body` (from a
//! gateway), in the `body` of the first record (from a queue) or in the arguments of an attempt
//! (from the worker). Without `probe` it answers with
//! the event.

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
    /// Return an error with this message.
    Fail(String),
    /// Panic with this message.
    Panic(String),
    /// End the process with this code.
    Exit(i32),
    /// Answer with the environment.
    Environment,
    /// Answer with the invocation's context.
    Context,
    /// Report the records at these indexes as failed.
    FailRecords(Vec<usize>),
    /// Connect to `at`, send process id, `name`, event and deadline in a line each, and wait until
    /// the other side closes the connection. Then do `then`; without it, answer with the process
    /// id.
    Hold {
        at: SocketAddr,
        name: String,
        then: Option<Box<Probe>>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::vars().any(|(name, _)| name == "PROBE_INIT_FAILS") {
        return Err("PROBE_INIT_FAILS is set".into());
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    match probe(&event.payload)? {
        None => Ok(event.payload),
        Some(Probe::Hold { at, name, then }) => {
            hold(at, &name, &event).await?;
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
        Probe::FailRecords(indexes) => {
            let records = &event.payload["Records"];
            let failures = indexes.iter().map(|index| {
                let identifier = &records[*index]["messageId"];
                json!({ "itemIdentifier": identifier })
            });
            Ok(json!({"batchItemFailures": failures.collect::<Vec<_>>()}))
        }
        Probe::Hold { .. } => Err("a hold cannot follow a hold".into()),
    }
}

async fn hold(at: SocketAddr, name: &str, event: &LambdaEvent<Value>) -> Result<(), Error> {
    let mut stream = TcpStream::connect(at).await?;
    let lines = format!(
        "{}\n{name}\n{}\n{}\n",
        std::process::id(),
        event.payload,
        event.context.deadline
    );
    stream.write_all(lines.as_bytes()).await?;
    // Far longer than any test waits: the process ends even if its test does not end it.
    let closed = stream.read_u8();
    let _ = tokio::time::timeout(Duration::from_mins(1), closed).await;
    Ok(())
}

fn probe(event: &Value) -> Result<Option<Probe>, Error> {
    let member = |event: &Value| event.get("probe").cloned();
    let body = ["/body", "/Records/0/body"]
        .into_iter()
        .find_map(|pointer| event.pointer(pointer)?.as_str())
        .and_then(|body| serde_json::from_str(body).ok());
    let arguments = || event.pointer("/data/arguments").and_then(member);
    match member(event).or_else(arguments).or_else(|| member(&body?)) {
        None => Ok(None),
        Some(probe) => Ok(Some(serde_json::from_value(probe)?)),
    }
}
