//! What the end of an attempt writes to its operation, and when an operation is given up.

use std::time::Duration;

use super::json::Json;
use super::limits::{CLAIMS_MAX, RESULT_BYTES_MAX, STATE_BYTES_MAX};
use super::operation::{FailureCode, Operation, OperationError};
use super::time::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptOutcome {
    Completed(Json),
    /// Another attempt would fail in the same way.
    PermanentFailure(OperationError),
    /// Another attempt may succeed.
    RetryableFailure(OperationError),
    /// The attempt, the invocation or the operation ran out of time; the work was aborted.
    TimedOut,
    /// The work continues in another attempt.
    Continued {
        state: Json,
        /// How long to wait before that.
        after: Duration,
        /// Attempts of the next leg.
        attempts_max: u32,
    },
}

/// The one write that records how an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptWrite {
    Complete(Json),
    Fail(AttemptFailure),
    Retry {
        error: OperationError,
        next_attempt_at: Timestamp,
    },
    Continue(Continuation),
}

/// An attempt's failure that ends its operation.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptFailure {
    /// The errors that end the operation, the function's last one first.
    pub errors: Vec<OperationError>,
    /// The code of the error that is the attempt's own. When the deadline ended the attempt, an
    /// earlier attempt's error comes before it.
    pub code: String,
}

/// Where and when an operation continues.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    pub state: Json,
    /// No worker claims it before.
    pub resumes_at: Timestamp,
    /// Claims allowed from then on, over all legs.
    pub attempts_max: u32,
}

/// The part of an operation's function that a worker does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDeployed {
    Function,
    Version,
}

/// The result of work.
///
/// # Errors
///
/// When it is too large to store.
pub fn within_limit(result: Json) -> Result<Json, OperationError> {
    limited(
        result,
        "result",
        RESULT_BYTES_MAX,
        FailureCode::ResultTooLarge,
    )
}

/// The state that work saved.
///
/// # Errors
///
/// When it is too large to store.
pub fn state_within_limit(state: Json) -> Result<Json, OperationError> {
    limited(state, "state", STATE_BYTES_MAX, FailureCode::StateTooLarge)
}

fn limited(
    json: Json,
    noun: &str,
    bytes_max: usize,
    code: FailureCode,
) -> Result<Json, OperationError> {
    let bytes = json.len_bytes();
    if bytes <= bytes_max {
        return Ok(json);
    }
    let message = format!("the {noun} has {bytes} bytes; the limit is {bytes_max}");
    Err(OperationError::of(code, &message))
}

/// Whether work may continue after the attempt with this number.
///
/// # Errors
///
/// When the work has continued too often.
pub fn may_continue(attempt: u32) -> Result<(), OperationError> {
    if attempt < CLAIMS_MAX {
        return Ok(());
    }
    let message = format!("the work continued after {CLAIMS_MAX} attempts, which is the limit");
    let code = FailureCode::ContinuedTooOften;
    Err(OperationError::of(code, &message))
}

impl AttemptOutcome {
    /// The outcome of work that returned a result. One that is too large to store is a permanent
    /// failure: the next attempt would return it again.
    #[must_use]
    pub fn of_result(result: Json) -> Self {
        match within_limit(result) {
            Ok(result) => Self::Completed(result),
            Err(error) => Self::PermanentFailure(error),
        }
    }

    /// The outcome of work that continues. A state that is too large to store is a permanent
    /// failure: the next attempt would save it again. `attempts_max` is the function's own.
    #[must_use]
    pub fn of_state(state: Json, after: Duration, attempts_max: u32) -> Self {
        match state_within_limit(state) {
            Ok(state) => Self::Continued {
                state,
                after,
                attempts_max,
            },
            Err(error) => Self::PermanentFailure(error),
        }
    }

