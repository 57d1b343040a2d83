//! Erases everything that belongs to an owner, who may have a right to be forgotten.
//!
//! Each operation is erased as its owner could erase it. Operations that have expired but that
//! DynamoDB has not deleted yet are erased as well. Operations that have not ended are left, or
//! cancelled first.
//!
//! The operations are found by an index, which follows the table with a delay (Amazon DynamoDB
//! Developer Guide, "Using Global Secondary Indexes"). One pass is therefore not enough: passes
//! repeat until one finds only what stays.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, Owner, State};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::operations::{
    CancelOutcome, EraseOutcome, Operations, RepeatedCancel, erase_for_operator,
};
use shared::store::{Record, Store, StoreError};

use crate::pace::Pace;

/// Passes over an owner's operations. Three are enough when the owner has stopped submitting.
const PASSES_MAX: u32 = 10;
/// The time between two passes in which the index can follow the table.
const INDEX_PAUSE: Duration = Duration::from_secs(1);

pub struct Erase {
    pub store: Store,
    /// Cancels operations that have not ended, and sends their callbacks' wake-ups. Without it,
    /// such operations are left.
    pub cancel: Option<Operations>,
    pub owner: Owner,
    pub clock: Arc<dyn Clock>,
    /// Operations a second; at least 1.
    pub per_second: u16,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub erased: usize,
    /// How many of the erased operations were cancelled first.
    pub cancelled: usize,
    /// Operations that have not ended, as of the last pass.
    pub live: Vec<OperationId>,
    /// Why records cannot be read and therefore still exist, as of the last pass.
    pub unreadable: Vec<StoreError>,
    /// Whether the last pass found nothing else.
    pub finished: bool,
}

/// What exists under one of an owner's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An operation that has not ended.
    Live,
    Ended,
    /// Absent from the API, but not deleted yet.
    Expired,
    /// An erasure was interrupted.
    HalfErased,
    Unreadable,
}

#[derive(Default)]
struct Pass {
    erased: usize,
    cancelled: usize,
    live: Vec<OperationId>,
    unreadable: Vec<StoreError>,
    /// Operations that the index still lists, or that changed during the pass: the next pass
    /// checks them again.
    unclear: usize,
    /// Until when a worker may hold one of the cancelled operations.
    held_until: Option<Timestamp>,
}

impl Outcome {
    /// Whether nothing is left of the owner's operations, as far as they could be found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.finished && self.live.is_empty() && self.unreadable.is_empty()
    }
}

