//! The actions on messages except `ReceiveMessage`: their requests, effects and responses.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Sqs;
use super::batch::{Batch, BatchResponse};
use super::error::SqsError;
use super::message::{Content, attributes_md5, message_id};
use super::queue_actions::queue_name;
use super::receipt::Receipt;
use super::settings::{DELAY_SECS, MESSAGE_BYTES_MAX, VISIBILITY_TIMEOUT_SECS, bounded};

#[derive(Debug, Deserialize)]
pub(super) struct ForQueue<R> {
    #[serde(rename = "QueueUrl", default)]
    queue_url: String,
    #[serde(flatten)]
    request: R,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage {
    #[serde(flatten)]
    content: Content,
    delay_seconds: Option<i64>,
    message_deduplication_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessage {
    #[serde(default)]
    receipt_handle: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeVisibility {
    #[serde(default)]
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sent {
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    body_md5: String,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    attributes_md5: Option<String>,
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    system_attributes_md5: Option<String>,
}

impl Sqs {
    pub(super) fn send_message(&self, request: ForQueue<SendMessage>) -> Result<Sent, SqsError> {
        self.send(queue_name(&request.queue_url)?, request.request)
    }

    pub(super) fn send_message_batch(
        &self,
        batch: Batch<SendMessage>,
    ) -> Result<BatchResponse<Sent>, SqsError> {
        let queue_url = batch.queue_url.clone();
        let name = self.existing(&queue_url)?;
        batch.check()?;
        let sent = batch
            .entries
            .iter()
            .map(|entry| entry.request.content.bytes())
            .sum();
        let limit = MESSAGE_BYTES_MAX as usize;
        if sent > limit {
            return Err(SqsError::BatchRequestTooLong { limit, sent });
        }
        Ok(batch.each(|entry| self.send(name, entry)))
    }

    pub(super) fn delete_message(
        &self,
        request: &ForQueue<DeleteMessage>,
    ) -> Result<Value, SqsError> {
        self.delete(queue_name(&request.queue_url)?, &request.request)
    }

    pub(super) fn delete_message_batch(
        &self,
        batch: Batch<DeleteMessage>,
    ) -> Result<BatchResponse<Value>, SqsError> {
        let queue_url = batch.queue_url.clone();
        let name = self.existing(&queue_url)?;
        batch.check()?;
        Ok(batch.each(|entry| self.delete(name, &entry)))
    }

    pub(super) fn change_visibility(
        &self,
        request: &ForQueue<ChangeVisibility>,
    ) -> Result<Value, SqsError> {
        self.change(queue_name(&request.queue_url)?, &request.request)
    }

    pub(super) fn change_visibility_batch(
        &self,
        batch: Batch<ChangeVisibility>,
    ) -> Result<BatchResponse<Value>, SqsError> {
        let queue_url = batch.queue_url.clone();
        let name = self.existing(&queue_url)?;
        batch.check()?;
        Ok(batch.each(|entry| self.change(name, &entry)))
    }

    fn send(&self, name: &str, request: SendMessage) -> Result<Sent, SqsError> {
        if let Some(value) = request.message_deduplication_id {
            return Err(SqsError::InvalidParameterValue {
                parameter: "MessageDeduplicationId",
                value,
                reason: "The request includes a parameter that is not valid for this queue type"
                    .to_owned(),
            });
        }
        let delay_secs = bounded("DelaySeconds", request.delay_seconds, &DELAY_SECS)?;
        let content = request.content;
        let (body_md5, attributes, system_attributes) = (
            content.body_md5(),
            attributes_md5(&content.attributes),
            attributes_md5(&content.system_attributes),
        );
        let (mut broker, now) = self.broker();
        let number = broker.send(name, content, delay_secs, now)?;
        Ok(Sent {
            message_id: message_id(number),
            body_md5,
            attributes_md5: attributes,
            system_attributes_md5: system_attributes,
        })
    }

    fn delete(&self, name: &str, request: &DeleteMessage) -> Result<Value, SqsError> {
        let (mut broker, now) = self.broker();
        let queue = broker.queue(name, now)?;
        queue.delete(Receipt::parse(&request.receipt_handle, name)?, now);
        Ok(json!({}))
    }

    fn change(&self, name: &str, request: &ChangeVisibility) -> Result<Value, SqsError> {
        let timeout_secs = bounded(
            "VisibilityTimeout",
            request.visibility_timeout,
            &VISIBILITY_TIMEOUT_SECS,
        )?
        .ok_or(SqsError::MissingParameter("VisibilityTimeout"))?;
        let (mut broker, now) = self.broker();
        let queue = broker.queue(name, now)?;
        let receipt = Receipt::parse(&request.receipt_handle, name)?;
        queue.change_visibility(receipt, timeout_secs, now)?;
        Ok(json!({}))
    }

    /// The name of the queue with this URL. A batch for a queue that does not exist fails as a
    /// whole.
    fn existing<'a>(&self, queue_url: &'a str) -> Result<&'a str, SqsError> {
        let name = queue_name(queue_url)?;
        let (mut broker, now) = self.broker();
        broker.queue(name, now)?;
        Ok(name)
    }
}
