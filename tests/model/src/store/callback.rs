//! What the callback's sender records, as in `shared/src/store/callback.rs`.

use shared::domain::callback::CallbackStatus;

use super::Written;
use crate::config::{Config, Fault};
use crate::state::{Breach, Head, Read, Recorded, State, Try};

/// `store::Recorded`.
pub(crate) enum RecordedTry {
    Written,
    Refused { due: bool },
}

/// `Store::record_attempt`, by a sender in a slot.
pub(crate) fn record_try(
    state: &mut State,
    config: &Config,
    slot: u8,
    create: u8,
    (read, tried): (Read, Try),
) -> Written<RecordedTry> {
    let stands = stands_as(state, config, create, read);
    if stands {
        let was_settled = state
            .record()
            .and_then(Head::callback_status)
            .is_some_and(CallbackStatus::allows_redelivery);
        if was_settled {
            state.breach(Breach::SettledChanged);
        }
        if let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
            callback.tries = read.tries + 1;
            callback.round_tries = read.round_tries + 1;
            callback.last_by = Some(slot);
            callback.waits = tried == Try::Again;
            callback.recorded = Some(match tried {
                Try::Again => Recorded::Due,
                Try::Delivered => Recorded::Delivered,
                Try::Gone => Recorded::Gone,
                Try::Exhausted => Recorded::Exhausted,
            });
        }
    }
    let standing = state.record_of(create);
    let ours = standing
        .and_then(|head| head.callback.as_ref())
        .is_some_and(|callback| callback.last_by == Some(slot));
    let due = standing.is_some_and(Head::callback_is_due);
    Written {
        applied: stands,
        outcome: if ours {
            RecordedTry::Written
        } else {
            RecordedTry::Refused { due }
        },
    }
}

/// `Store::start_round`.
pub(crate) fn start_round(
    state: &mut State,
    config: &Config,
    create: u8,
    read: Read,
    redelivery: u8,
) -> Written<bool> {
    let applied = stands_as(state, config, create, read);
    if applied && state.rounds & 1 << redelivery != 0 {
        state.breach(Breach::RoundStartedAgain);
    }
    if applied {
        state.rounds |= 1 << redelivery;
    }
    if applied && let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
        callback.redelivery = Some(redelivery);
        callback.recorded = Some(Recorded::Due);
        callback.round_tries = 0;
        callback.waits = false;
    }
    let ours = state
        .record_of(create)
        .and_then(|head| head.callback.as_ref())
        .is_some_and(|callback| callback.redelivery == Some(redelivery));
    Written {
        applied,
        outcome: ours,
    }
}

/// The condition of both: the record is the one that was read, and nobody has recorded anything of its callback since.
fn stands_as(state: &State, config: &Config, create: u8, read: Read) -> bool {
    let record = state.record_of(create);
    let Some(head) = record.filter(|head| head.status.is_terminal()) else {
        return false;
    };
    head.callback.as_ref().is_some_and(|callback| {
        config.has(Fault::UnconditionalRecord)
            || (callback.tries == read.tries && callback.redelivery == read.redelivery)
    })
}
