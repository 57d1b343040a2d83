//! Time: which timers have run out, not durations. A timer may run out at any time, early or late,
//! and in any order with the others. So a property that holds here holds for all leases, backoffs,
//! deadlines and retentions.
//!
//! Some relations between times are assumed, as `shared/src/domain/limits.rs` guarantees them: no
//! submit lasts longer than messages count as young, nor longer than an expired or erased record is
//! kept before DynamoDB may delete it; and a record outlasts its callback's schedule, to which the
//! 15 minutes that a waiting operation's message may be away add little.

use crate::action::{Action, Timer};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Head, Queue, Source, State, Submit};
use crate::store::bit;

/// The timers that may run out next.
pub(crate) fn offers(state: &State, config: &Config, actions: &mut Vec<Action>) {
    if let Some(head) = state.record() {
        let is_live = !head.status.is_terminal();
        let waits = head
            .callback
            .as_ref()
            .is_some_and(|callback| callback.waits);
        let may_expire = !head.callback_is_due() || is_forgotten(state, head);
        let expires = config.expiry && !is_live && may_expire && !is_kept_for_source(state, config);
        let passings = [
            (is_leased(state), Timer::Lease),
            (
                config.deadline && is_live && !head.deadline_over,
                Timer::Deadline,
            ),
            (waits, Timer::NextAttempt),
            (expires, Timer::Expiry),
        ];
        let may = passings.into_iter().filter(|(may, _)| *may);
        actions.extend(may.map(|(_, timer)| Action::Expire(timer)));
    } else if is_deletable(state, config) {
        actions.push(Action::Expire(Timer::Retention));
    }
    if config.source_goes && state.source != Source::Deleted {
        actions.push(Action::Expire(Timer::Source));
    }
}

/// Whether a record expires although its callback is due: the message that would lead to the
/// callback is hidden for days, longer than the record is kept.
fn is_forgotten(state: &State, head: &Head) -> bool {
    head.needs_first_wake_up() && state.messages.iter().any(|message| message.hidden)
}

/// A redrive is kept until no request can make it again: for the retention of the operation that it
/// came from, and for as long after that as a request lasts.
fn is_kept_for_source(state: &State, config: &Config) -> bool {
    let is_under_way =
        |submit: &Submit| !matches!(submit, Submit::NotRequested | Submit::Answered(_));
    let may_repeat = state.source == Source::Retained || state.submits.iter().any(is_under_way);
    config.redrive && may_repeat && !config.has(Fault::RedriveExpiresFirst)
}

/// Whether DynamoDB may delete an expired or erased record. By the end of its retention, every
/// submit that began before its mark has ended, and every create that may be retried.
fn is_deletable(state: &State, config: &Config) -> bool {
    let is_gone = state.head.is_some() || state.tombstone.is_some();
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

/// Lets one timer run out.
pub(crate) fn expire(state: &mut State, timer: Timer) {
    if timer == Timer::Retention {
        (state.head, state.tombstone) = (None, None);
        state.begun = 0;
    }
    if timer == Timer::Source {
        state.source = match state.source {
            Source::Retained => Source::PastRetention,
            Source::PastRetention | Source::Deleted => Source::Deleted,
        };
    }
    if timer == Timer::Lease {
        queue::show_hidden(state);
    }
    let Some(head) = &mut state.head else { return };
    match timer {
        Timer::Lease => head.lease_over = true,
        Timer::Deadline => head.deadline_over = true,
        Timer::Expiry => head.expired = true,
        Timer::NextAttempt => end_wait(state),
        Timer::Retention | Timer::Source => {}
    }
}

fn end_wait(state: &mut State) {
    if let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
        callback.waits = false;
    }
}

/// Everything that processes wait for comes: leases, backoffs, sleeps, delays and visibility
/// timeouts end, starts come, and messages grow old. Deadlines do not pass: an operation has to end
/// without them, too.
pub(crate) fn rest(state: &mut State) {
    if state.messages.is_empty() {
        state.is_final = true;
        return;
    }
    if is_leased(state) {
        expire(state, Timer::Lease);
    }
    end_wait(state);
    queue::show_hidden(state);
    for message in &mut state.messages {
        message.visible = true;
        // Only the age of these queues' messages matters.
        message.old = matches!(message.queue, Queue::Dispatch | Queue::DispatchDeadLetters);
    }
}