    /// The outcome of a claim by a worker that does not have the operation's function.
    #[must_use]
    pub fn not_deployed(missing: NotDeployed) -> Self {
        let message = format!("the worker does not have the {}", missing.noun());
        Self::RetryableFailure(OperationError::of(missing.code(), &message))
    }

    /// The write that records this outcome of the operation's present attempt. `backoff` is the
    /// wait before another attempt.
    #[must_use]
    pub fn into_write(
        self,
        operation: &Operation,
        backoff: Duration,
        now: Timestamp,
    ) -> AttemptWrite {
        let time_left = operation.deadline_at.since(now);
        let error = match self {
            Self::Completed(result) => return AttemptWrite::Complete(result),
            Self::PermanentFailure(error) => return AttemptWrite::Fail(error.into()),
            Self::Continued {
                state,
                after,
                attempts_max,
            } => {
                if let Err(error) = may_continue(operation.attempt) {
                    return AttemptWrite::Fail(error.into());
                }
                return AttemptWrite::Continue(Continuation {
                    state,
                    // Past its deadline it fails like any other, and keeps the state for a redrive.
                    resumes_at: (now + after).min(operation.deadline_at),
                    attempts_max: operation.attempt + attempts_max,
                });
            }
            Self::RetryableFailure(error) => error,
            // The deadline ended the attempt, so the attempt has no error besides it.
            Self::TimedOut if time_left.is_zero() => {
                let mut failure = AttemptFailure::from(deadline_exceeded());
                failure.errors.splice(..0, last_error(operation));
                return AttemptWrite::Fail(failure);
            }
            Self::TimedOut => OperationError::of(
                FailureCode::DeadlineExceeded,
                "the attempt exceeded its time limit",
            ),
        };
        if time_left.is_zero() {
            return AttemptWrite::Fail(AttemptFailure::from(error).with(deadline_exceeded()));
        }
        if operation.attempt >= operation.attempts_max {
            return AttemptWrite::Fail(AttemptFailure::from(error).with(attempts_exhausted()));
        }
        AttemptWrite::Retry {
            error,
            // An operation is not given up while it has attempts and time left, so a wait that
            // would pass the deadline is shortened.
            next_attempt_at: now + backoff.min(time_left / 2),
        }
    }
}

/// A failure with the attempt's own error alone.
impl From<OperationError> for AttemptFailure {
    fn from(error: OperationError) -> Self {
        Self {
            code: error.code.clone(),
            errors: vec![error],
        }
    }
}

impl AttemptFailure {
    /// Adds why there is no other attempt.
    fn with(mut self, reason: OperationError) -> Self {
        self.errors.push(reason);
        self
    }
}

impl NotDeployed {
    const fn code(self) -> FailureCode {
        match self {
            Self::Function => FailureCode::FunctionNotFound,
            Self::Version => FailureCode::VersionNotFound,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Version => "version of the function",
        }
    }
}

impl Operation {
    /// The errors with which a worker that does not hold the operation gives it up, the function's
    /// last error first. `None` while it has attempts and time left.
    #[must_use]
    pub fn give_up_errors(&self, now: Timestamp) -> Option<Vec<OperationError>> {
        let is_last_attempt_recorded = self
            .last_error
            .as_ref()
            .is_some_and(|last| last.attempt == self.attempt);
        let reason = if self.deadline_at <= now {
            deadline_exceeded()
        } else if self.attempt < self.attempts_max {
            return None;
        } else if is_last_attempt_recorded {
            attempts_exhausted()
        } else {
            OperationError::of(
                FailureCode::WorkerLost,
                "the worker stopped during the last attempt",
            )
        };
        let mut errors = last_error(self);
        errors.push(reason);
        Some(errors)
    }

    /// As [`Operation::give_up_errors`], by a worker that does not have the operation's function.
    #[must_use]
    pub fn give_up_errors_not_deployed(
        &self,
        missing: NotDeployed,
        now: Timestamp,
    ) -> Option<Vec<OperationError>> {
        let mut errors = self.give_up_errors(now)?;
        // An attempt that failed for this reason already recorded it as the last error.
        if errors[0].code != missing.code().as_str() {
            let message = format!("no worker had the {} before the deadline", missing.noun());
            let reason = errors.len() - 1;
            errors.insert(reason, OperationError::of(missing.code(), &message));
        }
        Some(errors)
    }
}

