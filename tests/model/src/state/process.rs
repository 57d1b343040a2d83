//! How far each process has come: the call that it makes next, and what it knows for that.

/// How a submit was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// 202.
    Accepted,
    /// 200 or 202, with the first operation.
    Replayed,
    /// 409.
    Conflict,
    /// Not at all, or 5xx.
    None,
}

/// How far a submit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Submit {
    /// Not asked yet.
    Unasked,
    /// Has found an operation by an eventually consistent read, and reads it again.
    ReadAgain,
    /// Sends its message.
    Send,
    /// Writes its payload items.
    WriteArguments,
    /// Creates its record.
    Create,
    /// Creates its record, which it may have done.
    CreateAgain,
    /// Was refused, and deletes its payload items before it answers this.
    Discard(Answer),
    /// Over.
    Answered(Answer),
}

/// An invocation of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Worker {
    /// Waits for a message.
    Idle,
    /// Serves the message of this incarnation.
    Serves(u8, Serving),
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Serving {
    /// Reads the record, for a message from the dead-letter queue.
    Look,
    /// Claims.
    Claim,
    /// Holds the attempt, at this version.
    Work {
        /// `attempt`.
        attempt: u8,
        /// `lock_version`.
        version: u8,
    },
    /// Records how the attempt ended.
    Finish {
        /// `attempt`.
        attempt: u8,
        /// `lock_version`.
        version: u8,
        /// How it ended.
        ending: Ending,
    },
    /// Deletes the result of this attempt, whose operation is gone.
    Discard {
        /// `attempt`.
        attempt: u8,
    },
    /// Gives up what it met at this version.
    GiveUp {
        /// `lock_version`.
        version: u8,
    },
    /// Sends the wake-up of a due callback.
    Announce,
    /// Sends a fresh message for the one that it has.
    SendAfresh,
    /// Has Lambda delete the message.
    Acknowledge,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// With a result.
    Complete,
    /// With an error for good, or without attempts or time left.
    Fail,
    /// With an error, and there is another attempt.
    Retry,
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
    /// Serves a message.
    Serves {
        /// The incarnation that it is for.
        create: u8,
        /// What it says of a redelivery that it asks for.
        redelivery: Option<u8>,
        /// Whether it came from the dead-letter queue.
        dead: bool,
        /// What comes next.
        next: Sending,
    },
}

/// What a sender does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sending {
    /// Reads the record, and posts if that is due.
    Look,
    /// Starts the round that the message asks for, and posts if it is due then.
    StartRound(Read),
    /// Records an attempt.
    Record(Read, Settlement),
    /// Sends the next wake-up.
    Wake,
    /// Has Lambda delete the message.
    Acknowledge,
}

/// What an attempt led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Settlement {
    /// 2xx.
    Delivered,
    /// 410.
    Gone,
    /// Another is due.
    Again,
    /// It was the last.
    Exhausted,
}

/// How far a cancel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cancel {
    /// Not asked yet.
    Unasked,
    /// Cancels.
    Write,
    /// Sends the wake-up of the callback of this incarnation.
    Announce(u8),
    /// Over.
    Answered,
}

/// How far a redelivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redeliver {
    /// Not asked yet.
    Unasked,
    /// Sends its wake-up, for this incarnation and after these many attempts.
    Send(u8, u8),
    /// Over, and nothing sent.
    Failed,
    /// Over; what it sent.
    Sent(u8, u8),
}

/// How far an erase has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Erase {
    /// Not asked yet.
    Unasked,
    /// Marks the head of the incarnation that it has read, when these submits, as bits, had begun.
    Mark(u8, u8),
    /// Deletes the payload items of this incarnation, and those of these submits, as bits: they
    /// began before the mark.
    DeletePayloads(u8, u8),
    /// Replaces the head of this incarnation by a mark.
    LeaveMark(u8),
    /// Over.
    Answered,
}
