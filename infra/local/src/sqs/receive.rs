//! `ReceiveMessage` and its long poll.
//!
//! A long poll never checks at intervals: only its queue or the clock wakes it. A missed wake-up
//! would leave a consumer waiting for up to 20 seconds while a message is available.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Sqs;
use super::error::SqsError;
use super::message::{Attribute, TRACE_HEADER, attributes_md5, is_wanted, message_id};
use super::queue::{Delivery, Take};
use super::queue_actions::queue_name;
use super::settings::{Settings, VISIBILITY_TIMEOUT_SECS, WAIT_SECS, bounded};

/// The messages of one receive.
const LIMIT: RangeInclusive<u32> = 1..=10;
/// Senders are not authenticated, so every message has the same one.
const SENDER_ID: &str = "AIDALOCAL";
/// The valid `MessageSystemAttributeNames`. Sequence numbers and deduplication ids are accepted,
/// but only messages of FIFO queues have them.
const SYSTEM_ATTRIBUTES: [&str; 10] = [
    "All",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
    "SenderId",
    "SentTimestamp",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SequenceNumber",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessage {
    #[serde(default)]
    queue_url: String,
    /// The older name of `message_system_attribute_names`.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Messages {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Received>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(rename = "MD5OfBody")]
    body_md5: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, Attribute>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    attributes_md5: Option<String>,
}

/// The request's numbers, each in its range. The queue's settings replace absent ones.
struct Limits {
    messages: usize,
    visibility_secs: Option<u32>,
    wait_secs: Option<u32>,
}

impl Sqs {
    /// Waits until a message is available or the wait time is over. Two things end a wait early:
    /// the queue notifies a change, or the clock reaches the time at which a message becomes
    /// available. A poll that finds the message taken waits again. When a caller hangs up, dropping
    /// this future loses no message: messages are taken in the last step, without a later await.
    pub(super) async fn receive_message(
        &self,
        request: &ReceiveMessage,
    ) -> Result<Messages, SqsError> {
        let name = queue_name(&request.queue_url)?;
        request.check_names()?;
        let limits = request.limits()?;
        let started = self.shared.clock.now();
        loop {
            let (mut changes, wake) = {
                let (mut broker, now) = self.broker();
                let settings = &broker.queue(name, now)?.settings;
                let deadline = started + limits.wait(settings);
                let take = limits.take(settings);
                let deliveries = broker.take(name, take, now)?;
                if !deliveries.is_empty() || now >= deadline {
                    let messages = deliveries
                        .iter()
                        .map(|delivery| request.received(name, delivery))
                        .collect();
                    return Ok(Messages { messages });
                }
                let queue = broker.queue(name, now)?;
                let wake = queue
                    .next_available_at()
                    .map_or(deadline, |at| at.min(deadline));
                (queue.changes(), wake)
            };
            tokio::select! {
                // An error says that the queue was deleted; the next iteration reports that.
                _ = changes.changed() => {}
                () = self.shared.clock.sleep_until(wake) => {}
            }
        }
    }
}

impl Limits {
    fn take(&self, settings: &Settings) -> Take {
        let secs = self
            .visibility_secs
            .unwrap_or(settings.visibility_timeout_secs);
        Take {
            limit: self.messages,
            visibility_timeout: Duration::from_secs(secs.into()),
        }
    }

    fn wait(&self, settings: &Settings) -> Duration {
        Duration::from_secs(self.wait_secs.unwrap_or(settings.wait_secs).into())
    }
}

impl ReceiveMessage {
    fn limits(&self) -> Result<Limits, SqsError> {
        let messages = bounded("MaxNumberOfMessages", self.max_number_of_messages, &LIMIT)?;
        Ok(Limits {
            messages: messages.unwrap_or(1) as usize,
            visibility_secs: bounded(
                "VisibilityTimeout",
                self.visibility_timeout,
                &VISIBILITY_TIMEOUT_SECS,
            )?,
            wait_secs: bounded("WaitTimeSeconds", self.wait_time_seconds, &WAIT_SECS)?,
        })
    }

    fn check_names(&self) -> Result<(), SqsError> {
        match self
            .system_names()
            .find(|name| !SYSTEM_ATTRIBUTES.contains(name))
        {
            Some(unknown) => Err(SqsError::InvalidAttributeName(unknown.to_owned())),
            None => Ok(()),
        }
    }

    fn system_names(&self) -> impl Iterator<Item = &str> {
        self.attribute_names
            .iter()
            .chain(&self.message_system_attribute_names)
            .map(String::as_str)
    }

    /// The message with the attributes that this request selects. The digest covers those only, so
    /// that an SDK can compare it.
    fn received(&self, queue: &str, delivery: &Delivery) -> Received {
        let content = &delivery.message.content;
        let message_attributes: BTreeMap<_, _> = content
            .attributes
            .iter()
            .filter(|(name, _)| is_wanted(name, &self.message_attribute_names))
            .map(|(name, attribute)| (name.clone(), attribute.clone()))
            .collect();
        Received {
            message_id: message_id(delivery.receipt.number),
            receipt_handle: delivery.receipt.handle(queue),
            body: content.body.clone(),
            body_md5: content.body_md5(),
            attributes_md5: attributes_md5(&message_attributes),
            message_attributes,
            attributes: self.system_attributes(delivery),
        }
    }

