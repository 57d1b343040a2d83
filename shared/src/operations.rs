//! What callers may do with operations, by whichever face they come.
//!
//! The rules that hold for REST and Forrst alike stand here once: both are translations to and from these calls. Nothing here
//! knows how a request looked or how its answer will.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::id::OperationId;
use crate::domain::operation::{Operation, Owner};
use crate::domain::precondition::Preconditions;
use crate::domain::time::Timestamp;
use crate::metrics::{self, Metric};
use crate::queue::{Queue, WakeUp};
use crate::random::Random;
use crate::store::{CancelOutcome, ListFilter, ListPage, Position, Store, StoreError};
use crate::telemetry::chain;

/// How long a caller who waits for an operation's end is left alone before the first look.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// Each look comes after twice the wait of the one before, up to this: a wait of twenty seconds takes fourteen reads.
const LOOK_AFTER_MAX: Duration = Duration::from_secs(2);

/// Operations, for their owners. One for a process; cheap to clone.
#[derive(Clone)]
pub struct Operations {
    store: Store,
    callbacks: Queue,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Operations {
    /// Operations in this table, whose callbacks wait in this queue.
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
        }
    }

    /// An operation: one read, of the head alone. Another owner's is as absent as none.
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

    /// Waits for an operation's end, until `until` at the latest: the operation as it was last seen. One read a look, none when
    /// it has ended already; the looks grow apart, so that waiting costs little however many wait.
    ///
    /// A look that fails is none: whoever submitted the operation has to learn its name, or would submit it once more.
    pub async fn wait(&self, mut operation: Operation, until: Timestamp) -> Operation {
        let mut pause = LOOK_AFTER;
        while !operation.status().is_terminal() && self.clock.now() < until {
            // The last look is at the very end, so that what ends within the wait is seen.
            let wake = (self.clock.now() + pause).min(until);
            self.clock.sleep_until(wake).await;
            pause = (pause * 2).min(LOOK_AFTER_MAX);
            let seen = match self.read(&operation.id, &operation.owner).await {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::warn!("to be looked at again: {}", chain(&error));
                    continue;
                }
            };
            match seen.filter(|seen| seen.create_id == operation.create_id) {
                Some(seen) => operation = seen,
                // Ended, and erased by its owner since: what was known of it is all that is left to tell.
                None => break,
            }
        }
        operation
    }

    /// Cancels an operation: one write, and a message when somebody is to be told.
    ///
    /// # Errors
    ///
    /// As [`Operations::read`]. The operation may or may not have been cancelled.
    pub async fn cancel(
        &self,
        id: &OperationId,
        owner: &Owner,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreError> {
        let cancelled = self.store.cancel(id, owner, preconditions, now).await?;
        if let CancelOutcome::Cancelled { operation, by_us } = &cancelled
            && *by_us
        {
            metrics::count(Metric::OperationCancelled(&operation.function));
            if operation.callback_is_unannounced() {
                self.wake_callback(operation).await;
            }
        }
        Ok(cancelled)
    }

    /// A page of an owner's operations, newest first. See [`Store::list`].
    ///
    /// # Errors
    ///
    /// As [`Operations::read`].
    pub async fn list(
        &self,
        owner: &Owner,
        filter: &ListFilter,
        limit: usize,
        from: Option<Position>,
    ) -> Result<ListPage, StoreError> {
        let (clock, random) = (&*self.clock, &*self.random);
        self.store
            .list(owner, filter, limit, from, clock, random)
            .await
    }

    /// Outcome first, then the callback's message. A crash in between, a lost answer to the cancel, or a queue that cannot be
    /// reached is healed by the dispatch message: it is still somewhere, and the worker that receives it finds the callback
    /// due and sends this message. So a failure here is logged and does not undo the answer: the operation is cancelled.
    async fn wake_callback(&self, operation: &Operation) {
        if let Err(error) = self.callbacks.send(&WakeUp::of(operation), 0).await {
            tracing::warn!("callback left to the dispatch message: {}", chain(&error));
        }
    }
}
