//! One queue and its messages: who may see which message when.
//!
//! Nothing here waits or reads a clock; the present comes in with each call. A message's state is derived from
//! `available_at` and its receives alone, so no timer has to run for it to change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared::domain::time::Timestamp;
use tokio::sync::watch;

use super::error::SqsError;
use super::message::Content;
use super::receipt::Receipt;
use super::settings::{Settings, VISIBILITY_TIMEOUT_SECS};

/// A queue. Messages are kept by number, which is the order in which they were sent: the oldest come first, are delivered
/// first and expire first.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
    messages: BTreeMap<u64, Message>,
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
}

impl Queue {
    pub(super) fn new(settings: Settings, now: Timestamp) -> Self {
        Self {
            settings,
            created_at: now,
            modified_at: now,
            messages: BTreeMap::new(),
            changes: watch::Sender::new(()),
        }
    }

    /// Told whenever a message may have become available sooner than [`Queue::next_available_at`] said, and when the queue
    /// is gone.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn put(&mut self, number: u64, message: Message) {
        self.messages.insert(number, message);
        self.changes.send_replace(());
    }

    pub(super) fn purge(&mut self) {
        self.messages.clear();
    }

    /// Drops what has outlived the retention period. Called before anything looks at the messages.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let retention = self.settings.retention();
        while let Some(oldest) = self.messages.first_entry() {
            if now.since(oldest.get().sent_at) < retention {
                break;
            }
            oldest.remove();
        }
    }

    /// Receives what is available, oldest first. A message that has already been delivered `max_receive_count` times is removed
    /// instead, as a dead letter for another queue.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        take: Take,
        max_receive_count: Option<u32>,
    ) -> (Vec<Delivery>, Vec<DeadLetter>) {
        let mut deliveries = Vec::new();
        let mut dead = Vec::new();
        for (&number, message) in &mut self.messages {
            if deliveries.len() == take.limit {
                break;
            }
            if !message.is_available(now) {
                continue;
            }
            if max_receive_count.is_some_and(|maximum| message.receives_here >= maximum) {
                dead.push(number);
                continue;
            }
            message.receive(now, now + take.visibility);
            deliveries.push(Delivery {
                receipt: Receipt {
                    number,
                    receive: message.receives,
                },
                message: message.clone(),
            });
        }
        let dead = dead
            .into_iter()
            .filter_map(|number| self.messages.remove_entry(&number))
            .collect();
        (deliveries, dead)
    }

    /// The next moment at which a message becomes available by the passing of time.
    pub(super) fn next_available_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.messages
            .values()
            .filter(|message| !message.is_available(now))
            .map(|message| message.available_at)
            .min()
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
    pub(super) fn delete(&mut self, receipt: Receipt) {
        if self
            .messages
            .get(&receipt.number)
            .is_some_and(|message| message.receives == receipt.receive)
        {
            self.messages.remove(&receipt.number);
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
        message.available_at = hidden_until;
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
