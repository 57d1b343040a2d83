//! What is explored: how much of everything there is, and what is broken on purpose.

use crate::state::Budget;

/// One exploration.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what may happen, each by itself"
)]
pub struct Config {
    /// What it is printed as.
    pub name: &'static str,
    /// Where it starts.
    pub start: Start,
    /// Submits under one idempotency key, of which any may find another's operation.
    pub submits: u8,
    /// Whether the second submit asks for something else than the first.
    pub conflicting: bool,
    /// Invocations of the worker at a time, one or two.
    pub workers: usize,
    /// Invocations of the callback function at a time, one or two.
    pub senders: usize,
    /// Attempts that an operation's work has.
    pub attempts_max: u8,
    /// Attempts in a round of the callback; none was asked for when zero.
    pub callback_attempts_max: u8,
    /// Whether a receiver may answer 410.
    pub gone: bool,
    /// Whether arguments and result are too large for the head.
    pub payloads: bool,
    /// Whether the owner may cancel.
    pub cancel: bool,
    /// Erases that the owner may ask for.
    pub erases: u8,
    /// Redeliveries that the owner may ask for.
    pub redeliveries: u8,
    /// Whether the deadline may pass.
    pub deadline: bool,
    /// Whether a record may expire, and what nobody sees any more be deleted.
    pub expiry: bool,
    /// Receives after which a message only comes back from its dead-letter queue, or when all else has come to rest.
    pub receives_max: u8,
    /// What may happen out of the ordinary.
    pub budget: Budget,
    /// POSTs of one incarnation that are accounted for; not counted when zero.
    pub posts_max: u8,
    /// What is broken on purpose.
    pub fault: Option<Fault>,
    /// What must be seen to happen, by the names of [`crate::property::WITNESSES`].
    pub seen: &'static [&'static str],
}

/// Where an exploration starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing has happened.
    Nothing,
    /// An operation has ended, its callback is due and nobody has been told: the dispatch message is there.
    Ended,
    /// The callback was delivered, and a second message for that is still there.
    Delivered,
}

/// A rule that is broken on purpose, to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Submit creates the record before it sends the message.
    RecordBeforeMessage,
    /// A worker acknowledges the message of an operation that another one holds.
    BusyAcknowledged,
    /// A worker whose outcome was refused acknowledges its message.
    FencedOffAcknowledges,
    /// A worker acknowledges without sending the wake-up of a due callback.
    CallbackNotAnnounced,
    /// The dead letters' consumer drops a message without a record, however young.
    DeadLetterDropsYoung,
    /// The dead letters' consumer acknowledges the message of an operation that somebody holds.
    DeadLetterAcknowledgesBusy,
    /// The dead letters' consumer gives up an operation that has attempts and time left.
    DeadLetterGivesUp,
    /// Messages name the operation alone.
    MessageWithoutCreateId,
    /// Payload items are named after what they are alone.
    PayloadsUnderOneName,
    /// The record of an attempt asks for nothing.
    UnconditionalRecord,
    /// A sender whose record was refused leaves no wake-up behind.
    RefusedSenderAcknowledges,
    /// The record of an outcome asks for nothing but the incarnation.
    OutcomeNotFenced,
    /// A sender takes a wake-up's word for it that the operation has ended.
    WakeUpTrusted,
    /// A redelivery's wake-up names itself, and the record remembers the last.
    RedeliveryNamesItself,
    /// A sender whose start of a round was refused acknowledges.
    RefusedStartAcknowledges,
    /// An erase leaves nothing.
    EraseDeletesHead,
    /// An erase marks whatever has ended under the name.
    EraseNamesNoIncarnation,
    /// A create goes over a mark that is later than itself.
    CreateOverLaterMark,
    /// An erase deletes the payload items of submits that began after its mark.
    EraseDeletesLaterItems,
    /// A submit whose create was refused leaves its payload items.
    RefusedSubmitLeavesItems,
    /// A worker leaves a result whose operation is gone.
    LateResultStays,
    /// A replay is answered from an eventually consistent read.
    RepliedFromStaleRead,
    /// A sender that defers an attempt sends no wake-up for it.
    DeferralSendsNothing,
    /// DynamoDB deletes a record as soon as it has expired or was erased.
    DeletedAtOnce,
}

impl Config {
    /// The smallest: one submit of an operation with one attempt, nothing out of the ordinary.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            start: Start::Nothing,
            submits: 1,
            conflicting: false,
            workers: 2,
            senders: 2,
            attempts_max: 1,
            callback_attempts_max: 0,
            gone: false,
            payloads: false,
            cancel: false,
            erases: 0,
            redeliveries: 0,
            deadline: false,
            expiry: false,
            receives_max: 2,
            budget: Budget {
                faults: 0,
                heartbeats: 0,
                dead_letters: 0,
                hops: 0,
                deferrals: 0,
            },
            posts_max: 0,
            fault: None,
            seen: &[],
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
