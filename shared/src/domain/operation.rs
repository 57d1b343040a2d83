//! An operation and the states it goes through.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ulid::Ulid;

use super::callback::{Callback, CallbackStatus};
use super::fingerprint::RequestHash;
use super::history::AttemptEntry;
use super::id::{ClaimId, CreateId, OperationId};
use super::json::Json;
use super::limits::{
    ERROR_CODE_CHARS_MAX, ERROR_DETAILS_BYTES_MAX, ERROR_MESSAGE_CHARS_MAX, OWNER_BYTES_MAX,
};
use super::time::Timestamp;
use super::transition::Status;

/// Who an operation belongs to: the kind of authorizer and the name that it authenticated, such as
/// `jwt:alice`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The kinds of authorizers.
    const KINDS: [&str; 5] = ["cognito", "iam", "jwt", "lambda", "local"];

    /// `None` unless the name has 1 to 256 bytes.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Option<Self> {
        (1..=OWNER_BYTES_MAX)
            .contains(&name.len())
            .then(|| Self(format!("{kind}:{name}")))
    }

    /// Takes an owner from a record, which holds valid owners only.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The owner with its kind, as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not an owner that an authorizer could have authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an owner is the kind of an authorizer and a name, such as jwt:alice")]
pub struct InvalidOwner;

/// Reads [`Owner::as_str`] back.
impl FromStr for Owner {
    type Err = InvalidOwner;

    fn from_str(text: &str) -> Result<Self, InvalidOwner> {
        let (kind, name) = text.split_once(':').ok_or(InvalidOwner)?;
        if !Self::KINDS.contains(&kind) {
            return Err(InvalidOwner);
        }
        Self::new(kind, name).ok_or(InvalidOwner)
    }
}

/// Why an operation or one of its attempts failed.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationError {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
    pub details: Option<Json>,
}

impl OperationError {
    /// Cuts code and message to their limits, and leaves out details that are too large.
    #[must_use]
    pub fn new(code: &str, message: &str, details: Option<Json>) -> Self {
        Self {
            code: code.chars().take(ERROR_CODE_CHARS_MAX).collect(),
            message: message.chars().take(ERROR_MESSAGE_CHARS_MAX).collect(),
            details: details.filter(|details| details.len_bytes() <= ERROR_DETAILS_BYTES_MAX),
        }
    }

    /// An error with one of Ferry's own codes.
    #[must_use]
    pub fn of(code: FailureCode, message: &str) -> Self {
        Self::new(code.as_str(), message, None)
    }
}

/// The codes that Ferry itself gives to failed operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// The result exceeds the limit.
    ResultTooLarge,
    /// The operation's deadline passed, or the attempt exceeded its time limit.
    DeadlineExceeded,
    /// Every attempt failed.
    AttemptsExhausted,
    /// The last attempt's worker stopped before it recorded an outcome.
    WorkerLost,
    /// The function panicked, its stored arguments are corrupt, or its result has no JSON form.
    InternalError,
    /// No worker had the function before the deadline.
    FunctionNotFound,
    /// No worker had this version of the function before the deadline.
    VersionNotFound,
    /// The worker's function refused the arguments: submit ran another release of its code.
    InvalidArguments,
    /// The state to continue from exceeds the limit.
    StateTooLarge,
    /// The work asked to continue in attempt `CLAIMS_MAX` or later.
    ContinuedTooOften,
}

impl FailureCode {
    pub const ALL: [Self; 10] = [
        Self::ResultTooLarge,
        Self::DeadlineExceeded,
        Self::AttemptsExhausted,
        Self::WorkerLost,
        Self::InternalError,
        Self::FunctionNotFound,
        Self::VersionNotFound,
        Self::InvalidArguments,
        Self::StateTooLarge,
        Self::ContinuedTooOften,
    ];

