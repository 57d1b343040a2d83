//! One queue and its messages: who may see which message when.
//!
//! Nothing here waits or reads a clock; the present comes in with each call. A message's state is derived from
//! `available_at` and its receives alone, so no timer has to run for it to change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shared::domain::time::Timestamp;
use tokio::sync::watch;

use super::error::SqsError;
use super::message::Content;
use super::receipt::Receipt;
use super::settings::{Settings, VISIBILITY_TIMEOUT_SECS};
use super::tenant::{Load, Recent, Tenant};

/// A queue. Messages are kept by number, which is the order in which they were sent: the oldest
/// come first, expire first and, of one tenant, are delivered first.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
    messages: BTreeMap<u64, Message>,
    /// The messages that are delayed or in flight, by when they become available.
    hidden: BTreeSet<(Timestamp, u64)>,
    /// By message group. Messages without one share an entry and are never noisy.
    tenants: BTreeMap<Option<String>, Tenant>,
    /// Of all tenants.
    processing: Recent,
    changes: watch::Sender<()>,
}

/// A message in a queue.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) content: Arc<Content>,
    /// Stays the same when the message moves to a dead-letter queue; retention counts from it.
    pub(super) sent_at: Timestamp,
    /// Nobody receives it before: it is delayed until then, or hidden by a receive.
    available_at: Timestamp,
    /// Receives across all queues, as consumers see them.
    pub(super) receives: u32,
    /// Receives from the present queue, which redrive goes by. Counting those of an earlier queue would send a message round
    /// and round between two queues that are each other's dead-letter queue.
    receives_here: u32,
    pub(super) first_received_at: Option<Timestamp>,
    last_received_at: Option<Timestamp>,
    /// The ARN of the queue it was moved from.
    pub(super) dead_letter_source: Option<String>,
}

/// A message as one receive saw it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) receipt: Receipt,
    pub(super) message: Message,
}

/// A message that is leaving its queue, with its number.
pub(super) type DeadLetter = (u64, Message);

/// How much one receive takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take {
    /// At most so many messages.
    pub(super) limit: usize,
    /// How long they are hidden.
    pub(super) visibility: Duration,
}

/// How many messages are in which state.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) delayed: usize,
}

impl Message {
    /// A message sent now, that becomes visible after `delay`.
    pub(super) fn new(content: Content, now: Timestamp, delay: Duration) -> Self {
        Self {
            content: Arc::new(content),
            sent_at: now,
            available_at: now + delay,
            receives: 0,
            receives_here: 0,
            first_received_at: None,
            last_received_at: None,
            dead_letter_source: None,
        }
    }

    /// The same message as it arrives in a dead-letter queue: visible, with its history.
    pub(super) fn moved_from(self, source_arn: String) -> Self {
        Self {
            receives_here: 0,
            dead_letter_source: Some(source_arn),
            ..self
        }
    }

    fn receive(&mut self, now: Timestamp, hidden_until: Timestamp) {
        self.receives += 1;
        self.receives_here += 1;
        self.first_received_at.get_or_insert(now);
        self.last_received_at = Some(now);
        self.available_at = hidden_until;
    }

    fn is_available(&self, now: Timestamp) -> bool {
        self.available_at <= now
    }

    fn group(&self) -> Option<String> {
        self.content.group.clone()
    }

    /// For how long it has been in flight since its last receive.
    fn in_flight_time(&self, now: Timestamp) -> Duration {
        match self.last_received_at {
            Some(received_at) => self.available_at.min(now).since(received_at),
            None => Duration::ZERO,
        }
    }
}

impl Queue {
    pub(super) fn new(settings: Settings, now: Timestamp) -> Self {
        Self {
            settings,
            created_at: now,
            modified_at: now,
            messages: BTreeMap::new(),
            hidden: BTreeSet::new(),
            tenants: BTreeMap::new(),
            processing: Recent::default(),
            changes: watch::Sender::new(()),
        }
    }

