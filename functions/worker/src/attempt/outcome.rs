//! What an attempt led to, and how it is recorded.

use std::time::Duration;

use shared::domain::json::Json;
use shared::domain::limits::RESULT_BYTES_MAX;
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::queue::Dispatch;
use shared::store::{Finished, Held, StoreError};
use shared::telemetry::chain;

use crate::Worker;
use crate::thread::Ended;
use crate::work::{Runner, WorkError};

/// How long to wait before an outcome that could not be recorded is recorded again.
const RECORD_INTERVAL: Duration = Duration::from_secs(1);

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

    pub(super) const fn out_of_time() -> Self {
        Self::OutOfTime
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
        if operation.attempt >= operation.attempts_max {
            let exhausted =
                OperationError::of(FailureCode::AttemptsExhausted, "every attempt failed");
            return Write::Fail(vec![error, exhausted]);
        }
        let next_attempt_at = now + runner.entry.retry.delay(operation.attempt, jitter);
        if next_attempt_at >= operation.deadline_at {
            // There is no time left for another attempt, and waiting for the deadline would not make any.
            return Write::Fail(vec![error, deadline_exceeded()]);
        }
        Write::Retry {
            error,
            next_attempt_at,
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
        match self.write_until_it_holds(held, &write).await {
            Ok(Finished::Written(operation)) => match write {
                Write::Retry {
                    next_attempt_at, ..
                } => {
                    let now = self.clock.now();
                    self.put_back_until(record, message, next_attempt_at, now)
                        .await
                }
                Write::Complete(_) | Write::Fail(_) => self.settle(&operation).await,
            },
            Ok(Finished::Lost) => {
                tracing::info!(operation_id = %operation.id, "outcome refused: the operation is no longer held here");
                Disposition::Return
            }
            Err(error) => {
                // The work is done again, when the message comes back.
                tracing::error!(operation_id = %operation.id, "outcome not recorded: {}", chain(&error));
                Disposition::Return
            }
        }
    }

    /// Work may have taken minutes, so its outcome is not thrown away for a store that is out of reach for a moment: it is
    /// written again and again while the lease lasts. A repeated write knows its own.
    async fn write_until_it_holds(
        &self,
        held: &Held,
        write: &Write,
    ) -> Result<Finished, StoreError> {
        let give_up_at = self.clock.now() + self.lease;
        loop {
            let now = self.clock.now();
            let written = match write {
                Write::Complete(result) => self.store.complete(held, result, now).await,
                Write::Fail(errors) => self.store.fail(held, errors, now).await,
                Write::Retry {
                    error,
                    next_attempt_at,
                } => self.store.retry(held, error, *next_attempt_at, now).await,
            };
            let next = self.clock.now() + RECORD_INTERVAL;
            match written {
                Err(error @ (StoreError::Unreachable { .. } | StoreError::Throttled))
                    if next < give_up_at =>
                {
                    tracing::warn!(operation_id = %held.operation().id, "outcome not recorded yet: {}", chain(&error));
                    self.clock.sleep_until(next).await;
                }
                written => return written,
            }
        }
    }
}