    /// The code on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResultTooLarge => "RESULT_TOO_LARGE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::AttemptsExhausted => "ATTEMPTS_EXHAUSTED",
            Self::WorkerLost => "WORKER_LOST",
            Self::InternalError => "INTERNAL_ERROR",
            Self::FunctionNotFound => "FUNCTION_NOT_FOUND",
            Self::VersionNotFound => "VERSION_NOT_FOUND",
            Self::InvalidArguments => "INVALID_ARGUMENTS",
            Self::StateTooLarge => "STATE_TOO_LARGE",
            Self::ContinuedTooOften => "CONTINUED_TOO_OFTEN",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The progress that work reported last.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f64,
    pub message: Option<String>,
    pub at: Timestamp,
}

/// The error of the last attempt that was recorded as failed and was to be retried.
#[derive(Debug, Clone, PartialEq)]
pub struct LastError {
    /// The attempt's number, from 1. It is lower than the operation's when the worker of a later
    /// attempt stopped before it recorded an outcome.
    pub attempt: u32,
    pub error: OperationError,
}

/// The state from which the next attempt continues. After a failure it stays, for a redrive.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedState {
    /// The attempt that saved it; 0 for a state that a redrive brought along.
    pub attempt: u32,
    pub value: Payload,
}

/// JSON that belongs to an operation: in its head while small, otherwise in a separate item.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    Inline(Json),
    /// In a separate item that has not been read.
    External,
}

impl Payload {
    /// `None` for JSON in a separate item.
    #[must_use]
    pub const fn json(&self) -> Option<&Json> {
        match self {
            Self::Inline(json) => Some(json),
            Self::External => None,
        }
    }
}

/// The request that an operation came from, as its caller names it: for logs, callbacks and
/// replays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub request_id: Option<String>,
    pub trace: Option<Trace>,
}

/// The caller's trace, and the span in it that the request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub trace_id: String,
    pub span_id: String,
}

/// An operation's state, with the data that exists in that state only.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Pending,
    Processing {
        /// The last claim's, also after its lease has passed.
        claim_id: ClaimId,
        /// No worker may claim the operation before. It is the end of a lease, of a backoff, or of
        /// the wait that the work asked for when it continued.
        lease_until: Timestamp,
    },
    Completed {
        at: Timestamp,
        result: Payload,
        /// The claim that completed it.
        claim_id: ClaimId,
    },
    Failed {
        at: Timestamp,
        /// The function's own last error comes first.
        errors: Vec<OperationError>,
        /// The claim that failed it; `None` when it was given up.
        claim_id: Option<ClaimId>,
    },
    Cancelled {
        at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub id: OperationId,
    /// The incarnation of the id.
    pub create_id: CreateId,
    pub owner: Owner,
    pub function: String,
    /// Resolved: the caller may have named none.
    pub function_version: String,
    /// What a replay must repeat. Only idempotent submits and redrives have it.
    pub request_hash: Option<RequestHash>,
    pub state: State,
    /// Grows by one with every transition, from 1.
    pub lock_version: u64,
    /// Claims so far, over all legs.
    pub attempt: u32,
    /// Claims allowed. Each continue raises it, so that the next leg has all of its attempts.
    pub attempts_max: u32,
    pub created_at: Timestamp,
    /// When a transition or visible progress last changed it.
    pub updated_at: Timestamp,
    /// No worker claims it before. `None` when it started at once.
    pub starts_at: Option<Timestamp>,
    /// When it fails unless it has ended.
    pub deadline_at: Timestamp,
    /// From then on it counts as absent.
    pub expires_at: Timestamp,
    /// How long it is kept after its end, in seconds.
    pub retention_secs: u32,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When the attempt began that runs, or that was the last to run without a recorded outcome.
    pub attempt_started_at: Option<Timestamp>,
    /// The attempts on record, the oldest first. [`Operation::history`] has the others as well.
    pub attempts: Vec<AttemptEntry>,
    pub progress: Option<Progress>,
    pub last_error: Option<LastError>,
    pub saved_state: Option<SavedState>,
    pub arguments: Payload,
    /// The caller's own data, returned with the operation.
    pub metadata: Payload,
    pub callback: Option<Callback>,
    pub origin: Origin,
    /// The failed operation that this one redrives.
    pub redrive_of: Option<OperationId>,
}

