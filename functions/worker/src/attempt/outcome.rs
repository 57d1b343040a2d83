//! What an attempt led to, and how it is recorded.

use std::time::Duration;

use shared::catalogue::Unknown;
use shared::clock::BoxFuture;
use shared::domain::json::Json;
use shared::domain::limits::RESULT_BYTES_MAX;
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::{Finished, Held, StoreError};
use shared::telemetry::chain;

use crate::Worker;
use crate::dispatch::not_found;
use crate::thread::Ended;
use crate::work::{Runner, WorkError};

/// How long to wait before a call that the store did not answer is made again.
const CALL_AGAIN_INTERVAL: Duration = Duration::from_secs(1);

/// What an attempt led to.
pub(super) enum Outcome {
    Completed(Json),
    /// For good.
    Failed(OperationError),
    /// Unless there is another attempt.
    FailedForNow(OperationError),
    /// The time ran out, of the attempt or of more than that.
    OutOfTime,
}

/// What was recorded of an attempt.
enum Recorded {
    /// The operation has ended.
    Ended(Box<Operation>),
    /// There is another attempt, not before this.
    Retried { next_attempt_at: Timestamp },
}

/// A write that records an outcome.
enum Write {
    Complete(Json),
    Fail(Vec<OperationError>),
    Retry {
        error: OperationError,
        next_attempt_at: Timestamp,
    },
}

impl Write {
    /// What it comes to, for the log.
    const fn word(&self) -> &'static str {
        match self {
            Self::Complete(_) => "completed",
            Self::Fail(_) => "failed",
            Self::Retry { .. } => "to be retried",
        }
    }

    fn count(&self, function: &str) {
        match self {
            Self::Complete(_) => {
                metrics::count(Metric::AttemptCompleted(function));
                metrics::count(Metric::OperationCompleted(function));
            }
            Self::Fail(_) => {
                metrics::count(Metric::AttemptFailed(function));
                metrics::count(Metric::OperationFailed(function));
            }
            Self::Retry { .. } => metrics::count(Metric::AttemptRetried(function)),
        }
    }
}

impl Outcome {
    pub(super) fn of(ended: Ended) -> Self {
        match ended {
            Ended::Returned(Ok(result)) if result.len_bytes() <= RESULT_BYTES_MAX => {
                Self::Completed(result)
            }
            Ended::Returned(Ok(result)) => {
                let message = format!(
                    "the result has {} bytes, and at most {RESULT_BYTES_MAX} are kept",
                    result.len_bytes()
                );
                Self::Failed(OperationError::of(FailureCode::ResultTooLarge, &message))
            }
            Ended::Returned(Err(WorkError {
                error,
                retryable: true,
            })) => Self::FailedForNow(error),
            Ended::Returned(Err(WorkError {
                error,
                retryable: false,
            })) => Self::Failed(error),
            Ended::Panicked => Self::FailedForNow(OperationError::of(
                FailureCode::InternalError,
                "the function panicked",
            )),
            Ended::Aborted => Self::OutOfTime,
        }
    }

    /// `delay` is the wait before another attempt.
    fn write(self, operation: &Operation, delay: Duration, now: Timestamp) -> Write {
        let error = match self {
            Self::Completed(result) => return Write::Complete(result),
            Self::Failed(error) => return Write::Fail(vec![error]),
            Self::FailedForNow(error) => error,
            Self::OutOfTime if operation.deadline_at <= now => {
                let last = operation.last_error.as_ref().map(|last| last.error.clone());
                return Write::Fail(last.into_iter().chain([deadline_exceeded()]).collect());
            }
            Self::OutOfTime => OperationError::of(
                FailureCode::DeadlineExceeded,
                "the attempt took longer than it may",
            ),
        };
        let time_left = operation.deadline_at.since(now);
        if time_left.is_zero() {
            return Write::Fail(vec![error, deadline_exceeded()]);
        }
        if operation.attempt >= operation.attempts_max {
            let exhausted =
                OperationError::of(FailureCode::AttemptsExhausted, "every attempt failed");
            return Write::Fail(vec![error, exhausted]);
        }
        // Nothing is given up while it has attempts and time left: a wait that would pass the deadline is shortened.
        Write::Retry {
            error,
            next_attempt_at: now + delay.min(time_left / 2),
        }
    }
}

