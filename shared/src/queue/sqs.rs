//! A queue in SQS.

use std::collections::HashMap;
use std::error::Error;
use std::future::ready;
use std::sync::Arc;

use aws_sdk_sqs::error::{BuildError, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};
use tokio::sync::Mutex;

use super::batcher::Batcher;
use super::message::Message;
use crate::domain::limits::{QUEUE_DELAY_SECS_MAX, VISIBILITY_SECS_MAX};
use crate::telemetry::trace_header;

/// An SQS queue. One per process; cheap to clone. Calls that are made at the same moment share a
/// batch request, which SQS bills as one.
#[derive(Debug, Clone)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
    sends: Batcher<Sending, Result<(), QueueError>>,
    /// Serialises the requests of [`Queue::send`], so that messages which become ready while one is
    /// in flight share the next.
    send_turn: Arc<Mutex<()>>,
    /// Not serialised: a heartbeat must not wait for another request.
    visibility_changes: Batcher<VisibilityChange, Result<(), QueueError>>,
}

#[derive(Debug)]
struct Sending {
    body: String,
    group: Option<String>,
    delay_secs: u32,
    trace: Option<TraceAttribute>,
}

#[derive(Debug)]
struct VisibilityChange {
    receipt_handle: String,
    secs: i32,
}

type TraceAttribute = HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>;

/// A message of a batch with its delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed<M> {
    pub message: M,
    /// At most 900.
    pub delay_secs: u32,
}

/// A message of a batch that SQS rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Its index in the batch.
    pub index: usize,
    /// SQS's error code.
    pub code: String,
}

/// SQS rejected a call or did not answer it. The call may have been carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call} failed (AWS request {request_id})")]
pub struct QueueError {
    call: &'static str,
    request_id: String,
    /// Shared by all entries of a batch.
    source: Arc<dyn Error + Send + Sync>,
}

#[derive(Debug, thiserror::Error)]
#[error("SQS rejected this entry of the batch: {code}")]
struct EntryRejected {
    code: String,
}

/// The caller that sent the batch was dropped before SQS answered.
#[derive(Debug, thiserror::Error)]
#[error("the request was cancelled before SQS answered")]
struct Cancelled;

impl QueueError {
    fn new<E>(call: &'static str, error: SdkError<E>) -> Self
    where
        aws_sdk_sqs::Error: From<SdkError<E>>,
    {
        let source = aws_sdk_sqs::Error::from(error);
        let request_id = source.request_id().unwrap_or("-").to_owned();
        Self {
            call,
            request_id,
            source: Arc::new(source),
        }
    }

    /// An error without a response from SQS.
    fn of(call: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            call,
            request_id: "-".to_owned(),
            source: Arc::new(source),
        }
    }
}

