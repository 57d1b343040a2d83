//! The actions: what can happen next.

use crate::state::State;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A process makes its next call, and continues to the one after it.
    Call(Process, Choice, Wire),
    /// A process receives a message for the first time or again, whatever has become of an earlier
    /// receiver.
    Receive(Process, usize),
    /// One timer runs out, possibly before others that are due earlier.
    Expire(Timer),
    /// All processes only wait: everything that they wait for comes.
    Rest,
}

/// A process that makes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// `submit`.
    Submit(u8),
    /// `worker`.
    Worker(u8),
    /// `callback`.
    Sender(u8),
    /// `status`, handling a cancel.
    Cancel,
    /// `status`, handling a redelivery.
    Redeliver(u8),
    /// `status`, handling an erase.
    Erase(u8),
}

/// A choice that the protocol does not determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The call has only one course.
    None,
    /// An eventually consistent read returns an operation that exists or existed.
    Sees,
    /// It returns none, although one may exist.
    SeesNone,
    /// The worker's message is younger than the age from which on a missing record means that it
    /// will never be created.
    Young,
    /// It is older.
    Old,
    /// The work returns a result.
    Returns,
    /// The work fails permanently.
    Fails,
    /// The work fails, and another attempt may succeed.
    FailsRetryably,
    /// The work goes on, and its worker renews the lease.
    Renews,
    /// The work saves a state, and another attempt continues from it.
    Continues,
    /// The operation has to wait longer than a lease.
    WaitsLong,
    /// The worker is of the previous release.
    OlderRelease,
    /// The receiver answers 2xx.
    Accepts,
    /// The receiver answers 410.
    Gone,
    /// The receiver does not respond, or responds with another status.
    Refuses,
    /// The receiver has enough concurrent deliveries from this sender, and this one waits.
    Defers,
}

/// What happens to a call on the network. There are no crashes besides: a process that crashes
/// before a call leaves the same state as one whose call fails, and a process that crashes after it
/// the same as one that takes the call for failed. No error path of the four functions does more
/// than return the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Applied and answered.
    Answered,
    /// Applied, the response lost. The SDK retries the call, and the retry may meet the effects of
    /// the first try, or of other processes since.
    Retried,
    /// Applied, but an error for the process; or the process crashes.
    Doubtful,
    /// Not applied, and an error for the process; or the process crashes.
    Failed,
}

/// A timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A lease, a backoff, a sleep or the time until a start ends. The holder of a lease is slow,
    /// or gone.
    Lease,
    /// The operation's deadline passes.
    Deadline,
    /// The record of an ended operation expires.
    Expiry,
    /// An expired or erased record has been kept for long enough, and DynamoDB deletes it.
    Retention,
    /// A callback's next attempt becomes due.
    NextAttempt,
    /// The retention of the operation that is redriven passes, or its owner erases it; then its
    /// payload items are deleted.
    Source,
}

/// What a process does after a call.
pub(crate) enum Then<T> {
    /// It makes this call.
    Next(T),
    /// It ends. A message that it has not deleted is received again.
    End,
    /// The same state is reached by another variant of the call.
    Redundant,
}

/// What follows a write that was applied or refused but not answered. A refusal whose response is
/// lost is equivalent to a failure.
pub(crate) fn unanswered<T>(wire: Wire, applied: bool, again: T) -> Option<Then<T>> {
    match wire {
        Wire::Answered => None,
        Wire::Retried if applied => Some(Then::Next(again)),
        Wire::Doubtful if applied => Some(Then::End),
        Wire::Retried | Wire::Doubtful | Wire::Failed => Some(Then::Redundant),
    }
}

/// What follows a send: acknowledging the message that it was made for.
pub(crate) const fn after_send<T: Copy>(wire: Wire, again: T, acknowledge: T) -> Then<T> {
    match wire {
        Wire::Answered => Then::Next(acknowledge),
        Wire::Retried => Then::Next(again),
        Wire::Doubtful | Wire::Failed => Then::End,
    }
}

/// The possible outcomes of a call that sends or writes.
pub(crate) const WRITES: [Wire; 4] = [Wire::Answered, Wire::Retried, Wire::Doubtful, Wire::Failed];
/// The possible outcomes of a call whose retry has the same result: a read, a delete.
pub(crate) const READS: [Wire; 2] = [Wire::Answered, Wire::Failed];

/// Offers a call with each of these outcomes. All but the first count as faults.
pub(crate) fn offer(
    state: &State,
    process: Process,
    choice: Choice,
    wires: &[Wire],
    actions: &mut Vec<Action>,
) {
    let count = if state.budget.faults == 0 {
        1
    } else {
        wires.len()
    };
    let calls = wires[..count]
        .iter()
        .map(|wire| Action::Call(process, choice, *wire));
    actions.extend(calls);
}
