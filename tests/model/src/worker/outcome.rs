//! How an operation's attempt ends, and how it is given up, as in
//! `functions/worker/src/{attempt,attempt/outcome,inspect}.rs`.

use super::{acknowledge_ended, send_on};
use crate::action::{Choice, Then, Wire, unanswered};
use crate::config::{Config, Fault};
use crate::state::{Ending, Serving, State};
use crate::store::{self, FinishOutcome, GiveUpOutcome};

/// `AttemptOutcome::into_write`.
pub(super) fn ending(
    state: &State,
    config: &Config,
    (create, attempt): (u8, u8),
    choice: Choice,
) -> Ending {
    let record = state.record_of(create);
    let out_of_time = record.is_some_and(|head| head.deadline_over);
    // As claimed: only its holder changes it, and what a former holder records is refused.
    let attempts_max = record.map_or(config.attempts_max, |head| head.attempts_max);
    match choice {
        Choice::Returns => Ending::Complete,
        Choice::FailsRetryably if attempt < attempts_max && !out_of_time => Ending::Retry,
        Choice::Continues if attempt < config.claims_max => Ending::Continue,
        _ => Ending::Fail,
    }
}

/// The work has ended. A result or a state that does not fit the head is written before the head
/// names it.
pub(super) fn finish(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    (attempt, version): (u8, u8),
    ending: Ending,
    wire: Wire,
) -> Then<Serving> {
    let Some(key) = store::outcome_key(config, create, attempt, ending) else {
        return record(
            state,
            config,
            (slot, create),
            (attempt, version),
            ending,
            wire,
        );
    };
    if wire != Wire::Answered {
        return Then::Redundant;
    }
    store::write_payload(state, key, (create, attempt));
    Then::Next(Serving::Finish {
        attempt,
        version,
        ending,
    })
}

/// `Handler::record_outcome`.
pub(super) fn record(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    (attempt, version): (u8, u8),
    ending: Ending,
    wire: Wire,
) -> Then<Serving> {
    let written = store::finish(state, config, slot, create, (attempt, version), ending);
    let again = Serving::Finish {
        attempt,
        version,
        ending,
    };
    if let Some(then) = unanswered(wire, written.applied, again) {
        return then;
    }
    match written.outcome {
        FinishOutcome::Written { .. } if ending == Ending::Retry => Then::End,
        FinishOutcome::Written { .. }
            if ending == Ending::Continue && !config.has(Fault::ContinueAcknowledges) =>
        {
            Then::Next(send_on(state, config, slot))
        }
        FinishOutcome::Written {
            needs_first_wake_up,
        } => Then::Next(acknowledge_ended(config, needs_first_wake_up)),
        FinishOutcome::Lost if config.has(Fault::FencedOffAcknowledges) => {
            Then::Next(Serving::Acknowledge)
        }
        FinishOutcome::Lost if leaves_item(state, config, (create, attempt), ending) => {
            Then::Next(Serving::Discard { attempt, ending })
        }
        FinishOutcome::Lost => Then::End,
    }
}

/// Whether a result or a state was written although its operation is gone, or another incarnation
/// has replaced it. After any other refusal the record may name the item: the outcome may have been
/// recorded, and the response lost.
fn leaves_item(state: &State, config: &Config, of: (u8, u8), ending: Ending) -> bool {
    let (create, attempt) = of;
    let is_gone = state.record_of(create).is_none() && !config.has(Fault::LateResultStays);
    store::outcome_key(config, create, attempt, ending).is_some()
        && (is_gone || config.has(Fault::DiscardsWhateverItMet))
}

/// `Handler::give_up`.
pub(super) fn give_up(
    state: &mut State,
    config: &Config,
    create: u8,
    version: u8,
    wire: Wire,
) -> Then<Serving> {
    let written = store::give_up(state, config, create, version);
    let again = Serving::GiveUp { version };
    if let Some(then) = unanswered(wire, written.applied, again) {
        return then;
    }
    match written.outcome {
        GiveUpOutcome::Ended {
            needs_first_wake_up,
        } => Then::Next(acknowledge_ended(config, needs_first_wake_up)),
        GiveUpOutcome::Changed => Then::End,
    }
}
