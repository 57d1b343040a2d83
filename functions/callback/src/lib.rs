//! The `callback` function: signs the outcome of an operation, posts it to its receiver, records
//! the attempt, and schedules the next one.
//!
//! A message is only a wake-up: the operation's record says whether its callback is due. Every
//! record of an attempt is conditional on the number of attempts before it: if several senders wake
//! at once, one record succeeds, and the others schedule a fallback. Several chains of wake-ups may
//! continue until the callback has ended; the record takes one chain of attempts.

mod body;
mod deliver;
mod due;
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
use shared::domain::delivery::CallbackSchedule;
use shared::domain::limits::{CALLBACK_TIMEOUT_SECS_DEFAULT, CALLBACK_TIMEOUT_SECS_MAX};
use shared::domain::network::AllowedNetworks;
use shared::lambda::{
    Disposition, MissingMessageId, ReceivedMessage, received_messages, serve_batch,
};
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;

use crate::receivers::Receivers;
use crate::secrets::Secrets;
use crate::sender::Sender;

/// The function. One per process.
pub struct Handler {
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

impl Handler {
    /// Makes one request when the secrets are in Secrets Manager.
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
        let allowed_networks = environment.allowed_networks("CALLBACK_ALLOWED_NETWORKS")?;
        let sender = Sender::new(
            settings::roots(environment)?,
            allowed_networks.clone(),
            timeout,
            Arc::clone(&clock),
        );
        Ok(Self {
            store: aws.store(environment)?,
            callbacks: queue("CALLBACK_QUEUE_URL")?,
            dead_letters: queue("CALLBACK_DEAD_LETTER_QUEUE_URL")?,
            sender,
            receivers: Receivers::new(timeout, Arc::clone(&clock)),
            allowed_networks,
            schedule: settings::schedule(environment)?,
            // Last, so that an error in another setting costs no request.
            secrets: Secrets::new(environment, aws, Arc::clone(&clock)).await?,
            clock,
            random,
        })
    }

    /// Serves one batch, from the callback queue or its dead-letter queue. The messages are served
    /// concurrently, so that a slow receiver does not delay the others.
    ///
    /// # Errors
    ///
    /// When a message has no identifier.
    pub async fn handle(&self, event: SqsEvent) -> Result<SqsBatchResponse, MissingMessageId> {
        let messages = received_messages(event, self.clock.now())?;
        Ok(serve_batch(&messages, |received| self.serve(received)).await)
    }

    async fn serve(&self, received: &ReceivedMessage) -> Disposition {
        if self.is_dead_letter(received) {
            self.serve_dead_letter(received).await
        } else {
            self.serve_wake_up(received).await
        }
    }

    fn is_dead_letter(&self, received: &ReceivedMessage) -> bool {
        received.queue_name == self.dead_letters.name()
    }
}
