//! Sends a message for every operation that needs one: after a queue was purged, messages
//! outlived their retention, or a table was restored.
//!
//! The messages are those that a function would send, with the `create_id` of the stored record.
//! A message only makes a function inspect an operation, so an unnecessary one changes nothing:
//!
//! - While a worker holds the operation, the message is returned until the lease ends.
//! - While an operation waits, for its start or to continue, the message is sent on until the wait
//!   ends.
//! - For a callback that is not due, the message is acknowledged.
//! - For an operation that is gone, the message is a phantom, dropped after 15 minutes.
//! - A receiver that keeps failing may get one more request at a time for each additional
//!   wake-up, since all of them wait for the same attempt.
//!
//! A run can be interrupted and repeated, also while the functions run. It recovers operations
//! that lost their message before it began; an operation that a submit is just creating still has
//! its message.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::id::OperationId;
use shared::domain::limits::{CALLBACK_FALLBACK_DELAY_SECS, QUEUE_DELAY_SECS_MAX};
use shared::domain::operation::{Availability, Operation};
use shared::domain::time::Timestamp;
use shared::queue::{BATCH_MAX, Delayed, Dispatch, Message, Queue, QueueError, WakeUp};
use shared::store::{Store, StoreError};

use crate::pace::Pace;

/// Items in one request. Ordinary heads are up to 1 KB, so most pages are half of the 1 MB that a
/// response can have.
const PAGE_ITEMS_MAX: u32 = 500;
/// How often a message is sent before it counts as refused by SQS. The SDK's retries are extra.
const SEND_TRIES_MAX: u32 = 5;
/// The pause before messages that SQS refused are sent again.
const SEND_PAUSE: Duration = Duration::from_secs(1);

pub struct Requeue {
    pub store: Store,
    pub dispatch: Queue,
    pub callbacks: Queue,
    pub clock: Arc<dyn Clock>,
    /// Requests a second, to table and queues together; at least 1.
    pub per_second: u16,
    /// Whether to report only, and send nothing.
    pub dry_run: bool,
}

/// The message that an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The operation has not ended.
    Dispatch {
        /// Until a worker can claim the operation.
        delay_secs: u32,
    },
    /// The operation's callback is due.
    WakeUp {
        /// Until the next attempt, and long enough for a wake-up that may already be in the queue.
        delay_secs: u32,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Items that were read, of every kind.
    pub examined: usize,
    /// Operations that have not ended.
    pub live: usize,
    /// Operations that have ended and whose callback is due.
    pub due: usize,
    /// The sum of `live` and `due`, unless something is left.
    pub sent: usize,
    /// Messages that SQS refused.
    pub unsent: usize,
    /// Records that cannot be read, which may or may not need a message.
    pub unreadable: usize,
}

/// What a run reports on its way.
#[derive(Debug)]
pub enum Progress<'a> {
    Needs(&'a Operation, Need),
    /// SQS refused the operation's message, with this error code.
    Unsent(&'a OperationId, &'a str),
    Unreadable(&'a StoreError),
    /// A page is done. The counts are those of all pages so far.
    Page(&'a Requeued),
}

/// Why a run stopped early. Messages sent by then stay sent, and the run can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    #[error("the table cannot be read")]
    Store(#[from] StoreError),
    #[error("cannot send to the queue {queue}")]
    Queue { queue: String, source: QueueError },
}

impl Requeued {
    /// Whether everything that needs a message has one.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.unsent == 0 && self.unreadable == 0
    }
}

impl Need {
    #[must_use]
    pub fn of(operation: &Operation, now: Timestamp) -> Option<Self> {
        match operation.availability(now) {
            // For as long as a worker would return the message. The holder's message may be lost,
            // so this one must arrive when the holder does not end the operation.
            Availability::Busy { until } => Some(Self::Dispatch {
                delay_secs: until.secs_from(now),
            }),
            Availability::Claimable | Availability::Exhausted => {
                Some(Self::Dispatch { delay_secs: 0 })
            }
            Availability::Ended if !operation.callback_is_due() => None,
            Availability::Ended => {
                let callback = operation.callback.as_ref();
                let next_attempt_at = callback.and_then(|callback| callback.next_attempt_at);
                let at = next_attempt_at.unwrap_or(now).max(now);
                // The table does not show whether a wake-up is already in the queue. This one
                // arrives after it, finds that wake-up's attempt on record, and does not repeat
                // its POST. It may repeat that of the attempt after it. SQS limits a message's
                // delay; the sender schedules the rest of a longer wait.
                let wait_secs = at.secs_from(now);
                let delay_secs = wait_secs.saturating_add(CALLBACK_FALLBACK_DELAY_SECS);
                Some(Self::WakeUp { delay_secs })
            }
        }
    }
}

impl Requeue {
    /// Reads the whole table, and sends the needed messages page by page.
    ///
    /// # Errors
    ///
    /// When the table or a queue cannot be reached.
    pub async fn run(
        &self,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Requeued, RequeueError> {
        let mut run = Run {
            requeue: self,
            pace: Pace::new(Arc::clone(&self.clock), self.per_second),
            requeued: Requeued::default(),
            report,
        };
        let mut from = None;
        loop {
            run.pace.turn().await;
            let now = self.clock.now();
            let page = self
                .store
                .scan_operations(PAGE_ITEMS_MAX, from, now)
                .await?;
            run.requeued.examined += page.examined;
            // Sent before the next page is read: the staler a page, the more of its messages are
            // unnecessary.
            run.send_needed(&page.operations, now).await?;
            (run.report)(Progress::Page(&run.requeued));
            from = page.next;
            if from.is_none() {
                return Ok(run.requeued);
            }
        }
    }
}

struct Run<'a> {
    requeue: &'a Requeue,
    pace: Pace,
    requeued: Requeued,
    report: &'a mut dyn FnMut(Progress<'_>),
}