    fn system_attributes(&self, delivery: &Delivery) -> BTreeMap<&'static str, String> {
        let message = &delivery.message;
        let mut attributes = BTreeMap::from([
            ("SenderId", SENDER_ID.to_owned()),
            ("SentTimestamp", message.sent_at.as_millis().to_string()),
            ("ApproximateReceiveCount", message.receives.to_string()),
        ]);
        let optional = [
            (
                "ApproximateFirstReceiveTimestamp",
                message
                    .first_received_at
                    .map(|at| at.as_millis().to_string()),
            ),
            (
                "DeadLetterQueueSourceArn",
                message.dead_letter_source.clone(),
            ),
            ("MessageGroupId", message.content.group.clone()),
            (
                TRACE_HEADER,
                message.content.trace_header().map(str::to_owned),
            ),
        ];
        attributes.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        attributes.retain(|name, _| {
            self.system_names()
                .any(|wanted| wanted == "All" || wanted == *name)
        });
        attributes
    }
}

/// `now_or_never` polls a receive, so that each test moves the clock only once the receive waits.
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use serde_json::json;
    use shared::clock::ManualClock;
    use shared::domain::time::Timestamp;

    use super::*;

    fn queue() -> (Sqs, ManualClock) {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let sqs = Sqs::new(Arc::new(clock.clone()));
        let (mut broker, now) = sqs.broker();
        broker.create("q", &BTreeMap::new(), now).unwrap();
        drop(broker);
        (sqs, clock)
    }

    fn send(sqs: &Sqs, delay_secs: u32) {
        let request = json!({
            "QueueUrl": "http://localhost/000000000000/q",
            "MessageBody": "body",
            "DelaySeconds": delay_secs,
        });
        sqs.send_message(serde_json::from_value(request).unwrap())
            .unwrap();
    }

    fn request(wait_secs: u32, visibility_secs: u32) -> ReceiveMessage {
        serde_json::from_value(json!({
            "QueueUrl": "http://localhost/000000000000/q",
            "WaitTimeSeconds": wait_secs,
            "VisibilityTimeout": visibility_secs,
        }))
        .unwrap()
    }

    fn count(response: Option<Result<Messages, SqsError>>) -> Option<usize> {
        response.map(|response| response.unwrap().messages.len())
    }

    #[test]
    fn a_poll_ends_without_messages_exactly_when_its_wait_time_is_over() {
        let (sqs, clock) = queue();
        let request = request(20, 30);
        let mut poll = pin!(sqs.receive_message(&request));
        assert_eq!(count(poll.as_mut().now_or_never()), None);
        clock.advance(Duration::from_millis(19_999));
        assert_eq!(count(poll.as_mut().now_or_never()), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(count(poll.now_or_never()), Some(0));
    }

    #[test]
    fn a_message_wakes_one_poll_and_the_other_keeps_waiting() {
        let (sqs, _clock) = queue();
        let request = request(20, 30);
        let mut first = pin!(sqs.receive_message(&request));
        let mut second = pin!(sqs.receive_message(&request));
        assert_eq!(count(first.as_mut().now_or_never()), None);
        assert_eq!(count(second.as_mut().now_or_never()), None);
        send(&sqs, 0);
        assert_eq!(count(first.now_or_never()), Some(1));
        assert_eq!(count(second.as_mut().now_or_never()), None);
        send(&sqs, 0);
        assert_eq!(count(second.now_or_never()), Some(1));
    }

    #[test]
    fn the_end_of_a_delay_or_of_a_visibility_timeout_wakes_a_poll() {
        let (sqs, clock) = queue();
        send(&sqs, 5);
        let request = request(20, 3);
        for secs in [5, 3] {
            let mut poll = pin!(sqs.receive_message(&request));
            assert_eq!(count(poll.as_mut().now_or_never()), None);
            clock.advance(Duration::from_millis(secs * 1_000 - 1));
            assert_eq!(count(poll.as_mut().now_or_never()), None);
            clock.advance(Duration::from_millis(1));
            assert_eq!(count(poll.now_or_never()), Some(1));
        }
    }

    #[test]
    fn a_poll_keeps_waiting_when_another_consumer_took_its_message() {
        let (sqs, clock) = queue();
        send(&sqs, 5);
        let (waiting, other) = (request(20, 30), request(0, 7));
        let mut poll = pin!(sqs.receive_message(&waiting));
        assert_eq!(count(poll.as_mut().now_or_never()), None);
        clock.advance(Duration::from_secs(5));
        let taken = sqs.receive_message(&other).now_or_never();
        assert_eq!(count(taken), Some(1));
        assert_eq!(count(poll.as_mut().now_or_never()), None);
        clock.advance(Duration::from_secs(7));
        assert_eq!(count(poll.now_or_never()), Some(1));
    }

    #[test]
    fn a_dropped_poll_takes_no_message() {
        let (sqs, _clock) = queue();
        let (waiting, other) = (request(20, 30), request(0, 30));
        {
            let mut poll = pin!(sqs.receive_message(&waiting));
            assert_eq!(count(poll.as_mut().now_or_never()), None);
            send(&sqs, 0);
        }
        let taken = sqs.receive_message(&other).now_or_never();
        assert_eq!(count(taken), Some(1));
    }

    #[test]
    fn a_poll_ends_when_its_queue_is_deleted() {
        let (sqs, _clock) = queue();
        let request = request(20, 30);
        let mut poll = pin!(sqs.receive_message(&request));
        assert_eq!(count(poll.as_mut().now_or_never()), None);
        sqs.broker().0.delete("q").unwrap();
        let response = poll.now_or_never();
        assert!(matches!(response, Some(Err(SqsError::QueueDoesNotExist))));
    }
}
