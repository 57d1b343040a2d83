//! Runs the `worker` function.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{self, Aws};
use shared::catalogue::worker_timeout_secs;
use shared::clock::{Clock as _, SystemClock};
use shared::lambda::{self, invocation_deadline};
use shared::random::SystemRandom;
use worker::{BatchError, Handler};

fn main() -> ExitCode {
    lambda::run(async |environment| {
        let aws = Aws::new(&environment, aws::http_connector(&environment)?)?;
        let handler = Arc::new(Handler::new(
            &environment,
            &aws,
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        )?);
        let timeout = Duration::from_secs(worker_timeout_secs(&environment)?.into());
        futures_util::join!(aws.connect_to_store(), aws.connect_to_queues());
        Ok(service_fn(move |event: LambdaEvent<SqsEvent>| {
            let handler = Arc::clone(&handler);
            async move {
                let deadline =
                    invocation_deadline(event.context.deadline, timeout, SystemClock.now());
                match handler.handle(event.payload, deadline).await {
                    Ok(response) => Ok::<_, Error>(response),
                    // Unwrapped, since the runtime recognises it by its type.
                    Err(BatchError::WorkStillRunning(end)) => Err(end.into()),
                    Err(error @ BatchError::MissingMessageId(_)) => Err(error.into()),
                }
            }
        }))
    })
}
