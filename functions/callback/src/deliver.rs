//! What becomes of a wake-up: POST, record the attempt, send the next wake-up if one is needed, acknowledge.
//!
//! A crash after the POST posts again, when the message comes back; one after the record leaves the message to find the attempt
//! recorded and to send the next wake-up.

use std::time::Duration;

use shared::domain::backoff::RetryPolicy;
use shared::domain::callback::{Attempt, CallbackStatus};
use shared::domain::callback_url::CallbackUrl;
use shared::domain::id::AttemptId;
use shared::domain::limits::{
    CALLBACK_ANNOUNCEMENT_SECS, CALLBACK_DEFERRAL_SECS, CALLBACK_DEFERRAL_SECS_MAX,
    CALLBACK_DEFERRALS_MAX, CALLBACK_ERASED_AGE_MAX,
};
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::{MessageError, QueueError, WakeUp};
use shared::store::{AttemptRecord, Lookup, Payloads, Recorded, Settlement, StoreError};
use shared::telemetry::{chain, record_operation_id, record_trace};

use crate::Callback;
use crate::body::body;
use crate::receivers::Busy;
use crate::sender::{Failure, Outcome};

/// How long a message waits after its first receive that led nowhere, in seconds; twice as long after each further one.
const RETURN_SECS_FIRST: u32 = 15;
/// No wait is longer, in seconds.
const RETURN_SECS_MAX: u32 = 900;
/// How far a second chain of wake-ups keeps behind the first: an attempt has been made and recorded by
/// then, unless it was deferred. Then both chains go on, and the record takes each attempt once.
const FOLLOW_AFTER: Duration = Duration::from_secs(CALLBACK_ANNOUNCEMENT_SECS as u64);
/// The waits of an attempt that is deferred.
const DEFERRAL: RetryPolicy = RetryPolicy {
    first: Duration::from_secs(CALLBACK_DEFERRAL_SECS as u64),
    longest: Duration::from_secs(CALLBACK_DEFERRAL_SECS_MAX as u64),
};
/// HTTP 410: the receiver never wants to hear of this again.
const GONE: u16 = 410;

/// What kept a wake-up from being served; its message comes back.
#[derive(Debug, thiserror::Error)]
enum NotServed {
    #[error("store")]
    Store(#[from] StoreError),
    #[error("queue")]
    Queue(#[from] QueueError),
}

impl Callback {
    pub(crate) async fn serve_wake_up(&self, record: &Record) -> Disposition {
        let message = match WakeUp::parse(&record.body, record.group.clone()) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!("{error}");
                return self.return_later(record).await;
            }
        };
        record_operation_id(&message.operation_id);
        let served = self.wake(&message, record.sent_at).await;
        self.dispose(record, served).await
    }

    /// A wake-up that could not be served ten times over. Its callback is still owed, or was delivered on another's. Owed, it
    /// counts as a failed attempt: the schedule goes on, so that trouble on our own side does not give a callback up at once.
    pub(crate) async fn serve_dead_letter(&self, record: &Record) -> Disposition {
        let message = match WakeUp::parse(&record.body, record.group.clone()) {
            Ok(message) => message,
            Err(error @ MessageError::NewerFormat(_)) => {
                tracing::error!("{error}");
                return self.return_later(record).await;
            }
            Err(MessageError::Malformed) => {
                // Nobody can read it, now or later: the log is all that it leaves.
                metrics::count(Metric::MalformedMessageDropped);
                tracing::error!("malformed message dropped");
                return Disposition::Acknowledge;
            }
        };
        record_operation_id(&message.operation_id);
        let served = self.miss(&message, record.sent_at).await;
        self.dispose(record, served).await
    }

    async fn wake(&self, message: &WakeUp, sent_at: Timestamp) -> Result<(), NotServed> {
        let Some(operation) = self.due_now(message, sent_at).await? else {
            return Ok(());
        };
        self.deliver(message, sent_at, operation).await
    }

