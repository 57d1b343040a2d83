//! Wires the `callback` function and runs it.

use std::process::ExitCode;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use callback::Callback;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{self, Aws};
use shared::clock::SystemClock;
use shared::lambda;
use shared::random::SystemRandom;

fn main() -> ExitCode {
    lambda::run(async |environment| {
        let aws = Aws::new(&environment, aws::http_connector(&environment)?)?;
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        // Side by side: both wait for the network.
        let (callback, ()) = tokio::join!(
            Callback::new(&environment, &aws, clock, random),
            aws.connect_to_store()
        );
        let callback = Arc::new(callback?);
        Ok(service_fn(move |event: LambdaEvent<SqsEvent>| {
            let callback = Arc::clone(&callback);
            async move { Ok::<_, Error>(callback.handle(event.payload).await?) }
        }))
    })
}
