//! A state of the protocol: the table, the queues, and the progress of each process.
//!
//! Kept small, since one is held for each explored state. A token or receipt handle, which is only
//! ever compared, is represented by the process that has it, and disappears with the process. A
//! time is represented by whether it has passed.

mod process;

use shared::domain::callback::CallbackStatus;
use shared::domain::transition::Status;

pub use self::process::{
    Cancel, DeliveryOutcome, Ending, Erase, Read, Redeliver, Response, Sender, Sending, Serving,
    Source, Submit, Worker,
};

/// Submits under one idempotency key. The index of each is its `create_id`.
pub const SUBMITS: usize = 2;
/// Concurrent invocations of the worker, and of the callback function.
pub const SLOTS: usize = 2;
/// Redeliveries that may be requested.
pub const REDELIVERIES: usize = 2;
/// Erases that may be requested.
pub const ERASES: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The item `head`.
    pub head: Option<Head>,
    /// The tombstone of this incarnation, in place of the head.
    pub tombstone: Option<u8>,
    /// The submits, as bits, whose `created_at` is before the `erased_at` of the head or the
    /// tombstone.
    pub begun: u8,
    /// Whether an operation has ever existed: an eventually consistent read may return it.
    pub has_existed: bool,
    /// The payload items, sorted.
    pub items: Vec<Item>,
    /// The messages in the four queues, sorted: the queues do not guarantee an order.
    pub messages: Vec<Message>,
    /// `submit`, once for each request.
    pub submits: [Submit; SUBMITS],
    /// `worker`.
    pub workers: [Worker; SLOTS],
    /// `callback`.
    pub senders: [Sender; SLOTS],
    /// `status`, handling a cancel.
    pub cancel: Cancel,
    /// `status`, handling redeliveries.
    pub redeliveries: [Redeliver; REDELIVERIES],
    /// `status`, handling erases; sorted, since these requests are interchangeable.
    pub erases: [Erase; ERASES],
    /// The disturbances that may still happen.
    pub budget: Budget,
    /// POSTs that the receiver got for the present incarnation.
    pub posts: u8,
    /// The numbers of the redeliveries that have started a round, as bits.
    pub rounds: u16,
    /// The failed operation that the submits redrive. All redrives of it have the same id.
    pub source: Source,
    /// Whether a redrive was created that its owner has not erased.
    pub redriven: bool,
    /// A final state.
    pub is_final: bool,
    /// Promises that an action has broken, as bits of [`Breach`].
    pub breaches: u16,
}

/// Disturbances that may still happen. Bounded, so that every behaviour ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Failed calls, lost responses, and deletes of messages without effect.
    pub faults: u8,
    /// Heartbeats of workers that were about to lose their lease.
    pub heartbeats: u8,
    /// Messages that move to a dead-letter queue.
    pub dead_letters: u8,
    /// Wake-ups that arrive before their attempt is due, as those for long waits do.
    pub hops: u8,
    /// Attempts that a sender defers to a later wake-up.
    pub deferrals: u8,
    /// Fresh messages that workers send for operations that have to wait longer than a lease.
    pub resends: u8,
    /// Messages that a worker of the previous release handles.
    pub older: u8,
}

impl Budget {
    pub const NONE: Self = Self {
        faults: 0,
        heartbeats: 0,
        dead_letters: 0,
        hops: 0,
        deferrals: 0,
        resends: 0,
        older: 0,
    };
}

/// A broken promise that shows in an action, not in the state after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// A terminal state, or a payload that it refers to, was changed.
    TerminalChanged = 1,
    /// A worker wrote as the holder although it no longer held the operation.
    StaleHolderWrote = 2,
    /// An operation was given up that had attempts and time left.
    GivenUpEarly = 4,
    /// The receiver was called before the end was recorded.
    PostedEarly = 8,
    /// A callback's ended round was changed without a redelivery.
    EndedRoundChanged = 16,
    /// A redelivery started a second round.
    RoundStartedAgain = 32,
    /// An erase marked an incarnation that it had not read.
    SuccessorErased = 64,
    /// A replay was answered with an operation that did not exist.
    RepliedFromNothing = 128,
    /// An operation was claimed before its start.
    ClaimedEarly = 256,
    /// A leg ran without the state that the last continue left, or with another.
    OtherState = 512,
    /// A failed operation was redriven again, and the first redrive was not erased.
    RedrivenAgain = 1024,
}

/// The item `head`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what has passed of its times, each by itself"
)]
pub struct Head {
    /// `create_id`: the submit's index.
    pub create: u8,
    pub status: Status,
    /// `lock_version`.
    pub version: u8,
    pub attempt: u8,
    pub attempts_max: u8,
    /// The attempt that wrote the state from which the next one continues. 0 is a redrive, which
    /// copied it.
    pub state: Option<u8>,
    /// The attempt whose continue was applied last. No process reads it: the properties compare the
    /// record with it.
    pub continued: Option<u8>,
    /// `claim_id`: the worker that drew it, while that worker can still compare it.
    pub claim: Option<u8>,
    /// Whether `lease_until` has passed.
    pub lease_over: bool,
    /// Whether `deadline_at` has passed.
    pub deadline_over: bool,
    /// Whether `expires_at` has passed.
    pub expired: bool,
    /// Whether the head has `erased_at`.
    pub erased: bool,
    /// The key of the result's item, if the head names one.
    pub result: Option<Key>,
    /// `None` for an operation without a callback.
    pub callback: Option<Callback>,
}

