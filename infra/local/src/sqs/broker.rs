//! All queues of one account, by name, and the moves between them.
//!
//! One lock protects all queues, so a message moves to its dead-letter queue in one step: it is
//! never in both queues or in neither.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use shared::domain::time::Timestamp;

use super::error::SqsError;
use super::message::Content;
use super::queue::{Delivery, Message, Queue, Take};
use super::settings::Settings;
use crate::{ACCOUNT_ID, REGION};

const NAME_CHARS_MAX: usize = 80;

#[derive(Debug)]
pub(super) struct Broker {
    queues: BTreeMap<String, Queue>,
    next_number: u64,
}

pub(super) fn queue_arn(name: &str) -> String {
    format!("{}{name}", arn_prefix())
}

impl Broker {
    /// Without queues. Message numbers begin at the start time, so that a receipt handle from
    /// before a restart matches no message sent after it: 2^20 leaves room for a million messages
    /// per millisecond between restarts.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            queues: BTreeMap::new(),
            next_number: u64::try_from(now.as_millis()).unwrap_or(0) << 20,
        }
    }

    /// Creates the queue. An existing queue is accepted when it has all the given attributes.
    pub(super) fn create(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        check_name(name)?;
        let mut settings = self
            .queues
            .get(name)
            .map(|queue| queue.settings.clone())
            .unwrap_or_default();
        settings.apply(attributes)?;
        self.check_redrive(name, &settings)?;
        match self.queues.entry(name.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Queue::new(settings, now));
                Ok(())
            }
            Entry::Occupied(queue) if queue.get().settings == settings => Ok(()),
            Entry::Occupied(_) => Err(SqsError::QueueNameExists(name.to_owned())),
        }
    }

    pub(super) fn set_attributes(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<(), SqsError> {
        let mut settings = self.queue(name, now)?.settings.clone();
        settings.apply(attributes)?;
        self.check_redrive(name, &settings)?;
        let queue = self.queue(name, now)?;
        queue.settings = settings;
        queue.modified_at = now;
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), SqsError> {
        // Dropping the queue wakes its long polls, which then fail because it does not exist.
        self.queues
            .remove(name)
            .map(drop)
            .ok_or(SqsError::QueueDoesNotExist)
    }

    /// The names that start with `prefix` and come after `after`.
    pub(super) fn names<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        self.queues
            .keys()
            .map(String::as_str)
            .filter(move |name| name.starts_with(prefix) && *name > after)
    }

    /// The queue in its state at `now`.
    pub(super) fn queue(&mut self, name: &str, now: Timestamp) -> Result<&mut Queue, SqsError> {
        let queue = self
            .queues
            .get_mut(name)
            .ok_or(SqsError::QueueDoesNotExist)?;
        queue.advance(now);
        Ok(queue)
    }

    /// Returns the message's number, from which its id is made.
    pub(super) fn send(
        &mut self,
        name: &str,
        content: Content,
        delay_secs: Option<u32>,
        now: Timestamp,
    ) -> Result<u64, SqsError> {
        let number = self.next_number;
        let queue = self.queue(name, now)?;
        content.check(queue.settings.maximum_message_bytes)?;
        let delay = Duration::from_secs(delay_secs.unwrap_or(queue.settings.delay_secs).into());
        queue.put(number, Message::new(content, now, delay), now);
        self.next_number += 1;
        Ok(number)
    }

    /// Receives available messages, and moves those with `maxReceiveCount` receives to the
    /// dead-letter queue. If that queue does not exist, they stay and are delivered again.
    pub(super) fn take(
        &mut self,
        name: &str,
        take: Take,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, SqsError> {
        let redrive = self.queue(name, now)?.settings.redrive.clone();
        let redrive = redrive.as_ref().and_then(|redrive| {
            Some((self.target(&redrive.target_arn)?, redrive.max_receive_count))
        });
        let max_receive_count = redrive.map(|(_, maximum)| maximum);
        let (deliveries, dead) = self.queue(name, now)?.take(now, take, max_receive_count);
        if let Some((target, _)) = redrive {
            for (number, message) in dead {
                let message = message.moved_from(queue_arn(name));
                self.queue(target, now)?.put(number, message, now);
            }
        }
        Ok(deliveries)
    }

    /// A queue cannot be its own dead-letter queue: its consumer would receive the moved message
    /// again.
    fn check_redrive(&self, name: &str, settings: &Settings) -> Result<(), SqsError> {
        let Some(redrive) = &settings.redrive else {
            return Ok(());
        };
        match self.target(&redrive.target_arn) {
            Some(target) if target != name => Ok(()),
            _ => Err(SqsError::InvalidParameterValue {
                parameter: "RedrivePolicy",
                value: redrive.target_arn.clone(),
                reason: "Dead letter target does not exist".to_owned(),
            }),
        }
    }

    fn target<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(&arn_prefix())
            .filter(|name| self.queues.contains_key(*name))
    }
}

fn arn_prefix() -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:")
}

fn check_name(name: &str) -> Result<(), SqsError> {
    if (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue {
        parameter: "QueueName",
        value: name.to_owned(),
        reason:
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
                .to_owned(),
    })
}
