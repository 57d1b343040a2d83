//! The contract with Lambda: start-up, deadlines, and batches of SQS messages.

use std::process::ExitCode;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use futures_util::future::join_all;
use lambda_runtime::{Error, LambdaEvent, Runtime, Service, service_fn};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Environment, SettingError};
use crate::domain::time::Timestamp;
use crate::metrics::{self, Metric, MetricsConfig, Recorder};
use crate::queue::{MessageGroup, Queue};
use crate::telemetry;

/// The prefix of the log line with the reason why a function cannot start, or why Lambda's runtime
/// client failed later.
pub const CANNOT_RUN: &str = "cannot run: ";

/// The error of an invocation after which its process must not serve another. Lambda counts it as
/// an error of the function and starts a new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("work ignored its abort; the process has to end")]
pub struct EndProcess {
    /// Whether a caller's cancel or deadline caused it. False when a limit or a late heartbeat of
    /// this release did.
    pub is_caused_by_caller: bool,
}

/// Runs a function: reads the environment, builds the handler, and serves invocations until Lambda
/// stops the process. A wrong setting ends it at once with one log line that names the setting.
///
/// One thread: an instance serves one invocation at a time, and a second thread would cost start-up
/// time.
pub fn run<E, R, H>(build: impl AsyncFnOnce(Environment) -> Result<H, SettingError>) -> ExitCode
where
    E: for<'de> Deserialize<'de>,
    R: Serialize,
    H: Service<LambdaEvent<E>, Response = R, Error = Error>,
    H::Future: Future<Output = Result<R, Error>>,
{
    let environment = Environment::from_process();
    let started = telemetry::start(&environment);
    telemetry::log_panics();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot create the async runtime; the function stops: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(async {
        started.map_err(|error| error.to_string())?;
        let recorder = MetricsConfig::from_environment(&environment)
            .map_err(|error| error.to_string())?
            .map(MetricsConfig::install)
            .unwrap_or_default();
        let mut handler = build(environment)
            .await
            .map_err(|error| error.to_string())?;
        // Instead of the runtime's own span, which ERROR lines lack at a log level above INFO.
        let invocation = service_fn(move |event: LambdaEvent<E>| {
            let began_at = SystemClock.now();
            let trace_header = event.context.xray_trace_id.clone();
            let version = event.context.env_config.version.clone();
            let span =
                telemetry::invocation_span(&event.context.request_id, trace_header.as_deref());
            // On the heap, since each of the layers around it would copy the whole future.
            let served = Box::pin(handler.call(event)).instrument(span);
            async move {
                let outcome = telemetry::traced(trace_header.as_deref(), served).await;
                match outcome
                    .as_ref()
                    .err()
                    .and_then(|error| error.downcast_ref())
                {
                    Some(end) => end_process(*end, &version, recorder, began_at),
                    None => recorder.flush(),
                }
                outcome
            }
        });
        Runtime::new(invocation)
            .run()
            .await
            .map_err(|error| telemetry::chain(&*error))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{CANNOT_RUN}{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the process after it has logged the invocation's metrics. Lambda reports its own `Errors`
/// at the invocation's start, so the metrics that an alarm subtracts from them get the same
/// timestamp.
fn end_process(end: EndProcess, version: &str, recorder: Recorder, began_at: Timestamp) -> ! {
    tracing::error!("{end}");
    if end.is_caused_by_caller {
        metrics::count(Metric::CallerCausedExit);
        metrics::count(Metric::CallerCausedExitOfVersion(version));
    }
    recorder.flush_as_of(began_at);
    std::process::exit(1)
}

/// The invocation's deadline. `millis` is the event's, since 1970. Some emulators send one in 1970
/// (cargo-lambda: 600000). A deadline more than `timeout` in the past is therefore replaced by
/// `now + timeout`; a later one is kept, even if no time is left.
#[must_use]
pub fn invocation_deadline(millis: u64, timeout: Duration, now: Timestamp) -> Timestamp {
    let deadline = Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    if deadline + timeout < now {
        now + timeout
    } else {
        deadline
    }
}

/// A received message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Names the message in the batch response.
    pub message_id: String,
    /// Names this receive of the message to SQS.
    pub receipt_handle: String,
    /// Unparsed, since a malformed body must not fail the rest of the batch.
    pub body: String,
    /// By SQS's clock.
    pub sent_at: Timestamp,
    /// This receive included.
    pub receive_count: u32,
    /// The queue that the message was received from.
    pub queue_name: String,
    /// The X-Ray trace in which the message was sent.
    pub trace_header: Option<String>,
    /// Its `MessageGroupId`.
    pub group: Option<MessageGroup>,
}

impl ReceivedMessage {
    /// Makes the message visible again after `secs`: one request, shared with others of the batch.
    /// If that fails, it becomes visible when its present visibility timeout ends.
    pub async fn return_to(&self, queue: &Queue, secs: u32) -> Disposition {
        if let Err(error) = queue.change_visibility(&self.receipt_handle, secs).await {
            tracing::warn!(
                "the message's visibility was not changed, so it comes back at its timeout: {}",
                telemetry::chain(&error)
            );
        }
        Disposition::Return
    }
}

/// An SQS message has no identifier, so a batch response could not name it, and the event source
/// would delete a message that the response does not name. So there is no response: Lambda treats
/// that as complete failure, and every message of the batch comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an SQS message has no messageId")]
pub struct MissingMessageId;

/// Serves the messages of a batch concurrently, each in its own log span and X-Ray trace.
pub async fn serve_batch<'a, F>(
    messages: &'a [ReceivedMessage],
    serve: impl Fn(&'a ReceivedMessage) -> F,
) -> SqsBatchResponse
where
    F: Future<Output = Disposition>,
{
    let served = messages.iter().map(|message| {
        let trace_header = message.trace_header.as_deref();
        let span = telemetry::message_span(&message.message_id, trace_header);
        telemetry::traced(trace_header, serve(message).instrument(span))
    });
    let dispositions = join_all(served).await;
    let message_ids = messages.iter().map(|message| message.message_id.clone());
    batch_response(message_ids.zip(dispositions))
}

/// The messages of an event. One without a send time counts as sent `now`, so that it is never
/// taken for an old message.
///
/// # Errors
///
/// When one has no identifier.
pub fn received_messages(
    event: SqsEvent,
    now: Timestamp,
) -> Result<Vec<ReceivedMessage>, MissingMessageId> {
    let read = |mut message: aws_lambda_events::sqs::SqsMessage| {
        let trace_header = message.attributes.remove("AWSTraceHeader");
        let group = message.attributes.remove("MessageGroupId");
        let attribute = |name: &str| {
            message
                .attributes
                .get(name)
                .and_then(|value| value.parse::<i64>().ok())
        };
        let queue_arn = message.event_source_arn.as_deref().unwrap_or_default();
        let message_id = message.message_id.filter(|id| !id.is_empty());
        Ok(ReceivedMessage {
            sent_at: attribute("SentTimestamp").map_or(now, Timestamp::from_millis),
            receive_count: attribute("ApproximateReceiveCount")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
            queue_name: queue_arn.rsplit(':').next().unwrap_or_default().to_owned(),
            message_id: message_id.ok_or(MissingMessageId)?,
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            trace_header,
            group: group.map(MessageGroup::from_received),
        })
    };
    event.records.into_iter().map(read).collect()
}

/// What becomes of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The event source deletes it: everything that it asked for is done and recorded.
    Acknowledge,
    /// It is received again once it is visible.
    Return,
}

/// The response that makes the event source delete the acknowledged messages and no others.
///
/// Lambda treats a response without failures as complete success and deletes every message. It
/// treats a failure without an identifier, or with an unknown one, as complete failure (AWS Lambda
/// Developer Guide, "Implementing partial batch responses").
fn batch_response(
    dispositions: impl IntoIterator<Item = (String, Disposition)>,
) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for (message_id, disposition) in dispositions {
        if disposition == Disposition::Return {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message_id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response with a misspelt key would have no failures: every message would be deleted.
    #[test]
    fn a_batch_response_is_spelled_as_lambda_reads_it() {
        let json = |dispositions: Vec<(String, Disposition)>| {
            serde_json::to_string(&batch_response(dispositions)).unwrap()
        };
        assert_eq!(
            json(vec![
                ("a".into(), Disposition::Return),
                ("b".into(), Disposition::Acknowledge),
                ("c".into(), Disposition::Return),
            ]),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]}"#
        );
        assert_eq!(
            json(vec![("a".into(), Disposition::Acknowledge)]),
            r#"{"batchItemFailures":[]}"#
        );
    }

    #[test]
    fn a_deadline_long_past_is_replaced_by_the_functions_own_timeout() {
        let (now, timeout) = (
            Timestamp::from_secs(1_800_000_000),
            Duration::from_secs(900),
        );
        let deadline = |millis| invocation_deadline(millis, timeout, now);
        assert_eq!(deadline(600_000), now + timeout);
        assert_eq!(deadline(0), now + timeout);
        assert_eq!(deadline(1_800_000_000_000), now);
        assert_eq!(deadline(1_800_000_900_000), now + timeout);
        assert_eq!(deadline(1_799_999_999_000), now - Duration::from_secs(1));
    }

    #[test]
    fn a_message_without_attributes_counts_as_sent_and_received_now() {
        let event = serde_json::from_str(r#"{"Records":[{"messageId":"m","body":"{"}]}"#).unwrap();
        let now = Timestamp::from_secs(5);
        let messages = received_messages(event, now).unwrap();
        assert_eq!((messages[0].sent_at, messages[0].receive_count), (now, 1));
    }
}
