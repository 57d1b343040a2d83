//! Tells receivers how operations ended: signs the outcome, posts it, records the attempt, and sees to the next one.
//!
//! A message is a mere wake-up. What is owed stands in the operation's record, and every record of an attempt is conditional on the
//! number of attempts before it: of senders that were woken at once all but one are refused and fall behind.
//! Several may go on waking until the callback is settled; what they record is one chain of attempts, and then they end.

mod body;
mod deliver;
mod receivers;
mod secrets;
pub mod sender;
mod settings;
pub mod signature;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::aws::Aws;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::backoff::CallbackSchedule;
use shared::domain::limits::{CALLBACK_TIMEOUT_SECS_DEFAULT, CALLBACK_TIMEOUT_SECS_MAX};
use shared::domain::network::AllowedNetworks;
use shared::lambda::{Disposition, MissingMessageId, Record, batch_response, records};
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;
use shared::telemetry::{message_span, traced};
use tracing::Instrument as _;

use crate::receivers::Receivers;
use crate::secrets::Secrets;
use crate::sender::Sender;

/// The function. One for a process.
pub struct Callback {
    store: Store,
    callbacks: Queue,
    dead_letters: Queue,
    secrets: Secrets,
    sender: Sender,
    receivers: Receivers,
    allowed_networks: AllowedNetworks,
    schedule: CallbackSchedule,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Callback {
    /// The function with its settings, the clients and what comes from outside: one request when the secrets are in Secrets
    /// Manager.
    ///
    /// # Errors
    ///
    /// When a setting is missing or malformed, or the secrets cannot be read.
    pub async fn new(
        environment: &Environment,
        aws: &Aws,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        let queue = |url_setting| aws.queue(environment, url_setting);
        let timeout_secs = environment.number(
            "CALLBACK_TIMEOUT_SECONDS",
            1..=CALLBACK_TIMEOUT_SECS_MAX,
            CALLBACK_TIMEOUT_SECS_DEFAULT,
        )?;
        let timeout = Duration::from_secs(u64::from(timeout_secs));
        let allowed_networks = environment.allowed_networks()?;
        let sender = Sender::new(
            settings::roots(environment)?,
            allowed_networks.clone(),
            timeout,
            Arc::clone(&clock),
        )
        .map_err(|error| SettingError::new("TLS", format!("cannot be set up: {error}")))?;
        Ok(Self {
            store: aws.store(environment)?,
            callbacks: queue("CALLBACK_QUEUE_URL")?,
            dead_letters: queue("CALLBACK_DEAD_LETTER_QUEUE_URL")?,
            sender,
            receivers: Receivers::new(timeout, Arc::clone(&clock)),
            allowed_networks,
            schedule: settings::schedule(environment)?,
            // Last: what is wrong with the others is found without a request.
            secrets: Secrets::new(environment, aws, Arc::clone(&clock)).await?,
            clock,
            random,
        })
    }

    /// Serves one batch, from the callback queue or its dead-letter queue. The messages are served side by side: a slow
    /// receiver does not hold up the others.
    ///
    /// # Errors
    ///
    /// When a message has no name.
    pub async fn handle(&self, event: SqsEvent) -> Result<SqsBatchResponse, MissingMessageId> {
        let records = records(event, self.clock.now())?;
        let served = records.iter().map(|record| {
            let trace_header = record.trace_header.as_deref();
            let span = message_span(&record.message_id, trace_header);
            traced(trace_header, self.serve(record).instrument(span))
        });
        let dispositions = futures_util::future::join_all(served).await;
        let message_ids = records.iter().map(|record| record.message_id.clone());
        Ok(batch_response(message_ids.zip(dispositions)))
    }
}

impl Callback {
    async fn serve(&self, record: &Record) -> Disposition {
        if self.is_dead_letter(record) {
            self.serve_dead_letter(record).await
        } else {
            self.serve_wake_up(record).await
        }
    }

    fn is_dead_letter(&self, record: &Record) -> bool {
        record.queue_name == self.dead_letters.name()
    }
}
