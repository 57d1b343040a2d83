//! A clock that reports when a caller sleeps on it, so that a test lets time pass only for a caller
//! who waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shared::clock::{BoxFuture, Clock, ManualClock};
use shared::domain::time::Timestamp;
use tokio::sync::watch;

/// Shows the time of the clock that it wraps.
#[derive(Debug)]
pub struct WatchedClock {
    clock: ManualClock,
    sleepers: watch::Sender<usize>,
    tick_ms: AtomicU64,
}

struct Sleeper<'a>(&'a watch::Sender<usize>);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|sleepers| *sleepers -= 1);
    }
}

impl WatchedClock {
    #[must_use]
    pub fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            sleepers: watch::Sender::new(0),
            tick_ms: AtomicU64::new(0),
        }
    }

    /// From now on, advances the clock by this much on every read.
    pub fn tick(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.tick_ms.store(millis, Ordering::Relaxed);
    }

    /// Completes once a caller sleeps.
    pub async fn asleep(&self) {
        let mut sleepers = self.sleepers.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = sleepers.wait_for(|sleepers| *sleepers > 0).await;
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        let tick_ms = self.tick_ms.load(Ordering::Relaxed);
        self.clock.advance(Duration::from_millis(tick_ms));
        now
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.sleepers.send_modify(|sleepers| *sleepers += 1);
            let _sleeper = Sleeper(&self.sleepers);
            self.clock.sleep_until(wake).await;
        })
    }
}
