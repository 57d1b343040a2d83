//! Serves a wake-up: POST, record the attempt, send the next wake-up if one is needed, acknowledge.
//!
//! After a crash between POST and record, the message comes back and the sender posts again. After
//! a crash between record and next wake-up, the sender finds the attempt on record and sends the
//! wake-up.

use std::time::Duration;

use shared::domain::backoff::doubling_secs;
use shared::domain::callback::DeliveryAttempt;
use shared::domain::caller_url::CallerUrl;
use shared::domain::delivery::{DeliveryOutcome, DueCallback, deferral};
use shared::domain::id::DeliveryAttemptId;
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, ReceivedMessage};
use shared::metrics::{self, Metric};
use shared::outbound::Failure;
use shared::queue::{MessageError, QueueError, WakeUp};
use shared::store::{AttemptRecord, Payloads, RecordOutcome, StoreError};
use shared::telemetry::{chain, record_operation_id};

use crate::Handler;
use crate::body::body;
use crate::receivers::Busy;
use crate::sender::Outcome;

/// The wait after the first receive of a message that could not be served, in seconds; it doubles
/// with each further receive.
const RETURN_SECS_FIRST: u32 = 15;
const RETURN_SECS_MAX: u32 = 900;

/// Why a wake-up could not be served. Its message comes back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Handler {
    pub(crate) async fn serve_wake_up(&self, received: &ReceivedMessage) -> Disposition {
        let wake_up = match WakeUp::parse(&received.body, received.group.clone()) {
            Ok(wake_up) => wake_up,
            Err(error) => return self.return_after_error(received, &error.to_string()).await,
        };
        record_operation_id(&wake_up.operation_id);
        let outcome = self.deliver_due(&wake_up, received.sent_at).await;
        self.acknowledge_if_served(received, outcome).await
    }

    /// Serves a wake-up that ten receives failed to serve. Its callback may have been delivered by
    /// another wake-up. If it is still due, this counts as a failed attempt and the schedule
    /// continues: a failure of Ferry's must not end a callback.
    pub(crate) async fn serve_dead_letter(&self, received: &ReceivedMessage) -> Disposition {
        let wake_up = match WakeUp::parse(&received.body, received.group.clone()) {
            Ok(wake_up) => wake_up,
            Err(error @ MessageError::NewerFormat(_)) => {
                return self.return_after_error(received, &error.to_string()).await;
            }
            Err(MessageError::Malformed) => {
                // No release can read it, so the log line is all that remains of it.
                metrics::count(Metric::MalformedMessageDropped);
                tracing::error!("malformed message dropped");
                return Disposition::Acknowledge;
            }
        };
        record_operation_id(&wake_up.operation_id);
        let outcome = self.record_missed_attempt(&wake_up, received.sent_at).await;
        self.acknowledge_if_served(received, outcome).await
    }

    async fn deliver_due(&self, wake_up: &WakeUp, sent_at: Timestamp) -> Result<(), ServeError> {
        let Some(due) = self.due_callback(wake_up, sent_at).await? else {
            return Ok(());
        };
        let (operation, url) = (due.operation(), &due.callback().url);
        let turn = match self.receivers.turn(&operation.owner, url).await {
            Ok(turn) => turn,
            Err(busy) => return self.defer(wake_up, &due, &busy).await,
        };
        let now = self.clock.now();
        let Some(payloads) = self.store.payloads(operation, now).await? else {
            // Erased or expired since the head was read; `find` logs which.
            self.find(wake_up, sent_at, self.clock.now()).await?;
            return Ok(());
        };
        let (attempt, retry_after) = self.attempt(&due, &payloads).await;
        turn.end(Duration::from_millis(attempt.duration_ms), self.clock.now());
        tracing::info!(
            number = due.callback().attempts_made + 1,
            status_code = attempt.status_code,
            duration_ms = attempt.duration_ms,
            "callback attempted"
        );
        self.record_attempt(&due, attempt, retry_after).await
    }

    /// Leaves the attempt to a later wake-up, without counting it, or counts it as failed when it
    /// was deferred often enough. A crash before this message is acknowledged leaves both messages,
    /// which record one chain of attempts.
    async fn defer(
        &self,
        wake_up: &WakeUp,
        due: &DueCallback,
        busy: &Busy,
    ) -> Result<(), ServeError> {
        let deferrals = wake_up.deferrals.saturating_add(1);
        let now = self.clock.now();
        let Some(delay) = deferral(deferrals, busy.pause, self.random.fraction()) else {
            let attempt = attempt_without_post(now, "the receiver was busy with other callbacks");
            return self.record_attempt(due, attempt, None).await;
        };
        metrics::count(Metric::CallbackAttemptDeferred);
        tracing::info!(
            deferrals,
            delay_secs = delay.as_secs(),
            "callback deferred: its receiver is busy"
        );
        let wake_up = WakeUp {
            deferrals,
            ..WakeUp::of(due.operation())
        };
        let delay_secs = (now + delay).secs_from(now);
        Ok(self.callbacks.send(&wake_up, delay_secs).await?)
    }

    async fn record_missed_attempt(
        &self,
        wake_up: &WakeUp,
        sent_at: Timestamp,
    ) -> Result<(), ServeError> {
        let Some(due) = self.due_callback(wake_up, sent_at).await? else {
            return Ok(());
        };
        tracing::warn!("callback attempt counts as failed: its message is a dead letter");
        let attempt = attempt_without_post(self.clock.now(), "the callback could not be made");
        self.record_attempt(&due, attempt, None).await
    }

    /// Records an attempt, and sends the next wake-up if there is another one.
    async fn record_attempt(
        &self,
        due: &DueCallback,
        attempt: DeliveryAttempt,
        retry_after: Option<Duration>,
    ) -> Result<(), ServeError> {
        let now = self.clock.now();
        let jitter = || self.random.fraction();
        let outcome = due.outcome_of(&attempt, retry_after, &self.schedule, jitter, now);
        let attempt_record = AttemptRecord {
            id: DeliveryAttemptId::from_bytes(self.random.bytes()),
            attempt,
            outcome,
            kept_max: self.schedule.attempts(),
        };
        match self.store.record_attempt(due, &attempt_record, now).await? {
            RecordOutcome::Written => {}
            RecordOutcome::Refused => {
                metrics::count(Metric::RaceLost);
                return self.schedule_fallback(due).await;
            }
        }
        count(outcome);
        match outcome {
            DeliveryOutcome::RetryAt(at) => self.schedule_wake_up(due, at, now).await?,
            DeliveryOutcome::Exhausted => {
                let round_attempts = due.round_attempt();
                tracing::warn!(round_attempts, "callback exhausted");
            }
            DeliveryOutcome::Delivered | DeliveryOutcome::Gone => {}
        }
        Ok(())
    }

    /// Sends another wake-up, due after the winning sender's next attempt. The winner may have
    /// received this same message and crashed before it sent the next wake-up; acknowledging this
    /// message would then leave a due callback without one.
    async fn schedule_fallback(&self, due: &DueCallback) -> Result<(), ServeError> {
        let now = self.clock.now();
        let wake_up = WakeUp::of(due.operation());
        let current = self.find(&wake_up, now, now).await?;
        let Some(current) = current.and_then(DueCallback::of) else {
            return Ok(());
        };
        let at = current.fallback_at(now);
        Ok(self.schedule_wake_up(&current, at, now).await?)
    }

    /// Sends a wake-up without a redelivery request: the round has begun, and a second start after
    /// its end would repeat it.
    pub(crate) async fn schedule_wake_up(
        &self,
        due: &DueCallback,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.callbacks
            .send(&WakeUp::of(due.operation()), at.secs_from(now))
            .await
    }

    /// Posts the callback. The response may ask for a wait before the next attempt.
    async fn attempt(
        &self,
        due: &DueCallback,
        payloads: &Payloads,
    ) -> (DeliveryAttempt, Option<Duration>) {
        // Checked again: the allowed networks may have changed since the submit.
        let url = match CallerUrl::parse(&due.callback().url, &self.allowed_networks) {
            Ok(url) => url,
            Err(refused) => {
                tracing::warn!(reason = %refused.reason, "the attempt fails: its URL is refused");
                let reason = Failure::NoAllowedNetwork.to_string();
                return (attempt_without_post(self.clock.now(), &reason), None);
            }
        };
        let body = body(due, &payloads.metadata, payloads.result.as_ref());
        let signer = self.secrets.signer().await;
        let webhook_id = due.operation().webhook_id();
        let exchange = self.sender.post(&url, &signer, &webhook_id, body).await;
        let (status_code, error, retry_after) = match exchange.outcome {
            Outcome::Responded {
                status,
                retry_after,
            } => (Some(status), None, retry_after),
            Outcome::Failed { reason } => {
                tracing::info!(?reason, "the POST failed: no valid response");
                (None, Some(reason.to_string()), None)
            }
        };
        let duration_ms = u64::try_from(exchange.duration.as_millis()).unwrap_or(u64::MAX);
        let attempt = DeliveryAttempt {
            at: exchange.started_at,
            status_code,
            error,
            duration_ms,
        };
        (attempt, retry_after)
    }

    async fn acknowledge_if_served(
        &self,
        received: &ReceivedMessage,
        outcome: Result<(), ServeError>,
    ) -> Disposition {
        match outcome {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => self.return_after_error(received, &chain(&error)).await,
        }
    }

    /// Returns a message with increasing delays, up to [`RETURN_SECS_MAX`]: ten receives have to
    /// outlast an outage, since after them a callback that is due has missed an attempt.
    async fn return_after_error(&self, received: &ReceivedMessage, error: &str) -> Disposition {
        let secs = doubling_secs(RETURN_SECS_FIRST, RETURN_SECS_MAX, received.receive_count);
        tracing::error!("wake-up not served; it becomes visible again after {secs} s: {error}");
        let queue = if self.is_dead_letter(received) {
            &self.dead_letters
        } else {
            &self.callbacks
        };
        received.return_to(queue, secs).await
    }
}

fn count(outcome: DeliveryOutcome) {
    match outcome {
        DeliveryOutcome::Delivered => metrics::count(Metric::CallbackDelivered),
        DeliveryOutcome::Gone => metrics::count(Metric::CallbackGone),
        DeliveryOutcome::RetryAt(_) => metrics::count(Metric::CallbackAttemptFailed),
        DeliveryOutcome::Exhausted => {
            metrics::count(Metric::CallbackAttemptFailed);
            metrics::count(Metric::CallbackExhausted);
        }
    }
}

/// A failed attempt in which nothing was sent.
fn attempt_without_post(at: Timestamp, reason: &str) -> DeliveryAttempt {
    DeliveryAttempt {
        at,
        status_code: None,
        error: Some(reason.to_owned()),
        duration_ms: 0,
    }
}
