//! What the messages and the delivery attempts of a callback lead to.

use std::time::Duration;

use super::backoff::RetryPolicy;
use super::callback::{Callback, CallbackStatus, DeliveryAttempt};
use super::limits::{
    CALLBACK_DEFERRAL_SECS, CALLBACK_DEFERRAL_SECS_MAX, CALLBACK_DEFERRALS_MAX,
    CALLBACK_FALLBACK_DELAY_SECS, CALLBACK_JITTER_PERCENT, CALLBACK_RETRY_AFTER_SECS_MAX,
};
use super::operation::Operation;
use super::time::Timestamp;

const GONE: u16 = 410;
/// How far a second chain of wake-ups stays behind the first: an attempt has been made and recorded
/// by then, unless it was deferred. Then both chains continue, and the record takes each attempt
/// once.
const FALLBACK_DELAY: Duration = Duration::from_secs(CALLBACK_FALLBACK_DELAY_SECS as u64);
const DEFERRAL: RetryPolicy = RetryPolicy {
    initial: Duration::from_secs(CALLBACK_DEFERRAL_SECS as u64),
    max: Duration::from_secs(CALLBACK_DEFERRAL_SECS_MAX as u64),
};

/// An operation whose callback is due.
#[derive(Debug, Clone, PartialEq)]
pub struct DueCallback(Operation);

/// What a delivery attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver responded with 2xx.
    Delivered,
    /// The receiver responded with 410.
    Gone,
    /// The attempt failed; the next one is not made before this time.
    RetryAt(Timestamp),
    /// The attempt failed, and it was the last of its round.
    Exhausted,
}

/// The waits between the attempts of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackSchedule {
    waits_secs: Vec<u32>,
}

impl Operation {
    /// Whether a redelivery that was requested when `attempts_made` attempts were on record starts
    /// a round now. With more attempts on record, that round has already started.
    #[must_use]
    pub fn starts_round(&self, attempts_made: u32) -> bool {
        self.callback.as_ref().is_some_and(|callback| {
            callback.status(self.status()).allows_redelivery()
                && callback.attempts_made == attempts_made
        })
    }
}

impl DueCallback {
    /// `None` when the operation's callback is not due.
    #[must_use]
    pub fn of(operation: Operation) -> Option<Self> {
        operation.callback_is_due().then_some(Self(operation))
    }

    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.0
    }

    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub const fn callback(&self) -> &Callback {
        let callback = self.0.callback.as_ref();
        callback.expect("`of` takes operations with a due callback only")
    }

    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub const fn ended_at(&self) -> Timestamp {
        let ended_at = self.0.ended_at();
        ended_at.expect("a callback is due only after its operation's end")
    }

    /// The number of the next attempt in its round, from 1.
    #[must_use]
    pub const fn round_attempt(&self) -> u32 {
        self.callback().round_attempts + 1
    }

    /// When the next attempt may be made, if it may not be made yet.
    #[must_use]
    pub fn not_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.callback().next_attempt_at.filter(|at| *at > now)
    }

    /// When a sender whose record of an attempt was refused comes back, in case the other sender
    /// stopped before it sent the next wake-up: after the other's next attempt, so that the
    /// receiver does not get two POSTs at the same moment.
    #[must_use]
    pub fn fallback_at(&self, now: Timestamp) -> Timestamp {
        self.callback().next_attempt_at.unwrap_or(now) + FALLBACK_DELAY
    }

    /// What an attempt leads to. `retry_after` is the wait that the receiver asked for; `jitter` is
    /// called when the attempt failed.
    #[must_use]
    pub fn outcome_of(
        &self,
        attempt: &DeliveryAttempt,
        retry_after: Option<Duration>,
        schedule: &CallbackSchedule,
        jitter: impl FnOnce() -> f64,
        now: Timestamp,
    ) -> DeliveryOutcome {
        match attempt.status_code {
            Some(200..=299) => DeliveryOutcome::Delivered,
            Some(GONE) => DeliveryOutcome::Gone,
            _ => schedule
                .delay(self.round_attempt(), retry_after, jitter())
                .map_or(DeliveryOutcome::Exhausted, |delay| {
                    DeliveryOutcome::RetryAt(now + delay)
                }),
        }
    }
}

