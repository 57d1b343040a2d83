//! What Lambda sends to a function and expects from it.

use std::process::ExitCode;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, Runtime, Service, service_fn};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Environment, SettingError};
use crate::domain::time::Timestamp;
use crate::metrics::{self, Metric, MetricsConfig, Recorder};
use crate::queue::MessageGroup;
use crate::telemetry;

/// What the log line of a function that refuses to start begins with; the reason follows.
pub const CANNOT_RUN: &str = "cannot run: ";

/// The error of an invocation after which its process must not serve another. Lambda counts it as an
/// error of the function, and starts a new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("work ignored its abort; the process has to end")]
pub struct EndProcess {
    /// Whether a caller's cancel or deadline led to it, and nothing that is wrong with this version.
    pub is_caused_by_caller: bool,
}

/// Runs a function: reads the environment, builds the handler, and serves invocations until Lambda stops the process. A setting
/// that is wrong ends it at once with one line that names it.
///
/// One thread: an instance serves one invocation at a time, and a second thread costs start-up time.
pub fn run<E, R, H>(build: impl AsyncFnOnce(Environment) -> Result<H, SettingError>) -> ExitCode
where
    E: for<'de> Deserialize<'de>,
    R: Serialize,
    H: Service<LambdaEvent<E>, Response = R, Error = Error>,
    H::Future: Future<Output = Result<R, Error>>,
{
    let environment = Environment::of_process();
    let started = telemetry::start(&environment);
    telemetry::log_panics();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
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
        // Not the runtime's own span, which an ERROR is without at a log level above INFO.
        let invocation = service_fn(move |event: LambdaEvent<E>| {
            let began_at = SystemClock.now();
            let trace_header = event.context.xray_trace_id.clone();
            let version = event.context.env_config.version.clone();
            let span =
                telemetry::invocation_span(&event.context.request_id, trace_header.as_deref());
            // On the heap at once: each of the layers around it would copy the whole of it.
            let served = Box::pin(handler.call(event)).instrument(span);
            async move {
                let answer = telemetry::traced(trace_header.as_deref(), served).await;
                match answer.as_ref().err().and_then(|error| error.downcast_ref()) {
                    Some(end) => end_process(*end, &version, recorder, began_at),
                    None => recorder.flush(),
                }
                answer
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

/// Ends the process, with the invocation's metrics on the log. Lambda reports its own `Errors` of this
/// invocation as of its beginning, so those that an alarm subtracts from them have the same time.
fn end_process(end: EndProcess, version: &str, recorder: Recorder, began_at: Timestamp) -> ! {
    tracing::error!("{end}");
    if end.is_caused_by_caller {
        metrics::count(Metric::CallerCausedExit);
        metrics::count(Metric::CallerCausedExitOfVersion(version));
    }
    recorder.flush_as_of(began_at);
    std::process::exit(1)
}

/// When Lambda ends an invocation, by the milliseconds since 1970 that it was told with. One long past was not told by Lambda,
/// which never begins an invocation that is over: runtime emulators are known to count from 1970 (cargo-lambda's says 600000).
/// The function's own `timeout` counts then. A deadline of this moment is none of those: there is no time left.
#[must_use]
pub fn invocation_deadline(millis: u64, timeout: Duration, now: Timestamp) -> Timestamp {
    let told = Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    if told + timeout < now {
        now + timeout
    } else {
        told
    }
}

/// A message as the event source handed it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What names it in the answer.
    pub message_id: String,
    /// What names this receive of it to the queue.
    pub receipt_handle: String,
    /// Unparsed: one body that is malformed must not fail its neighbours.
    pub body: String,
    /// When it was sent, by the queue's own clock.
    pub sent_at: Timestamp,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// The queue it came from.
    pub queue_name: String,
    /// The X-Ray trace that it was sent in.
    pub trace_header: Option<String>,
    /// Its `MessageGroupId`.
    pub group: Option<MessageGroup>,
}

/// A record has no identifier. An answer could not name it, and one that names nothing would have it deleted; so there is none,
/// which Lambda takes for complete failure: every message of the batch comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record has no messageId")]
pub struct MissingMessageId;

/// The records of an event. A record without its send time counts as sent `now`, so that it is never taken for an old one.
///
/// # Errors
///
/// When one of them cannot be named in an answer.
pub fn records(event: SqsEvent, now: Timestamp) -> Result<Vec<Record>, MissingMessageId> {
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
        let named = message.message_id.filter(|id| !id.is_empty());
        Ok(Record {
            sent_at: attribute("SentTimestamp").map_or(now, Timestamp::from_millis),
            receive_count: attribute("ApproximateReceiveCount")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
            queue_name: queue_arn.rsplit(':').next().unwrap_or_default().to_owned(),
            message_id: named.ok_or(MissingMessageId)?,
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            trace_header,
            group: group.map(MessageGroup::from_received),
        })
    };
    event.records.into_iter().map(read).collect()
}

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Everything that it asked for is done and recorded: it may be deleted.
    Acknowledge,
    /// It is to be received again, once it is visible.
    Return,
}

/// The answer that makes the event source delete the acknowledged messages and no others.
///
/// Lambda takes an answer without failures for complete success, and deletes all messages; it takes a failure without an
/// identifier, or with one that it does not know, for complete failure (AWS Lambda Developer Guide, "Implementing partial
/// batch responses").
#[must_use]
pub fn batch_response(
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

    /// A misspelt key would be an answer without failures: every message would be deleted.
    #[test]
    fn the_answer_is_literally_this() {
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
    fn a_deadline_that_lambda_cannot_have_told_is_the_functions_own() {
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
    fn a_record_without_attributes_is_new() {
        let event = serde_json::from_str(r#"{"Records":[{"messageId":"m","body":"{"}]}"#).unwrap();
        let now = Timestamp::from_secs(5);
        let records = records(event, now).unwrap();
        assert_eq!((records[0].sent_at, records[0].receive_count), (now, 1));
    }
}
