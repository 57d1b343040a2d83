//! What the callback function records, as in `shared/src/store/callback.rs`.

use shared::domain::callback::CallbackStatus;

use super::Written;
use crate::config::{Config, Fault};
use crate::state::{Breach, DeliveryOutcome, Head, Read, Recorded, State};

/// `store::RecordOutcome`.
pub(crate) enum RecordOutcome {
    Written,
    Refused { due: bool },
}

/// `Store::record_attempt`, by the sender in a slot.
pub(crate) fn record_attempt(
    state: &mut State,
    config: &Config,
    slot: u8,
    create: u8,
    (read, outcome): (Read, DeliveryOutcome),
) -> Written<RecordOutcome> {
    let unchanged = unchanged_since(state, config, create, read);
    if unchanged {
        let was_over = state
            .record()
            .and_then(Head::callback_status)
            .is_some_and(CallbackStatus::allows_redelivery);
        if was_over {
            state.breach(Breach::EndedRoundChanged);
        }
        if let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
            callback.attempts_made = read.attempts_made + 1;
            callback.round_attempts = read.round_attempts + 1;
            callback.last_by = Some(slot);
            callback.waits = outcome == DeliveryOutcome::Retry;
            callback.recorded = Some(match outcome {
                DeliveryOutcome::Retry => Recorded::Due,
                DeliveryOutcome::Delivered => Recorded::Delivered,
                DeliveryOutcome::Gone => Recorded::Gone,
                DeliveryOutcome::Exhausted => Recorded::Exhausted,
            });
        }
    }
    let current = state.record_of(create);
    let own = current
        .and_then(|head| head.callback.as_ref())
        .is_some_and(|callback| callback.last_by == Some(slot));
    let due = current.is_some_and(Head::callback_is_due);
    Written {
        applied: unchanged,
        outcome: if own {
            RecordOutcome::Written
        } else {
            RecordOutcome::Refused { due }
        },
    }
}

/// `Store::start_round`. Returns whether the callback is due then, by this write or another.
pub(crate) fn start_round(
    state: &mut State,
    config: &Config,
    create: u8,
    read: Read,
    redelivery: u8,
) -> Written<bool> {
    let is_over = state
        .record()
        .and_then(Head::callback_status)
        .is_some_and(CallbackStatus::allows_redelivery);
    let applied = is_over && unchanged_since(state, config, create, read);
    if applied && state.rounds & 1 << redelivery != 0 {
        state.breach(Breach::RoundStartedAgain);
    }
    if applied {
        state.rounds |= 1 << redelivery;
    }
    if applied && let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
        callback.last_redelivery = config
            .has(Fault::RedeliveryNamesItself)
            .then_some(redelivery);
        callback.recorded = Some(Recorded::Due);
        callback.round_attempts = 0;
        callback.waits = false;
    }
    Written {
        applied,
        outcome: state.record_of(create).is_some_and(Head::callback_is_due),
    }
}

/// The condition of both: the record is the one that was read, and no attempt of its callback has
/// been recorded since.
fn unchanged_since(state: &State, config: &Config, create: u8, read: Read) -> bool {
    let record = state.record_of(create);
    let Some(head) = record.filter(|head| head.status.is_terminal()) else {
        return false;
    };
    head.callback.as_ref().is_some_and(|callback| {
        config.has(Fault::UnconditionalRecord) || callback.attempts_made == read.attempts_made
    })
}
