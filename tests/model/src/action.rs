//! What can happen next.

use crate::state::State;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A process makes its next call, and goes on from there to the one after it.
    Call(Process, Choice, Wire),
    /// A process is woken by a message: a fresh one, or one that is received again, whatever has become of whoever received it
    /// before.
    Receive(Process, usize),
    /// Time passes for one thing and not yet for another.
    Pass(Passing),
    /// Nobody has anything to do but to wait: whatever is waited for comes.
    Rest,
}

/// Whoever makes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// `submit`.
    Submit(u8),
    /// `worker`.
    Worker(u8),
    /// `callback`.
    Sender(u8),
    /// `status`, asked to cancel.
    Cancel,
    /// `status`, asked to redeliver.
    Redeliver(u8),
    /// `status`, asked to erase.
    Erase(u8),
}

/// What is not decided by the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing: the call has one course.
    None,
    /// An eventually consistent read sees an operation that is there, or that was.
    Sees,
    /// It sees none, though one may be there.
    SeesNone,
    /// The worker's message is younger than the age at which an absent record means that there will be none.
    Young,
    /// It is older.
    Old,
    /// The work returns a result.
    Returns,
    /// The work fails for good.
    Fails,
    /// The work fails, and another attempt may succeed.
    FailsForNow,
    /// The work goes on.
    GoesOn,
    /// The receiver answers 2xx.
    Accepts,
    /// The receiver answers 410.
    Gone,
    /// The receiver does not answer, or otherwise.
    Refuses,
    /// The receiver has enough deliveries from this sender, and this one waits.
    Defers,
}

/// What becomes of a call on its way. A process that dies before a call leaves what one leaves whose call fails, and one that
/// dies after it what one leaves that takes it for failed: no error path of the four functions does more than to put a message
/// back. So there are no crashes besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Carried out and answered.
    Answered,
    /// Carried out, the answer lost; the SDK makes the call again, which may meet what it did, or what others did since.
    Retried,
    /// Carried out, and yet an error for the process; or the process dies.
    Doubtful,
    /// Not carried out, and an error for the process; or the process dies.
    Failed,
}

/// Something for which time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// A lease or a backoff ends: its holder is slow, or gone.
    Lease,
    /// The operation's deadline passes.
    Deadline,
    /// The record of an operation that has ended expires.
    Expiry,
    /// What nobody sees any more, expired or erased, has been kept for long enough: DynamoDB deletes it.
    Retention,
    /// The time of a callback's next attempt comes.
    NextAttempt,
}

/// Where a call leads its process.
pub(crate) enum Then<T> {
    /// To this call.
    Next(T),
    /// To its end. A message that it has not deleted comes back.
    End,
    /// Where another way of the same call does.
    Redundant,
}

/// Where a write leads that was carried out or refused but not answered: a refusal that nobody hears of is a failure.
pub(crate) fn unanswered<T>(wire: Wire, applied: bool, again: T) -> Option<Then<T>> {
    match wire {
        Wire::Answered => None,
        Wire::Retried if applied => Some(Then::Next(again)),
        Wire::Doubtful if applied => Some(Then::End),
        Wire::Retried | Wire::Doubtful | Wire::Failed => Some(Then::Redundant),
    }
}

/// Where a send leads: to acknowledge the message that it was for.
pub(crate) const fn after_send<T: Copy>(wire: Wire, again: T, acknowledge: T) -> Then<T> {
    match wire {
        Wire::Answered => Then::Next(acknowledge),
        Wire::Retried => Then::Next(again),
        Wire::Doubtful | Wire::Failed => Then::End,
    }
}

/// Every way in which a call that sends or writes can go.
pub(crate) const WRITES: [Wire; 4] = [Wire::Answered, Wire::Retried, Wire::Doubtful, Wire::Failed];
/// Every way in which a call can go that is the same when made again: a read, a delete.
pub(crate) const READS: [Wire; 2] = [Wire::Answered, Wire::Failed];

/// Offers a call in each of these ways, of which all but the first count as faults.
pub(crate) fn offer(
    state: &State,
    process: Process,
    choice: Choice,
    wires: &[Wire],
    actions: &mut Vec<Action>,
) {
    let count = if state.left.faults == 0 {
        1
    } else {
        wires.len()
    };
    let calls = wires[..count]
        .iter()
        .map(|wire| Action::Call(process, choice, *wire));
    actions.extend(calls);
}