/// What a worker that does not hold an operation can do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Nothing before `until`: another worker holds it, or it is in backoff, waits to continue or
    /// has not started.
    Busy { until: Timestamp },
    /// Begin an attempt.
    Claimable,
    /// Give it up: its attempts are used up, or its deadline has passed.
    Exhausted,
    /// Nothing, ever.
    Ended,
}

impl Availability {
    /// The word for it, for operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Claimable => "claimable",
            Self::Exhausted => "exhausted",
            Self::Ended => "ended",
        }
    }
}

impl Operation {
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.state {
            State::Pending => Status::Pending,
            State::Processing { .. } => Status::Processing,
            State::Completed { .. } => Status::Completed,
            State::Failed { .. } => Status::Failed,
            State::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// What a worker that does not hold the operation can do with it, by the transition table.
    #[must_use]
    pub fn availability(&self, now: Timestamp) -> Availability {
        let is_exhausted = self.attempt >= self.attempts_max || self.deadline_at <= now;
        match (&self.state, self.lease_until()) {
            (State::Completed { .. } | State::Failed { .. } | State::Cancelled { .. }, _) => {
                Availability::Ended
            }
            // Given up at any time.
            (State::Pending, _) if is_exhausted => Availability::Exhausted,
            (State::Pending | State::Processing { .. }, Some(until)) if until > now => {
                Availability::Busy { until }
            }
            (State::Pending | State::Processing { .. }, _) if is_exhausted => {
                Availability::Exhausted
            }
            (State::Pending | State::Processing { .. }, _) => Availability::Claimable,
        }
    }

    /// When a worker may claim it: its start, or the end of its lease, backoff or wait. `None` when
    /// one may at once, or never.
    #[must_use]
    pub const fn lease_until(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => self.starts_at,
            State::Processing { lease_until, .. } => Some(lease_until),
            State::Completed { .. } | State::Failed { .. } | State::Cancelled { .. } => None,
        }
    }

    /// The claim of the worker that runs it, or ended it.
    #[must_use]
    pub const fn claim_id(&self) -> Option<&ClaimId> {
        match &self.state {
            State::Processing { claim_id, .. } | State::Completed { claim_id, .. } => {
                Some(claim_id)
            }
            State::Failed { claim_id, .. } => claim_id.as_ref(),
            State::Pending | State::Cancelled { .. } => None,
        }
    }

    /// Whether it was submitted with an idempotency key. A redrive has a hash too, but no key.
    #[must_use]
    pub const fn has_idempotency_key(&self) -> bool {
        self.request_hash.is_some() && self.redrive_of.is_none()
    }

    /// Since when a worker could have claimed it, if one can now: its creation, its start, or the
    /// end of its lease, backoff or wait.
    #[must_use]
    pub fn claimable_since(&self, now: Timestamp) -> Option<Timestamp> {
        (self.availability(now) == Availability::Claimable)
            .then(|| self.lease_until().unwrap_or(self.created_at))
    }

    /// When its first attempt could begin.
    #[must_use]
    pub fn started_after(&self) -> Timestamp {
        self.starts_at.unwrap_or(self.created_at)
    }

    /// When it continues, while it waits for that.
    #[must_use]
    pub fn resumes_at(&self) -> Option<Timestamp> {
        let is_between_legs = self.attempt > 0 && self.attempts_before_leg() == self.attempt;
        self.lease_until().filter(|_| is_between_legs)
    }

