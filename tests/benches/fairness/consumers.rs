//! Invocations that receive from a queue, and how long another owner's messages wait under a load.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use local::bundle::Services;
use local::client::sdk_config;
use shared::clock::{Clock as _, ManualClock};
use shared::domain::backoff::RetryPolicy;
use shared::domain::limits::{
    CALLBACK_DEFERRAL_SECS, CALLBACK_DEFERRAL_SECS_MAX, CALLBACK_DEFERRALS_MAX,
    CALLBACK_PAUSE_FACTOR, CALLBACK_RETRY_SECS, CALLBACK_SLOW, CALLBACK_TIMEOUT_SECS_DEFAULT,
    CALLBACKS_AT_ONCE_MAX, QUEUE_DELAY_SECS_MAX,
};
use shared::domain::time::Timestamp;
use shared::random::{Random, SeededRandom};

/// The step by which the simulation advances the clock.
const STEP: Duration = Duration::from_millis(50);
/// How long an invocation takes that does not wait.
const QUICK: Duration = Duration::from_millis(50);
/// How often another owner sends a message.
const OTHERS_EVERY: Duration = Duration::from_secs(2);
/// When that owner sends the first one: after the load has started.
const OTHERS_FROM: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(CALLBACK_TIMEOUT_SECS_DEFAULT as u64);
const DEFERRAL: RetryPolicy = RetryPolicy {
    initial: Duration::from_secs(CALLBACK_DEFERRAL_SECS as u64),
    max: Duration::from_secs(CALLBACK_DEFERRAL_SECS_MAX as u64),
};

/// The messages of one owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) work: Work,
    /// How many are sent at the start.
    pub(crate) queued: usize,
    /// How many are sent per second after that.
    pub(crate) each_second: f64,
}

/// What serving a message of the load takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// An operation of this duration.
    Takes(Duration),
    /// A callback to a receiver that does not answer.
    NoValidResponse,
}

/// How the messages are served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    invocations_max: usize,
    batch: i32,
    is_fair: bool,
}

impl Rules {
    pub(crate) const fn senders(invocations_max: usize) -> Self {
        Self {
            invocations_max,
            batch: 10,
            is_fair: true,
        }
    }

    pub(crate) const fn unfair_senders(invocations_max: usize) -> Self {
        Self {
            is_fair: false,
            ..Self::senders(invocations_max)
        }
    }

    pub(crate) const fn workers(invocations_max: usize) -> Self {
        Self {
            batch: 1,
            ..Self::senders(invocations_max)
        }
    }

    pub(crate) const fn unfair_workers(invocations_max: usize) -> Self {
        Self {
            is_fair: false,
            ..Self::workers(invocations_max)
        }
    }
}

#[derive(Debug)]
pub(crate) struct Outcome {
    /// How long another owner's messages waited until they were served, in seconds.
    waits: Vec<f64>,
    /// The share of the available invocation time that was used.
    busy: f64,
}

impl Outcome {
    pub(crate) fn cells(mut self) -> [String; 3] {
        self.waits.sort_by(f64::total_cmp);
        let median = self.waits[self.waits.len() / 2];
        let longest = self.waits[self.waits.len() - 1];
        [
            format!("{median:.1}"),
            format!("{longest:.1}"),
            format!("{:.0}", self.busy * 100.0),
        ]
    }
}

/// A process, which serves one invocation at a time and keeps its state between them.
struct Slot {
    busy_until: Timestamp,
    paused_until: Timestamp,
    delayed: Vec<Delayed>,
    receipts: Vec<String>,
}

/// A message that an invocation sends with a delay.
struct Delayed {
    message: Unanswered,
    delay: Duration,
}

/// A callback that its receiver does not answer: its next attempt, and how often that was deferred.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    attempt: usize,
    deferrals: u32,
}

const FIRST: Unanswered = Unanswered {
    attempt: 1,
    deferrals: 0,
};

struct Simulation {
    rules: Rules,
    load: Load,
    clock: ManualClock,
    client: Client,
    url: String,
    random: Arc<dyn Random>,
}

/// Simulates this much time. Messages of the load are sent at the start and then evenly, another
/// owner's one by one.
pub(crate) async fn simulate(load: Load, rules: Rules, time: Duration) -> Outcome {
    let clock = ManualClock::new(Timestamp::from_secs(1_800_000_000));
    let services = Services::start(Arc::new(clock.clone())).await.unwrap();
    let setting = |wanted: &str| {
        let found = services.environment.iter().find(|(name, _)| name == wanted);
        found.unwrap().1.clone()
    };
    let simulation = Simulation {
        client: Client::new(&sdk_config(&setting("AWS_ENDPOINT_URL_SQS"))),
        url: setting("CALLBACK_QUEUE_URL"),
        rules,
        load,
        clock,
        random: Arc::new(SeededRandom::new(7)),
    };
    simulation.run(time).await
}