    async fn deliver(
        &self,
        message: &WakeUp,
        sent_at: Timestamp,
        operation: Operation,
    ) -> Result<(), NotServed> {
        let Some(callback) = &operation.callback else {
            return Ok(());
        };
        let turn = match self.receivers.turn(&operation.owner, &callback.url).await {
            Ok(turn) => turn,
            Err(busy) => return self.defer(message, &operation, &busy).await,
        };
        let payloads = self.store.payloads(&operation, self.clock.now()).await?;
        let Some(payloads) = payloads else {
            // Gone since its head was read, and the second read says how.
            self.awaited(message, sent_at, self.clock.now()).await?;
            return Ok(());
        };
        let (attempt, retry_after) = self.attempt(&operation, &payloads, &callback.url).await;
        turn.end(Duration::from_millis(attempt.duration_ms), self.clock.now());
        tracing::info!(
            number = callback.attempts_made + 1,
            status_code = attempt.status_code,
            duration_ms = attempt.duration_ms,
            "callback attempted"
        );
        self.conclude(&operation, attempt, retry_after).await
    }

    /// Leaves the attempt to a later wake-up; it does not count as made. A crash before this message
    /// is acknowledged leaves both, which record one chain of attempts.
    ///
    /// An attempt that was deferred often enough has failed: its receiver has more callbacks than it
    /// can take, and to send them all the same would occupy the senders that others need.
    async fn defer(
        &self,
        message: &WakeUp,
        operation: &Operation,
        busy: &Busy,
    ) -> Result<(), NotServed> {
        if message.deferrals >= CALLBACK_DEFERRALS_MAX {
            let attempt = unanswered(
                self.clock.now(),
                "the receiver was busy with other callbacks",
            );
            return self.conclude(operation, attempt, None).await;
        }
        let deferrals = message.deferrals + 1;
        let delay = DEFERRAL
            .delay(deferrals, self.random.fraction())
            .max(busy.rest);
        metrics::count(Metric::CallbackDeferred);
        tracing::info!(
            deferrals,
            delay_secs = delay.as_secs(),
            "callback deferred: its receiver is slow"
        );
        let wake_up = WakeUp {
            deferrals,
            ..WakeUp::of(operation)
        };
        let now = self.clock.now();
        let delay_secs = (now + delay).secs_from(now);
        Ok(self.callbacks.send(&wake_up, delay_secs).await?)
    }

    async fn miss(&self, message: &WakeUp, sent_at: Timestamp) -> Result<(), NotServed> {
        let Some(operation) = self.due_now(message, sent_at).await? else {
            return Ok(());
        };
        tracing::warn!("callback missed: its message is a dead letter");
        let attempt = unanswered(self.clock.now(), "the callback could not be made");
        self.conclude(&operation, attempt, None).await
    }

    /// The operation of a message, when its callback is due and its next attempt is as well.
    async fn due_now(
        &self,
        message: &WakeUp,
        sent_at: Timestamp,
    ) -> Result<Option<Operation>, NotServed> {
        let now = self.clock.now();
        let Some(operation) = self.awaited(message, sent_at, now).await? else {
            return Ok(None);
        };
        let Some(operation) = self.in_a_round(message, operation, now).await? else {
            return Ok(None);
        };
        let next_attempt_at = operation
            .callback
            .as_ref()
            .and_then(|callback| callback.next_attempt_at);
        if let Some(at) = next_attempt_at.filter(|at| *at > now) {
            // Too early: the queue cannot delay a message for longer than 15 minutes, so a long wait is several hops. A crash
            // before the acknowledgement leaves two messages, which record one chain of attempts.
            self.wake_up_at(&operation, at, now).await?;
            return Ok(None);
        }
        Ok(Some(operation))
    }