    /// Told whenever a message may have become available sooner than [`Queue::next_available_at`] said, and when the queue
    /// is gone.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn put(&mut self, number: u64, message: Message, now: Timestamp) {
        let tenant = self.tenants.entry(message.group()).or_default();
        tenant.send(now);
        if message.is_available(now) {
            tenant.visible.insert(number);
        } else {
            self.hidden.insert((message.available_at, number));
        }
        self.messages.insert(number, message);
        self.changes.send_replace(());
    }

    pub(super) fn purge(&mut self) {
        self.messages.clear();
        self.hidden.clear();
        self.tenants.clear();
    }

    fn remove(&mut self, number: u64, now: Timestamp) -> Option<Message> {
        let message = self.messages.remove(&number)?;
        self.hidden.remove(&(message.available_at, number));
        self.end_flight(number, &message, now);
        if let Some(tenant) = self.tenants.get_mut(&message.group()) {
            tenant.visible.remove(&number);
            tenant.messages -= 1;
        }
        Some(message)
    }

    /// Counts the time for which a message was in flight, if it was.
    fn end_flight(&mut self, number: u64, message: &Message, now: Timestamp) {
        let Some(tenant) = self.tenants.get_mut(&message.group()) else {
            return;
        };
        if tenant.in_flight.remove(&number) {
            let time = message.in_flight_time(now);
            tenant.processing.add(time, now);
            self.processing.add(time, now);
        }
    }

    /// Drops what has outlived the retention period, and shows what is available by now. Called
    /// before anything looks at the messages.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let retention = self.settings.retention();
        while let Some((&number, oldest)) = self.messages.first_key_value() {
            if now.since(oldest.sent_at) < retention {
                break;
            }
            self.remove(number, now);
        }
        while let Some(&(available_at, number)) = self.hidden.first() {
            if available_at > now {
                break;
            }
            self.hidden.pop_first();
            let Some(message) = self.messages.get(&number).cloned() else {
                continue;
            };
            self.end_flight(number, &message, now);
            if let Some(tenant) = self.tenants.get_mut(&message.group()) {
                tenant.visible.insert(number);
            }
        }
    }

    /// Receives what is available, a quiet tenant's before a noisy one's and the oldest first. A
    /// message that has already been delivered `max_receive_count` times is removed instead, as a
    /// dead letter for another queue.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        take: Take,
        max_receive_count: Option<u32>,
    ) -> (Vec<Delivery>, Vec<DeadLetter>) {
        self.advance(now);
        let mut deliveries = Vec::new();
        let mut dead = Vec::new();
        while deliveries.len() < take.limit {
            let Some(number) = self.next(now) else {
                break;
            };
            let Some(message) = self.messages.get_mut(&number) else {
                break;
            };
            if max_receive_count.is_some_and(|maximum| message.receives_here >= maximum) {
                dead.extend(self.remove(number, now).map(|message| (number, message)));
                continue;
            }
            message.receive(now, now + take.visibility);
            // Even one that is not hidden for any time, so that it is not received twice at once.
            self.hidden.insert((message.available_at, number));
            if let Some(tenant) = self.tenants.get_mut(&message.group()) {
                tenant.visible.remove(&number);
                tenant.in_flight.insert(number);
            }
            deliveries.push(Delivery {
                receipt: Receipt {
                    number,
                    receive: message.receives,
                },
                message: message.clone(),
            });
        }
        self.tenants.retain(|_, tenant| tenant.messages > 0);
        (deliveries, dead)
    }

    /// The message that comes first: the oldest that is available of all quiet tenants, or else of
    /// the noisy one with the fewest messages in flight.
    fn next(&self, now: Timestamp) -> Option<u64> {
        let in_flight_secs: BTreeMap<_, _> = self
            .tenants
            .iter()
            .map(|(group, tenant)| (group, self.in_flight_secs(tenant, now)))
            .collect();
        let all = Load {
            in_flight: self
                .tenants
                .values()
                .map(|tenant| tenant.in_flight.len())
                .sum(),
            processing_secs: self.processing.secs(now) + in_flight_secs.values().sum::<f64>(),
        };
        let first = self.tenants.iter().filter_map(|(group, tenant)| {
            let number = *tenant.visible.first()?;
            let load = Load {
                in_flight: tenant.in_flight.len(),
                processing_secs: tenant.processing_secs(now) + in_flight_secs[group],
            };
            let rank = if group.is_some() && load.is_noisy(all) {
                1 + load.in_flight
            } else {
                0
            };
            Some((rank, number))
        });
        first.min().map(|(_, number)| number)
    }

    fn in_flight_secs(&self, tenant: &Tenant, now: Timestamp) -> f64 {
        let in_flight = tenant.in_flight.iter();
        let messages = in_flight.filter_map(|number| self.messages.get(number));
        messages
            .map(|message| message.in_flight_time(now).as_secs_f64())
            .sum()
    }

    /// The next moment at which a message becomes available by the passing of time.
    pub(super) fn next_available_at(&self) -> Option<Timestamp> {
        self.hidden.first().map(|(available_at, _)| *available_at)
    }

    /// When the first message is available, now or later.
    pub(super) fn first_available_at(&self) -> Option<Timestamp> {
        self.messages
            .values()
            .map(|message| message.available_at)
            .min()
    }

    /// Deletes the message unless it was received again since. Either way the request succeeds, as it does for a message that
    /// is already gone:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html>.
    pub(super) fn delete(&mut self, receipt: Receipt, now: Timestamp) {
        if self
            .messages
            .get(&receipt.number)
            .is_some_and(|message| message.receives == receipt.receive)
        {
            self.remove(receipt.number, now);
        }
    }

    /// Hides a message in flight for another `timeout_secs` from now, or shows it at once with 0.
    pub(super) fn change_visibility(
        &mut self,
        receipt: Receipt,
        timeout_secs: u32,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        let message = self
            .messages
            .get_mut(&receipt.number)
            .ok_or(SqsError::MessageDoesNotExist)?;
        if message.receives != receipt.receive || message.is_available(now) {
            return Err(SqsError::MessageNotInflight);
        }
        let limit = Duration::from_secs((*VISIBILITY_TIMEOUT_SECS.end()).into());
        let hidden_until = now + Duration::from_secs(timeout_secs.into());
        // Extending does not start the twelve hours again: they count from the receive.
        if hidden_until.since(message.last_received_at.unwrap_or(now)) > limit {
            return Err(SqsError::InvalidParameterValue {
                parameter: "VisibilityTimeout",
                value: timeout_secs.to_string(),
                reason: format!(
                    "Total VisibilityTimeout for the message is beyond the limit [{} seconds]",
                    limit.as_secs()
                ),
            });
        }
        self.hidden.remove(&(message.available_at, receipt.number));
        message.available_at = hidden_until;
        self.hidden.insert((hidden_until, receipt.number));
        self.changes.send_replace(());
        Ok(())
    }

    pub(super) fn counts(&self, now: Timestamp) -> Counts {
        let mut counts = Counts::default();
        for message in self.messages.values() {
            if message.is_available(now) {
                counts.visible += 1;
            } else if message.receives_here > 0 {
                counts.in_flight += 1;
            } else {
                counts.delayed += 1;
            }
        }
        counts
    }
}