impl Queue {
    #[must_use]
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self {
            client,
            url,
            sends: Batcher::default(),
            send_turn: Arc::default(),
            visibility_changes: Batcher::default(),
        }
    }

    /// The queue's name, the last part of its URL and of its ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Sends a message with a delay of `delay_secs`, at most 900: one request, which messages sent
    /// at the same moment share. It starts when the previous one has ended, so a send takes the
    /// time of two requests at most: an invocation serves at most
    /// [`BATCH_MAX`](super::BATCH_MAX) messages at once.
    ///
    /// The message carries the X-Ray trace header of the current invocation, which does not count
    /// towards its size (Amazon SQS Developer Guide, "Message system attributes").
    ///
    /// # Errors
    ///
    /// When SQS is unreachable or rejects the message, which may have been sent nevertheless.
    pub async fn send(&self, message: &impl Message, delay_secs: u32) -> Result<(), QueueError> {
        let sending = Sending {
            body: message.to_body(),
            group: group_id(message),
            delay_secs,
            trace: trace_attribute(),
        };
        let turn = self.send_turn.lock();
        let outcome = self
            .sends
            .submit(sending, turn, |all| Box::pin(self.send_all(all)))
            .await;
        outcome.unwrap_or_else(|| Err(QueueError::of("SendMessageBatch", Cancelled)))
    }

    async fn send_all(&self, mut all: Vec<Sending>) -> Vec<Result<(), QueueError>> {
        let count = all.len();
        if count > 1 {
            return outcomes("SendMessageBatch", count, self.send_entries(all).await);
        }
        let Some(Sending {
            body,
            group,
            delay_secs,
            trace,
        }) = all.pop()
        else {
            return Vec::new();
        };
        let call = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .set_message_group_id(group)
            .set_delay_seconds(delay(delay_secs))
            .set_message_system_attributes(trace)
            .send();
        let sent = call.await.map(drop);
        vec![sent.map_err(|error| QueueError::new("SendMessage", error))]
    }

    async fn send_entries(&self, all: Vec<Sending>) -> Result<BatchResponse, QueueError> {
        const CALL: &str = "SendMessageBatch";
        let entries = all.into_iter().enumerate().map(|(index, sending)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(sending.body)
                .set_message_group_id(sending.group)
                .set_delay_seconds(delay(sending.delay_secs))
                .set_message_system_attributes(sending.trace)
                .build()
        });
        let entries: Result<Vec<_>, BuildError> = entries.collect();
        let call = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.map_err(|error| QueueError::of(CALL, error))?))
            .send();
        let sent = call.await.map_err(|error| QueueError::new(CALL, error))?;
        Ok(BatchResponse {
            request_id: sent.request_id().unwrap_or("-").to_owned(),
            done: sent
                .successful
                .iter()
                .map(|entry| entry.id.clone())
                .collect(),
            rejected: sent.failed,
        })
    }

    /// Sends up to [`BATCH_MAX`](super::BATCH_MAX) messages, each with a delay as in
    /// [`Queue::send`]: one request.
    /// Returns the messages that SQS rejected, since it accepts or rejects each on its own.
    ///
    /// # Errors
    ///
    /// When SQS is unreachable or rejects the whole batch. Any of the messages may have been sent.
    pub async fn send_batch<M: Message>(
        &self,
        messages: &[Delayed<M>],
    ) -> Result<Vec<Unsent>, QueueError> {
        let all = messages.iter().map(|message| Sending {
            body: message.message.to_body(),
            group: group_id(&message.message),
            delay_secs: message.delay_secs,
            trace: None,
        });
        let response = self.send_entries(all.collect()).await?;
        let unsent = response.rejected.into_iter().filter_map(|rejected| {
            let index = rejected.id.parse().ok()?;
            let code = rejected.code;
            Some(Unsent { index, code })
        });
        Ok(unsent.collect())
    }

    /// Checks that the queue answers: one request.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn check_reachable(&self) -> Result<(), QueueError> {
        self.client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .map_err(|error| QueueError::new("GetQueueAttributes", error))?;
        Ok(())
    }

    /// Sets a received message's visibility timeout to `secs` from now, at most twelve hours: one
    /// request, which changes made at the same moment share.
    ///
    /// # Errors
    ///
    /// When SQS is unreachable, or the message has been received again since.
    pub async fn change_visibility(
        &self,
        receipt_handle: &str,
        secs: u32,
    ) -> Result<(), QueueError> {
        let change = VisibilityChange {
            receipt_handle: receipt_handle.to_owned(),
            secs: i32::try_from(secs.min(VISIBILITY_SECS_MAX)).unwrap_or(0),
        };
        let outcome = self
            .visibility_changes
            .submit(change, ready(()), |all| {
                Box::pin(self.change_visibilities(all))
            })
            .await;
        outcome.unwrap_or_else(|| Err(QueueError::of("ChangeMessageVisibilityBatch", Cancelled)))
    }

    /// Deletes received messages, at most [`BATCH_MAX`](super::BATCH_MAX): one request.
    ///
    /// # Errors
    ///
    /// When SQS is unreachable, or rejects any of them. Such a message is received again.
    pub async fn delete(&self, receipt_handles: &[String]) -> Result<(), QueueError> {
        const CALL: &str = "DeleteMessageBatch";
        let entries = receipt_handles.iter().enumerate().map(|(index, handle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(handle)
                .build()
        });
        let entries: Result<Vec<_>, BuildError> = entries.collect();
        let call = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.map_err(|error| QueueError::of(CALL, error))?))
            .send();
        let deleted = call.await.map_err(|error| QueueError::new(CALL, error))?;
        match deleted.failed.into_iter().next() {
            Some(BatchResultErrorEntry { code, .. }) => {
                Err(QueueError::of(CALL, EntryRejected { code }))
            }
            None => Ok(()),
        }
    }

    async fn change_visibilities(
        &self,
        mut all: Vec<VisibilityChange>,
    ) -> Vec<Result<(), QueueError>> {
        let count = all.len();
        if count > 1 {
            let call = "ChangeMessageVisibilityBatch";
            return outcomes(call, count, self.change_visibility_entries(all).await);
        }
        let Some(change) = all.pop() else {
            return Vec::new();
        };
        let call = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(change.receipt_handle)
            .visibility_timeout(change.secs)
            .send();
        let changed = call.await.map(drop);
        vec![changed.map_err(|error| QueueError::new("ChangeMessageVisibility", error))]
    }

    async fn change_visibility_entries(
        &self,
        all: Vec<VisibilityChange>,
    ) -> Result<BatchResponse, QueueError> {
        const CALL: &str = "ChangeMessageVisibilityBatch";
        let entries = all.into_iter().enumerate().map(|(index, change)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(change.receipt_handle)
                .visibility_timeout(change.secs)
                .build()
        });
        let entries: Result<Vec<_>, BuildError> = entries.collect();
        let call = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.map_err(|error| QueueError::of(CALL, error))?))
            .send();
        let changed = call.await.map_err(|error| QueueError::new(CALL, error))?;
        let done = changed.successful.iter().map(|entry| entry.id.clone());
        Ok(BatchResponse {
            request_id: changed.request_id().unwrap_or("-").to_owned(),
            done: done.collect(),
            rejected: changed.failed,
        })
    }
}

