//! A function that never answers: each invocation counts something, and ends its process.

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::lambda::{self, EndProcess};
use shared::metrics::{self, Metric};

fn main() -> ExitCode {
    lambda::run(async |_| {
        Ok(service_fn(|event: LambdaEvent<Value>| async move {
            metrics::count(Metric::RaceLost);
            Err::<Value, Error>(Error::from(EndProcess {
                is_caused_by_caller: event.payload == "caller",
            }))
        }))
    })
}
