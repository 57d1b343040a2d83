//! Time: not how much of it passes, but what has passed. A timer may run out at any moment, early or late, in any order with the
//! others; so whatever the protocol is found to keep, it keeps for all leases, backoffs, deadlines and lifetimes.
//!
//! Two relations between times are taken for granted, as `shared/src/domain/limits.rs` asserts them: no submit lasts as long as
//! messages count as young, and a record outlasts its callback's schedule.

use crate::action::{Action, Passing};
use crate::config::Config;
use crate::queue;
use crate::state::State;

/// Rests after which nothing is expected to happen any more: the queues have given back everything that many times, with nobody
/// failing. Too few would show as messages left over.
const RESTS_MAX: u8 = 12;

/// What may pass next.
pub(crate) fn offers(state: &State, config: &Config, actions: &mut Vec<Action>) {
    if let Some(head) = state.record() {
        let is_live = !head.status.is_terminal();
        let waits = head.callback.as_ref().is_some_and(|callback| callback.waits);
        let expires = config.expiry && !is_live && !head.callback_is_due();
        let passings = [
            (is_leased(state), Passing::Lease),
            (
                config.deadline && is_live && !head.deadline_over,
                Passing::Deadline,
            ),
            (waits, Passing::NextTry),
            (expires, Passing::Expiry),
        ];
        let may = passings.into_iter().filter(|(may, _)| *may);
        actions.extend(may.map(|(_, passing)| Action::Pass(passing)));
    }
    for (index, message) in state.messages.iter().enumerate() {
        let is_double = index > 0 && state.messages[index - 1] == *message;
        if !is_double && queue::may_reappear(state, config, message) {
            actions.push(Action::Pass(Passing::Visibility(index)));
        }
    }
}

fn is_leased(state: &State) -> bool {
    use shared::domain::transition::{Step, Verdict, verdict};
    state.record().is_some_and(|head| {
        let of_lease = matches!(
            verdict(Some(head.status), Step::Claim),
            Verdict::ToOnceFree(_)
        );
        of_lease && !head.lease_over
    })
}

/// Lets one thing pass.
pub(crate) fn pass(state: &mut State, config: &Config, passing: Passing) {
    if let Passing::Visibility(index) = passing {
        return queue::reappear(state, config, index);
    }
    let Some(head) = &mut state.head else { return };
    match passing {
        Passing::Lease => head.lease_over = true,
        Passing::Deadline => head.deadline_over = true,
        Passing::Expiry => head.expired = true,
        Passing::NextTry => end_wait(state),
        Passing::Visibility(_) => {}
    }
}

fn end_wait(state: &mut State) {
    if let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
        callback.waits = false;
    }
}

/// Everything that is waited for comes: leases and backoffs end, delays and visibility timeouts as well, and messages grow old.
/// Deadlines do not pass by this: an operation has to end without them, too.
pub(crate) fn rest(state: &mut State, config: &Config) {
    state.rests += 1;
    if state.messages.is_empty() || state.rests > RESTS_MAX {
        state.over = true;
        return;
    }
    if is_leased(state) {
        pass(state, config, Passing::Lease);
    }
    end_wait(state);
    for index in 0..state.messages.len() {
        queue::reappear(state, config, index);
        state.messages[index].old = true;
    }
}