fn last_error(operation: &Operation) -> Vec<OperationError> {
    let last = operation.last_error.iter();
    last.map(|last| last.error.clone()).collect()
}

fn deadline_exceeded() -> OperationError {
    OperationError::of(
        FailureCode::DeadlineExceeded,
        "the operation did not end before its deadline",
    )
}

fn attempts_exhausted() -> OperationError {
    OperationError::of(FailureCode::AttemptsExhausted, "every attempt failed")
}

#[cfg(test)]
mod tests {
    use super::super::operation::{LastError, Payload, SavedState};
    use super::*;

    const DEADLINE: Timestamp = Timestamp::from_secs(1_000);
    const BACKOFF: Duration = Duration::from_secs(10);

    /// The second of three attempts; the first recorded the error `FIRST`.
    fn operation() -> Operation {
        Operation {
            attempt: 2,
            attempts_max: 3,
            deadline_at: DEADLINE,
            last_error: Some(LastError {
                attempt: 1,
                error: error("FIRST"),
            }),
            ..Operation::sample()
        }
    }

    fn error(code: &str) -> OperationError {
        OperationError::new(code, "", None)
    }

    fn codes(errors: &[OperationError]) -> String {
        let codes: Vec<_> = errors.iter().map(|error| error.code.as_str()).collect();
        codes.join(" ")
    }

    /// The write in short: `complete`, `fail` with its codes, `retry` with its code and the wait in
    /// milliseconds, or `continue` with the wait and the attempts from then on.
    fn written(outcome: AttemptOutcome, operation: &Operation, now: Timestamp) -> String {
        match outcome.into_write(operation, BACKOFF, now) {
            AttemptWrite::Complete(_) => "complete".to_owned(),
            AttemptWrite::Fail(failure) => format!("fail {}", codes(&failure.errors)),
            AttemptWrite::Retry {
                error,
                next_attempt_at,
            } => format!(
                "retry {} {}",
                error.code,
                next_attempt_at.since(now).as_millis()
            ),
            AttemptWrite::Continue(Continuation {
                resumes_at,
                attempts_max,
                ..
            }) => format!(
                "continue {} {attempts_max}",
                resumes_at.since(now).as_millis()
            ),
        }
    }

    #[test]
    fn each_outcome_has_one_write_by_attempts_and_time_left() {
        let second = operation();
        let last = Operation {
            attempt: 3,
            ..operation()
        };
        let fresh = Operation {
            attempt: 1,
            last_error: None,
            ..operation()
        };
        let early = DEADLINE - Duration::from_secs(500);
        let close = DEADLINE - Duration::from_secs(3);
        let outcomes = [
            AttemptOutcome::Completed(Json::of(&1).unwrap()),
            AttemptOutcome::PermanentFailure(error("OURS")),
            AttemptOutcome::RetryableFailure(error("OURS")),
            AttemptOutcome::TimedOut,
        ];
        for (operation, now, expected) in [
            (
                &second,
                early,
                [
                    "complete",
                    "fail OURS",
                    "retry OURS 10000",
                    "retry DEADLINE_EXCEEDED 10000",
                ],
            ),
            (
                &second,
                close,
                [
                    "complete",
                    "fail OURS",
                    "retry OURS 1500",
                    "retry DEADLINE_EXCEEDED 1500",
                ],
            ),
            (
                &last,
                early,
                [
                    "complete",
                    "fail OURS",
                    "fail OURS ATTEMPTS_EXHAUSTED",
                    "fail DEADLINE_EXCEEDED ATTEMPTS_EXHAUSTED",
                ],
            ),
            (
                &second,
                DEADLINE,
                [
                    "complete",
                    "fail OURS",
                    "fail OURS DEADLINE_EXCEEDED",
                    "fail FIRST DEADLINE_EXCEEDED",
                ],
            ),
            (
                &last,
                DEADLINE + BACKOFF,
                [
                    "complete",
                    "fail OURS",
                    "fail OURS DEADLINE_EXCEEDED",
                    "fail FIRST DEADLINE_EXCEEDED",
                ],
            ),
            (
                &fresh,
                DEADLINE,
                [
                    "complete",
                    "fail OURS",
                    "fail OURS DEADLINE_EXCEEDED",
                    "fail DEADLINE_EXCEEDED",
                ],
            ),
        ] {
            let writes = outcomes
                .clone()
                .map(|outcome| written(outcome, operation, now));
            assert_eq!(writes, expected, "attempt {} at {now}", operation.attempt);
        }
    }

