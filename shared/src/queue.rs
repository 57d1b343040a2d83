//! The queues, and what is sent over them.
//!
//! A message names an operation and the incarnation that it is for, and carries nothing that the record has: it may be
//! received twice, late, out of order or after its operation has ended, and none of that may matter.

mod batcher;
mod group;

use std::collections::HashMap;
use std::error::Error;
use std::future::ready;
use std::sync::Arc;

use aws_sdk_sqs::error::{BuildError, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use self::batcher::Batcher;
pub use self::group::{MessageGroup, host};
use crate::domain::id::{CreateId, OperationId};
use crate::domain::limits::{FORMAT, QUEUE_DELAY_SECS_MAX, VISIBILITY_SECS_MAX};
use crate::domain::operation::Operation;
use crate::telemetry::trace_header;

/// The most entries in one batch (`SendMessageBatch` in the Amazon SQS API Reference). Ten messages of ours stay far below what one
/// request may weigh.
pub const BATCH_MAX: usize = 10;

/// A queue. One for a process; cheap to clone. What is asked of it by several at the same moment is one request, as SQS bills it.
#[derive(Debug, Clone)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
    sends: Batcher<Sending, Result<(), QueueError>>,
    /// One request of [`Queue::send`] at a time: those who end their work in the milliseconds that it takes go with the next.
    turn_to_send: Arc<Mutex<()>>,
    /// Not in turn: a heartbeat waits for nobody.
    visibility_changes: Batcher<VisibilityChange, Result<(), QueueError>>,
}

/// A message to be sent.
#[derive(Debug)]
struct Sending {
    body: String,
    group: Option<String>,
    delay_secs: u32,
    trace: Option<TraceAttribute>,
}

/// A received message to be hidden.
#[derive(Debug)]
struct VisibilityChange {
    receipt_handle: String,
    secs: i32,
}

type TraceAttribute = HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>;

/// SQS refused a call or did not answer it. Whether it was carried out is not known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call} failed (AWS request {request_id})")]
pub struct QueueError {
    call: &'static str,
    request_id: String,
    /// Shared by all that the call was for.
    source: Arc<dyn Error + Send + Sync>,
}

/// SQS carried a batch out but for this part of it.
#[derive(Debug, thiserror::Error)]
#[error("a part of the batch was refused: {code}")]
struct Refused {
    code: String,
}

/// Whoever sent a batch ended in the middle of it.
#[derive(Debug, thiserror::Error)]
#[error("it was broken off")]
struct BrokenOff;

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

    /// Of a call that was not made or did not fail as a whole.
    fn of(call: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            call,
            request_id: "-".to_owned(),
            source: Arc::new(source),
        }
    }
}