/// The callback's attributes of the head.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Callback {
    /// `callback_status`.
    pub recorded: Option<Recorded>,
    /// `callback_attempts_made`.
    pub attempts_made: u8,
    /// `callback_round_attempts`.
    pub round_attempts: u8,
    /// `callback_attempt_id`: the sender that drew it, while that sender can still compare it.
    pub last_by: Option<u8>,
    /// Whether `callback_next_at` is in the future.
    pub waits: bool,
    /// The last redelivery that started a round, with
    /// [`Fault::RedeliveryNamesItself`](crate::config::Fault::RedeliveryNamesItself) only.
    pub last_redelivery: Option<u8>,
}

/// A recorded callback status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recorded {
    /// After a failed attempt, or once a round has started.
    Due,
    /// The receiver answered 2xx.
    Delivered,
    /// The receiver answered 410.
    Gone,
    /// No attempt is left, or no attempt could be made.
    Exhausted,
}

/// A payload item's sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The arguments of an incarnation.
    Arguments(u8),
    /// The result of an incarnation's attempt.
    Result(u8, u8),
    /// The state that an incarnation's attempt left. Attempt 0 is the redrive that copied it.
    State(u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    pub key: Key,
    /// The incarnation and the attempt whose payload it holds. Attempt 0 is the submit.
    pub of: (u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// To the worker.
    Dispatch,
    /// The dispatch queue's dead-letter queue, also to the worker.
    DispatchDeadLetters,
    /// To the callback function.
    Callback,
    /// The callback queue's dead-letter queue, also to the callback function.
    CallbackDeadLetters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each by itself")]
pub struct Message {
    pub queue: Queue,
    /// The incarnation that it is for.
    pub create: u8,
    /// `redeliver_after_attempts`; with
    /// [`Fault::RedeliveryNamesItself`](crate::config::Fault::RedeliveryNamesItself) the
    /// redelivery's number.
    pub redelivery: Option<u8>,
    /// Whether it can be received: not delayed, in flight or returned with a delay.
    pub visible: bool,
    /// Receives from its queue, up to the number that matters.
    pub receives: u8,
    /// Whether it is known to be older than the age from which on a missing record means that it
    /// will never be created.
    pub old: bool,
    /// Whether a worker reads the record before it claims, although the message was not received
    /// before.
    pub read_first: bool,
    /// Whether it is hidden until a sleep of days is over, with
    /// [`Fault::SleepHidesMessage`](crate::config::Fault::SleepHidesMessage) only.
    pub hidden: bool,
    /// The processes, as bits, that have a receipt handle of it.
    pub holders: u8,
}

impl Head {
    /// `Operation::callback_status`.
    #[must_use]
    pub fn callback_status(&self) -> Option<CallbackStatus> {
        let callback = self.callback.as_ref()?;
        Some(match callback.recorded {
            _ if !self.status.is_terminal() => CallbackStatus::Waiting,
            None | Some(Recorded::Due) => CallbackStatus::Due,
            Some(Recorded::Delivered) => CallbackStatus::Delivered,
            Some(Recorded::Gone) => CallbackStatus::Gone,
            Some(Recorded::Exhausted) => CallbackStatus::Exhausted,
        })
    }

    /// `Operation::callback_is_due`.
    #[must_use]
    pub fn callback_is_due(&self) -> bool {
        self.callback_status() == Some(CallbackStatus::Due)
    }

    /// `Operation::needs_first_wake_up`.
    #[must_use]
    pub fn needs_first_wake_up(&self) -> bool {
        let untouched = |callback: &Callback| callback.attempts_made == 0;
        self.callback_is_due() && self.callback.as_ref().is_some_and(untouched)
    }
}

impl State {
    /// The record; `None` when it is absent, expired or erased, which are equivalent.
    #[must_use]
    pub fn record(&self) -> Option<&Head> {
        self.head
            .as_ref()
            .filter(|head| !head.expired && !head.erased)
    }

    /// The record of an incarnation.
    #[must_use]
    pub fn record_of(&self, create: u8) -> Option<&Head> {
        self.record().filter(|head| head.create == create)
    }

    /// Whether this submit can no longer create a record.
    #[must_use]
    pub fn submit_is_over(&self, create: u8) -> bool {
        matches!(self.submits[usize::from(create)], Submit::Answered(_))
    }

    pub(crate) fn breach(&mut self, breach: Breach) {
        self.breaches |= breach as u16;
    }

    /// Symmetry reduction: sorts the messages, and the interchangeable invocations with all
    /// references to them.
    pub(crate) fn normalize(&mut self) {
        if self.workers[0] > self.workers[1] {
            self.workers.swap(0, 1);
            self.swap_holders(0);
            if let Some(head) = &mut self.head {
                head.claim = head.claim.map(|slot| 1 - slot);
            }
        }
        if self.senders[0] > self.senders[1] {
            self.senders.swap(0, 1);
            self.swap_holders(SLOTS);
            if let Some(callback) = self.head.as_mut().and_then(|head| head.callback.as_mut()) {
                callback.last_by = callback.last_by.map(|slot| 1 - slot);
            }
        }
        self.erases.sort_unstable();
        self.messages.sort_unstable();
        self.items.sort_unstable();
    }

    fn swap_holders(&mut self, first: usize) {
        for message in &mut self.messages {
            message.holders = swapped(message.holders, first);
        }
    }
}

/// The bits with those at `first` and after it exchanged.
const fn swapped(bits: u8, first: usize) -> u8 {
    let low = (bits >> first) & 1;
    let high = (bits >> (first + 1)) & 1;
    bits & !(0b11 << first) | high << first | low << (first + 1)
}
