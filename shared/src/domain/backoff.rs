//! How long to wait before the next attempt. Jitter comes in as a fraction from 0 to 1, drawn by
//! the caller.

use std::time::Duration;

/// Waits between attempts that double from `initial` to at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    pub initial: Duration,
    pub max: Duration,
}

impl RetryPolicy {
    /// The wait after `attempt` (from 1): between half of the doubled wait and all of it, so that
    /// operations that failed together do not come back together.
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

/// The wait after a message's receive number `receive_count` (from 1), in seconds: `first_secs`,
/// doubled with each further receive, at most `longest_secs`.
#[must_use]
pub fn doubling_secs(first_secs: u32, longest_secs: u32, receive_count: u32) -> u32 {
    2_u32
        .saturating_pow(receive_count.saturating_sub(1))
        .saturating_mul(first_secs)
        .min(longest_secs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_retry_waits_between_half_and_all_of_a_doubling_wait(
            attempt in 1_u32..1000,
            jitter in 0.0..1.0,
        ) {
            let policy = RetryPolicy {
                initial: Duration::from_secs(2),
                max: Duration::from_secs(300),
            };
            let delay = policy.delay(attempt, jitter);
            let full = Duration::from_secs(300.min(2 << (attempt - 1).min(20)));
            prop_assert!(full / 2 <= delay && delay <= full);
        }
    }

    #[test]
    fn a_returned_message_waits_twice_as_long_after_each_receive() {
        let waits: Vec<_> = (1..=11).map(|count| doubling_secs(1, 300, count)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let waits: Vec<_> = (0..=8).map(|count| doubling_secs(15, 900, count)).collect();
        assert_eq!(waits, [15, 15, 30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(doubling_secs(15, 900, u32::MAX), 900);
    }
}
