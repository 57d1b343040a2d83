//! What is explored: the bounds of each exploration, and the planted fault.

use crate::state::Budget;

/// One exploration.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what may happen, each by itself"
)]
pub struct Config {
    /// The name that it is printed under.
    pub name: &'static str,
    pub start: Start,
    /// Submits under one idempotency key. Each may find an operation that another created.
    pub submits: u8,
    /// Whether the second submit is a different request.
    pub conflicting: bool,
    /// Concurrent invocations of the worker, one or two.
    pub workers: usize,
    /// Concurrent invocations of the callback function, one or two.
    pub senders: usize,
    /// Attempts of an operation's work.
    pub attempts_max: u8,
    /// Attempts in a round of the callback; zero for an operation without a callback.
    pub callback_attempts_max: u8,
    /// Whether a receiver may answer 410.
    pub gone: bool,
    /// Whether arguments and result are too large for the head.
    pub payloads: bool,
    /// Whether the owner may cancel.
    pub cancel: bool,
    /// Erases that the owner may request.
    pub erases: u8,
    /// Redeliveries that the owner may request.
    pub redeliveries: u8,
    /// Whether the deadline may pass.
    pub deadline: bool,
    /// Whether a record may expire, and DynamoDB may delete expired and erased records.
    pub expiry: bool,
    /// Receives after which a message is received again only from its dead-letter queue, or when
    /// every process waits.
    pub receives_max: u8,
    /// Claims after which work may not continue any more; zero for work that never continues.
    pub claims_max: u8,
    /// Whether the operation is submitted with a start.
    pub starts_later: bool,
    /// Whether a worker reads the record before it claims, for a message that was received before
    /// or that was sent for an operation that waits.
    ///
    /// A claim that is refused returns the same record, and changes as little. So the read adds
    /// states but no behaviour, and only the explorations of long work include it.
    pub reads_first: bool,
    /// Whether the submits redrive one failed operation, from its state.
    pub redrive: bool,
    /// Whether the retention of the operation that is redriven may pass, and it may be erased.
    pub source_goes: bool,
    /// How many disturbances may happen.
    pub budget: Budget,
    /// The most POSTs for one incarnation. POSTs are not counted when it is zero.
    pub posts_max: u8,
    /// The rule that is broken on purpose.
    pub fault: Option<Fault>,
    /// What must be reachable, by the names of [`crate::property::REACHABLE`].
    pub reaches: &'static [&'static str],
}

/// The initial state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing has happened.
    Nothing,
    /// An operation has ended and its callback is due, but no attempt was made. The dispatch
    /// message still exists.
    Ended,
    /// The callback was delivered, and a second message for it still exists.
    Delivered,
}

/// A rule that is broken on purpose, to show that it is necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Submit creates the record before it sends the message.
    RecordBeforeMessage,
    /// A worker acknowledges the message of an operation that another worker holds.
    BusyAcknowledged,
    /// A worker whose outcome was refused acknowledges its message.
    FencedOffAcknowledges,
    /// A worker acknowledges without sending the message of a due callback.
    FirstWakeUpNotSent,
    /// The dead-letter consumer drops a message without a record, however young.
    DeadLetterDropsYoung,
    /// The dead-letter consumer acknowledges the message of an operation that a worker holds.
    DeadLetterAcknowledgesBusy,
    /// The dead-letter consumer gives up an operation that has attempts and time left.
    DeadLetterGivesUp,
    /// Messages carry the operation id, but no `create_id`.
    MessageWithoutCreateId,
    /// The keys of payload items have neither incarnation nor attempt.
    PayloadsUnderOneName,
    /// The record of an attempt is unconditional.
    UnconditionalRecord,
    /// A sender whose record was refused sends no wake-up.
    RefusedSenderAcknowledges,
    /// The record of an outcome is conditional on the incarnation only.
    OutcomeNotFenced,
    /// A sender trusts a wake-up that the operation has ended.
    WakeUpTrusted,
    /// A redelivery's wake-up carries its own number, and the record remembers only the last.
    RedeliveryNamesItself,
    /// A sender whose start of a round was refused acknowledges.
    RefusedStartAcknowledges,
    /// An erase leaves no tombstone.
    EraseDeletesHead,
    /// An erase marks any incarnation that has ended under the id.
    EraseNamesNoIncarnation,
    /// A create replaces a mark that is later than its own submit.
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
    /// A continue leaves the number of attempts as it is.
    AttemptsNotRaised,
    /// The keys of state items have no attempt.
    StatesUnderOneName,
    /// A worker derives the key of the state from the record's last attempt.
    StateByLastAttempt,
    /// A record with a state has the format of the previous release.
    StateInOlderFormat,
    /// A record with a start has the format of the previous release.
    StartInOlderFormat,
    /// A claim does not wait for the start.
    StartClaimsEarly,
    /// A worker hides the message of an operation that sleeps until the sleep is over.
    SleepHidesMessage,
    /// A worker sends the message of an absent operation afresh, like that of one that waits.
    AbsentSentAfresh,
    /// A worker acknowledges the message of an operation that waits before it sends the fresh one.
    AcknowledgedBeforeFresh,
    /// A worker that reads first acknowledges the message of an operation that waits or is held.
    ReadFirstAcknowledgesBusy,
    /// A worker that has continued acknowledges without sending a fresh message.
    ContinueAcknowledges,
    /// A worker whose outcome was refused deletes its payload item, whatever it met.
    DiscardsWhateverItMet,
    /// A redrive makes the failed record pending again.
    RedriveReopens,
    /// A redrive has a random id.
    RedriveUnderRandomId,
    /// A redrive may expire before the retention of the operation that it came from has passed.
    RedriveExpiresFirst,
    /// An operation that a redelivery of its callback keeps beyond its retention can be redriven.
    RedrivenPastRetention,
}

impl Config {
    /// The smallest: one submit of an operation with one attempt, without disturbances.
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
            claims_max: 0,
            starts_later: false,
            reads_first: false,
            redrive: false,
            source_goes: false,
            budget: Budget::NONE,
            posts_max: 0,
            fault: None,
            reaches: &[],
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
