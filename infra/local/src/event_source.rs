//! Lambda's event source mapping between a queue and a function.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
//!
//! At-least-once delivery relies on this module: it deletes only messages that the function reports
//! as done. In case of doubt a message stays in the queue and becomes visible again when its
//! visibility timeout ends; nothing here changes a message's visibility.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::REGION;
use crate::client::timeouts;
use crate::function::Function;

/// SQS's maximum.
const RECEIVE_WAIT_SECS: u16 = 20;

/// How long a receive may take: its wait, and time for the response. A client that gives up sooner
/// may leave a message in flight that nothing processes until its visibility timeout ends.
const RECEIVE_ANSWER_MAX: Duration = Duration::from_secs(RECEIVE_WAIT_SECS as u64 + 10);

/// The pause after a failed receive, so that a queue that is down gets no flood of requests.
const RECEIVE_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct EventSourceSettings {
    pub queue_url: String,
    /// The queue's name in events.
    pub queue_arn: String,
    /// The most messages in one event: 1 to 10, SQS's maximum for one receive. Together they must
    /// fit into [`PAYLOAD_MAX_BYTES`](crate::function::PAYLOAD_MAX_BYTES); Lambda would split a
    /// batch that does not.
    pub batch_size: i32,
    /// The most invocations at once, Lambda's `MaximumConcurrency`. Messages are received only
    /// while an invocation is free, so that no message spends a receive on waiting.
    pub concurrency_max: usize,
}

/// The log message for messages that stay in the queue though the function is done with them.
const NOT_DELETED: &str = "messages could not be deleted; they are delivered again";

/// Invokes a function with a queue's messages until it is stopped or dropped.
#[derive(Debug)]
pub struct EventSource {
    poller: JoinSet<()>,
}

impl EventSource {
    /// Starts to poll, with `ReportBatchItemFailures`.
    #[must_use]
    pub fn start(
        client: aws_sdk_sqs::Client,
        function: Arc<Function>,
        settings: EventSourceSettings,
    ) -> Self {
        let mapping = Arc::new(Mapping {
            client,
            function,
            settings,
        });
        let mut poller = JoinSet::new();
        poller.spawn(async move { poll(mapping).await });
        Self { poller }
    }

    /// Stops at once. As after a crash, the messages of batches in progress become visible again.
    pub async fn stop(mut self) {
        self.poller.shutdown().await;
    }
}

#[derive(Debug)]
struct Mapping {
    client: aws_sdk_sqs::Client,
    function: Arc<Function>,
    settings: EventSourceSettings,
}

async fn poll(mapping: Arc<Mapping>) {
    let mut batches = JoinSet::new();
    loop {
        while batches.try_join_next().is_some() {}
        if batches.len() >= mapping.settings.concurrency_max {
            batches.join_next().await;
            continue;
        }
        match mapping.receive().await {
            Ok(messages) if messages.is_empty() => {}
            Ok(messages) => {
                let mapping = Arc::clone(&mapping);
                batches.spawn(async move { mapping.deliver(messages).await });
            }
            Err(error) => {
                let error = DisplayErrorContext(&error);
                tracing::warn!(
                    queue = mapping.settings.queue_arn,
                    %error,
                    retry_after_secs = RECEIVE_AGAIN_AFTER.as_secs(),
                    "messages could not be received"
                );
                tokio::time::sleep(RECEIVE_AGAIN_AFTER).await;
            }
        }
    }
}

