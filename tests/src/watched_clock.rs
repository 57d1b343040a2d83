//! A clock that tells when somebody sleeps by it, so that a test lets time pass only for a caller who waits for that.

use shared::clock::{BoxFuture, Clock, ManualClock};
use shared::domain::time::Timestamp;
use tokio::sync::watch;

/// See the module. It shows the time of the clock that it was made of.
#[derive(Debug)]
pub struct WatchedClock {
    clock: ManualClock,
    sleepers: watch::Sender<usize>,
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
        }
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
        self.clock.now()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.sleepers.send_modify(|sleepers| *sleepers += 1);
            let _sleeper = Sleeper(&self.sleepers);
            self.clock.sleep_until(wake).await;
        })
    }
}