/// SQS's response to a batch request. An entry's id is its index.
struct BatchResponse {
    request_id: String,
    done: Vec<String>,
    rejected: Vec<BatchResultErrorEntry>,
}

/// The outcome of each entry of a batch. A rejected entry is not tried again here, as the SDK
/// retries a rejected request: the caller tries again when its own message comes back.
fn outcomes(
    call: &'static str,
    count: usize,
    response: Result<BatchResponse, QueueError>,
) -> Vec<Result<(), QueueError>> {
    let response = match response {
        Ok(response) => response,
        Err(error) => return vec![Err(error); count],
    };
    let rejected = |code: &str| QueueError {
        call,
        request_id: response.request_id.clone(),
        source: Arc::new(EntryRejected {
            code: code.to_owned(),
        }),
    };
    // An entry that the response does not name may have been carried out or not.
    let mut outcomes = vec![Err(rejected("unanswered")); count];
    let mut put = |id: &str, outcome| {
        let index = id.parse().ok();
        if let Some(slot) = index.and_then(|index: usize| outcomes.get_mut(index)) {
            *slot = outcome;
        }
    };
    for id in &response.done {
        put(id, Ok(()));
    }
    for entry in &response.rejected {
        put(&entry.id, Err(rejected(&entry.code)));
    }
    outcomes
}

/// None for zero: the queue's own delay is zero.
fn delay(secs: u32) -> Option<i32> {
    let secs = secs.min(QUEUE_DELAY_SECS_MAX);
    (secs > 0).then_some(i32::try_from(secs).unwrap_or(0))
}

fn trace_attribute() -> Option<TraceAttribute> {
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(trace_header()?)
        .build()
        .ok()?;
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    Some(HashMap::from([(name, value)]))
}

fn group_id(message: &impl Message) -> Option<String> {
    message.group().map(|group| group.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_of_a_batch_gets_its_own_outcome() {
        let rejected = |id: &str| {
            let entry = BatchResultErrorEntry::builder().id(id).code("TooBusy");
            entry.sender_fault(false).build().unwrap()
        };
        let response = BatchResponse {
            request_id: "r-1".to_owned(),
            done: vec!["0".to_owned(), "9".to_owned()],
            rejected: vec![rejected("2"), rejected("?")],
        };
        let outcomes = outcomes("SendMessageBatch", 3, Ok(response))
            .into_iter()
            .map(|outcome| outcome.map_err(|error| crate::telemetry::chain(&error)));
        let rejected = |code: &str| {
            Err(format!(
                "SendMessageBatch failed (AWS request r-1): \
                 SQS rejected this entry of the batch: {code}"
            ))
        };
        let expected = [Ok(()), rejected("unanswered"), rejected("TooBusy")];
        assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    }
}
