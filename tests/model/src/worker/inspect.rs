//! What a worker does with the operation that it finds, as in
//! `functions/worker/src/{dispatch,dead_letter,inspect,absent}.rs`.

use super::{acknowledge_ended, send_on};
use crate::action::{Choice, Then, Wire, unanswered};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Serving, State};
use crate::store::{self, ClaimOutcome, Release};

/// `Handler::claim`.
pub(super) fn claim(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    choice: Choice,
    wire: Wire,
) -> Then<Serving> {
    let written = store::claim(state, config, slot, create, Release::Current);
    if let Some(then) = unanswered(wire, written.applied, Serving::Claim) {
        return then;
    }
    match written.outcome {
        ClaimOutcome::Held { attempt, version } => Then::Next(Serving::Work { attempt, version }),
        ClaimOutcome::Busy if config.has(Fault::BusyAcknowledged) => {
            Then::Next(Serving::Acknowledge)
        }
        // A claim that was refused did not meet a claimable operation.
        ClaimOutcome::Claimable { .. } => Then::End,
        other => without_attempt(state, config, slot, choice, &other),
    }
}

/// The previous release's claim. It returns the message of a record that it cannot run.
pub(super) fn claim_by_older(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    wire: Wire,
) -> Then<Serving> {
    state.budget.older -= 1;
    let meets_newer = state
        .record_of(create)
        .is_some_and(|head| !head.status.is_terminal() && store::is_newer(config, head));
    if meets_newer {
        return if wire == Wire::Answered {
            Then::End
        } else {
            Then::Redundant
        };
    }
    let written = store::claim(state, config, slot, create, Release::Previous);
    if let Some(then) = unanswered(wire, written.applied, Serving::Claim) {
        return then;
    }
    match written.outcome {
        ClaimOutcome::Held { attempt, version } => Then::Next(Serving::Work { attempt, version }),
        // As the current release does.
        _ => Then::Redundant,
    }
}

/// `Handler::inspect`, before a claim.
pub(super) fn read_first(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    choice: Choice,
) -> Then<Serving> {
    match store::read_record(state, config, create) {
        ClaimOutcome::Busy if config.has(Fault::ReadFirstAcknowledgesBusy) => {
            Then::Next(Serving::Acknowledge)
        }
        ClaimOutcome::Claimable { .. } | ClaimOutcome::Held { .. } => Then::Next(Serving::Claim),
        other => without_attempt(state, config, slot, choice, &other),
    }
}

/// What a worker does with the message of an operation that it cannot claim.
fn without_attempt(
    state: &mut State,
    config: &Config,
    slot: u8,
    choice: Choice,
    met: &ClaimOutcome,
) -> Then<Serving> {
    match *met {
        ClaimOutcome::Absent | ClaimOutcome::OtherIncarnation => aged(config, choice),
        ClaimOutcome::Gone => Then::Next(Serving::Acknowledge),
        ClaimOutcome::Busy if choice == Choice::WaitsLong => wait_long(state, config, slot),
        ClaimOutcome::Exhausted { version } => Then::Next(Serving::GiveUp { version }),
        ClaimOutcome::Ended {
            needs_first_wake_up,
        } => Then::Next(acknowledge_ended(config, needs_first_wake_up)),
        ClaimOutcome::Busy | ClaimOutcome::Claimable { .. } | ClaimOutcome::Held { .. } => {
            Then::End
        }
    }
}

/// `ReceivedDispatch::wait_until`, for longer than a lease. A retry with such a backoff sends the
/// fresh message at once; here its own is received again first, which adds no behaviour.
fn wait_long(state: &mut State, config: &Config, slot: u8) -> Then<Serving> {
    state.budget.resends -= 1;
    if config.has(Fault::SleepHidesMessage) {
        queue::hide(state, slot);
        return Then::End;
    }
    Then::Next(send_on(state, config, slot))
}

/// `Handler::serve_without_claim`, for a message from the dead-letter queue.
pub(super) fn read_record(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    choice: Choice,
) -> Then<Serving> {
    match store::read_record(state, config, create) {
        ClaimOutcome::Absent if config.has(Fault::DeadLetterDropsYoung) => {
            Then::Next(Serving::Acknowledge)
        }
        ClaimOutcome::Busy if config.has(Fault::DeadLetterAcknowledgesBusy) => {
            Then::Next(Serving::Acknowledge)
        }
        ClaimOutcome::Claimable { version } if config.has(Fault::DeadLetterGivesUp) => {
            Then::Next(Serving::GiveUp { version })
        }
        ClaimOutcome::Claimable { .. } | ClaimOutcome::Held { .. } => {
            Then::Next(Serving::SendAfresh)
        }
        other => without_attempt(state, config, slot, choice, &other),
    }
}

/// `ReceivedDispatch::wait_for_record` and `ReceivedDispatch::wait_for_incarnation`. Such a message
/// is never sent afresh: the fresh one would be young again.
fn aged(config: &Config, choice: Choice) -> Then<Serving> {
    if choice == Choice::Old {
        Then::Next(Serving::Acknowledge)
    } else if config.has(Fault::AbsentSentAfresh) {
        Then::Next(Serving::SendDelayed)
    } else {
        Then::End
    }
}