    /// The operation of a message, when it is still the incarnation that the message is for.
    async fn awaited(
        &self,
        message: &WakeUp,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        let found = self
            .store
            .find(&message.operation_id, &message.create_id, now)
            .await?;
        match found {
            Lookup::Present(operation) => {
                record_trace(&operation);
                return Ok(Some(*operation));
            }
            Lookup::Erased => tracing::info!("callback not made: its owner erased the operation"),
            Lookup::Expired(operation) if is_wanted(message, &operation) => dropped(),
            // A surplus wake-up: the callback was delivered, gone or exhausted before its record
            // expired.
            Lookup::Expired(_) => {}
            // An operation that expired leaves no mark, nor does one that was erased once DynamoDB has
            // deleted the mark or another submit has replaced it. A record expires only after its
            // callback could have been sent for days, so it takes a message that was not served for
            // days.
            Lookup::Absent | Lookup::Replaced(_)
                if now.since(sent_at) > CALLBACK_ERASED_AGE_MAX =>
            {
                dropped();
            }
            Lookup::Absent => {
                tracing::info!("callback not made: its operation is gone, probably erased");
            }
            Lookup::Replaced(_) => {
                tracing::info!("callback not made: its operation's id is used by another");
            }
        }
        Ok(None)
    }

    /// The operation when its callback is due, by itself or because this message starts a round.
    async fn in_a_round(
        &self,
        message: &WakeUp,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Option<Operation>, StoreError> {
        if operation.callback_is_due() {
            return Ok(Some(operation));
        }
        let attempts_made = operation
            .callback
            .as_ref()
            .map(|callback| callback.attempts_made);
        let settled = operation
            .callback_status()
            .is_some_and(CallbackStatus::allows_redelivery);
        // With more attempts on record than when it was asked for, the round has been.
        if !settled
            || message.redeliver_after_attempts.is_none()
            || message.redeliver_after_attempts != attempts_made
        {
            return Ok(None);
        }
        // A crash after this leaves the callback due, and this message to come back to it. If another receive of it was faster, this
        // one serves the callback all the same while it is due: that other sender may have died, and it had no message but this.
        self.store.start_round(&operation, now).await
    }

    /// Records an attempt, and sees to the next one if there is to be one.
    async fn conclude(
        &self,
        operation: &Operation,
        attempt: Attempt,
        retry_after: Option<Duration>,
    ) -> Result<(), NotServed> {
        let now = self.clock.now();
        let round_attempts = operation
            .callback
            .as_ref()
            .map_or(0, |callback| callback.round_attempts)
            + 1;
        let settlement = match attempt.status_code {
            Some(200..=299) => Settlement::Settled(CallbackStatus::Delivered),
            Some(GONE) => Settlement::Settled(CallbackStatus::Gone),
            _ => match self
                .schedule
                .delay(round_attempts, retry_after, self.random.fraction())
            {
                Some(delay) => Settlement::Again(now + delay),
                None => Settlement::Settled(CallbackStatus::Exhausted),
            },
        };
        match self.record(operation, attempt, settlement, now).await? {
            Recorded::Written => {}
            Recorded::Refused => {
                metrics::count(Metric::RaceLost);
                return self.follow(operation).await;
            }
        }
        count(settlement);
        match settlement {
            Settlement::Again(at) => self.wake_up_at(operation, at, now).await?,
            Settlement::Settled(CallbackStatus::Exhausted) => {
                tracing::warn!(round_attempts, "callback exhausted");
            }
            Settlement::Settled(_) => {}
        }
        Ok(())
    }

    /// Sees to it that somebody comes after a sender that was faster. It may have been woken by this very message, received twice,
    /// and have died since, before it sent the next wake-up: then this one's acknowledgement takes away what would have healed that.
    /// As long as the callback is due, no message ends without another one in its place.
    async fn follow(&self, operation: &Operation) -> Result<(), NotServed> {
        let now = self.clock.now();
        let current = self.awaited(&WakeUp::of(operation), now, now).await?;
        let Some(current) = current.filter(Operation::callback_is_due) else {
            return Ok(());
        };
        let next_attempt_at = current
            .callback
            .as_ref()
            .and_then(|callback| callback.next_attempt_at);
        // Behind the other's, which has made its attempt by then: this one is not to be a second POST at the same moment.
        let at = next_attempt_at.unwrap_or(now) + FOLLOW_AFTER;
        Ok(self.wake_up_at(&current, at, now).await?)
    }

    async fn attempt(
        &self,
        operation: &Operation,
        payloads: &Payloads,
        url: &str,
    ) -> (Attempt, Option<Duration>) {
        // Judged anew: the networks that are allowed may have changed since the submit.
        let url = match CallbackUrl::parse(url, &self.allowed_networks) {
            Ok(url) => url,
            Err(refused) => {
                tracing::warn!(reason = %refused.reason, "callback URL refused");
                let reason = Failure::NoAllowedNetwork.to_string();
                return (unanswered(self.clock.now(), &reason), None);
            }
        };
        let body = body(operation, &payloads.metadata, payloads.result.as_ref());
        let signer = self.secrets.signer().await;
        let sent = self
            .sender
            .post(&url, &signer, &operation.webhook_id(), body)
            .await;
        let (status_code, error, retry_after) = match sent.outcome {
            Outcome::Answered {
                status,
                retry_after,
            } => (Some(status), None, retry_after),
            Outcome::Failed { reason } => {
                tracing::info!(?reason, "callback not answered");
                (None, Some(reason.to_string()), None)
            }
        };
        let duration_ms = u64::try_from(sent.duration.as_millis()).unwrap_or(u64::MAX);
        let attempt = Attempt {
            at: sent.started_at,
            status_code,
            error,
            duration_ms,
        };
        (attempt, retry_after)
    }

    async fn record(
        &self,
        operation: &Operation,
        attempt: Attempt,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let record = AttemptRecord {
            id: AttemptId::from_bytes(self.random.bytes()),
            attempt,
            settlement,
            kept_max: self.schedule.attempts(),
        };
        self.store.record_attempt(operation, &record, now).await
    }

    /// Not for a redelivery any more: its round has begun, and must not begin again after its end.
    async fn wake_up_at(
        &self,
        operation: &Operation,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.callbacks
            .send(&WakeUp::of(operation), at.secs_from(now))
            .await
    }

    async fn dispose(&self, record: &Record, served: Result<(), NotServed>) -> Disposition {
        let Err(error) = served else {
            return Disposition::Acknowledge;
        };
        tracing::error!("wake-up not served: {}", chain(&error));
        self.return_later(record).await
    }

    /// Puts a message back, for ever longer: ten receives have to outlast some trouble, since after them a callback that is
    /// due is given up.
    async fn return_later(&self, record: &Record) -> Disposition {
        let doubled = RETURN_SECS_FIRST.checked_shl(record.receive_count.saturating_sub(1));
        let secs = doubled.unwrap_or(RETURN_SECS_MAX).min(RETURN_SECS_MAX);
        let queue = if self.is_dead_letter(record) {
            &self.dead_letters
        } else {
            &self.callbacks
        };
        if let Err(error) = queue.change_visibility(&record.receipt_handle, secs).await {
            tracing::warn!("visibility not changed: {}", chain(&error));
        }
        Disposition::Return
    }
}

fn count(settlement: Settlement) {
    match settlement {
        Settlement::Settled(CallbackStatus::Delivered) => {
            metrics::count(Metric::CallbackDelivered);
        }
        Settlement::Settled(CallbackStatus::Gone) => metrics::count(Metric::CallbackGone),
        Settlement::Settled(_) => {
            metrics::count(Metric::CallbackAttemptFailed);
            metrics::count(Metric::CallbackExhausted);
        }
        Settlement::Again(_) => metrics::count(Metric::CallbackAttemptFailed),
    }
}

/// Whether a message still has something to do: its callback is due, or it begins a redelivery.
fn is_wanted(message: &WakeUp, operation: &Operation) -> bool {
    let begins_round = message.redeliver_after_attempts.is_some()
        && message.redeliver_after_attempts
            == operation
                .callback
                .as_ref()
                .map(|callback| callback.attempts_made);
    operation.callback_is_due() || begins_round
}

/// A due callback that can never be made: its record is gone, and no mark says that its owner erased it.
fn dropped() {
    metrics::count(Metric::CallbackDropped);
    tracing::error!("callback dropped: its operation is gone, and was not erased");
}

/// An attempt that came to no POST.
fn unanswered(at: Timestamp, reason: &str) -> Attempt {
    Attempt {
        at,
        status_code: None,
        error: Some(reason.to_owned()),
        duration_ms: 0,
    }
}
