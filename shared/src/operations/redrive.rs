//! Running a failed operation again, as a new operation.
//!
//! The failed operation has ended, so it no longer changes: what is read of it is what the new one
//! gets. Nothing is written to it, since its caller and its callback's receiver know its end.
//!
//! The new operation's id follows from the failed one's `create_id`. So a repeated redrive finds
//! the first one as a submit with an idempotency key does, and two at once create one operation.

use std::str::FromStr;
use std::time::Duration;

use semver::Version;

use super::accept::{Accepted, replay_or_conflict};
use super::submission::{Deadline, RequestedCallback, SubmissionParts};
use super::{Error, SubmissionError, Submissions};
use crate::domain::fingerprint::{redrive_hash, redrive_id};
use crate::domain::id::OperationId;
use crate::domain::json::Json;
use crate::domain::limits::REDRIVE_MARGIN_SECS;
use crate::domain::operation::{Operation, Origin, Owner, Payload, SavedState};
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;
use crate::domain::transition::{Status, UnknownName};
use crate::request::{ErrorCode, Fields};
use crate::store::{StoreError, parsed_version};
use crate::telemetry::{audit, record_operation_id};

/// Where the work of a redrive begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveFrom {
    /// The state that the failed operation saved last.
    State,
    Start,
}

impl RedriveFrom {
    pub const ALL: [Self; 2] = [Self::State, Self::Start];

    /// Its name on the wire. It is part of a stored hash.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Start => "start",
        }
    }
}

/// Reads [`RedriveFrom::as_str`] back.
impl FromStr for RedriveFrom {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|from| from.as_str() == text).ok_or(UnknownName)
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct RedriveRequest {
    /// The state when there is one, unless named.
    pub from: Option<RedriveFrom>,
    /// As long as the failed operation's, unless named.
    pub deadline_secs: Option<u32>,
    /// As long as the failed operation's, unless named. The redrive is kept longer when it would
    /// otherwise be absent before the failed operation.
    pub ttl_secs: Option<u32>,
}

#[derive(Debug)]
pub enum RedriveOutcome {
    /// The failed operation runs again, as this one.
    New(Box<Operation>),
    /// It was redriven before. The redrive as it is now.
    Replayed(Box<Operation>),
    /// It was redriven before, from elsewhere. That redrive as it is now.
    Conflict(Box<Operation>),
    /// It has not failed: it has this status.
    NotFailed(Status),
    /// It is kept for a redelivered callback only. Its redrive may be gone, and another would run
    /// the work once more.
    TooLate,
    /// It saved no state to continue from.
    NoState,
    /// It can be read, but what it would run with is missing: its arguments or its state.
    Missing(&'static str),
    /// A submit of what it was called with would be refused now.
    Refused(SubmissionError),
    /// It does not meet the preconditions.
    PreconditionFailed,
    /// There is no such operation, it has expired, or it is another owner's.
    Absent,
    /// The redrive was erased after this request began; a retry creates another.
    Unavailable,
}

impl RedriveOutcome {
    /// The code that callers get; `None` for a success.
    #[must_use]
    pub const fn refusal(&self) -> Option<ErrorCode> {
        match self {
            Self::New(_) | Self::Replayed(_) => None,
            Self::Conflict(_) => Some(ErrorCode::IdempotencyConflict),
            Self::NotFailed(_) | Self::TooLate | Self::NoState | Self::Missing(_) => {
                Some(ErrorCode::Conflict)
            }
            Self::Refused(error) => Some(error.code()),
            Self::PreconditionFailed => Some(ErrorCode::AsyncVersionConflict),
            Self::Absent => Some(ErrorCode::AsyncOperationNotFound),
            Self::Unavailable => Some(ErrorCode::Unavailable),
        }
    }
}

/// What the redrive gets from the failed operation besides its head.
struct Inherited {
    arguments: Json,
    metadata: Json,
    state: Option<Json>,
}

impl Submissions {
    /// Runs a failed operation again, as a new operation: a submit, after one and a half read
    /// units, and a read for each external payload. A replay costs two and a half read units, and
    /// sends and writes nothing.
    ///
    /// # Errors
    ///
    /// When the store or the queue cannot be reached, or a record cannot be read. The redrive may
    /// or may not exist.
    pub async fn redrive(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        request: &RedriveRequest,
    ) -> Result<RedriveOutcome, Error> {
        let outcome = self.try_redrive(id, owner, preconditions, request).await;
        let refusal = match &outcome {
            Ok(outcome) => outcome.refusal(),
            Err(error) => Some(error.code()),
        };
        let actor = self.operations.actor;
        audit(actor, "redrive", id, owner, refusal.map(ErrorCode::as_str));
        outcome
    }

    /// Refuses a redrive that cannot be read, for which `code` is the refusal. An absent operation
    /// and an unmet precondition are refused first (RFC 9110, section 13.2.1), so this takes a read;
    /// `None` when neither applies.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn refuse_redrive(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        code: ErrorCode,
    ) -> Result<Option<RedriveOutcome>, Error> {
        let found = self.found(id, owner, preconditions).await;
        let refusal = match &found {
            Ok(Ok(_)) => Some(code),
            Ok(Err(refused)) => refused.refusal(),
            Err(error) => Some(error.code()),
        };
        let actor = self.operations.actor;
        audit(actor, "redrive", id, owner, refusal.map(ErrorCode::as_str));
        Ok(found?.err())
    }

    /// Reads an operation that meets the preconditions, or returns why there is none.
    async fn found(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
    ) -> Result<Result<Operation, RedriveOutcome>, Error> {
        Ok(match self.operations.read(id, owner).await? {
            None => Err(RedriveOutcome::Absent),
            Some(found) if !preconditions.are_met_by(&found) => {
                Err(RedriveOutcome::PreconditionFailed)
            }
            Some(found) => Ok(found),
        })
    }

