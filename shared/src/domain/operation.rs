//! An operation, as every part of the bundle sees it.

use std::fmt;

use ulid::Ulid;

use super::callback::{Callback, CallbackStatus};
use super::fingerprint::RequestHash;
use super::id::{ClaimId, CreateId, OperationId};
use super::json::Json;
use super::limits::{
    ERROR_CODE_CHARS_MAX, ERROR_DETAILS_BYTES_MAX, ERROR_MESSAGE_CHARS_MAX, OWNER_BYTES_MAX,
};
use super::time::Timestamp;
use super::transition::Status;

/// Who an operation belongs to: the kind of authorizer and the name that it vouches for, such as `jwt:alice`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The kinds of authorizers that vouch for names.
    const KINDS: [&str; 5] = ["cognito", "iam", "jwt", "lambda", "local"];

    /// Reads an owner as it is stored, such as `jwt:alice`; `None` for what no authorizer could have said.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let is_known = Self::KINDS.contains(&kind);
        is_known.then(|| Self::new(kind, name)).flatten()
    }

    /// An owner of this kind; `None` unless the name has 1 to 256 bytes.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Option<Self> {
        (1..=OWNER_BYTES_MAX)
            .contains(&name.len())
            .then(|| Self(format!("{kind}:{name}")))
    }

    /// An owner as it was stored.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The owner with its kind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why an operation failed, or an attempt of it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationError {
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What else the function wanted to say.
    pub details: Option<Json>,
}

impl OperationError {
    /// An error held to its limits: code and message are cut, details that are too large are left out.
    #[must_use]
    pub fn new(code: &str, message: &str, details: Option<Json>) -> Self {
        Self {
            code: code.chars().take(ERROR_CODE_CHARS_MAX).collect(),
            message: message.chars().take(ERROR_MESSAGE_CHARS_MAX).collect(),
            details: details.filter(|details| details.len_bytes() <= ERROR_DETAILS_BYTES_MAX),
        }
    }

    /// One of Ferry's own.
    #[must_use]
    pub fn of(code: FailureCode, message: &str) -> Self {
        Self::new(code.as_str(), message, None)
    }
}

/// The codes that Ferry itself gives to failed operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// The result is larger than can be kept.
    ResultTooLarge,
    /// The operation's deadline passed, or an attempt's.
    DeadlineExceeded,
    /// Every attempt failed.
    AttemptsExhausted,
    /// The last attempt's worker vanished.
    WorkerLost,
    /// The function panicked, or its arguments or result cannot be read or written.
    InternalError,
    /// No worker knew the function before the deadline.
    FunctionNotFound,
    /// No worker knew this version of the function before the deadline.
    VersionNotFound,
    /// The arguments are not what the worker's function takes: submit knew another version of the code.
    InvalidArguments,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::ResultTooLarge,
        Self::DeadlineExceeded,
        Self::AttemptsExhausted,
        Self::WorkerLost,
        Self::InternalError,
        Self::FunctionNotFound,
        Self::VersionNotFound,
        Self::InvalidArguments,
    ];

    /// The word for it.
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
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far the work has come, as it told.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f64,
    /// What it is at.
    pub message: Option<String>,
    /// When it said so.
    pub at: Timestamp,
}

/// The error with which an attempt ended that will be followed by another.
#[derive(Debug, Clone, PartialEq)]
pub struct LastError {
    /// Which attempt, from 1. One that is lower than the operation's says that a later attempt's worker vanished.
    pub attempt: u32,
    /// What it said.
    pub error: OperationError,
}

/// JSON that belongs to an operation: in its head while small, in an item of its own otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// In hand.
    Inline(Json),
    /// In an item of its own that has not been read.
    External,
}

impl Payload {
    /// The JSON, when it is in hand.
    #[must_use]
    pub const fn json(&self) -> Option<&Json> {
        match self {
            Self::Inline(json) => Some(json),
            Self::External => None,
        }
    }
}

/// The request that an operation came from, as its caller names it: for logs, callbacks and replays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its own id, chosen by the caller.
    pub request_id: Option<String>,
    /// What it belongs to.
    pub trace: Option<Trace>,
}

/// A place in a trace that goes on beyond us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The whole.
    pub trace_id: String,
    /// Our part of it.
    pub span_id: String,
}