    #[test]
    fn a_result_past_the_limit_is_a_permanent_failure() {
        let text = |bytes| Json::of(&"a".repeat(bytes - 2)).unwrap();
        let largest = text(RESULT_BYTES_MAX);
        let outcome = AttemptOutcome::of_result(largest.clone());
        assert_eq!(outcome, AttemptOutcome::Completed(largest));
        let outcome = AttemptOutcome::of_result(text(RESULT_BYTES_MAX + 1));
        let write = written(outcome, &operation(), Timestamp::from_secs(0));
        assert_eq!(write, "fail RESULT_TOO_LARGE");
    }

    #[test]
    fn work_that_continues_gets_all_attempts_again_and_waits_until_the_deadline_at_most() {
        let early = DEADLINE - Duration::from_secs(500);
        let continued = |secs, attempts_max| AttemptOutcome::Continued {
            state: Json::of(&1).unwrap(),
            after: Duration::from_secs(secs),
            attempts_max,
        };
        for (attempt, secs, attempts_max, now, expected) in [
            (2, 0, 3, early, "continue 0 5"),
            (3, 60, 3, early, "continue 60000 6"),
            (2, 500, 3, early, "continue 500000 5"),
            (2, 501, 3, early, "continue 500000 5"),
            (2, u64::MAX, 1, early, "continue 500000 3"),
            (2, 10, 3, DEADLINE + BACKOFF, "continue 0 5"),
            (CLAIMS_MAX - 1, 0, 3, early, "continue 0 1002"),
            (CLAIMS_MAX, 0, 3, early, "fail CONTINUED_TOO_OFTEN"),
            (CLAIMS_MAX + 2, 0, 3, early, "fail CONTINUED_TOO_OFTEN"),
        ] {
            let operation = Operation {
                attempt,
                ..operation()
            };
            let outcome = written(continued(secs, attempts_max), &operation, now);
            assert_eq!(outcome, expected, "attempt {attempt} at {now}");
        }
    }

    #[test]
    fn a_leg_that_has_begun_keeps_its_attempts() {
        let operation = Operation {
            attempt: CLAIMS_MAX + 1,
            attempts_max: CLAIMS_MAX + 2,
            saved_state: Some(SavedState {
                attempt: CLAIMS_MAX - 1,
                value: Payload::External,
            }),
            ..operation()
        };
        let early = DEADLINE - Duration::from_secs(500);
        let outcome = AttemptOutcome::RetryableFailure(error("OURS"));
        assert_eq!(written(outcome, &operation, early), "retry OURS 10000");
        assert_eq!(operation.give_up_errors(early), None);
    }

    #[test]
    fn a_state_past_the_limit_is_a_permanent_failure() {
        let text = |bytes| Json::of(&"a".repeat(bytes - 2)).unwrap();
        let outcome = |bytes| AttemptOutcome::of_state(text(bytes), Duration::ZERO, 3);
        let early = DEADLINE - Duration::from_secs(500);
        let write = written(outcome(STATE_BYTES_MAX), &operation(), early);
        assert_eq!(write, "continue 0 5");
        let write = written(outcome(STATE_BYTES_MAX + 1), &operation(), early);
        assert_eq!(write, "fail STATE_TOO_LARGE");
    }

