//! A clock that tells when somebody sleeps by it, so that a test lets time pass only for a caller who waits for that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shared::clock::{BoxFuture, Clock, ManualClock};
use shared::domain::time::Timestamp;
use tokio::sync::watch;

/// See the module. It shows the time of the clock that it was made of.
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
    /// A clock with nobody asleep.
    #[must_use]
    pub fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            sleepers: watch::Sender::new(0),
            tick_ms: AtomicU64::new(0),
        }
    }

    /// Moves the clock by this much whenever somebody looks at it, from now on.
    pub fn tick(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.tick_ms.store(millis, Ordering::Relaxed);
    }

    /// Completes once somebody sleeps.
    pub async fn asleep(&self) {
        let mut sleepers = self.sleepers.subscribe();
        // The sender is ours, so waiting cannot fail.
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