    async fn try_redrive(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        request: &RedriveRequest,
    ) -> Result<RedriveOutcome, Error> {
        let now = self.operations.clock.now();
        let failed = match self.found(id, owner, preconditions).await? {
            Ok(found) => found,
            Err(refused) => return Ok(refused),
        };
        let (Status::Failed, Some(retained_until)) = (failed.status(), failed.retained_until())
        else {
            return Ok(RedriveOutcome::NotFailed(failed.status()));
        };
        let from = match (request.from, &failed.saved_state) {
            (Some(RedriveFrom::State), None) => return Ok(RedriveOutcome::NoState),
            (Some(from), _) => from,
            (None, Some(_)) => RedriveFrom::State,
            (None, None) => RedriveFrom::Start,
        };
        let redrive_id = redrive_id(&failed.create_id);
        let request_hash = redrive_hash(&failed.create_id, from.as_str());
        // Before the payloads are read: a replay needs none, and succeeds without them.
        let store = &self.operations.store;
        if let Some(earlier) = store.existing_for(&redrive_id, owner, now).await? {
            record_operation_id(&redrive_id);
            return Ok(outcome(replay_or_conflict(
                Box::new(earlier),
                &request_hash,
            )));
        }
        if retained_until <= now {
            return Ok(RedriveOutcome::TooLate);
        }
        // Never another version: arguments and state are this one's.
        let version = parsed_version(&failed)?;
        let inherited = match self.inherited(&failed, from, now).await? {
            Ok(inherited) => inherited,
            Err(refused) => return Ok(refused),
        };
        let state = inherited.state.clone();
        let submission = match self.submission_of(&failed, version, inherited, request) {
            Ok(submission) => submission,
            Err(error) => return Ok(RedriveOutcome::Refused(error)),
        };
        let operation = self.operation(owner, &submission, now);
        record_operation_id(&redrive_id);
        let kept_secs = retained_until.secs_from(now) + REDRIVE_MARGIN_SECS;
        let accepted = self.create(Operation {
            id: redrive_id,
            request_hash: Some(request_hash),
            retention_secs: operation.retention_secs.max(kept_secs),
            saved_state: state.map(|state| SavedState {
                attempt: 0,
                value: Payload::Inline(state),
            }),
            redrive_of: Some(failed.id),
            ..operation
        });
        Ok(outcome(accepted.await?))
    }

    /// Reads what the redrive gets from the failed operation, or returns why that is not there.
    async fn inherited(
        &self,
        failed: &Operation,
        from: RedriveFrom,
        now: Timestamp,
    ) -> Result<Result<Inherited, RedriveOutcome>, StoreError> {
        let store = &self.operations.store;
        let saved_state = async {
            match from {
                RedriveFrom::State => store.saved_state(failed).await,
                RedriveFrom::Start => Ok(None),
            }
        };
        let read = futures_util::try_join!(
            store.arguments(failed),
            saved_state,
            store.payloads(failed, now)
        );
        let missing = match read {
            Ok((arguments, state, Some(payloads))) => {
                return Ok(Ok(Inherited {
                    arguments,
                    metadata: payloads.metadata,
                    state,
                }));
            }
            Ok((.., None)) => return Ok(Err(RedriveOutcome::Absent)),
            Err(StoreError::Corrupt { attribute, .. }) => attribute,
            Err(error) => return Err(error),
        };
        let current = self.operations.read(&failed.id, &failed.owner).await?;
        Ok(Err(match current {
            Some(current) if current.create_id == failed.create_id => {
                tracing::warn!(
                    "redrive refused with 409: the operation's {missing} cannot be read, which \
                     happens when it ended more than a day after its deadline"
                );
                RedriveOutcome::Missing(missing)
            }
            // Erased or expired since its head was read.
            _ => RedriveOutcome::Absent,
        }))
    }

    /// The submission with which the failed operation is submitted again, checked as any other.
    fn submission_of(
        &self,
        failed: &Operation,
        version: Version,
        inherited: Inherited,
        request: &RedriveRequest,
    ) -> Result<super::Submission, SubmissionError> {
        let deadline = match request.deadline_secs {
            Some(secs) => Duration::from_secs(secs.into()),
            None => failed.deadline_at.since(failed.started_after()),
        };
        let callback = failed.callback.as_ref();
        let parts = SubmissionParts {
            function: Ok(failed.function.clone()),
            version: Some(version),
            arguments: Ok(inherited.arguments),
            arguments_pointer: "/arguments",
            metadata: Ok(inherited.metadata),
            callback: callback.map(|callback| RequestedCallback {
                url: callback.url.clone(),
                url_pointer: "/callback_url".to_owned(),
                events: Ok(callback.events.clone()),
            }),
            ttl_secs: Some(request.ttl_secs.unwrap_or(failed.retention_secs)),
            start: None,
            deadline: Some(Deadline::After(deadline)),
            idempotency_key: None,
            // None: a redrive's request names neither id nor trace.
            origin: Origin::default(),
        };
        self.check(parts, Fields::default())
    }
}

fn outcome(accepted: Accepted) -> RedriveOutcome {
    match accepted {
        Accepted::New(redrive) => RedriveOutcome::New(redrive),
        Accepted::Replayed(redrive) => RedriveOutcome::Replayed(redrive),
        Accepted::Conflict(existing) => RedriveOutcome::Conflict(existing),
        Accepted::IdTaken | Accepted::Erased => RedriveOutcome::Unavailable,
    }
}