fn deadline_exceeded() -> OperationError {
    OperationError::of(
        FailureCode::DeadlineExceeded,
        "the operation did not end before its deadline",
    )
}

impl Worker {
    /// Outcome, then callback message, then acknowledgement. A crash anywhere brings the message back: before the outcome's
    /// write to another attempt, after it to an operation that has ended, whose callback is sent then.
    pub(super) async fn record_outcome(
        &self,
        record: &Record,
        message: &Dispatch,
        runner: &Runner,
        held: &Held,
        outcome: Outcome,
    ) -> Disposition {
        let (retry, attempt) = (&runner.entry.retry, held.operation().attempt);
        let delay = retry.delay(attempt, self.random.fraction());
        match self.record(held, outcome, delay).await {
            Ok(Recorded::Ended(operation)) => self.settle(&operation).await,
            Ok(Recorded::Retried { next_attempt_at }) => {
                let now = self.clock.now();
                self.return_until(record, message, next_attempt_at, now)
                    .await
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// Lets an operation go whose record names a function that this worker does not know, and whose
    /// message named one that it does. No step takes a claim back, so this is a failed attempt, and
    /// the last one ends the operation. But a false message costs one attempt and not all that are
    /// left: a true one takes its place, and waits for a worker that knows the function without a
    /// claim, until the deadline ([`Worker::serve_unknown`]).
    pub(crate) async fn let_go_unknown(&self, held: &Held, unknown: &Unknown) -> Disposition {
        let (code, what) = not_found(unknown);
        let message = format!("the worker did not know the {what}");
        let outcome = Outcome::FailedForNow(OperationError::of(code, &message));
        // At once: the wait is the true message's.
        match self.record(held, outcome, Duration::ZERO).await {
            Ok(Recorded::Ended(operation)) => self.settle(&operation).await,
            // A crash here brings the false message back, for another attempt.
            Ok(Recorded::Retried { .. }) => {
                self.send_afresh(&Dispatch::of(held.operation()), 0).await
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// Writes what an attempt led to; what becomes of its message when that could not be.
    async fn record(
        &self,
        held: &Held,
        outcome: Outcome,
        delay: Duration,
    ) -> Result<Recorded, Disposition> {
        let operation = held.operation();
        let write = outcome.write(operation, delay, self.clock.now());
        match self.write(held, &write).await {
            Ok(Finished::Written(written)) => {
                write.count(&written.function);
                tracing::info!(
                    function = written.function,
                    attempt = operation.attempt,
                    outcome = write.word(),
                    "attempt ended"
                );
                Ok(match write {
                    Write::Complete(_) | Write::Fail(_) => Recorded::Ended(written),
                    Write::Retry {
                        next_attempt_at, ..
                    } => Recorded::Retried { next_attempt_at },
                })
            }
            Ok(Finished::Lost) => Err(super::lost(operation)),
            Err(error) => {
                // The work is done again, when the message comes back.
                tracing::error!("outcome not recorded: {}", chain(&error));
                Err(Disposition::Return)
            }
        }
    }

    /// Work may have taken minutes, so its outcome is not thrown away for a store that is out of reach for a moment. A repeated
    /// write knows its own.
    async fn write(&self, held: &Held, write: &Write) -> Result<Finished, StoreError> {
        self.retry_while_unavailable(|| {
            let now = self.clock.now();
            match write {
                Write::Complete(result) => Box::pin(self.store.complete(held, result, now)),
                Write::Fail(errors) => Box::pin(self.store.fail(held, errors, now)),
                Write::Retry {
                    error,
                    next_attempt_at,
                } => Box::pin(self.store.retry(held, error, *next_attempt_at, now)),
            }
        })
        .await
    }

    /// Makes a call again and again while the store is out of reach, for as long as a lease lasts from now.
    pub(crate) async fn retry_while_unavailable<'a, T>(
        &self,
        call: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let give_up_at = self.clock.now() + self.lease;
        loop {
            let outcome = call().await;
            let next = self.clock.now() + CALL_AGAIN_INTERVAL;
            match outcome {
                Err(error @ (StoreError::Unreachable { .. } | StoreError::Throttled))
                    if next < give_up_at =>
                {
                    tracing::warn!("to be tried again: {}", chain(&error));
                    self.clock.sleep_until(next).await;
                }
                outcome => return outcome,
            }
        }
    }
}
