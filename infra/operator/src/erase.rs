//! The end of everything that an owner has: a person's right to be forgotten.
//!
//! Each operation is erased as its owner could, and so are those that have expired but that DynamoDB has not deleted yet. What has not
//! ended is left alone, or cancelled first.
//!
//! The index by which they are found follows the table with a delay (Amazon DynamoDB Developer Guide, "Using Global Secondary
//! Indexes"), so one look is not enough: it is looked again until nothing is found that was not found to stay.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, Owner, State};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::operations::{CancelOutcome, EraseOutcome, Operations, RepeatedCancel, forget};
use shared::store::{Record, Store, StoreError};

use crate::pace::Pace;

/// Passes over an owner's operations. Three see an owner off who has stopped submitting.
const PASSES_MAX: u32 = 10;
/// What the index is given between two passes to follow the table.
const INDEX_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Erase {
    /// The table.
    pub store: Store,
    /// How what has not ended is cancelled, its callback's wake-up included; left alone without.
    pub cancel: Option<Operations>,
    /// Whose.
    pub owner: Owner,
    /// What expiry is reckoned by.
    pub clock: Arc<dyn Clock>,
    /// Operations a second; at least 1.
    pub per_second: u16,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Operations that are gone.
    pub erased: usize,
    /// How many of them were cancelled first.
    pub cancelled: usize,
    /// Operations that have not ended, as of the last pass.
    pub live: Vec<OperationId>,
    /// Why records cannot be read, and so are still there, as of the last pass.
    pub unreadable: Vec<StoreError>,
    /// Whether the last pass found nothing else.
    pub settled: bool,
}

/// What there is of an owner's under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An operation that has not ended.
    Live,
    /// One that has.
    Ended,
    /// One that nobody sees any more.
    Expired,
    /// One whose erasure was broken off.
    Marked,
    /// A record that cannot be read.
    Unreadable,
}

/// One pass.
#[derive(Default)]
struct Pass {
    erased: usize,
    cancelled: usize,
    live: Vec<OperationId>,
    unreadable: Vec<StoreError>,
    /// What the index still shows, or what changed while it was looked at: to be looked at again.
    unclear: usize,
    /// Until when a worker may be at work on what was cancelled.
    held_until: Option<Timestamp>,
}

impl Outcome {
    /// Whether nothing of the owner's is left that could be found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.settled && self.live.is_empty() && self.unreadable.is_empty()
    }
}

impl Erase {
    /// What would be erased, and changes nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn look(&self, tell: &mut dyn FnMut(&OperationId, Found)) -> Result<(), StoreError> {
        let mut pace = Pace::new(Arc::clone(&self.clock), self.per_second);
        let mut from = None;
        loop {
            let owned = self.store.owned(&self.owner, from.as_ref()).await?;
            for key in &owned.keys {
                pace.turn().await;
                let head = self.store.inspect(&key.id).await?.head;
                if let Some(found) = head.and_then(|head| self.found(&head.record, head.erased_at))
                {
                    tell(&key.id, found);
                }
            }
            from = owned.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// `None` for what the index shows, but that is gone, or another's by now.
    fn found(&self, record: &Record, erased_at: Option<Timestamp>) -> Option<Found> {
        match record {
            Record::Mark { .. } => None,
            Record::Unreadable { .. } => Some(Found::Unreadable),
            Record::Operation(operation) if operation.owner != self.owner => None,
            Record::Operation(_) if erased_at.is_some() => Some(Found::Marked),
            Record::Operation(operation) if operation.expires_at <= self.clock.now() => {
                Some(Found::Expired)
            }
            Record::Operation(operation) if operation.status().is_terminal() => Some(Found::Ended),
            Record::Operation(_) => Some(Found::Live),
        }
    }

    /// Erases. `waiting` is told when it waits for the workers of what was cancelled, and until when.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached. What was erased by then is erased; it can be begun again.
    pub async fn run(&self, waiting: &mut dyn FnMut(Timestamp)) -> Result<Outcome, StoreError> {
        let mut pace = Pace::new(Arc::clone(&self.clock), self.per_second);
        let mut outcome = Outcome::default();
        for _ in 0..PASSES_MAX {
            let pass = self.pass(&mut pace).await?;
            outcome.erased += pass.erased;
            outcome.cancelled += pass.cancelled;
            outcome.live = pass.live;
            outcome.unreadable = pass.unreadable;
            outcome.settled = pass.erased + pass.cancelled + pass.unclear == 0;
            if outcome.settled {
                break;
            }
            let mut again_at = self.clock.now() + INDEX_PAUSE;
            if let Some(held_until) = pass.held_until.filter(|until| *until > again_at) {
                waiting(held_until);
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
            let owned = self.store.owned(&self.owner, from.as_ref()).await?;
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
        let outcome = forget(&self.store, id, &self.owner, self.clock.now());
        match (outcome.await?, &self.cancel) {
            (EraseOutcome::Erased, _) => pass.erased += 1,
            // Gone, and in the index for a moment longer; or to be continued.
            (EraseOutcome::Absent | EraseOutcome::OtherVersion | EraseOutcome::Unfinished, _) => {
                pass.unclear += 1;
            }
            (EraseOutcome::Live, None) => pass.live.push(id.clone()),
            (EraseOutcome::Live, Some(operations)) => self.cancel(id, operations, pass).await?,
        }
        Ok(())
    }

    /// Cancels an operation, which a later pass erases. A worker that holds it learns of the cancel by
    /// its next heartbeat, within the lease. Before that it could still write a result, which no erase
    /// would find.
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
            CancelOutcome::Cancelled(_) => {
                pass.cancelled += 1;
                pass.held_until = pass.held_until.max(live.as_ref().and_then(held_until));
            }
            // It ended by itself meanwhile.
            CancelOutcome::Ended(_) | CancelOutcome::Absent => pass.unclear += 1,
            CancelOutcome::OtherVersion => pass.live.push(id.clone()),
        }
        Ok(())
    }
}

fn held_until(operation: &Operation) -> Option<Timestamp> {
    match operation.state {
        State::Processing { lease_until, .. } => Some(lease_until),
        State::Pending
        | State::Completed { .. }
        | State::Failed { .. }
        | State::Cancelled { .. } => None,
    }
}
