//! One queue and its messages: which message can be received when.
//!
//! Nothing here waits or reads a clock; each call passes the current time. A message's state
//! follows from `available_at` and its receives, so it changes without a timer.

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

/// Messages are ordered by number, which is the order in which they were sent: the oldest come
/// first, expire first and, of one tenant, are delivered first.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
    messages: BTreeMap<u64, Message>,
    /// Delayed messages and messages in flight, by the time at which they become available.
    hidden: BTreeSet<(Timestamp, u64)>,
    /// By message group. Messages without one share an entry and are never noisy.
    tenants: BTreeMap<Option<String>, Tenant>,
    /// The processing time of all tenants.
    processing: Recent,
    changes: watch::Sender<()>,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) content: Arc<Content>,
    /// Kept when the message moves to a dead-letter queue. Retention counts from it.
    pub(super) sent_at: Timestamp,
    /// The message cannot be received before: it is delayed, or hidden by a receive.
    available_at: Timestamp,
    /// Receives from all queues, which is the count that consumers get.
    pub(super) receives: u32,
    /// Receives from this queue, which is the count for redrive. If receives from an earlier queue
    /// counted, two queues that are each other's dead-letter queue would move a message forever.
    receives_here: u32,
    pub(super) first_received_at: Option<Timestamp>,
    last_received_at: Option<Timestamp>,
    /// The ARN of the queue that the message was moved from.
    pub(super) dead_letter_source: Option<String>,
}

/// A message in its state at one receive.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) receipt: Receipt,
    pub(super) message: Message,
}

/// A message removed from its queue, with its number.
pub(super) type DeadLetter = (u64, Message);

/// The parameters of one receive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take {
    /// The most messages.
    pub(super) limit: usize,
    pub(super) visibility_timeout: Duration,
}

/// The number of messages in each state.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) delayed: usize,
}

impl Message {
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

    /// The message for a dead-letter queue: visible, with its receives.
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

    /// The time in flight since the last receive.
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

    /// Notifies when a message may be available before [`Queue::next_available_at`], and when the
    /// queue is dropped.
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

    /// Counts the processing time of a message, if it was in flight.
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

    /// Removes messages whose retention period has ended, and makes hidden messages visible whose
    /// time has come. Called before each use of the messages.
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

    /// Receives available messages: a quiet tenant's before a noisy one's, and the oldest first. A
    /// message with `max_receive_count` receives is removed instead, for the dead-letter queue.
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
            message.receive(now, now + take.visibility_timeout);
            // Even with a visibility timeout of 0, so that one receive does not return it twice.
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

    /// The next message to receive: the oldest available one of all quiet tenants, else of the
    /// noisy tenant with the fewest messages in flight.
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

    /// The next time at which a hidden message becomes available.
    pub(super) fn next_available_at(&self) -> Option<Timestamp> {
        self.hidden.first().map(|(available_at, _)| *available_at)
    }

    /// The time from which the first message is available.
    pub(super) fn first_available_at(&self) -> Option<Timestamp> {
        self.messages
            .values()
            .map(|message| message.available_at)
            .min()
    }

    /// Messages are ordered by number, except that a dead letter keeps its time and its number.
    pub(super) fn oldest_sent_at(&self) -> Option<Timestamp> {
        let messages = self.messages.values();
        messages.map(|message| message.sent_at).min()
    }

    /// Deletes the message unless it was received again since. The request succeeds in both cases,
    /// and for a message that was deleted before:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html>
    pub(super) fn delete(&mut self, receipt: Receipt, now: Timestamp) {
        if self
            .messages
            .get(&receipt.number)
            .is_some_and(|message| message.receives == receipt.receive)
        {
            self.remove(receipt.number, now);
        }
    }

    /// Hides a message in flight for `timeout_secs` from now; 0 makes it visible at once.
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
        // The limit counts from the receive, not from the change.
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
