//! Runs the `callback` function.

use std::process::ExitCode;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use callback::Handler;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{self, Aws};
use shared::clock::SystemClock;
use shared::lambda;
use shared::random::SystemRandom;

fn main() -> ExitCode {
    lambda::run(async |environment| {
        let aws = Aws::new(&environment, aws::http_connector(&environment)?)?;
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        // Concurrently, since both wait for the network.
        let (handler, ()) = tokio::join!(
            Handler::new(&environment, &aws, clock, random),
            aws.connect_to_store()
        );
        let handler = Arc::new(handler?);
        Ok(service_fn(move |event: LambdaEvent<SqsEvent>| {
            let handler = Arc::clone(&handler);
            async move { Ok::<_, Error>(handler.handle(event.payload).await?) }
        }))
    })
}
