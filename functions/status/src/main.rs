//! Wires the `status` function and runs it.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{self, Aws};
use shared::clock::SystemClock;
use shared::http::GatewayEvent;
use shared::lambda;
use shared::random::SystemRandom;
use status::Handler;

fn main() -> ExitCode {
    lambda::run(async |environment| {
        let aws = Aws::new(&environment, aws::http_connector(&environment)?)?;
        let handler = Arc::new(Handler::new(
            &environment,
            &aws,
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        )?);
        aws.connect_to_store().await;
        Ok(service_fn(move |event: LambdaEvent<GatewayEvent>| {
            let handler = Arc::clone(&handler);
            async move { Ok::<_, Error>(handler.handle(event.payload).await) }
        }))
    })
}
