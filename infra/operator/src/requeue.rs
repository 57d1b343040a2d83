//! A message for everything that needs one: after a queue was purged, messages outlived their retention, or a table was restored.
//!
//! What is sent is what a function would send, with the `create_id` of the record that stands there. A message is a mere reason to look at
//! an operation, so one that is not needed changes nothing: while another worker holds the operation it is put back until the lease
//! ends, a callback that is settled is left alone, and an operation that is gone since leaves a phantom, dropped after 15 minutes. A
//! receiver that goes on failing may be posted to once more at a time for each wake-up beside its own, since they come to wait for the
//! same attempt. This can be broken off and begun again, and run while the functions do.
//!
//! It heals what lost its message before it began. What a submit is just creating has its message still.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::domain::id::OperationId;
use shared::domain::limits::CALLBACK_ANNOUNCEMENT_SECS;
use shared::domain::operation::{Availability, Operation};
use shared::domain::time::Timestamp;
use shared::queue::{BATCH_MAX, Delayed, Dispatch, Message, Queue, QueueError, WakeUp};
use shared::store::{Store, StoreError};

use crate::pace::Pace;

/// Items in one request. Ordinary heads are up to 1 KB, so that most pages are half of what a request can have.
const PAGE_ITEMS_MAX: u32 = 500;
/// Times that a message is sent before it counts as one that SQS does not take, the SDK's own tries not counted.
const SEND_TRIES_MAX: u32 = 5;
/// How long SQS is left alone when it did not take a message.
const SEND_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Requeue {
    /// The table.
    pub store: Store,
    /// Where work waits.
    pub dispatch: Queue,
    /// Where callbacks wait.
    pub callbacks: Queue,
    /// What leases and delays are reckoned by.
    pub clock: Arc<dyn Clock>,
    /// Requests a second, to table and queues together; at least 1.
    pub per_second: u16,
    /// Whether nothing is to be sent.
    pub dry_run: bool,
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A dispatch message: it has not ended.
    Dispatch {
        /// How long the message waits, since nobody could claim earlier.
        delay_secs: u32,
    },
    /// A wake-up: its callback is due.
    WakeUp {
        /// How long the message waits, for the next attempt and for the chain that there may be already.
        delay_secs: u32,
    },
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Items that were read, of every kind.
    pub examined: usize,
    /// Operations that have not ended.
    pub live: usize,
    /// Operations that have ended and whose callback is due.
    pub due: usize,
    /// Messages that were sent: as many as these two together, unless something is left.
    pub sent: usize,
    /// Messages that SQS did not take.
    pub unsent: usize,
    /// Records that cannot be read, which may need a message or not.
    pub unreadable: usize,
}

/// What is told on the way.
#[derive(Debug)]
pub enum Told<'a> {
    /// An operation needs a message.
    Needs(&'a Operation, Need),
    /// SQS did not take a message, for a reason that it has this word for.
    Unsent(&'a OperationId, &'a str),
    /// A record cannot be read.
    Unreadable(&'a StoreError),
    /// A page is done, and this is what came of all so far.
    Page(&'a Requeued),
}

/// Why it broke off. What was sent by then is sent; it can be begun again.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    /// The table could not be read.
    #[error("the table cannot be read")]
    Store(#[from] StoreError),
    /// A queue could not be reached.
    #[error("the queue {queue} cannot be sent to")]
    Queue {
        /// Its name.
        queue: String,
        /// Why.
        source: QueueError,
    },
}

impl Requeued {
    /// Whether everything that needs a message has one.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.unsent == 0 && self.unreadable == 0
    }
}

impl Need {
    /// What an operation needs now, if anything.
    #[must_use]
    pub fn of(operation: &Operation, now: Timestamp) -> Option<Self> {
        match operation.availability(now) {
            // As a worker puts a message back. The holder's own may be lost, so this one has to come if the holder does not end it.
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
                // Nobody can tell whether a wake-up is on its way. Behind it, this one finds its attempt on record, and is not a second
                // POST of the same attempt; of the one after it, it may be. A longer wait than a message can have is for the sender, who sends it on.
                let wait_secs = at.secs_from(now);
                let delay_secs = wait_secs.saturating_add(CALLBACK_ANNOUNCEMENT_SECS);
                Some(Self::WakeUp { delay_secs })
            }
        }
    }
}

impl Requeue {
    /// Reads the whole table, and sends what is needed as it is found.
    ///
    /// # Errors
    ///
    /// When the table or a queue cannot be reached.
    pub async fn run(&self, tell: &mut dyn FnMut(Told<'_>)) -> Result<Requeued, RequeueError> {
        let mut run = Run {
            requeue: self,
            pace: Pace::new(Arc::clone(&self.clock), self.per_second),
            requeued: Requeued::default(),
            tell,
        };
        let mut from = None;
        loop {
            run.pace.turn().await;
            let now = self.clock.now();
            let page = self.store.heads(PAGE_ITEMS_MAX, from, now).await?;
            run.requeued.examined += page.examined;
            // Sent before the next page is read: the older a message's reason, the likelier it has passed.
            run.see_to(&page.operations, now).await?;
            (run.tell)(Told::Page(&run.requeued));
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
    tell: &'a mut dyn FnMut(Told<'_>),
}

impl Run<'_> {
    async fn see_to(
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
                    (self.tell)(Told::Unreadable(error));
                    continue;
                }
            };
            let Some(need) = Need::of(operation, now) else {
                continue;
            };
            (self.tell)(Told::Needs(operation, need));
            match need {
                Need::Dispatch { delay_secs } => {
                    self.requeued.live += 1;
                    let message = Dispatch::of(operation);
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
                        (self.tell)(Told::Unsent(operation_id(&message.message), &unsent.code));
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
