//! A moment of the protocol: the table, the queues, and how far each process has come.
//!
//! Kept small, since it is held once for each of the moments that are explored. Values that only tell one thing from another
//! (tokens, receipt handles) are held as which process has them, and are gone with it; times are held as what has passed.

mod process;

use shared::domain::callback::CallbackStatus;
use shared::domain::transition::Status;

pub use self::process::{
    Answer, Cancel, Ending, Erase, Read, Redeliver, Sender, Sending, Serving, Settlement, Submit,
    Worker,
};

/// Submits of one name, each with a `create_id` of its own: its index.
pub const SUBMITS: usize = 2;
/// Invocations of the worker at a time; and of the callback function.
pub const SLOTS: usize = 2;
/// Redeliveries that may be asked for.
pub const REDELIVERIES: usize = 2;
/// Erases that may be asked for.
pub const ERASES: usize = 2;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The item `head`.
    pub head: Option<Head>,
    /// In its place, what is left of an incarnation that was erased.
    pub mark: Option<u8>,
    /// The submits, as bits, whose `created_at` is before the `erased_at` of what is erased there.
    pub begun: u8,
    /// Whether an operation has ever been there, which an eventually consistent read may see.
    pub ever: bool,
    /// The payload items, sorted.
    pub items: Vec<Item>,
    /// What is in the four queues, sorted: they promise no order.
    pub messages: Vec<Message>,
    /// `submit`, once for each request.
    pub submits: [Submit; SUBMITS],
    /// `worker`.
    pub workers: [Worker; SLOTS],
    /// `callback`.
    pub senders: [Sender; SLOTS],
    /// `status`, asked to cancel.
    pub cancel: Cancel,
    /// `status`, asked to redeliver.
    pub redeliveries: [Redeliver; REDELIVERIES],
    /// `status`, asked to erase; sorted, since nothing tells these requests apart.
    pub erases: [Erase; ERASES],
    /// What may still happen out of the ordinary.
    pub left: Budget,
    /// POSTs that the receiver saw for the present incarnation.
    pub posts: u8,
    /// What the redeliveries that have started a round said, as bits.
    pub rounds: u16,
    /// Nothing will ever happen again.
    pub over: bool,
    /// Promises that a step has broken, as bits of [`Breach`].
    pub breaches: u8,
}

/// What may still happen out of the ordinary. Bounded, so that there is an end to what can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Calls that fail, answers that are lost, and deletes of messages that do not take.
    pub faults: u8,
    /// Heartbeats of workers that have come close to losing their lease.
    pub heartbeats: u8,
    /// Messages that move to a dead-letter queue.
    pub dead_letters: u8,
    /// Wake-ups that arrive before their time, as those for long waits do.
    pub hops: u8,
    /// Attempts that a sender defers to a later wake-up.
    pub deferrals: u8,
}

/// A promise that is seen broken at a step, not in what the step leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// A terminal state, or what it refers to, was changed.
    TerminalChanged = 1,
    /// A worker wrote as the holder of what another held, or nobody.
    StaleHolderWrote = 2,
    /// An operation was given up that had attempts and time left.
    GivenUpEarly = 4,
    /// The receiver was told of an end before it was recorded.
    ToldEarly = 8,
    /// A settled callback became another's without a redelivery.
    SettledChanged = 16,
    /// A redelivery started a second round.
    RoundStartedAgain = 32,
    /// An erase marked another incarnation than the one that it was for.
    SuccessorErased = 64,
    /// A replay was answered with an operation that was not there.
    RepliedFromNothing = 128,
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
    /// `status`.
    pub status: Status,
    /// `lock_version`.
    pub version: u8,
    /// `attempt`.
    pub attempt: u8,
    /// `claim_id`: the worker that drew it, while there is one that could compare it.
    pub claim: Option<u8>,
    /// Whether `lease_until` has passed.
    pub lease_over: bool,
    /// Whether `deadline_at` has passed.
    pub deadline_over: bool,
    /// Whether `expires_at` has passed.
    pub expired: bool,
    /// Whether there is `erased_at`.
    pub erased: bool,
    /// The result's item, once one is named.
    pub result: Option<Key>,
    /// The callback, when one was asked for.
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
    /// `callback_attempt_id`: the sender that drew it, while there is one that could compare it.
    pub last_by: Option<u8>,
    /// Whether `callback_next_at` is to come.
    pub waits: bool,
    /// The last redelivery that started a round, where that is remembered:
    /// [`Fault::RedeliveryNamesItself`](crate::config::Fault::RedeliveryNamesItself).
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
    /// No attempt is left, or none could be made.
    Exhausted,
}

/// A payload item's sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The arguments of an incarnation.
    Arguments(u8),
    /// The result of an incarnation's attempt.
    Result(u8, u8),
}

/// A payload item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    /// Its name.
    pub key: Key,
    /// The incarnation and the attempt whose payload it holds; attempt 0 is the submit.
    pub of: (u8, u8),
}

/// A queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// To the worker.
    Dispatch,
    /// The dispatch queue's dead letters, to the worker as well.
    DispatchDeadLetters,
    /// To the callback function.
    Callback,
    /// The callback queue's dead letters, to the callback function as well.
    CallbackDeadLetters,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// Where it is.
    pub queue: Queue,
    /// The incarnation that it is for.
    pub create: u8,
    /// `redeliver_after_attempts`; or which redelivery it is:
    /// [`Fault::RedeliveryNamesItself`](crate::config::Fault::RedeliveryNamesItself).
    pub redelivery: Option<u8>,
    /// Whether it can be received: not delayed, in flight or put back.
    pub visible: bool,
    /// How often it was received from its queue, up to where that counts.
    pub receives: u8,
    /// Whether it is known to be older than the age at which an absent record means that there will be none.
    pub old: bool,
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

    /// `Operation::callback_is_unannounced`.
    #[must_use]
    pub fn callback_is_unannounced(&self) -> bool {
        let untouched = |callback: &Callback| callback.attempts_made == 0;
        self.callback_is_due() && self.callback.as_ref().is_some_and(untouched)
    }
}

impl State {
    /// The record, unless there is none, or it has expired or was erased, which is the same.
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

    /// Whether this submit can no longer create anything.
    #[must_use]
    pub fn submit_is_over(&self, create: u8) -> bool {
        matches!(self.submits[usize::from(create)], Submit::Answered(_))
    }

    pub(crate) fn breach(&mut self, breach: Breach) {
        self.breaches |= breach as u8;
    }

    /// Brings what is the same but for its order into one order: messages, and invocations with what refers to them.
    pub(crate) fn put_in_order(&mut self) {
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
