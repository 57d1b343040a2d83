//! Records the outcome of an attempt.

use std::time::Duration;

use shared::catalogue::Entry;
use shared::domain::attempt::{AttemptOutcome, AttemptWrite, Continuation, NotDeployed};
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::Disposition;
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::{FinishOutcome, Held, StoreError};
use shared::telemetry::chain;

use crate::Handler;
use crate::received::ReceivedDispatch;
use crate::thread::WorkEnd;
use crate::work::{Next, WorkError};

/// What was recorded of an attempt.
enum RecordedAttempt {
    /// The operation has ended.
    Ended(Box<Operation>),
    /// There is another attempt.
    Retried { next_attempt_at: Timestamp },
    /// There is another leg.
    Continued { resumes_at: Timestamp },
}

/// `attempts_max` is the function's own.
pub(super) fn of_work(ended: WorkEnd, attempts_max: u32) -> AttemptOutcome {
    match ended {
        WorkEnd::Returned(Ok(Next::Done(result))) => AttemptOutcome::of_result(result),
        WorkEnd::Returned(Ok(Next::Continue { state, after })) => {
            AttemptOutcome::of_state(state, after, attempts_max)
        }
        WorkEnd::Returned(Err(WorkError {
            error,
            retryable: true,
        })) => AttemptOutcome::RetryableFailure(error),
        WorkEnd::Returned(Err(WorkError {
            error,
            retryable: false,
        })) => AttemptOutcome::PermanentFailure(error),
        WorkEnd::Panicked => AttemptOutcome::RetryableFailure(OperationError::of(
            FailureCode::InternalError,
            "the function panicked",
        )),
        WorkEnd::Aborted => AttemptOutcome::TimedOut,
    }
}

impl Handler {
    /// Outcome, then wake-up or fresh message, then acknowledgement. A crash anywhere brings the
    /// message back: before the outcome's write to another attempt; after it to an operation that
    /// has ended, whose wake-up is sent then, or that waits, whose fresh message is sent then.
    pub(super) async fn record_outcome(
        &self,
        received: &ReceivedDispatch<'_>,
        entry: &Entry,
        held: &Held,
        outcome: AttemptOutcome,
    ) -> Disposition {
        let attempt = held.operation().leg_attempt();
        let backoff = entry.retry.delay(attempt, self.random.fraction());
        match self.record(held, outcome, backoff).await {
            Ok(RecordedAttempt::Ended(operation)) => self.acknowledge_ended(&operation).await,
            Ok(RecordedAttempt::Retried { next_attempt_at }) => {
                received.wait_until(next_attempt_at, self.clock.now()).await
            }
            // At once too: a leg must not use up the message's receives.
            Ok(RecordedAttempt::Continued { resumes_at }) => {
                received.send_on(resumes_at, self.clock.now()).await
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// Fails an attempt whose message named a function that this worker has, while the record names
    /// one that it lacks. A claim cannot be undone, so the attempt counts, and the last one ends
    /// the operation. To lose one attempt and not all, this replaces the message with one that
    /// names the record's function, which then waits unclaimed until the deadline for a worker that
    /// has it ([`Handler::wait_for_deployment`]).
    pub(crate) async fn fail_not_deployed(
        &self,
        received: &ReceivedDispatch<'_>,
        held: &Held,
        missing: NotDeployed,
    ) -> Disposition {
        let outcome = AttemptOutcome::not_deployed(missing);
        // Without a backoff: the message that replaces this one waits.
        match self.record(held, outcome, Duration::ZERO).await {
            Ok(RecordedAttempt::Ended(operation)) => self.acknowledge_ended(&operation).await,
            // A crash here brings the received message back, for another attempt.
            Ok(RecordedAttempt::Retried { .. } | RecordedAttempt::Continued { .. }) => {
                received.replace(&Dispatch::of(held.operation()), 0).await
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// Writes the outcome of an attempt. `Err` is the message's disposition if the outcome was not
    /// written.
    async fn record(
        &self,
        held: &Held,
        outcome: AttemptOutcome,
        backoff: Duration,
    ) -> Result<RecordedAttempt, Disposition> {
        let operation = held.operation();
        let write = outcome.into_write(operation, backoff, self.clock.now());
        match self.write(held, &write).await {
            Ok(FinishOutcome::Written(written)) => {
                count(&write, &written.function);
                tracing::info!(
                    function = written.function,
                    attempt = operation.attempt,
                    outcome = log_name(&write),
                    "attempt ended"
                );
                Ok(match write {
                    AttemptWrite::Complete(_) | AttemptWrite::Fail(_) => {
                        RecordedAttempt::Ended(written)
                    }
                    AttemptWrite::Retry {
                        next_attempt_at, ..
                    } => RecordedAttempt::Retried { next_attempt_at },
                    AttemptWrite::Continue(Continuation { resumes_at, .. }) => {
                        RecordedAttempt::Continued { resumes_at }
                    }
                })
            }
            Ok(FinishOutcome::Lost) => Err(super::abandon(operation)),
            Err(error) => {
                tracing::error!(
                    "outcome not recorded, so the work runs again when the message comes back: {}",
                    chain(&error)
                );
                Err(Disposition::Return)
            }
        }
    }

    /// Retried, since the work may have taken minutes, and its outcome is not to be lost to a short
    /// outage of the store. A write that was already applied is recognised by its claim id.
    async fn write(&self, held: &Held, write: &AttemptWrite) -> Result<FinishOutcome, StoreError> {
        let give_up_at = self.clock.now() + self.lease;
        self.retry_while_unavailable(give_up_at, || {
            let now = self.clock.now();
            match write {
                AttemptWrite::Complete(result) => Box::pin(self.store.complete(held, result, now)),
                AttemptWrite::Fail(failure) => Box::pin(self.store.fail(held, failure, now)),
                AttemptWrite::Retry {
                    error,
                    next_attempt_at,
                } => Box::pin(self.store.retry(held, error, *next_attempt_at, now)),
                AttemptWrite::Continue(continuation) => {
                    Box::pin(self.store.continue_from(held, continuation, now))
                }
            }
        })
        .await
    }
}

const fn log_name(write: &AttemptWrite) -> &'static str {
    match write {
        AttemptWrite::Complete(_) => "completed",
        AttemptWrite::Fail(_) => "failed",
        AttemptWrite::Retry { .. } => "retried",
        AttemptWrite::Continue(_) => "continued",
    }
}

fn count(write: &AttemptWrite, function: &str) {
    match write {
        AttemptWrite::Complete(_) => {
            metrics::count(Metric::AttemptCompleted(function));
            metrics::count(Metric::OperationCompleted(function));
        }
        AttemptWrite::Fail(_) => {
            metrics::count(Metric::AttemptFailed(function));
            metrics::count(Metric::OperationFailed(function));
        }
        AttemptWrite::Retry { .. } => metrics::count(Metric::AttemptRetried(function)),
        AttemptWrite::Continue(_) => metrics::count(Metric::AttemptContinued(function)),
    }
}
