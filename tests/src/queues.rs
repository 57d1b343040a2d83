//! The queues, with the steps of Lambda's event source as functions.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    Dispatch,
    DispatchDeadLetter,
    Callback,
    CallbackDeadLetter,
}

impl QueueKind {
    pub const ALL: [Self; 4] = [
        Self::Dispatch,
        Self::DispatchDeadLetter,
        Self::Callback,
        Self::CallbackDeadLetter,
    ];

    /// The setting that contains the queue's URL.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Dispatch => "DISPATCH_QUEUE_URL",
            Self::DispatchDeadLetter => "DISPATCH_DEAD_LETTER_QUEUE_URL",
            Self::Callback => "CALLBACK_QUEUE_URL",
            Self::CallbackDeadLetter => "CALLBACK_DEAD_LETTER_QUEUE_URL",
        }
    }
}

/// A queue with a client whose requests no wire counts.
#[derive(Debug, Clone)]
pub struct TestQueue {
    client: Client,
    url: String,
}

impl TestQueue {
    #[must_use]
    pub const fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    pub async fn send(&self, body: &str) {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .send()
            .await
            .unwrap();
    }

    /// Receives up to `limit` messages that are visible now.
    pub async fn receive(&self, limit: i32) -> Vec<Message> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(limit)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        received.messages.unwrap_or_default()
    }

    /// Lambda's event for these messages.
    #[must_use]
    pub fn event(&self, messages: &[Message]) -> Value {
        let name = self.url.rsplit('/').next().unwrap();
        let records: Vec<_> = messages
            .iter()
            .map(|message| {
                let attributes: serde_json::Map<_, _> = message
                    .attributes()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.as_str().to_owned(), Value::from(value.as_str())))
                    .collect();
                json!({
                    "messageId": message.message_id(),
                    "receiptHandle": message.receipt_handle(),
                    "body": message.body(),
                    "attributes": attributes,
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{name}"),
                    "awsRegion": "us-east-1",
                })
            })
            .collect();
        json!({ "Records": records })
    }

    /// Deletes the messages that a partial batch response does not name, as Lambda does.
    pub async fn delete_acknowledged(&self, messages: &[Message], response: &Value) {
        let failed: Vec<_> = response["batchItemFailures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| failure["itemIdentifier"].as_str().unwrap())
            .collect();
        for message in messages {
            if !failed.contains(&message.message_id().unwrap()) {
                let handle = message.receipt_handle().unwrap();
                self.client
                    .delete_message()
                    .queue_url(&self.url)
                    .receipt_handle(handle)
                    .send()
                    .await
                    .unwrap();
            }
        }
    }

    pub async fn purge(&self) {
        let purge = self.client.purge_queue().queue_url(&self.url);
        purge.send().await.unwrap();
    }

    /// The number of messages: visible, in flight and delayed.
    pub async fn len(&self) -> usize {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let attributes = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .set_attribute_names(Some(counts.to_vec()))
            .send()
            .await
            .unwrap();
        attributes
            .attributes()
            .unwrap()
            .values()
            .map(|count| count.parse::<usize>().unwrap())
            .sum()
    }

    pub async fn is_empty(&self) -> bool {
        self.len().await == 0
    }
}