impl Erase {
    /// Reports what would be erased, and changes nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn inspect(
        &self,
        report: &mut dyn FnMut(&OperationId, Found),
    ) -> Result<(), StoreError> {
        let mut pace = Pace::new(Arc::clone(&self.clock), self.per_second);
        let mut from = None;
        loop {
            let owned = self.store.owned_keys(&self.owner, from.as_ref()).await?;
            for key in &owned.keys {
                pace.turn().await;
                let head = self.store.inspect(&key.id).await?.head;
                if let Some(found) = head.and_then(|head| self.found(&head.record, head.erased_at))
                {
                    report(&key.id, found);
                }
            }
            from = owned.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// `None` when the index still lists the id, but the operation is gone or has another owner.
    fn found(&self, record: &Record, erased_at: Option<Timestamp>) -> Option<Found> {
        match record {
            Record::Tombstone { .. } => None,
            Record::Unreadable { .. } => Some(Found::Unreadable),
            Record::Operation(operation) if operation.owner != self.owner => None,
            Record::Operation(_) if erased_at.is_some() => Some(Found::HalfErased),
            Record::Operation(operation) if operation.expires_at <= self.clock.now() => {
                Some(Found::Expired)
            }
            Record::Operation(operation) if operation.status().is_terminal() => Some(Found::Ended),
            Record::Operation(_) => Some(Found::Live),
        }
    }

    /// Erases the owner's operations. Calls `on_wait` before it waits for the workers of cancelled
    /// operations, with the time until which it waits.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached. What was erased by then stays erased; a second run
    /// continues.
    pub async fn run(&self, on_wait: &mut dyn FnMut(Timestamp)) -> Result<Outcome, StoreError> {
        let mut pace = Pace::new(Arc::clone(&self.clock), self.per_second);
        let mut outcome = Outcome::default();
        for _ in 0..PASSES_MAX {
            let pass = self.pass(&mut pace).await?;
            outcome.erased += pass.erased;
            outcome.cancelled += pass.cancelled;
            outcome.live = pass.live;
            outcome.unreadable = pass.unreadable;
            outcome.finished = pass.erased + pass.cancelled + pass.unclear == 0;
            if outcome.finished {
                break;
            }
            let mut again_at = self.clock.now() + INDEX_PAUSE;
            if let Some(held_until) = pass.held_until.filter(|until| *until > again_at) {
                on_wait(held_until);
                again_at = held_until;
            }
            self.clock.sleep_until(again_at).await;
        }
        Ok(outcome)
    }

    async fn pass(&self, pace: &mut Pace) -> Result<Pass, StoreError> {
        let mut pass = Pass::default();
        let mut from = None;
        loop {
            let owned = self.store.owned_keys(&self.owner, from.as_ref()).await?;
            for key in &owned.keys {
                pace.turn().await;
                match self.end(&key.id, &mut pass).await {
                    Ok(()) => {}
                    Err(error @ (StoreError::Corrupt { .. } | StoreError::NewerFormat { .. })) => {
                        pass.unreadable.push(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            from = owned.next;
            if from.is_none() {
                return Ok(pass);
            }
        }
    }

    async fn end(&self, id: &OperationId, pass: &mut Pass) -> Result<(), StoreError> {
        let outcome = erase_for_operator(&self.store, id, &self.owner, self.clock.now());
        match (outcome.await?, &self.cancel) {
            (EraseOutcome::Erased, _) => pass.erased += 1,
            // Gone, and in the index for a moment longer.
            (EraseOutcome::Absent | EraseOutcome::PreconditionFailed, _) => pass.unclear += 1,
            (EraseOutcome::Live, None) => pass.live.push(id.clone()),
            (EraseOutcome::Live, Some(operations)) => self.cancel(id, operations, pass).await?,
        }
        Ok(())
    }

    /// Cancels only; a later pass erases. A worker that holds the operation learns of the cancel
    /// by its next heartbeat, within the lease. Until then it can still write a result, which no
    /// later pass would find if the operation were erased now.
    async fn cancel(
        &self,
        id: &OperationId,
        operations: &Operations,
        pass: &mut Pass,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let live = self.store.get_for(id, &self.owner, now).await?;
        let outcome = operations
            .cancel(
                id,
                &self.owner,
                &Preconditions::NONE,
                RepeatedCancel::Succeeds,
            )
            .await?;
        match outcome {
            CancelOutcome::Cancelled { .. } => {
                pass.cancelled += 1;
                pass.held_until = pass.held_until.max(live.as_ref().and_then(held_until));
            }
            // It ended by itself meanwhile.
            CancelOutcome::Ended(_) | CancelOutcome::Absent => pass.unclear += 1,
            CancelOutcome::PreconditionFailed => pass.live.push(id.clone()),
        }
        Ok(())
    }
}

fn held_until(operation: &Operation) -> Option<Timestamp> {
    match operation.state {
        // Between two legs no worker holds it: its lease is the wait that the work asked for. If a
        // worker claims it meanwhile, its outcome is refused, and it deletes the item that it
        // wrote.
        State::Processing { lease_until, .. } if operation.resumes_at().is_none() => {
            Some(lease_until)
        }
        State::Processing { .. }
        | State::Pending
        | State::Completed { .. }
        | State::Failed { .. }
        | State::Cancelled { .. } => None,
    }
}
