//! The tenants of a fair queue: which tenant's messages are delivered first.
//!
//! A tenant is a `MessageGroupId`; each message without one is a tenant. This is AWS's rule as far
//! as it is published (Amazon SQS Developer Guide, "How Amazon SQS fair queues work"): a noisy
//! tenant's messages wait while a quiet tenant has any, and of several noisy tenants the one with
//! the fewest messages in flight comes first. AWS calls its thresholds approximate and does not
//! define "recent"; here thresholds are exact, and processing time loses half its weight in a
//! minute.

use std::collections::BTreeSet;
use std::time::Duration;

use shared::domain::time::Timestamp;

/// A tenant is noisy with more than this share of the messages in flight, or of the recent
/// processing time.
const NOISY_SHARE: f64 = 0.1;
/// With fewer messages in flight a tenant's share of them does not count.
const NOISY_IN_FLIGHT_MIN: usize = 30;
/// A tenant that has sent nothing for this long is quiet again.
const SILENCE: Duration = Duration::from_secs(300);
/// Of processing time's weight.
const HALF_LIFE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Tenant {
    /// The number of messages in the queue, including delayed ones.
    pub(super) messages: usize,
    /// By number.
    pub(super) visible: BTreeSet<u64>,
    pub(super) in_flight: BTreeSet<u64>,
    /// Of messages that were in flight.
    pub(super) processing: Recent,
    last_sent_at: Option<Timestamp>,
}

/// A tenant's use of the consumers at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) in_flight: usize,
    /// The time its messages have been in flight, weighted by [`Recent`].
    pub(super) processing_secs: f64,
}

/// A sum of seconds in which older seconds have less weight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recent {
    secs: f64,
    as_of: Option<Timestamp>,
}

impl Tenant {
    /// Counts a sent message. A tenant without visible messages has no backlog, so it is quiet: its
    /// earlier processing time no longer counts.
    pub(super) fn send(&mut self, now: Timestamp) {
        if self.visible.is_empty() {
            self.processing = Recent::default();
        }
        self.messages += 1;
        self.last_sent_at = Some(now);
    }

    /// The weighted processing time of messages that were in flight; 0 after [`SILENCE`].
    pub(super) fn processing_secs(&self, now: Timestamp) -> f64 {
        let is_silent = self
            .last_sent_at
            .is_none_or(|sent_at| now.since(sent_at) >= SILENCE);
        if is_silent {
            0.0
        } else {
            self.processing.secs(now)
        }
    }
}

impl Load {
    pub(super) fn is_noisy(self, all: Self) -> bool {
        #[expect(
            clippy::cast_precision_loss,
            reason = "no queue here holds 2^52 messages"
        )]
        let share = self.in_flight as f64 / all.in_flight.max(1) as f64;
        (self.in_flight >= NOISY_IN_FLIGHT_MIN && share > NOISY_SHARE)
            || self.processing_secs > NOISY_SHARE * all.processing_secs
    }
}

impl Recent {
    pub(super) fn add(&mut self, time: Duration, now: Timestamp) {
        self.secs = self.secs(now) + time.as_secs_f64();
        self.as_of = Some(now);
    }