impl DeliveryOutcome {
    /// The status of the callback after the attempt.
    #[must_use]
    pub const fn status(self) -> CallbackStatus {
        match self {
            Self::Delivered => CallbackStatus::Delivered,
            Self::Gone => CallbackStatus::Gone,
            Self::RetryAt(_) => CallbackStatus::Due,
            Self::Exhausted => CallbackStatus::Exhausted,
        }
    }
}

/// The delay of the `deferrals`-th deferral (from 1), at least `pause`. `None` after the last one:
/// the attempt then fails, because a receiver with more callbacks than it can take must not occupy
/// the senders that others need.
#[must_use]
pub fn deferral(deferrals: u32, pause: Duration, jitter: f64) -> Option<Duration> {
    (deferrals <= CALLBACK_DEFERRALS_MAX).then(|| DEFERRAL.delay(deferrals, jitter).max(pause))
}

impl CallbackSchedule {
    #[must_use]
    pub const fn new(waits_secs: Vec<u32>) -> Self {
        Self { waits_secs }
    }

    /// Attempts in one round: the first, and one after each wait.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.waits_secs.len() + 1
    }

    /// The wait after a round's attempt number `attempt` (from 1) failed; `None` after the last. It
    /// is up to a tenth longer than the schedule says, so that receivers that failed together are
    /// not all called together. What the receiver asked for counts where it is longer, up to an
    /// hour.
    fn delay(&self, attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
        let index = usize::try_from(attempt).ok()?.checked_sub(1)?;
        let wait = Duration::from_secs(u64::from(*self.waits_secs.get(index)?));
        let requested = retry_after
            .unwrap_or_default()
            .min(Duration::from_secs(u64::from(
                CALLBACK_RETRY_AFTER_SECS_MAX,
            )));
        let stretch = f64::from(CALLBACK_JITTER_PERCENT) / 100.0 * jitter.clamp(0.0, 1.0);
        Some(wait.mul_f64(1.0 + stretch).max(requested))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::callback::CallbackEvent;
    use super::super::limits::CALLBACK_RETRY_SECS;
    use super::super::operation::State;
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn cancelled(callback: Callback) -> Operation {
        Operation {
            state: State::Cancelled { at: NOW },
            callback: Some(callback),
            ..Operation::sample()
        }
    }

    fn callback() -> Callback {
        Callback::new("https://example.com/".into(), CallbackEvent::ALL.to_vec())
    }

    fn due(round_attempts: u32) -> DueCallback {
        let callback = Callback {
            round_attempts,
            ..callback()
        };
        DueCallback::of(cancelled(callback)).unwrap()
    }

    fn attempt(status_code: Option<u16>) -> DeliveryAttempt {
        DeliveryAttempt {
            at: NOW,
            status_code,
            error: None,
            duration_ms: 0,
        }
    }

    proptest! {
        #[test]
        fn a_callback_waits_as_long_as_scheduled_or_up_to_a_tenth_longer(
            attempts in 1_u32..8,
            jitter in 0.0..1.0,
        ) {
            let schedule = CallbackSchedule::new(CALLBACK_RETRY_SECS.to_vec());
            let delay = schedule.delay(attempts, None, jitter);
            let Some(&secs) = CALLBACK_RETRY_SECS.get(attempts as usize - 1) else {
                prop_assert_eq!(delay, None);
                return Ok(());
            };
            let (wait, delay) = (f64::from(secs), delay.unwrap().as_secs_f64());
            prop_assert!(wait <= delay && delay <= wait * 1.1 + 0.001);
        }
    }

    #[test]
    fn a_receiver_may_ask_for_more_but_not_for_more_than_an_hour() {
        let schedule = CallbackSchedule::new(vec![5]);
        let delay = |requested| {
            schedule
                .delay(1, Some(Duration::from_secs(requested)), 0.0)
                .unwrap()
                .as_secs()
        };
        assert_eq!([delay(0), delay(60), delay(86_400)], [5, 60, 3600]);
    }

    #[test]
    fn a_response_delivers_ends_or_schedules_a_callback() {
        let schedule = CallbackSchedule::new(vec![5, 30]);
        let retry = |secs| DeliveryOutcome::RetryAt(NOW + Duration::from_secs(secs));
        // By the attempts of the round before this one.
        for (status_codes, retry_after, outcomes) in [
            (
                &[Some(200), Some(204), Some(299)][..],
                None,
                [DeliveryOutcome::Delivered; 3],
            ),
            (&[Some(410)], None, [DeliveryOutcome::Gone; 3]),
            (
                &[None, Some(199), Some(300), Some(404), Some(411), Some(500)],
                None,
                [retry(5), retry(30), DeliveryOutcome::Exhausted],
            ),
            (
                &[Some(429), Some(503)],
                Some(Duration::from_secs(10)),
                [retry(10), retry(30), DeliveryOutcome::Exhausted],
            ),
        ] {
            for status_code in status_codes {
                let attempt = attempt(*status_code);
                let outcome = |round_attempts| {
                    due(round_attempts).outcome_of(&attempt, retry_after, &schedule, || 0.0, NOW)
                };
                assert_eq!([0, 1, 2].map(outcome), outcomes, "{status_code:?}");
            }
        }
    }

    #[test]
    fn a_callback_is_due_only_when_its_status_is_due() {
        for recorded in [None].into_iter().chain(CallbackStatus::ALL.map(Some)) {
            let operation = cancelled(Callback {
                recorded,
                ..callback()
            });
            let is_due = matches!(recorded, None | Some(CallbackStatus::Due));
            assert_eq!(DueCallback::of(operation).is_some(), is_due, "{recorded:?}");
        }
        let pending = Operation {
            callback: Some(callback()),
            ..Operation::sample()
        };
        assert_eq!(DueCallback::of(pending), None);
        assert_eq!(DueCallback::of(Operation::sample()), None);
    }

    #[test]
    fn a_redelivery_starts_a_round_once_and_only_after_the_last_one_ended() {
        for (recorded, starts) in [
            (None, false),
            (Some(CallbackStatus::Due), false),
            (Some(CallbackStatus::Delivered), true),
            (Some(CallbackStatus::Gone), true),
            (Some(CallbackStatus::Exhausted), true),
        ] {
            let operation = cancelled(Callback {
                recorded,
                attempts_made: 3,
                ..callback()
            });
            assert_eq!(operation.starts_round(3), starts, "{recorded:?}");
            assert!(!operation.starts_round(2), "{recorded:?}");
            assert!(!operation.starts_round(4), "{recorded:?}");
        }
        assert!(!Operation::sample().starts_round(0));
    }

    #[test]
    fn a_refused_sender_comes_back_after_the_attempt_of_the_other() {
        for (next_attempt_at, not_before, fallback_secs) in [
            (None, None, 40),
            (Some(NOW), None, 40),
            (
                Some(NOW + Duration::from_secs(30)),
                Some(NOW + Duration::from_secs(30)),
                70,
            ),
        ] {
            let due = DueCallback::of(cancelled(Callback {
                next_attempt_at,
                ..callback()
            }));
            let due = due.unwrap();
            assert_eq!(due.not_before(NOW), not_before);
            assert_eq!(due.fallback_at(NOW).since(NOW).as_secs(), fallback_secs);
        }
    }

    #[test]
    fn an_attempt_is_deferred_with_backoff_and_fails_after_the_last_deferral() {
        let delay = |deferrals, pause_secs| {
            deferral(deferrals, Duration::from_secs(pause_secs), 1.0).map(|delay| delay.as_secs())
        };
        let delays: Vec<_> = (1..=17).map(|deferrals| delay(deferrals, 0)).collect();
        let doubled = [15, 30, 60, 120, 240].into_iter();
        let expected = doubled.chain([300; 11]).map(Some).chain([None]);
        assert_eq!(delays, expected.collect::<Vec<_>>());
        assert_eq!(
            delay(1, 60),
            Some(60),
            "not before the receiver's pause ends"
        );
    }
}