    /// When its first attempt, or its next leg, may begin, while that was asked to begin later.
    #[must_use]
    pub fn begins_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => self.starts_at,
            State::Processing { .. } => self.resumes_at(),
            State::Completed { .. } | State::Failed { .. } | State::Cancelled { .. } => None,
        }
    }

    /// The attempts of the legs before the present one.
    #[must_use]
    pub fn attempts_before_leg(&self) -> u32 {
        self.saved_state.as_ref().map_or(0, |saved| saved.attempt)
    }

    /// The number of the present attempt in its leg, from 1.
    #[must_use]
    pub fn leg_attempt(&self) -> u32 {
        self.attempt - self.attempts_before_leg().min(self.attempt)
    }

    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending | State::Processing { .. } => None,
            State::Completed { at, .. } | State::Failed { at, .. } | State::Cancelled { at } => {
                Some(at)
            }
        }
    }

    /// Until when it is kept, unless a redelivery of its callback has extended that.
    #[must_use]
    pub fn retained_until(&self) -> Option<Timestamp> {
        let retention = Duration::from_secs(self.retention_secs.into());
        self.ended_at().map(|at| at + retention)
    }

    /// `None` when the caller asked for no callback.
    #[must_use]
    pub fn callback_status(&self) -> Option<CallbackStatus> {
        self.callback
            .as_ref()
            .map(|callback| callback.status(self.status()))
    }

    #[must_use]
    pub fn callback_is_due(&self) -> bool {
        self.callback_status() == Some(CallbackStatus::Due)
    }

    /// The callback's `webhook-id`: `msg_` and a ULID. An operation has one event, so the id is
    /// derived from the operation's identity: it is the same on every attempt and redelivery
    /// without being stored.
    #[must_use]
    pub fn webhook_id(&self) -> String {
        // Negative only if a submit's clock was before 1970: any other millisecond serves as well.
        let millis = u64::try_from(self.created_at.as_millis()).unwrap_or(0);
        format!("msg_{}", Ulid::from_parts(millis, self.create_id.bits()))
    }

    /// Whether its callback is due and may have no wake-up in the callback queue yet. Once an
    /// attempt is on record, as one is before any redelivery, the chain of wake-ups sustains
    /// itself; a second chain would double every attempt.
    #[must_use]
    pub fn needs_first_wake_up(&self) -> bool {
        let has_no_attempt = |callback: &Callback| callback.attempts_made == 0;
        self.callback_is_due() && self.callback.as_ref().is_some_and(has_no_attempt)
    }

    /// `None` also for a cancelled operation.
    #[must_use]
    pub const fn completed_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Completed { at, .. } | State::Failed { at, .. } => Some(at),
            State::Pending | State::Processing { .. } | State::Cancelled { .. } => None,
        }
    }

    #[must_use]
    pub const fn cancelled_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Cancelled { at } => Some(at),
            State::Pending
            | State::Processing { .. }
            | State::Completed { .. }
            | State::Failed { .. } => None,
        }
    }

    #[must_use]
    pub fn errors(&self) -> Option<&[OperationError]> {
        match &self.state {
            State::Failed { errors, .. } => Some(errors),
            State::Pending
            | State::Processing { .. }
            | State::Completed { .. }
            | State::Cancelled { .. } => None,
        }
    }
}

