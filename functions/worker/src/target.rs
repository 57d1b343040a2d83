//! The work of registered functions: each attempt is one synchronous invocation of a Lambda
//! function.
//!
//! A running Lambda function cannot be stopped. So within one attempt the target is never invoked
//! again once the first request may have arrived; what cannot have arrived is sent again. The
//! target learns its deadline, its attempt and the operation's id, and makes its own effects
//! idempotent by these.

mod connector;
mod document;
mod error;
mod outcome;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use shared::aws::{self, Aws};
use shared::catalogue::Target;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::backoff::RetryPolicy;
use shared::domain::limits::{TARGET_KEEP_ALIVE_SECS_DEFAULT, TARGET_KEEP_ALIVE_SECS_MAX};
use shared::domain::time::Timestamp;
use shared::metrics::{self, Metric, TARGET_CODES, TARGET_PERMANENT, TARGET_RETRYABLE};
use shared::outbound::tls_config;
use shared::random::Random;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

use self::connector::TargetConnector;
pub(crate) use self::document::{Attempt, Input, document};
use self::error::{InvokeFailure, of_invoke};
use self::outcome::outcome;
use crate::thread::WorkEnd;
use crate::work::{Returned, WorkError};

/// The waits before another request when the target did not begin.
const BACKOFF: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(5),
};
/// How long one attempt repeats such requests, unless half of its time is less.
const BACKOFF_TOTAL_MAX: Duration = Duration::from_secs(60);

/// Invokes targets. One per process; builds its client when the first target is invoked.
pub(crate) struct Targets {
    aws: Aws,
    environment: Environment,
    keep_alive: Duration,
    /// Whether callers see why a target crashed: on a developer's machine only, since it may quote
    /// the target's log.
    quotes_crashes: bool,
    client: OnceLock<Client>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Targets {
    /// # Errors
    ///
    /// When `TARGET_KEEP_ALIVE_SECONDS` or `LOCAL_BUNDLE` is not valid.
    pub(crate) fn new(
        environment: &Environment,
        aws: &Aws,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        let keep_alive_secs = environment.number(
            "TARGET_KEEP_ALIVE_SECONDS",
            1..=TARGET_KEEP_ALIVE_SECS_MAX,
            TARGET_KEEP_ALIVE_SECS_DEFAULT,
        )?;
        Ok(Self {
            aws: aws.clone(),
            environment: environment.clone(),
            keep_alive: Duration::from_secs(u64::from(keep_alive_secs)),
            quotes_crashes: environment.switch("LOCAL_BUNDLE")?,
            client: OnceLock::new(),
            clock,
            random,
        })
    }

    /// Starts an attempt on the invocation's own runtime: it computes nothing, so it needs no
    /// thread. `abort` drops the request; the target runs on, and its response goes nowhere.
    pub(crate) fn start(
        self: &Arc<Self>,
        target: &'static Target,
        document: String,
        deadline: Timestamp,
        mut abort: watch::Receiver<bool>,
    ) -> JoinHandle<WorkEnd> {
        let targets = Arc::clone(self);
        let attempt = async move {
            tokio::select! {
                biased;
                _ = abort.wait_for(|abort| *abort) => WorkEnd::Aborted,
                returned = targets.attempt(target, document, deadline) => {
                    count_error(&returned);
                    WorkEnd::Returned(returned)
                }
            }
        };
        tokio::spawn(attempt.instrument(Span::current()))
    }

    pub(crate) async fn attempt(
        &self,
        target: &Target,
        document: String,
        deadline: Timestamp,
    ) -> Returned {
        let client = self.client().map_err(|error| {
            tracing::error!(target = %target.function, "target cannot be invoked: {error}");
            error::unavailable()
        })?;
        let payload = Blob::new(document);
        let began_at = self.clock.now();
        let give_up_at = began_at + BACKOFF_TOTAL_MAX.min(deadline.since(began_at) / 2);
        let mut request = 1;
        loop {
            let sent = client
                .invoke()
                .function_name(target.function.as_str())
                .payload(payload.clone())
                .send();
            let failure = match sent.await {
                Ok(output) => return outcome(target, &output, self.quotes_crashes),
                Err(error) => of_invoke(target, &error),
            };
            let wait = match failure {
                InvokeFailure::NotBegun { retry_after, .. } => {
                    let backoff = BACKOFF.delay(request, self.random.fraction());
                    retry_after.unwrap_or_default().max(backoff)
                }
                InvokeFailure::Ended(error) => return Err(error),
            };
            let again_at = self.clock.now() + wait;
            if again_at > give_up_at {
                return Err(failure.into_error());
            }
            self.clock.sleep_until(again_at).await;
            request += 1;
        }
    }

    fn client(&self) -> Result<&Client, SettingError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let tls = tls_config(aws::tls_roots(&self.environment)?);
        let connector = SharedHttpConnector::new(TargetConnector::new(tls, self.keep_alive));
        let mut config = aws_sdk_lambda::config::Builder::from(self.aws.config())
            .http_client(aws::http_client(&connector))
            // The attempt has the only time limit, and a second request is never the SDK's idea. It
            // has no connection to close after an error: each request has its own.
            .timeout_config(TimeoutConfig::disabled())
            .retry_config(
                RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections),
            );
        let endpoint = self.environment.optional("AWS_ENDPOINT_URL_LAMBDA");
        config.set_endpoint_url(endpoint.map(str::to_owned));
        Ok(self
            .client
            .get_or_init(|| Client::from_conf(config.build())))
    }
}

/// Counts why a target did not complete an attempt. The target chooses the code of an error that it
/// reports, so such an error counts by whether another attempt may follow.
fn count_error(returned: &Returned) {
    let Err(WorkError { error, retryable }) = returned else {
        return;
    };
    let code = TARGET_CODES.into_iter().find(|code| *code == error.code);
    let code = code.unwrap_or(if *retryable {
        TARGET_RETRYABLE
    } else {
        TARGET_PERMANENT
    });
    metrics::count(Metric::TargetError(code));
}

#[cfg(test)]
mod tests;