/// What a state alone knows.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// See [`Status::Pending`].
    Pending,
    /// See [`Status::Processing`].
    Processing {
        /// The last claim, whether or not its holder still holds.
        claim_id: ClaimId,
        /// Until when nobody else may claim: a lease or a backoff, no matter.
        lease_until: Timestamp,
    },
    /// See [`Status::Completed`].
    Completed {
        /// When.
        at: Timestamp,
        /// What came of it.
        result: Payload,
        /// The claim that completed it.
        claim_id: ClaimId,
    },
    /// See [`Status::Failed`].
    Failed {
        /// When.
        at: Timestamp,
        /// Why; the function's own last error first.
        errors: Vec<OperationError>,
        /// The claim that failed it; `None` when it was given up.
        claim_id: Option<ClaimId>,
    },
    /// See [`Status::Cancelled`].
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// Which incarnation of the name this is.
    pub create_id: CreateId,
    /// Whose it is.
    pub owner: Owner,
    /// The function it calls.
    pub function: String,
    /// The function's version, resolved.
    pub function_version: String,
    /// What a replay must repeat; kept for idempotent submits only.
    pub request_hash: Option<RequestHash>,
    /// Where it stands, with what that state alone knows.
    pub state: State,
    /// Grows by one with every transition, from 1.
    pub lock_version: u64,
    /// Claims so far.
    pub attempt: u32,
    /// Claims allowed.
    pub attempts_max: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a transition or visible progress last changed it.
    pub updated_at: Timestamp,
    /// When it fails if it has not ended.
    pub deadline_at: Timestamp,
    /// When it is no longer there.
    pub expires_at: Timestamp,
    /// How long past its end it is kept, in seconds.
    pub retention_secs: u32,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// What it last said of its progress.
    pub progress: Option<Progress>,
    /// The error of the last attempt that was let go.
    pub last_error: Option<LastError>,
    /// What it was called with.
    pub arguments: Payload,
    /// What the caller wanted kept with it.
    pub metadata: Payload,
    /// Who is to be told of its end.
    pub callback: Option<Callback>,
    /// Where it came from.
    pub origin: Origin,
}

/// What a worker that holds nothing can do with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Nothing yet: somebody holds it, or it backs off.
    Busy {
        /// Until when.
        until: Timestamp,
    },
    /// Begin an attempt.
    Claimable,
    /// Give it up: its attempts are used up, or its deadline has passed.
    Exhausted,
    /// Nothing any more.
    Ended,
}

impl Operation {
    /// Where it stands.
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

    /// What a worker that holds nothing can do with it, in the words of the transition table.
    #[must_use]
    pub fn availability(&self, now: Timestamp) -> Availability {
        match &self.state {
            State::Completed { .. } | State::Failed { .. } | State::Cancelled { .. } => {
                Availability::Ended
            }
            State::Processing { lease_until, .. } if *lease_until > now => Availability::Busy {
                until: *lease_until,
            },
            State::Pending | State::Processing { .. } => {
                if self.attempt >= self.attempts_max || self.deadline_at <= now {
                    Availability::Exhausted
                } else {
                    Availability::Claimable
                }
            }
        }
    }

    /// Since when a worker could claim it, if one can now: its creation, or the end of its lease or of
    /// the wait before its next attempt.
    #[must_use]
    pub fn claimable_since(&self, now: Timestamp) -> Option<Timestamp> {
        (self.availability(now) == Availability::Claimable).then_some(match self.state {
            State::Processing { lease_until, .. } => lease_until,
            _ => self.created_at,
        })
    }

    /// When it ended.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending | State::Processing { .. } => None,
            State::Completed { at, .. } | State::Failed { at, .. } | State::Cancelled { at } => {
                Some(at)
            }
        }
    }

    /// How its callback stands; `None` when none was asked for.
    #[must_use]
    pub fn callback_status(&self) -> Option<CallbackStatus> {
        self.callback
            .as_ref()
            .map(|callback| callback.status(self.status()))
    }

    /// Whether somebody is still to be told of its end.
    #[must_use]
    pub fn callback_is_due(&self) -> bool {
        self.callback_status() == Some(CallbackStatus::Due)
    }

    /// The callback's `webhook-id`: `msg_` and a ULID. An operation has one event, so the id is derived from its own identity
    /// and is the same on every attempt and redelivery without being stored.
    #[must_use]
    pub fn webhook_id(&self) -> String {
        let millis = u64::try_from(self.created_at.as_millis()).unwrap_or(0);
        format!("msg_{}", Ulid::from_parts(millis, self.create_id.bits()))
    }

    /// Whether nobody may have been woken yet to tell of its end. Once an attempt is on record, as one is before any redelivery,
    /// there is a message that is not acknowledged before the next one is sent; a second chain beside it would double every
    /// attempt.
    #[must_use]
    pub fn callback_is_unannounced(&self) -> bool {
        let untouched = |callback: &Callback| callback.attempts_made == 0;
        self.callback_is_due() && self.callback.as_ref().is_some_and(untouched)
    }

    /// When it completed or failed.
    #[must_use]
    pub const fn completed_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Completed { at, .. } | State::Failed { at, .. } => Some(at),
            State::Pending | State::Processing { .. } | State::Cancelled { .. } => None,
        }
    }

    /// When it was cancelled.
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

    /// Why it failed, once it has.
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

    /// Why a worker that holds nothing would end it now, if it would: the deadline has passed, or its attempts are used up.
    /// The function's own last error comes first.
    #[must_use]
    pub fn give_up_errors(&self, now: Timestamp) -> Option<Vec<OperationError>> {
        let last_error = self.last_error.as_ref();
        let ours = if self.deadline_at <= now {
            OperationError::of(
                FailureCode::DeadlineExceeded,
                "the operation did not end before its deadline",
            )
        } else if self.attempt < self.attempts_max {
            return None;
        } else if last_error.is_some_and(|last| last.attempt == self.attempt) {
            OperationError::of(FailureCode::AttemptsExhausted, "every attempt failed")
        } else {
            OperationError::of(
                FailureCode::WorkerLost,
                "the worker vanished during the last attempt",
            )
        };
        Some(
            last_error
                .map(|last| last.error.clone())
                .into_iter()
                .chain([ours])
                .collect(),
        )
    }
}