#[cfg(test)]
impl Operation {
    /// A pending operation for tests of the domain.
    pub(crate) fn sample() -> Self {
        let now = Timestamp::from_secs(0);
        Self {
            id: OperationId::from_bytes([7; 12]),
            create_id: CreateId::from_bytes([8; 16]),
            owner: Owner::new("jwt", "alice").unwrap(),
            function: "demo.echo".to_owned(),
            function_version: "1.0.0".to_owned(),
            request_hash: None,
            state: State::Pending,
            lock_version: 1,
            attempt: 0,
            attempts_max: 3,
            created_at: now,
            updated_at: now,
            starts_at: None,
            deadline_at: now,
            expires_at: now,
            retention_secs: 60,
            started_at: None,
            attempt_started_at: None,
            attempts: Vec::new(),
            progress: None,
            last_error: None,
            saved_state: None,
            arguments: Payload::Inline(Json::empty_object()),
            metadata: Payload::Inline(Json::empty_object()),
            callback: None,
            origin: Origin::default(),
            redrive_of: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);
    const LATER: Timestamp = Timestamp::from_secs(1_001);

    fn processing(lease_until: Timestamp) -> State {
        State::Processing {
            claim_id: ClaimId::from_bytes([1; 16]),
            lease_until,
        }
    }

    fn saved_by(attempt: u32) -> SavedState {
        SavedState {
            attempt,
            value: Payload::External,
        }
    }

    #[test]
    fn a_worker_may_act_once_the_start_the_lease_or_the_wait_has_passed() {
        let busy = Availability::Busy { until: LATER };
        for (state, starts_at, attempt, deadline_at, expected) in [
            (State::Pending, None, 0, LATER, Availability::Claimable),
            (State::Pending, Some(NOW), 0, LATER, Availability::Claimable),
            (State::Pending, Some(LATER), 0, LATER, busy),
            (State::Pending, None, 0, NOW, Availability::Exhausted),
            // Its start is not a lease that a give-up waits for.
            (State::Pending, Some(LATER), 0, NOW, Availability::Exhausted),
            (processing(NOW), None, 1, LATER, Availability::Claimable),
            (processing(LATER), None, 1, LATER, busy),
            (processing(LATER), Some(NOW), 1, LATER, busy),
            (processing(LATER), None, 3, NOW, busy),
            (processing(NOW), None, 3, LATER, Availability::Exhausted),
            (processing(NOW), None, 1, NOW, Availability::Exhausted),
            (
                State::Cancelled { at: NOW },
                Some(LATER),
                0,
                LATER,
                Availability::Ended,
            ),
        ] {
            let operation = Operation {
                state,
                attempt,
                starts_at,
                deadline_at,
                ..Operation::sample()
            };
            assert_eq!(operation.availability(NOW), expected, "{operation:?}");
        }
    }

    #[test]
    fn it_is_claimable_since_its_start_or_the_end_of_its_wait() {
        let created_at = Operation::sample().created_at;
        for (state, starts_at, since) in [
            (State::Pending, None, Some(created_at)),
            (State::Pending, Some(NOW), Some(NOW)),
            (State::Pending, Some(LATER), None),
            (processing(NOW), Some(created_at), Some(NOW)),
            (processing(LATER), None, None),
        ] {
            let operation = Operation {
                state,
                starts_at,
                deadline_at: LATER,
                ..Operation::sample()
            };
            assert_eq!(operation.claimable_since(NOW), since, "{operation:?}");
        }
    }

    #[test]
    fn attempts_count_from_the_continue_in_each_leg() {
        for (attempt, saved_state, leg_attempt, resumes_at) in [
            (1, None, 1, None),
            (3, None, 3, None),
            (3, Some(saved_by(3)), 0, Some(LATER)),
            (4, Some(saved_by(3)), 1, None),
            (6, Some(saved_by(3)), 3, None),
            // Of a redrive.
            (2, Some(saved_by(0)), 2, None),
        ] {
            let operation = Operation {
                state: processing(LATER),
                attempt,
                saved_state,
                ..Operation::sample()
            };
            assert_eq!(operation.leg_attempt(), leg_attempt, "{operation:?}");
            assert_eq!(operation.resumes_at(), resumes_at, "{operation:?}");
            assert_eq!(operation.begins_at(), resumes_at, "{operation:?}");
        }
        let redriven = Operation {
            saved_state: Some(saved_by(0)),
            starts_at: Some(LATER),
            ..Operation::sample()
        };
        assert_eq!(redriven.resumes_at(), None, "it has not begun");
        assert_eq!(redriven.begins_at(), Some(LATER));
    }
}