impl Simulation {
    async fn run(&self, time: Duration) -> Outcome {
        let began_at = self.clock.now();
        let mut slots: Vec<_> = (0..self.rules.invocations_max)
            .map(|_| Slot {
                busy_until: began_at,
                paused_until: began_at,
                delayed: Vec::new(),
                receipts: Vec::new(),
            })
            .collect();
        let (mut sent, mut others) = (0, 0_u32);
        let (mut waits, mut busy_steps, mut steps) = (Vec::new(), 0, 0);
        while self.clock.now().since(began_at) < time {
            let elapsed = self.clock.now().since(began_at);
            let due = self.load.each_second * elapsed.as_secs_f64();
            while sent < self.load.queued || f64::from(count(sent - self.load.queued)) < due {
                self.send_load(FIRST, Duration::ZERO).await;
                sent += 1;
            }
            while elapsed >= OTHERS_FROM + OTHERS_EVERY * others {
                let body = format!("other {}", self.clock.now().as_millis());
                self.send(&body, "bob", Duration::ZERO).await;
                others += 1;
            }
            for slot in &mut slots {
                if slot.busy_until <= self.clock.now() {
                    self.end(slot).await;
                }
            }
            for slot in &mut slots {
                if slot.busy_until <= self.clock.now() && !self.serve(slot, &mut waits).await {
                    break;
                }
            }
            busy_steps += slots
                .iter()
                .filter(|slot| slot.busy_until > self.clock.now())
                .count();
            steps += slots.len();
            self.clock.advance(STEP);
        }
        Outcome {
            waits,
            busy: f64::from(count(busy_steps)) / f64::from(count(steps)),
        }
    }

    /// Receives a batch and starts to serve it. Returns false if there is none.
    async fn serve(&self, slot: &mut Slot, waits: &mut Vec<f64>) -> bool {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(self.rules.batch);
        let messages = received.send().await.unwrap().messages.unwrap_or_default();
        let now = self.clock.now();
        let (mut took, mut attempts) = (QUICK, 0);
        for message in &messages {
            let receipt = message.receipt_handle().unwrap();
            slot.receipts.push(receipt.to_owned());
            let body = message.body().unwrap();
            if let Some(since) = body.strip_prefix("other ") {
                // The messages of a batch are served concurrently.
                let since = Timestamp::from_millis(since.parse().unwrap());
                waits.push((now + QUICK).since(since).as_secs_f64());
                continue;
            }
            took = took.max(match self.load.work {
                Work::Takes(time) => time,
                Work::NoValidResponse => self.attempt(slot, unanswered(body), &mut attempts),
            });
        }
        if messages.is_empty() {
            return false;
        }
        slot.busy_until = now + took;
        if attempts > 0 && self.rules.is_fair {
            slot.paused_until = slot.busy_until + TIMEOUT * CALLBACK_PAUSE_FACTOR;
        }
        true
    }

    /// Makes or defers an attempt that is not answered, and returns how long that takes.
    fn attempt(&self, slot: &mut Slot, unanswered: Unanswered, attempts: &mut usize) -> Duration {
        let pause = slot.paused_until.since(self.clock.now());
        let has_turn = pause.is_zero() && *attempts < CALLBACKS_AT_ONCE_MAX;
        let is_deferred = self.rules.is_fair && !has_turn;
        let waited = if pause.is_zero() {
            CALLBACK_SLOW
        } else {
            QUICK
        };
        if is_deferred && unanswered.deferrals < CALLBACK_DEFERRALS_MAX {
            let deferrals = unanswered.deferrals + 1;
            let delay = DEFERRAL.delay(deferrals, self.random.fraction());
            slot.delayed.push(Delayed {
                message: Unanswered {
                    deferrals,
                    ..unanswered
                },
                delay: delay.max(pause),
            });
            return waited;
        }
        // The attempt has failed: it was not answered, or it was deferred too often.
        let next = CALLBACK_RETRY_SECS.get(unanswered.attempt - 1);
        slot.delayed.extend(next.map(|secs| Delayed {
            message: Unanswered {
                attempt: unanswered.attempt + 1,
                deferrals: 0,
            },
            delay: Duration::from_secs((*secs).min(QUEUE_DELAY_SECS_MAX).into()),
        }));
        if is_deferred {
            return waited;
        }
        *attempts += 1;
        TIMEOUT
    }

    /// Ends an invocation: sends its delayed messages, and deletes the messages that it received.
    async fn end(&self, slot: &mut Slot) {
        for delayed in std::mem::take(&mut slot.delayed) {
            self.send_load(delayed.message, delayed.delay).await;
        }
        if slot.receipts.is_empty() {
            return;
        }
        let entries = slot.receipts.drain(..).enumerate().map(|(index, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(receipt).build().unwrap()
        });
        let entries = entries.collect();
        let delete = self.client.delete_message_batch().queue_url(&self.url);
        delete.set_entries(Some(entries)).send().await.unwrap();
    }

    async fn send_load(&self, message: Unanswered, delay: Duration) {
        let Unanswered { attempt, deferrals } = message;
        self.send(&format!("load {attempt} {deferrals}"), "alice", delay)
            .await;
    }

    async fn send(&self, body: &str, group: &str, delay: Duration) {
        let delay_secs = i32::try_from(delay.as_secs()).unwrap();
        let group = self.rules.is_fair.then(|| group.to_owned());
        let message = self.client.send_message().queue_url(&self.url);
        let message = message.message_body(body).set_message_group_id(group);
        message.delay_seconds(delay_secs).send().await.unwrap();
    }
}

fn unanswered(body: &str) -> Unanswered {
    let numbers = body.strip_prefix("load ").unwrap();
    let (attempt, deferrals) = numbers.split_once(' ').unwrap();
    Unanswered {
        attempt: attempt.parse().unwrap(),
        deferrals: deferrals.parse().unwrap(),
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}
