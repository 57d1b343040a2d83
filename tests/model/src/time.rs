//! Time: not how much of it passes, but what has passed. A timer may run out at any moment, early or late, in any order with the
//! others; so whatever the protocol is found to keep, it keeps for all leases, backoffs, deadlines and lifetimes.
//!
//! Some relations between times are taken for granted, as `shared/src/domain/limits.rs` has them: no submit lasts as long as
//! messages count as young, nor as long as a record that has expired or was erased is kept before DynamoDB may delete it; and a
//! record outlasts its callback's schedule.

use crate::action::{Action, Passing};
use crate::config::{Config, Fault};
use crate::state::{Queue, State, Submit};
use crate::store::bit;

/// What may pass next.
pub(crate) fn offers(state: &State, config: &Config, actions: &mut Vec<Action>) {
    if let Some(head) = state.record() {
        let is_live = !head.status.is_terminal();
        let waits = head
            .callback
            .as_ref()
            .is_some_and(|callback| callback.waits);
        let expires = config.expiry && !is_live && !head.callback_is_due();
        let passings = [
            (is_leased(state), Passing::Lease),
            (
                config.deadline && is_live && !head.deadline_over,
                Passing::Deadline,
            ),
            (waits, Passing::NextAttempt),
            (expires, Passing::Expiry),
        ];
        let may = passings.into_iter().filter(|(may, _)| *may);
        actions.extend(may.map(|(_, passing)| Action::Pass(passing)));
    } else if is_deletable(state, config) {
        actions.push(Action::Pass(Passing::Retention));
    }
}

/// Whether DynamoDB may delete what is there of an operation that nobody sees. A submit that began
/// before it was marked, and a create that may be made again, are over by the end of the time for which
/// it is kept.
fn is_deletable(state: &State, config: &Config) -> bool {
    let is_gone = state.head.is_some() || state.mark.is_some();
    let began_before = (0..)
        .zip(state.submits)
        .any(|(create, _)| state.begun & bit(create) != 0 && !state.submit_is_over(create));
    let is_kept = began_before || state.submits.contains(&Submit::CreateAgain);
    config.expiry && is_gone && (!is_kept || config.has(Fault::DeletedAtOnce))
}

fn is_leased(state: &State) -> bool {
    use shared::domain::transition::{Step, Verdict, verdict};
    state.record().is_some_and(|head| {
        let of_lease = matches!(
            verdict(Some(head.status), Step::Claim),
            Verdict::ToAfterLease(_)
        );
        of_lease && !head.lease_over
    })
}

/// Lets one thing pass.
pub(crate) fn pass(state: &mut State, passing: Passing) {
    if passing == Passing::Retention {
        (state.head, state.mark) = (None, None);
        state.begun = 0;
    }
    let Some(head) = &mut state.head else { return };
    match passing {
        Passing::Lease => head.lease_over = true,
        Passing::Deadline => head.deadline_over = true,
        Passing::Expiry => head.expired = true,
        Passing::NextAttempt => end_wait(state),
        Passing::Retention => {}
    }
}

fn end_wait(state: &mut State) {
    if let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
        callback.waits = false;
    }
}

/// Everything that is waited for comes: leases and backoffs end, delays and visibility timeouts as well, and messages grow old.
/// Deadlines do not pass by this: an operation has to end without them, too.
pub(crate) fn rest(state: &mut State) {
    if state.messages.is_empty() {
        state.over = true;
        return;
    }
    if is_leased(state) {
        pass(state, Passing::Lease);
    }
    end_wait(state);
    for message in &mut state.messages {
        message.visible = true;
        // Only this queue's messages are asked for their age.
        message.old = matches!(message.queue, Queue::Dispatch | Queue::DispatchDeadLetters);
    }
}
