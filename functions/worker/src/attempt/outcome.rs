//! What an attempt led to, and how it is recorded.

use std::time::Duration;

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

    fn write(self, operation: &Operation, runner: &Runner, now: Timestamp, jitter: f64) -> Write {
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
        let delay = runner
            .entry
            .retry
            .delay(operation.attempt, jitter)
            .min(time_left / 2);
        Write::Retry {
            error,
            next_attempt_at: now + delay,
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
        let operation = held.operation();
        let write = outcome.write(operation, runner, self.clock.now(), self.random.fraction());
        match self.write(held, &write).await {
            Ok(Finished::Written(operation)) => {
                write.count(&operation.function);
                tracing::info!(
                    function = operation.function,
                    attempt = held.operation().attempt,
                    outcome = write.word(),
                    "attempt ended"
                );
                self.after(record, message, &operation, &write).await
            }
            Ok(Finished::Lost) => super::lost(operation),
            Err(error) => {
                // The work is done again, when the message comes back.
                tracing::error!("outcome not recorded: {}", chain(&error));
                Disposition::Return
            }
        }
    }

    async fn after(
        &self,
        record: &Record,
        message: &Dispatch,
        operation: &Operation,
        write: &Write,
    ) -> Disposition {
        match write {
            Write::Retry {
                next_attempt_at, ..
            } => {
                let now = self.clock.now();
                self.put_back_until(record, message, *next_attempt_at, now)
                    .await
            }
            Write::Complete(_) | Write::Fail(_) => self.settle(operation).await,
        }
    }

    /// Work may have taken minutes, so its outcome is not thrown away for a store that is out of reach for a moment. A repeated
    /// write knows its own.
    async fn write(&self, held: &Held, write: &Write) -> Result<Finished, StoreError> {
        self.insist(|| {
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
    pub(crate) async fn insist<'a, T>(
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
