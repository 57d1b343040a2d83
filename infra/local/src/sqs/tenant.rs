//! Tenants of a fair queue: whose messages are delivered first.
//!
//! A tenant is a `MessageGroupId`; messages without one are a tenant each. The rule is AWS's as far
//! as it is published (Amazon SQS Developer Guide, "How Amazon SQS fair queues work"): a noisy
//! tenant's messages wait while a quiet one has any, and of several noisy tenants the one with the
//! fewest messages in flight comes first. AWS calls its thresholds approximate and does not say how
//! long "recent" is; here they are exact, and processing time loses half its weight in a minute.

use std::collections::BTreeSet;
use std::time::Duration;

use shared::domain::time::Timestamp;

/// A tenant is noisy with more than this part of the messages in flight, or of the recent
/// processing time.
const NOISY_SHARE: f64 = 0.1;
/// Its share of the messages in flight counts only from this many messages on.
const NOISY_IN_FLIGHT_MIN: usize = 30;
/// A tenant that has sent nothing for so long is quiet again.
const SILENCE: Duration = Duration::from_secs(300);
/// How long until processing time counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// What a queue knows of one tenant.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    /// Its messages in the queue, delayed ones included.
    pub(super) messages: usize,
    /// Those that can be received, by number.
    pub(super) visible: BTreeSet<u64>,
    pub(super) in_flight: BTreeSet<u64>,
    /// Of messages that are no longer in flight.
    pub(super) processing: Recent,
    last_sent_at: Option<Timestamp>,
}

/// What a tenant takes of the consumers at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) in_flight: usize,
    /// Seconds for which its messages have been in flight, the recent ones above all.
    pub(super) processing_secs: f64,
}

/// A sum of seconds whose older parts count less.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recent {
    secs: f64,
    as_of: Option<Timestamp>,
}

impl Tenant {
    /// Counts a message that is sent. A tenant that has used up its backlog is quiet: what it took
    /// before no longer counts.
    pub(super) fn send(&mut self, now: Timestamp) {
        if self.visible.is_empty() {
            self.processing = Recent::default();
        }
        self.messages += 1;
        self.last_sent_at = Some(now);
    }

    /// Processing time of messages that are no longer in flight, as far as it still counts.
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
        let part_in_flight = self.in_flight as f64 / all.in_flight.max(1) as f64;
        (self.in_flight >= NOISY_IN_FLIGHT_MIN && part_in_flight > NOISY_SHARE)
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

    /// A queue with a clock of its own, whose messages name their tenant.
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

        /// The tenants of the next messages, which are in flight from now on.
        fn receive(&mut self, limit: usize) -> Vec<String> {
            let visibility = Duration::from_secs(12 * 3600);
            let take = Take { limit, visibility };
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

        /// Of one more message of each tenant, whose is received first.
        fn first_of(&mut self, tenants: [&str; 2]) -> String {
            for tenant in tenants {
                self.send(tenant, 1);
            }
            self.receive(1).remove(0)
        }
    }

    #[test]
    fn thirty_in_flight_and_more_than_a_tenth_of_all_make_a_tenant_noisy() {
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
    fn more_than_a_tenth_of_the_processing_time_makes_a_tenant_noisy() {
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
    fn a_tenant_is_quiet_again_when_its_backlog_is_used_up() {
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
    fn a_tenant_is_quiet_again_when_it_has_sent_nothing_for_five_minutes() {
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
