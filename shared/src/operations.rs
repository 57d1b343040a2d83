//! What an owner may do with operations: submit, read, wait, list, cancel, erase, redeliver
//! and redrive.
//!
//! The rules that REST, Forrst and the operator tool share are here, with the audit record. The
//! code of each protocol translates requests to these calls, and outcomes to responses. Nothing
//! here depends on how a request arrived or what its response contains.

mod accept;
mod cancel;
mod erase;
mod redeliver;
mod redrive;
mod submission;

use std::sync::Arc;
use std::time::Duration;

pub use self::accept::{AcceptOutcome, Submissions};
pub use self::cancel::RepeatedCancel;
pub use self::erase::erase_for_operator;
pub use self::redeliver::RedeliverOutcome;
pub use self::redrive::{RedriveFrom, RedriveOutcome, RedriveRequest};
pub use self::submission::{
    Deadline, IdempotencyKey, RequestedCallback, Submission, SubmissionError, SubmissionParts,
};
use crate::clock::Clock;
use crate::domain::id::OperationId;
use crate::domain::limits::ERASE_SECS_MAX;
use crate::domain::operation::{Operation, Owner};
use crate::domain::time::Timestamp;
use crate::queue::{Queue, QueueError};
use crate::random::Random;
use crate::request::{ErrorCode, ListRequest};
use crate::store::{ListPage, Payloads, Store, StoreError};
use crate::telemetry::chain;

/// The pause before the first read of a wait.
const READ_AFTER: Duration = Duration::from_millis(100);
/// Each pause is twice the one before, up to this: a wait of twenty seconds takes fourteen reads.
const READ_AFTER_MAX: Duration = Duration::from_secs(2);

pub use crate::store::{CancelOutcome, EraseOutcome};

/// Why a call has no outcome. Whether anything was written or sent is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Reads do not find the operation any more, but not all of its items are deleted. A repeated
    /// erase continues.
    #[error("erase not finished within {ERASE_SECS_MAX} s")]
    EraseTooLong,
}

impl Error {
    /// The code that callers get, and that the audit record has.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Store(error) => code_of(error),
            Self::Queue(_) | Self::EraseTooLong => ErrorCode::Unavailable,
        }
    }
}

const fn code_of(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::Corrupt { .. } => ErrorCode::InternalError,
        StoreError::Unreachable { .. } | StoreError::Throttled | StoreError::NewerFormat { .. } => {
            ErrorCode::Unavailable
        }
    }
}

/// Operations, for their owners. One per process; cheap to clone.
#[derive(Clone)]
pub struct Operations {
    store: Store,
    callbacks: Queue,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Who acts for the owners, in the audit record; `None` for themselves.
    actor: Option<&'static str>,
}

impl Operations {
    /// Operations in this table, whose wake-ups go to this queue.
    #[must_use]
    pub fn new(
        store: Store,
        callbacks: Queue,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            store,
            callbacks,
            clock,
            random,
            actor: None,
        }
    }

    /// Names who acts for the owners, in the audit record.
    #[must_use]
    pub fn acting_as(self, actor: &'static str) -> Self {
        Self {
            actor: Some(actor),
            ..self
        }
    }

    /// An operation: one read, of the head alone. Another owner's operation is absent.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn read(
        &self,
        id: &OperationId,
        owner: &Owner,
    ) -> Result<Option<Operation>, StoreError> {
        self.store.get_for(id, owner, self.clock.now()).await
    }

    /// The metadata and the result of an operation that was read: one read for each that is not in
    /// its head, so none for an ordinary operation. `None` when the operation has expired or was
    /// erased since.
    ///
    /// # Errors
    ///
    /// As [`Operations::read`].
    pub async fn payloads(&self, operation: &Operation) -> Result<Option<Payloads>, StoreError> {
        self.store.payloads(operation, self.clock.now()).await
    }

    /// [`Operations::payloads`] with the arguments: one more read if they are not in the head.
    ///
    /// # Errors
    ///
    /// As [`Operations::read`].
    pub async fn payloads_with_arguments(
        &self,
        operation: &Operation,
    ) -> Result<Option<Payloads>, StoreError> {
        let now = self.clock.now();
        self.store.payloads_with_arguments(operation, now).await
    }

    /// Waits for an operation's end, until `until` at the latest, and returns the operation as it
    /// was last read. Reads after growing pauses, so that a wait costs little; not at all when the
    /// operation has ended.
    ///
    /// A read that fails is skipped: a caller who submitted the operation has to get its id, or
    /// would submit it again.
    pub async fn wait(&self, mut operation: Operation, until: Timestamp) -> Operation {
        let mut pause = READ_AFTER;
        while !operation.status().is_terminal() && self.clock.now() < until {
            // The last read is at the very end, so that it finds what ends within the wait.
            let read_at = (self.clock.now() + pause).min(until);
            self.clock.sleep_until(read_at).await;
            pause = (pause * 2).min(READ_AFTER_MAX);
            let read = match self.read(&operation.id, &operation.owner).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!("read failed; the wait continues: {}", chain(&error));
                    continue;
                }
            };
            match read.filter(|read| read.create_id == operation.create_id) {
                Some(read) => operation = read,
                // It ended, and its owner has erased it since: so the response shows the operation
                // as it was last read.
                None => break,
            }
        }
        operation
    }

    /// A page of an owner's operations, newest first. See [`Store::list`].
    ///
    /// # Errors
    ///
    /// As [`Operations::read`].
    pub async fn list(&self, owner: &Owner, request: &ListRequest) -> Result<ListPage, StoreError> {
        let (clock, random) = (&*self.clock, &*self.random);
        let (filter, limit, from) = (&request.filter, request.limit, request.from.clone());
        self.store
            .list(owner, filter, limit, from, clock, random)
            .await
    }
}
