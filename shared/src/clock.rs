//! The clock, injected.
//!
//! Leases, backoff, deadlines and expiry depend on the clock, so only a `main` may create the
//! machine's own. Tests advance a [`ManualClock`] and never wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::time::Timestamp;

/// A boxed future, which a trait object needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Completes once [`Clock::now`] has reached `wake`; immediately when it already has. Safe to
    /// drop and start again.
    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()>;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(wake.since(self.now())))
    }
}

/// A clock that only [`ManualClock::advance`] moves. Clones share the same time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl ManualClock {
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            now: Arc::new(watch::Sender::new(start)),
        }
    }

    /// Moves the clock forward and wakes every sleeper that is due.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = *now + by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The sender lives in `self`, which outlives this future, so waiting cannot fail.
            let _ = now.wait_for(|now| *now >= wake).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_reaches_its_time() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let mut sleep = clock.sleep_until(Timestamp::from_millis(1000));
        clock.advance(Duration::from_millis(999));
        assert!(futures_util::FutureExt::now_or_never(&mut sleep).is_none());
        clock.advance(Duration::from_millis(1));
        sleep.await;
        clock.sleep_until(Timestamp::from_millis(5)).await;
    }
}