impl Queue {
    /// The queue at this URL.
    #[must_use]
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self {
            client,
            url,
            sends: Batcher::default(),
            turn_to_send: Arc::default(),
            visibility_changes: Batcher::default(),
        }
    }

    /// The queue's name, which its URL and its ARN share.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Sends a message that nobody sees for `delay_secs`, of which no more than 900 count: one request, shared with those who send at
    /// the same moment, and begun when the one before it has ended. It takes two calls' time at most, as no more than [`BATCH_MAX`]
    /// messages are served at once. It belongs to the X-Ray trace that is being served; what says so does not count towards its size
    /// (Amazon SQS Developer Guide, "Message system attributes").
    ///
    /// # Errors
    ///
    /// When SQS cannot be reached, or refuses it. The message may have been sent.
    pub async fn send(&self, message: &impl Message, delay_secs: u32) -> Result<(), QueueError> {
        let sending = Sending {
            body: message.to_body(),
            group: group_id(message),
            delay_secs,
            trace: trace_attribute(),
        };
        let turn = self.turn_to_send.lock();
        let outcome = self
            .sends
            .submit(sending, turn, |all| Box::pin(self.send_all(all)))
            .await;
        outcome.unwrap_or_else(|| Err(QueueError::of("SendMessageBatch", BrokenOff)))
    }

    async fn send_all(&self, mut all: Vec<Sending>) -> Vec<Result<(), QueueError>> {
        let count = all.len();
        if count > 1 {
            return each("SendMessageBatch", count, self.send_entries(all).await);
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

    async fn send_entries(&self, all: Vec<Sending>) -> Result<Answered, QueueError> {
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
        Ok(Answered {
            request_id: sent.request_id().unwrap_or("-").to_owned(),
            done: sent
                .successful
                .iter()
                .map(|entry| entry.id.clone())
                .collect(),
            refused: sent.failed,
        })
    }

    /// Sends up to [`BATCH_MAX`] messages, each with its own delay as in [`Queue::send`]: one request. Those that SQS did not take,
    /// since it takes or refuses each by itself.
    ///
    /// # Errors
    ///
    /// When SQS cannot be reached, or refuses the batch as a whole. Any of the messages may have been sent.
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
        let answered = self.send_entries(all.collect()).await?;
        let unsent = answered.refused.into_iter().filter_map(|refused| {
            let index = refused.id.parse().ok()?;
            let code = refused.code;
            Some(Unsent { index, code })
        });
        Ok(unsent.collect())
    }

    /// Looks whether the queue answers: one request.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn look(&self) -> Result<(), QueueError> {
        self.client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .map_err(|error| QueueError::new("GetQueueAttributes", error))?;
        Ok(())
    }

    /// Hides a received message for `secs` from now, of which no more than twelve hours count: one request, shared with those who
    /// hide at the same moment.
    ///
    /// # Errors
    ///
    /// When SQS cannot be reached, or the message has been received again since.
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
                Box::pin(self.change_visibility_of_all(all))
            })
            .await;
        outcome.unwrap_or_else(|| Err(QueueError::of("ChangeMessageVisibilityBatch", BrokenOff)))
    }

    async fn change_visibility_of_all(
        &self,
        mut all: Vec<VisibilityChange>,
    ) -> Vec<Result<(), QueueError>> {
        let count = all.len();
        if count > 1 {
            let call = "ChangeMessageVisibilityBatch";
            return each(call, count, self.change_visibility_entries(all).await);
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
        let hidden = call.await.map(drop);
        vec![hidden.map_err(|error| QueueError::new("ChangeMessageVisibility", error))]
    }

    async fn change_visibility_entries(
        &self,
        all: Vec<VisibilityChange>,
    ) -> Result<Answered, QueueError> {
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
        let hidden = call.await.map_err(|error| QueueError::new(CALL, error))?;
        let done = hidden.successful.iter().map(|entry| entry.id.clone());
        Ok(Answered {
            request_id: hidden.request_id().unwrap_or("-").to_owned(),
            done: done.collect(),
            refused: hidden.failed,
        })
    }
}

/// SQS's answer to a batch, whose entries' ids are their places.
struct Answered {
    request_id: String,
    done: Vec<String>,
    refused: Vec<BatchResultErrorEntry>,
}

/// What came of each entry of a batch. What SQS refuses of it is not tried again, as a request would be that it refuses as a whole:
/// whoever asked for it does so when the message comes back.
fn each(
    call: &'static str,
    count: usize,
    answer: Result<Answered, QueueError>,
) -> Vec<Result<(), QueueError>> {
    let answered = match answer {
        Ok(answered) => answered,
        Err(error) => return vec![Err(error); count],
    };
    let refused = |code: &str| QueueError {
        call,
        request_id: answered.request_id.clone(),
        source: Arc::new(Refused {
            code: code.to_owned(),
        }),
    };
    // One that the answer does not name may have been carried out or not.
    let mut outcomes = vec![Err(refused("unanswered")); count];
    let mut put = |id: &str, outcome| {
        let place = id.parse().ok();
        if let Some(place) = place.and_then(|place: usize| outcomes.get_mut(place)) {
            *place = outcome;
        }
    };
    for id in &answered.done {
        put(id, Ok(()));
    }
    for entry in &answered.refused {
        put(&entry.id, Err(refused(&entry.code)));
    }
    outcomes
}

/// Left out when zero, for the queue's own delay is zero.
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

/// Something that can be sent.
pub trait Message {
    /// The body that says it.
    fn to_body(&self) -> String;

    /// Whose message it is to a fair queue. None only for a message that is sent on as it was
    /// received, and that was sent by a release without groups.
    fn group(&self) -> Option<&MessageGroup>;
}

fn group_id(message: &impl Message) -> Option<String> {
    message.group().map(|group| group.as_str().to_owned())
}

