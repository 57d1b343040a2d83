//! The progress of each process: its next call, and what it knows.

/// How a submit was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Response {
    /// 202.
    Accepted,
    /// 200 or 202, with the first operation.
    Replayed,
    /// 409.
    Conflict,
    /// With an error, or not at all.
    None,
}

/// A submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Submit {
    /// Not requested yet.
    NotRequested,
    /// Reads again, consistently, an operation that an eventually consistent read returned.
    ReadAgain,
    /// Reads the arguments and the state of the operation that it redrives.
    ReadSource,
    /// Sends its message.
    Send,
    /// Writes its payload items.
    WriteArguments,
    /// Creates its record.
    Create,
    /// Retries its create, which may have been applied.
    CreateAgain,
    /// Was refused: deletes its payload items, then gives this response.
    Discard(Response),
    /// Ended.
    Answered(Response),
}

/// The failed operation that is redriven. It does not change any more, so only how much of it is
/// left matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// It can be read, and the retention that began with its end has not passed.
    Retained,
    /// The retention has passed, or it was erased. Its payload items still exist. A redelivery of
    /// its callback may have extended the record, which then can still be read.
    PastRetention,
    /// Its payload items are deleted, too.
    Deleted,
}

/// An invocation of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Worker {
    /// Waits for a message.
    Idle,
    /// Handles a message of this incarnation.
    Serves(u8, Serving),
}

/// A worker's next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Serving {
    /// Reads the record, for a message from the dead-letter queue.
    Read,
    /// Reads the record, and claims if it can be claimed.
    ReadFirst,
    /// Claims.
    Claim,
    /// Runs the attempt, at this version.
    Work {
        attempt: u8,
        /// `lock_version`.
        version: u8,
    },
    /// Records how the attempt ended.
    Finish {
        attempt: u8,
        /// `lock_version`.
        version: u8,
        ending: Ending,
    },
    /// Deletes the result or the state of this attempt, whose operation is gone.
    Discard { attempt: u8, ending: Ending },
    /// Gives up the operation that it met at this version.
    GiveUp {
        /// `lock_version`.
        version: u8,
    },
    /// Sends the message of a due callback.
    SendWakeUp,
    /// Sends a fresh message instead of the received one.
    SendAfresh,
    /// Sends a fresh, delayed message instead of the received one: the operation waits.
    SendDelayed,
    /// Lets Lambda delete the message.
    Acknowledge,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// With a result.
    Complete,
    /// With a permanent error, or without attempts or time left.
    Fail,
    /// With an error, and another attempt follows.
    Retry,
    /// With a state from which the next attempt continues.
    Continue,
}

/// What a sender read of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Read {
    /// `callback_attempts_made`.
    pub attempts_made: u8,
    /// `callback_round_attempts`.
    pub round_attempts: u8,
}

/// An invocation of the callback function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// Waits for a message.
    Idle,
    /// Handles a message.
    Serves {
        /// The incarnation that the message is for.
        create: u8,
        /// The message's `redeliver_after_attempts`, if it asks for a redelivery.
        redelivery: Option<u8>,
        /// Whether it came from the dead-letter queue.
        dead: bool,
        next: Sending,
    },
}

/// A sender's next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sending {
    /// Reads the record, and posts if the callback is due.
    Read,
    /// Starts the round that the message asks for, and posts if the callback is due then.
    StartRound(Read),
    /// Records an attempt.
    Record(Read, DeliveryOutcome),
    /// Sends the next wake-up.
    Wake,
    /// Lets Lambda delete the message.
    Acknowledge,
}

/// What an attempt led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryOutcome {
    /// 2xx.
    Delivered,
    /// 410.
    Gone,
    /// Another is due.
    Retry,
    /// It was the last.
    Exhausted,
}

/// A cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cancel {
    /// Not requested yet.
    NotRequested,
    /// Cancels.
    Write,
    /// Sends the message of this incarnation's callback.
    SendWakeUp(u8),
    /// Ended.
    Answered,
}

/// A redelivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redeliver {
    /// Not requested yet.
    NotRequested,
    /// Sends its wake-up, for this incarnation and after this number of attempts.
    Send(u8, u8),
    /// Ended without sending.
    Failed,
    /// Ended; what it sent.
    Sent(u8, u8),
}

/// An erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Erase {
    /// Not requested yet.
    NotRequested,
    /// Marks the head of the incarnation that it has read. The second value: the submits, as bits,
    /// that had begun by then.
    Mark(u8, u8),
    /// Deletes the payload items of this incarnation, and those of these submits, as bits: they
    /// began before the mark.
    DeletePayloads(u8, u8),
    /// Reduces the head of this incarnation to a tombstone.
    LeaveTombstone(u8),
    /// Ended.
    Answered,
}
