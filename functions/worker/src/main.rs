//! Wires the `worker` function and runs it.

use std::process::ExitCode;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{self, Aws};
use shared::clock::SystemClock;
use shared::domain::time::Timestamp;
use shared::lambda;
use shared::random::SystemRandom;
use worker::Worker;

fn main() -> ExitCode {
    lambda::run(async |environment| {
        let aws = Aws::new(&environment, aws::http_connector())?;
        let worker = Arc::new(Worker::new(
            &environment,
            &aws,
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        )?);
        aws.connect().await;
        Ok(service_fn(move |event: LambdaEvent<SqsEvent>| {
            let worker = Arc::clone(&worker);
            async move {
                let deadline = i64::try_from(event.context.deadline)
                    .map_or(Timestamp::from_millis(0), Timestamp::from_millis);
                match worker.handle(event.payload, deadline).await {
                    Ok(response) => Ok::<_, Error>(response),
                    Err(leaked) => {
                        // Unanswered, so that nothing is acknowledged; Lambda replaces the process.
                        tracing::error!("{leaked}");
                        std::process::exit(1)
                    }
                }
            }
        }))
    })
}