/// A message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed<M> {
    /// The message.
    pub message: M,
    /// For how long nobody sees it, in seconds, of which no more than 900 count.
    pub delay_secs: u32,
}

/// A message of a batch that was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// SQS's word for why.
    pub code: String,
}

/// Why a received body says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is not a message of ours.
    #[error("the message is malformed")]
    Malformed,
    /// It was sent by newer code. Upgrades and rollbacks overlap, so whoever can read it will.
    #[error("the message has the newer format {0}")]
    NewerFormat(u32),
}

/// There is work: the dispatch queue's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    /// The operation.
    pub operation_id: OperationId,
    /// Which incarnation of it.
    pub create_id: CreateId,
    /// The function it calls: a worker that does not know it must not use up an attempt to find out.
    pub function: String,
    /// The function's version, resolved.
    pub function_version: String,
    /// The owner's. It is an attribute of the message and not in its body.
    pub group: Option<MessageGroup>,
}

/// A callback may be due: the callback queue's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeUp {
    /// The operation.
    pub operation_id: OperationId,
    /// Which incarnation of it.
    pub create_id: CreateId,
    /// Asks for a new round, to be started while exactly this many attempts are on record: as many as there were when it was
    /// asked for. A round puts one on record at least, so the message starts one at most, whenever and however often it is
    /// received; and of several that were asked for at the same count, one does.
    pub redeliver_after_attempts: Option<u32>,
    /// How often the attempt that it is for was deferred, because its receiver was busy.
    pub deferrals: u32,
    /// The owner's for the receiver. It is an attribute of the message and not in its body.
    pub group: Option<MessageGroup>,
}

#[derive(Serialize, Deserialize)]
struct DispatchBody {
    format: u32,
    operation_id: String,
    create_id: String,
    function: String,
    function_version: String,
}

#[derive(Serialize, Deserialize)]
struct WakeUpBody {
    format: u32,
    operation_id: String,
    create_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeliver_after_attempts: Option<u32>,
    /// A release that does not know it makes the attempt at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    deferrals: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, MessageError> {
    // The format first: a newer body need not have the members that this code looks for.
    let FormatOnly { format } = serde_json::from_str(body).map_err(|_| MessageError::Malformed)?;
    if format > FORMAT {
        return Err(MessageError::NewerFormat(format));
    }
    serde_json::from_str(body).map_err(|_| MessageError::Malformed)
}

fn write(body: &impl Serialize) -> String {
    // The bodies above have string keys only, so writing them cannot fail.
    serde_json::to_string(body).unwrap_or_default()
}

impl Dispatch {
    /// For an operation that has not ended.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        Self {
            operation_id: operation.id.clone(),
            create_id: operation.create_id.clone(),
            function: operation.function.clone(),
            function_version: operation.function_version.clone(),
            group: Some(MessageGroup::of_owner(&operation.owner)),
        }
    }

    /// Reads a received body; `group` is what the message came with.
    ///
    /// # Errors
    ///
    /// When it is malformed or of a newer format.
    pub fn parse(body: &str, group: Option<MessageGroup>) -> Result<Self, MessageError> {
        let body: DispatchBody = read(body)?;
        Ok(Self {
            operation_id: OperationId::parse(&body.operation_id).ok_or(MessageError::Malformed)?,
            create_id: CreateId::parse(&body.create_id).ok_or(MessageError::Malformed)?,
            function: body.function,
            function_version: body.function_version,
            group,
        })
    }
}

impl Message for Dispatch {
    fn to_body(&self) -> String {
        write(&DispatchBody {
            format: FORMAT,
            operation_id: self.operation_id.as_str().to_owned(),
            create_id: self.create_id.as_str().to_owned(),
            function: self.function.clone(),
            function_version: self.function_version.clone(),
        })
    }

    fn group(&self) -> Option<&MessageGroup> {
        self.group.as_ref()
    }
}