    #[test]
    fn a_failed_attempt_has_the_code_of_its_own_error() {
        let early = DEADLINE - Duration::from_secs(500);
        let last = Operation {
            attempt: 3,
            ..operation()
        };
        let failed = |code| AttemptOutcome::RetryableFailure(error(code));
        for (outcome, now, errors, code) in [
            (
                AttemptOutcome::PermanentFailure(error("OURS")),
                early,
                "OURS",
                "OURS",
            ),
            (failed("OURS"), early, "OURS ATTEMPTS_EXHAUSTED", "OURS"),
            (failed("OURS"), DEADLINE, "OURS DEADLINE_EXCEEDED", "OURS"),
            // As the attempt before it.
            (
                failed("FIRST"),
                DEADLINE,
                "FIRST DEADLINE_EXCEEDED",
                "FIRST",
            ),
            (
                AttemptOutcome::TimedOut,
                DEADLINE,
                "FIRST DEADLINE_EXCEEDED",
                "DEADLINE_EXCEEDED",
            ),
        ] {
            let AttemptWrite::Fail(failure) = outcome.into_write(&last, BACKOFF, now) else {
                panic!("the operation fails with {errors}")
            };
            assert_eq!(
                (codes(&failure.errors).as_str(), failure.code.as_str()),
                (errors, code)
            );
        }
    }

    #[test]
    fn an_operation_is_given_up_only_without_attempts_or_time() {
        let (early, late) = (DEADLINE - Duration::from_millis(1), DEADLINE);
        let missing = NotDeployed::Version;
        let unknown = Some(LastError {
            attempt: 2,
            error: error("VERSION_NOT_FOUND"),
        });
        let failed = |attempt| {
            let error = error("FAILED");
            Some(LastError { attempt, error })
        };
        for (attempt, last_error, now, with_function, without_function) in [
            (2, failed(1), early, None, None),
            (0, None, early, None, None),
            (
                0,
                None,
                late,
                Some("DEADLINE_EXCEEDED"),
                Some("VERSION_NOT_FOUND DEADLINE_EXCEEDED"),
            ),
            (
                2,
                failed(1),
                late,
                Some("FAILED DEADLINE_EXCEEDED"),
                Some("FAILED VERSION_NOT_FOUND DEADLINE_EXCEEDED"),
            ),
            (
                2,
                unknown,
                late,
                Some("VERSION_NOT_FOUND DEADLINE_EXCEEDED"),
                Some("VERSION_NOT_FOUND DEADLINE_EXCEEDED"),
            ),
            (
                3,
                failed(3),
                early,
                Some("FAILED ATTEMPTS_EXHAUSTED"),
                Some("FAILED VERSION_NOT_FOUND ATTEMPTS_EXHAUSTED"),
            ),
            (
                3,
                failed(2),
                early,
                Some("FAILED WORKER_LOST"),
                Some("FAILED VERSION_NOT_FOUND WORKER_LOST"),
            ),
            (
                3,
                failed(3),
                late,
                Some("FAILED DEADLINE_EXCEEDED"),
                Some("FAILED VERSION_NOT_FOUND DEADLINE_EXCEEDED"),
            ),
        ] {
            let operation = Operation {
                attempt,
                last_error,
                ..operation()
            };
            let codes = |errors: Option<Vec<_>>| errors.map(|errors| codes(&errors));
            let errors = codes(operation.give_up_errors(now));
            assert_eq!(errors.as_deref(), with_function, "{operation:?} at {now}");
            let errors = codes(operation.give_up_errors_not_deployed(missing, now));
            assert_eq!(
                errors.as_deref(),
                without_function,
                "{operation:?} at {now}"
            );
        }
    }
}
