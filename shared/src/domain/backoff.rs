//! How long to wait before the next attempt. Jitter comes in as a fraction from 0 to 1, drawn by the caller.

use std::time::Duration;

use super::limits::{
    ABSENT_RETURN_SECS_MAX, CALLBACK_JITTER_PERCENT, CALLBACK_RETRY_AFTER_SECS_MAX,
};

/// A function's waits between attempts: doubling from `first`, at most `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first attempt.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl RetryPolicy {
    /// The wait after `attempt` (from 1): between half of the doubled wait and all of it, so that operations that failed
    /// together do not come back together.
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

/// A callback's schedule: the waits between its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackSchedule {
    waits_secs: Vec<u32>,
}

impl CallbackSchedule {
    /// The schedule with these waits, in seconds.
    #[must_use]
    pub const fn new(waits_secs: Vec<u32>) -> Self {
        Self { waits_secs }
    }

    /// Attempts in one round: the first and one after each wait.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.waits_secs.len() + 1
    }

    /// The wait after the `attempts`-th attempt of a round (from 1) failed, up to a tenth longer than the schedule says, so that
    /// receivers that failed together are not all called together; `None` when that was the last. What the receiver asked
    /// for counts where it is longer, up to an hour.
    #[must_use]
    pub fn delay(
        &self,
        attempts: u32,
        retry_after: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
        let wait = Duration::from_secs(u64::from(*self.waits_secs.get(index)?));
        let asked = retry_after
            .unwrap_or_default()
            .min(Duration::from_secs(u64::from(
                CALLBACK_RETRY_AFTER_SECS_MAX,
            )));
        let stretch = f64::from(CALLBACK_JITTER_PERCENT) / 100.0 * jitter.clamp(0.0, 1.0);
        Some(wait.mul_f64(1.0 + stretch).max(asked))
    }
}

/// How long a message that found no record is put back for, by its receive count (from 1): 1, 2, 4 … 300 seconds.
#[must_use]
pub fn absent_return_secs(receive_count: u32) -> u32 {
    1_u32
        .checked_shl(receive_count.saturating_sub(1))
        .unwrap_or(ABSENT_RETURN_SECS_MAX)
        .min(ABSENT_RETURN_SECS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::limits::CALLBACK_RETRY_SECS;
    use super::*;

    proptest! {
        #[test]
        fn a_retry_waits_between_half_and_all_of_a_doubling_wait(attempt in 1_u32..1000, jitter in 0.0..1.0) {
            let policy = RetryPolicy { first: Duration::from_secs(2), longest: Duration::from_secs(300) };
            let delay = policy.delay(attempt, jitter);
            let full = Duration::from_secs(300.min(2 << (attempt - 1).min(20)));
            prop_assert!(full / 2 <= delay && delay <= full);
        }

        #[test]
        fn a_callback_waits_at_least_as_long_as_scheduled_and_a_tenth_more_at_most(attempts in 1_u32..8, jitter in 0.0..1.0) {
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
        let delay = |asked| {
            schedule
                .delay(1, Some(Duration::from_secs(asked)), 0.0)
                .unwrap()
                .as_secs()
        };
        assert_eq!([delay(0), delay(60), delay(86_400)], [5, 60, 3600]);
    }

    #[test]
    fn an_orphaned_message_is_put_back_for_ever_longer() {
        let waits: Vec<_> = (1..=11).map(absent_return_secs).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(absent_return_secs(u32::MAX), 300);
    }
}