impl Mapping {
    async fn receive(&self) -> Result<Vec<Message>, aws_sdk_sqs::Error> {
        let long_timeout =
            aws_sdk_sqs::config::Builder::default().timeout_config(timeouts(RECEIVE_ANSWER_MAX));
        let received = self
            .client
            .receive_message()
            .queue_url(&self.settings.queue_url)
            .max_number_of_messages(self.settings.batch_size)
            .wait_time_seconds(RECEIVE_WAIT_SECS.into())
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .customize()
            .config_override(long_timeout)
            .send()
            .await?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn deliver(&self, messages: Vec<Message>) {
        let queue = &self.settings.queue_arn;
        let response = match self.function.invoke(self.event(&messages)).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(
                    queue,
                    %error,
                    "the function failed; its messages become visible again after their timeout"
                );
                return;
            }
        };
        match failed_items(&response, &messages) {
            Ok(failed) => self.delete(succeeded(&messages, &failed)).await,
            Err(error) => {
                tracing::warn!(
                    queue,
                    %error,
                    "the function's response is malformed; the whole batch counts as failed"
                );
            }
        }
    }

    fn event(&self, messages: &[Message]) -> Bytes {
        let records: Vec<_> = messages
            .iter()
            .map(|message| self.record(message))
            .collect();
        json!({ "Records": records }).to_string().into()
    }

    fn record(&self, message: &Message) -> Value {
        let attributes: BTreeMap<&str, &String> = message
            .attributes
            .iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            // Ferry's messages have none.
            "messageAttributes": {},
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.settings.queue_arn,
            "awsRegion": REGION,
        })
    }

    /// A message that could not be deleted is delivered again; the function handles duplicates.
    async fn delete(&self, receipt_handles: Vec<&str>) {
        if receipt_handles.is_empty() {
            return;
        }
        let queue = &self.settings.queue_arn;
        let entries = receipt_handles.iter().enumerate().map(|(index, handle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(*handle)
                .build()
        });
        let entries: Vec<_> = match entries.collect() {
            Ok(entries) => entries,
            Err(error) => return tracing::warn!(queue, %error, "{NOT_DELETED}"),
        };
        let deleted = self
            .client
            .delete_message_batch()
            .queue_url(&self.settings.queue_url)
            .set_entries(Some(entries))
            .send()
            .await;
        match deleted {
            Ok(deleted) => {
                for failure in deleted.failed() {
                    let (code, message) = (failure.code(), failure.message());
                    tracing::warn!(queue, code, message, "{NOT_DELETED}");
                }
            }
            Err(error) => {
                let error = DisplayErrorContext(&error);
                tracing::warn!(queue, %error, "{NOT_DELETED}");
            }
        }
    }
}

/// Why a response to a batch is malformed, which fails all of its messages.
#[derive(Debug, thiserror::Error)]
enum InvalidResponse {
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is not an object with a list batchItemFailures")]
    Shape,
    #[error("an entry of batchItemFailures has no itemIdentifier")]
    NoIdentifier,
    #[error("the itemIdentifier {0:?} is not a message of the batch")]
    UnknownIdentifier(String),
}

/// The ids of the messages that the function reports as failed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>
fn failed_items(response: &[u8], messages: &[Message]) -> Result<Vec<String>, InvalidResponse> {
    if response.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let failures = match serde_json::from_slice(response)? {
        Value::Null => return Ok(Vec::new()),
        Value::Object(mut response) => match response.remove("batchItemFailures") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(failures)) => failures,
            Some(_) => return Err(InvalidResponse::Shape),
        },
        _ => return Err(InvalidResponse::Shape),
    };
    let identifier = |failure: &Value| match failure["itemIdentifier"].as_str() {
        None | Some("") => Err(InvalidResponse::NoIdentifier),
        Some(id)
            if messages
                .iter()
                .any(|message| message.message_id() == Some(id)) =>
        {
            Ok(id.to_owned())
        }
        Some(id) => Err(InvalidResponse::UnknownIdentifier(id.to_owned())),
    };
    failures.iter().map(identifier).collect()
}

/// The receipt handles of the messages that are not among the failed.
fn succeeded<'a>(messages: &'a [Message], failed: &[String]) -> Vec<&'a str> {
    messages
        .iter()
        .filter(|message| !failed.iter().any(|id| message.message_id() == Some(id)))
        .filter_map(Message::receipt_handle)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a batch of `a` and `b` that are deleted.
    fn deleted(response: &str) -> Result<Vec<String>, InvalidResponse> {
        let messages = ["a", "b"].map(|id| {
            Message::builder()
                .message_id(id)
                .receipt_handle(format!("receipt-{id}"))
                .build()
        });
        let failed = failed_items(response.as_bytes(), &messages)?;
        Ok(succeeded(&messages, &failed)
            .into_iter()
            .map(|handle| handle.trim_start_matches("receipt-").to_owned())
            .collect())
    }

    #[test]
    fn a_response_without_failures_deletes_the_whole_batch() {
        for response in [
            "",
            " \n",
            "null",
            "{}",
            r#"{"other":1}"#,
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
        ] {
            assert_eq!(deleted(response).unwrap(), ["a", "b"], "{response}");
        }
    }

    #[test]
    fn a_failed_message_is_not_deleted() {
        for (response, expected) in [
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#,
                &["b"][..],
            ),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"a"}]}"#,
                &["b"],
            ),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}"#,
                &[],
            ),
        ] {
            assert_eq!(deleted(response).unwrap(), expected, "{response}");
        }
    }

    #[test]
    fn a_malformed_response_fails_the_whole_batch() {
        for response in [
            "{",
            "\"done\"",
            "[]",
            "true",
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":"a"}"#,
            r#"{"batchItemFailures":["a"]}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[null]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
            r#"{"batchItemFailures":[{"itemidentifier":"a"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]}"#,
        ] {
            assert!(deleted(response).is_err(), "{response}");
        }
    }
}