impl Run<'_> {
    async fn send_needed(
        &mut self,
        operations: &[Result<Operation, StoreError>],
        now: Timestamp,
    ) -> Result<(), RequeueError> {
        let mut dispatches = Vec::new();
        let mut wake_ups = Vec::new();
        for operation in operations {
            let operation = match operation {
                Ok(operation) => operation,
                Err(error) => {
                    self.requeued.unreadable += 1;
                    (self.report)(Progress::Unreadable(error));
                    continue;
                }
            };
            let Some(need) = Need::of(operation, now) else {
                continue;
            };
            (self.report)(Progress::Needs(operation, need));
            match need {
                Need::Dispatch { delay_secs } => {
                    self.requeued.live += 1;
                    let message = Dispatch {
                        // It arrives before the wait ends, when a claim would be refused.
                        read_first: delay_secs > QUEUE_DELAY_SECS_MAX,
                        ..Dispatch::of(operation)
                    };
                    dispatches.push(Delayed {
                        message,
                        delay_secs,
                    });
                }
                Need::WakeUp { delay_secs } => {
                    self.requeued.due += 1;
                    let message = WakeUp::of(operation);
                    wake_ups.push(Delayed {
                        message,
                        delay_secs,
                    });
                }
            }
        }
        if self.requeue.dry_run {
            return Ok(());
        }
        let Requeue {
            dispatch,
            callbacks,
            ..
        } = self.requeue;
        self.send(dispatch, dispatches, |message| &message.operation_id)
            .await?;
        self.send(callbacks, wake_ups, |message| &message.operation_id)
            .await
    }

    async fn send<M: Message + Clone>(
        &mut self,
        queue: &Queue,
        mut messages: Vec<Delayed<M>>,
        operation_id: fn(&M) -> &OperationId,
    ) -> Result<(), RequeueError> {
        for last_try in (1..=SEND_TRIES_MAX).map(|number| number == SEND_TRIES_MAX) {
            let mut again = Vec::new();
            for batch in messages.chunks(BATCH_MAX) {
                self.pace.turn().await;
                let unsent = queue.send_batch(batch).await;
                let unsent = unsent.map_err(|source| RequeueError::Queue {
                    queue: queue.name().to_owned(),
                    source,
                })?;
                self.requeued.sent += batch.len() - unsent.len();
                for unsent in unsent {
                    let Some(message) = batch.get(unsent.index) else {
                        continue;
                    };
                    if last_try {
                        self.requeued.unsent += 1;
                        let id = operation_id(&message.message);
                        (self.report)(Progress::Unsent(id, &unsent.code));
                    } else {
                        again.push(message.clone());
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            messages = again;
            let clock = &self.requeue.clock;
            clock.sleep_until(clock.now() + SEND_PAUSE).await;
        }
        Ok(())
    }
}
