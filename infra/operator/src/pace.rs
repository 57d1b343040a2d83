//! Limits the rate of requests to the table and the queues, which the functions need as well.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::time::Timestamp;

/// Admits one request at a time, at a fixed rate.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    interval: Duration,
    next: Timestamp,
}

impl Pace {
    /// `per_second` is at least 1.
    pub(crate) fn new(clock: Arc<dyn Clock>, per_second: u16) -> Self {
        Self {
            interval: Duration::from_secs(1) / u32::from(per_second.max(1)),
            next: clock.now(),
            clock,
        }
    }

    /// Completes when the next request may go. Unused time does not accumulate.
    pub(crate) async fn turn(&mut self) {
        // At most one interval from now, in case the clock was set back.
        let turn = self.next.min(self.clock.now() + self.interval);
        self.clock.sleep_until(turn).await;
        self.next = turn.max(self.clock.now()) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;
    use shared::domain::time::Timestamp;

    use super::*;

    #[tokio::test]
    async fn the_first_request_goes_at_once_and_each_further_one_after_an_interval() {
        let clock = ManualClock::new(Timestamp::from_secs(1));
        let mut pace = Pace::new(Arc::new(clock.clone()), 4);
        pace.turn().await;
        for _ in 0..3 {
            let mut turn = std::pin::pin!(pace.turn());
            clock.advance(Duration::from_millis(249));
            tokio::select! {
                biased;
                () = &mut turn => panic!("too early"),
                () = std::future::ready(()) => {}
            }
            clock.advance(Duration::from_millis(1));
            turn.await;
        }
    }
}