impl WakeUp {
    /// For an operation whose callback is due.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        Self {
            operation_id: operation.id.clone(),
            create_id: operation.create_id.clone(),
            redeliver_after_attempts: None,
            deferrals: 0,
            group: operation
                .callback
                .as_ref()
                .map(|callback| MessageGroup::of_callback(&operation.owner, &callback.url)),
        }
    }

    /// Reads a received body; `group` is what the message came with.
    ///
    /// # Errors
    ///
    /// When it is malformed or of a newer format.
    pub fn parse(body: &str, group: Option<MessageGroup>) -> Result<Self, MessageError> {
        let body: WakeUpBody = read(body)?;
        Ok(Self {
            operation_id: OperationId::parse(&body.operation_id).ok_or(MessageError::Malformed)?,
            create_id: CreateId::parse(&body.create_id).ok_or(MessageError::Malformed)?,
            redeliver_after_attempts: body.redeliver_after_attempts,
            deferrals: body.deferrals,
            group,
        })
    }
}

impl Message for WakeUp {
    fn to_body(&self) -> String {
        write(&WakeUpBody {
            format: FORMAT,
            operation_id: self.operation_id.as_str().to_owned(),
            create_id: self.create_id.as_str().to_owned(),
            redeliver_after_attempts: self.redeliver_after_attempts,
            deferrals: self.deferrals,
        })
    }

    fn group(&self) -> Option<&MessageGroup> {
        self.group.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (OperationId, CreateId) {
        (
            OperationId::from_bytes([7; 12]),
            CreateId::from_bytes([9; 16]),
        )
    }

    #[test]
    fn each_of_a_batch_is_told_its_own() {
        let refused = |id: &str| {
            let entry = BatchResultErrorEntry::builder().id(id).code("TooBusy");
            entry.sender_fault(false).build().unwrap()
        };
        let answered = Answered {
            request_id: "r-1".to_owned(),
            done: vec!["0".to_owned(), "9".to_owned()],
            refused: vec![refused("2"), refused("?")],
        };
        let outcomes = each("SendMessageBatch", 3, Ok(answered));
        let told = outcomes
            .into_iter()
            .map(|outcome| outcome.map_err(|error| crate::telemetry::chain(&error)));
        let refused = |code: &str| {
            Err(format!(
                "SendMessageBatch failed (AWS request r-1): a part of the batch was refused: {code}"
            ))
        };
        let expected = [Ok(()), refused("unanswered"), refused("TooBusy")];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn messages_read_themselves_back() {
        let (operation_id, create_id) = ids();
        let dispatch = Dispatch {
            operation_id: operation_id.clone(),
            create_id: create_id.clone(),
            function: "csv.summarize".into(),
            function_version: "1.0.0".into(),
            group: Some(MessageGroup::from_received("g".into())),
        };
        let group = dispatch.group.clone();
        assert_eq!(Dispatch::parse(&dispatch.to_body(), group), Ok(dispatch));
        let wake_up = WakeUp {
            operation_id,
            create_id,
            redeliver_after_attempts: Some(7),
            deferrals: 3,
            group: None,
        };
        assert_eq!(WakeUp::parse(&wake_up.to_body(), None), Ok(wake_up));
    }

    #[test]
    fn the_wire_form_is_this_one() {
        let (operation_id, create_id) = ids();
        let wake_up = WakeUp {
            operation_id,
            create_id,
            redeliver_after_attempts: None,
            deferrals: 0,
            group: None,
        };
        assert_eq!(
            wake_up.to_body(),
            r#"{"format":1,"operation_id":"op_070707070707070707070707","create_id":"CQkJCQkJCQkJCQkJCQkJCQ"}"#
        );
    }

    #[test]
    fn a_newer_format_is_told_from_a_malformed_body() {
        assert_eq!(
            Dispatch::parse(r#"{"format":2,"what":"ever"}"#, None),
            Err(MessageError::NewerFormat(2))
        );
        for body in ["", "{", "[]", "{}", r#"{"format":1}"#, r#"{"format":"1"}"#] {
            assert_eq!(
                Dispatch::parse(body, None),
                Err(MessageError::Malformed),
                "{body}"
            );
        }
        let bad_id = r#"{"format":1,"operation_id":"op_1","create_id":"CQkJCQkJCQkJCQkJCQkJCQ"}"#;
        assert_eq!(WakeUp::parse(bad_id, None), Err(MessageError::Malformed));
        let (operation_id, create_id) = ids();
        let bad_count = format!(
            r#"{{"format":1,"operation_id":"{operation_id}","create_id":"{}","redeliver_after_attempts":-1}}"#,
            create_id.as_str()
        );
        assert_eq!(
            WakeUp::parse(&bad_count, None),
            Err(MessageError::Malformed)
        );
    }
}