    pub(super) fn secs(&self, now: Timestamp) -> f64 {
        let age = self.as_of.map_or(Duration::ZERO, |as_of| now.since(as_of));
        self.secs * 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Content;
    use super::super::queue::{Message, Queue, Take};
    use super::super::receipt::Receipt;
    use super::super::settings::Settings;
    use super::*;

    /// A queue with a clock. A message's body is its tenant's name.
    struct FairQueue {
        queue: Queue,
        now: Timestamp,
        sent: u64,
        receipts: Vec<Receipt>,
    }

    impl FairQueue {
        fn new() -> Self {
            let now = Timestamp::from_secs(1_700_000_000);
            Self {
                queue: Queue::new(Settings::default(), now),
                now,
                sent: 0,
                receipts: Vec::new(),
            }
        }

        fn send(&mut self, tenant: &str, count: usize) {
            for _ in 0..count {
                let content = Content {
                    body: tenant.to_owned(),
                    group: (tenant != "none").then(|| tenant.to_owned()),
                    ..Content::default()
                };
                let message = Message::new(content, self.now, Duration::ZERO);
                self.sent += 1;
                self.queue.put(self.sent, message, self.now);
            }
        }

        /// Receives messages and returns their tenants.
        fn receive(&mut self, limit: usize) -> Vec<String> {
            let take = Take {
                limit,
                visibility_timeout: Duration::from_secs(12 * 3600),
            };
            let (taken, _) = self.queue.take(self.now, take, None);
            self.receipts
                .extend(taken.iter().map(|delivery| delivery.receipt));
            taken
                .into_iter()
                .map(|delivery| delivery.message.content.body.clone())
                .collect()
        }

        fn delete_received(&mut self) {
            for receipt in self.receipts.drain(..) {
                self.queue.delete(receipt, self.now);
            }
        }

        fn pass(&mut self, secs: u64) {
            self.now = self.now + Duration::from_secs(secs);
        }

        /// Sends one message of each tenant and returns the tenant whose message comes first.
        fn first_of(&mut self, tenants: [&str; 2]) -> String {
            for tenant in tenants {
                self.send(tenant, 1);
            }
            self.receive(1).remove(0)
        }
    }

    #[test]
    fn a_tenant_with_thirty_and_more_than_a_tenth_of_the_messages_in_flight_is_noisy() {
        for (of_a, of_others, first) in [
            (29, 0, "a"),
            (30, 0, "b"),
            (30, 270, "a"),
            (30, 269, "b"),
            (100, 900, "a"),
            (101, 900, "b"),
        ] {
            let mut queue = FairQueue::new();
            queue.send("a", of_a);
            for n in 0..of_others {
                queue.send(&format!("other {n}"), 1);
            }
            assert_eq!(queue.receive(1000 + of_a).len(), of_a + of_others);
            assert_eq!(queue.first_of(["a", "b"]), first, "{of_a} and {of_others}");
        }
    }

    #[test]
    fn a_tenant_with_more_than_a_tenth_of_the_processing_time_is_noisy() {
        for (secs_of_a, first) in [(10, "a"), (11, "b")] {
            let mut queue = FairQueue::new();
            queue.send("a", 1);
            queue.receive(1);
            queue.pass(secs_of_a - 10);
            for n in 0..9 {
                queue.send(&format!("other {n}"), 1);
            }
            assert_eq!(queue.receive(10).len(), 9);
            queue.pass(10);
            assert_eq!(queue.first_of(["a", "b"]), first, "{secs_of_a}");
        }
    }

    #[test]
    fn of_noisy_tenants_the_one_with_the_fewest_messages_in_flight_comes_first() {
        let mut queue = FairQueue::new();
        queue.send("a", 2);
        queue.send("b", 1);
        queue.receive(3);
        queue.pass(1);
        queue.send("a", 3);
        queue.send("b", 3);
        assert_eq!(queue.receive(6), ["b", "a", "b", "a", "b", "a"]);
    }

    #[test]
    fn a_quiet_tenants_messages_come_before_a_backlog() {
        let mut queue = FairQueue::new();
        queue.send("a", 1000);
        queue.receive(2);
        queue.pass(1);
        queue.send("b", 2);
        queue.send("none", 2);
        assert_eq!(queue.receive(5), ["b", "b", "none", "none", "a"]);
    }

    #[test]
    fn a_tenant_without_a_backlog_is_quiet_again() {
        let mut queue = FairQueue::new();
        queue.send("a", 2);
        for _ in 0..2 {
            queue.receive(1);
            queue.pass(60);
            queue.delete_received();
        }
        assert_eq!(queue.first_of(["a", "b"]), "a");
    }

    #[test]
    fn a_tenant_that_has_sent_nothing_for_five_minutes_is_quiet_again() {
        for (secs, first) in [(299, "b"), (300, "a")] {
            let mut queue = FairQueue::new();
            queue.send("a", 3);
            queue.receive(1);
            queue.pass(1);
            queue.delete_received();
            queue.pass(secs - 1);
            queue.send("b", 1);
            assert_eq!(queue.receive(1), [first], "{secs}");
        }
    }

    #[test]
    fn processing_time_loses_half_its_weight_in_a_minute() {
        for (secs_between, first) in [(0, "b"), (60, "a")] {
            let mut queue = FairQueue::new();
            queue.send("a", 2);
            queue.receive(1);
            queue.pass(12);
            queue.delete_received();
            queue.pass(secs_between);
            for n in 0..9 {
                queue.send(&format!("other {n}"), 1);
            }
            assert_eq!(queue.receive(9).len(), 9);
            queue.pass(10);
            assert_eq!(queue.first_of(["a", "b"]), first, "{secs_between}");
        }
    }
}
