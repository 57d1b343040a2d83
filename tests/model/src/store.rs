//! The table: each write with its condition, as in
//! `shared/src/store/{step,outcome,callback,erase,payload}.rs`.
//!
//! The steps are those of the transition table that the functions are compiled with.

mod callback;
mod claim;
mod payload;

pub(crate) use self::callback::{RecordOutcome, record_attempt, start_round};
pub(crate) use self::claim::{ClaimOutcome, Release, claim, is_newer, read_record};
pub(crate) use self::payload::{
    arguments_key, begun, begun_before_mark, delete_item, delete_items, erasable, leave_tombstone,
    mark_erased, outcome_key, result_key, state_key, write_payload,
};

use shared::domain::transition::{self, Status, Step, Verdict, verdict};

use crate::config::{Config, Fault, Start};
use crate::queue;
use crate::state::{Breach, Callback, DeliveryOutcome, Ending, Head, Queue, Read, State, Submit};
use claim::is_exhausted;

/// Whether a write was applied, and what its caller learns.
pub(crate) struct Written<T> {
    pub(crate) applied: bool,
    pub(crate) outcome: T,
}

impl<T> Written<T> {
    const fn applied(outcome: T) -> Self {
        Self {
            applied: true,
            outcome,
        }
    }

    const fn refused(outcome: T) -> Self {
        Self {
            applied: false,
            outcome,
        }
    }
}

/// `store::CreateOutcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateOutcome {
    New,
    Existing,
    Erased,
}

/// `store::GiveUpOutcome`.
pub(crate) enum GiveUpOutcome {
    Ended { needs_first_wake_up: bool },
    Changed,
}

/// `store::FinishOutcome`.
pub(crate) enum FinishOutcome {
    Written { needs_first_wake_up: bool },
    Lost,
}

/// The state that a step leads to, if the record's state and lease allow the step.
fn target(head: Option<&Head>, step: Step) -> Option<Status> {
    match verdict(head.map(|head| head.status), step) {
        Verdict::To(to) => Some(to),
        Verdict::ToAfterLease(to) => head.is_some_and(|head| head.lease_over).then_some(to),
        Verdict::Refused => None,
    }
}

/// Changes the head, and checks that an ended operation does not change.
fn change(state: &mut State, to: Option<Status>, change: impl FnOnce(&mut Head)) {
    let Some(head) = &mut state.head else { return };
    let identity = |head: &Head| {
        (
            head.status,
            head.version,
            head.attempt,
            head.result,
            head.state,
        )
    };
    let (before, had_ended) = (identity(head), head.status.is_terminal());
    if let Some(to) = to {
        head.status = to;
        head.version += 1;
        head.lease_over = false;
        // The deadline no longer matters, and values that do not matter must not multiply states.
        head.deadline_over &= !to.is_terminal();
    }
    change(head);
    if had_ended && identity(head) != before {
        state.breach(Breach::TerminalChanged);
    }
}

/// A submit's bit.
pub(crate) const fn bit(create: u8) -> u8 {
    1 << create
}

/// `Store::create`.
pub(crate) fn create(state: &mut State, config: &Config, create: u8) -> Written<CreateOutcome> {
    let head = state.head.as_ref();
    let is_own = state.tombstone.or_else(|| head.map(|head| head.create)) == Some(create);
    let is_erased = state.tombstone.is_some() || head.is_some_and(|head| head.erased);
    // A retry has the time of the first try. A record of another incarnation was created since, so
    // by that time it has not expired.
    let is_again = state.submits[usize::from(create)] == Submit::CreateAgain;
    let begun_before_mark = state.begun & bit(create) != 0;
    if is_own {
        return Written::refused(CreateOutcome::New);
    }
    if is_erased && begun_before_mark && !config.has(Fault::CreateOverLaterMark) {
        return Written::refused(CreateOutcome::Erased);
    }
    let met = state.record().or(head.filter(|_| is_again && !is_erased));
    let met = met.filter(|_| !config.has(Fault::RedriveUnderRandomId));
    if config.has(Fault::RedriveReopens) && met.is_some_and(|it| it.status == Status::Failed) {
        change(state, Some(Status::Pending), |head| head.attempts_max += 1);
        return Written::applied(CreateOutcome::New);
    }
    let Some(status) = target(met, Step::Create) else {
        return Written::refused(CreateOutcome::Existing);
    };
    state.tombstone = None;
    state.begun = 0;
    state.has_existed = true;
    state.posts = 0;
    state.rounds = 0;
    if state.redriven {
        state.breach(Breach::RedrivenAgain);
    }
    state.redriven = config.redrive;
    // A redrive copies the state of the operation that it came from.
    let copied = config.redrive.then_some(0);
    state.head = Some(Head {
        create,
        status,
        version: 1,
        attempt: 0,
        attempts_max: config.attempts_max,
        state: copied,
        continued: copied,
        claim: None,
        // Absent without a start, which is equivalent.
        lease_over: !config.starts_later,
        deadline_over: false,
        expired: false,
        erased: false,
        result: None,
        callback: (config.callback_attempts_max > 0).then_some(Callback {
            recorded: None,
            attempts_made: 0,
            round_attempts: 0,
            last_by: None,
            waits: false,
            last_redelivery: None,
        }),
    });
    Written::applied(CreateOutcome::New)
}

/// Whether the fencing token of the worker in a slot, with the version of its claim, is valid.
fn passes_fence(state: &State, slot: u8, version: u8) -> bool {
    state
        .record()
        .is_some_and(|head| head.claim == Some(slot) && head.version == version)
}

/// Compares the attempt, which the fencing token does not contain.
fn check_holder(state: &mut State, create: u8, attempt: u8) {
    let holds = state.record().is_some_and(|head| {
        head.create == create && head.attempt == attempt && head.status == Status::Processing
    });
    if !holds {
        state.breach(Breach::StaleHolderWrote);
    }
}

/// `Store::renew`. Returns whether the lease was extended.
pub(crate) fn renew(state: &mut State, slot: u8, create: u8, attempt: u8, version: u8) -> bool {
    let may = passes_fence(state, slot, version)
        && target(state.record(), Step::Heartbeat).is_some()
        && state.record().is_some_and(|head| head.lease_over);
    if may {
        check_holder(state, create, attempt);
        change(state, None, |head| head.lease_over = false);
    }
    may
}

/// `Store::complete`, `Store::fail`, `Store::retry` and `Store::continue_from`.
pub(crate) fn finish(
    state: &mut State,
    config: &Config,
    slot: u8,
    create: u8,
    (attempt, version): (u8, u8),
    ending: Ending,
) -> Written<FinishOutcome> {
    let step = match ending {
        Ending::Complete => Step::Complete,
        Ending::Fail => Step::Fail,
        Ending::Retry => Step::Retry,
        Ending::Continue => Step::Continue,
    };
    let unfenced = config.has(Fault::OutcomeNotFenced) && state.record_of(create).is_some();
    let to = if unfenced {
        Some(transition::target(step))
    } else {
        target(state.record(), step).filter(|_| passes_fence(state, slot, version))
    };
    if to.is_some() {
        check_holder(state, create, attempt);
        let names_result = config.payloads && ending == Ending::Complete;
        change(state, to, |head| {
            head.result = names_result.then(|| result_key(config, create, attempt));
            match ending {
                Ending::Complete => drop_state(head),
                Ending::Continue => save_state(head, config, attempt),
                // A redrive continues from the state.
                Ending::Fail | Ending::Retry => {}
            }
        });
    }
    let own = state.record_of(create).filter(|head| {
        let target = transition::target(step);
        head.version == version + 1 && head.status == target && head.claim == Some(slot)
    });
    let outcome = own.map_or(FinishOutcome::Lost, |head| FinishOutcome::Written {
        needs_first_wake_up: head.needs_first_wake_up(),
    });
    Written {
        applied: to.is_some(),
        outcome,
    }
}

/// Each leg has all of the function's attempts.
fn save_state(head: &mut Head, config: &Config, attempt: u8) {
    head.state = Some(attempt);
    head.continued = Some(attempt);
    if !config.has(Fault::AttemptsNotRaised) {
        head.attempts_max = attempt + config.attempts_max;
    }
}

/// What was completed or cancelled is never redriven.
const fn drop_state(head: &mut Head) {
    head.state = None;
    head.continued = None;
}

/// `Store::give_up` of the record that was met at this version.
pub(crate) fn give_up(
    state: &mut State,
    config: &Config,
    create: u8,
    version: u8,
) -> Written<GiveUpOutcome> {
    let met = state.record().filter(|head| {
        let same = head.create == create || config.has(Fault::MessageWithoutCreateId);
        let exhausted = is_exhausted(head) || config.has(Fault::DeadLetterGivesUp);
        same && head.version == version && exhausted
    });
    let to = met.and_then(|head| target(Some(head), Step::GiveUp));
    if to.is_some() {
        // By the promise, not by the record.
        let has_more = |head: &Head| {
            let before_leg = head.continued.unwrap_or(0);
            head.attempt < before_leg + config.attempts_max && !head.deadline_over
        };
        if met.is_none_or(has_more) {
            state.breach(Breach::GivenUpEarly);
        }
        change(state, to, |head| head.claim = None);
    }
    let ended = state
        .record_of(create)
        .filter(|head| head.status.is_terminal());
    let outcome = ended.map_or(GiveUpOutcome::Changed, |head| GiveUpOutcome::Ended {
        needs_first_wake_up: head.needs_first_wake_up(),
    });
    Written {
        applied: to.is_some(),
        outcome,
    }
}

/// `Store::cancel`. Returns the incarnation whose callback message must be sent, if this call
/// cancelled it.
pub(crate) fn cancel(state: &mut State) -> Written<Option<u8>> {
    let Some(to) = state
        .record()
        .and_then(|head| target(Some(head), Step::Cancel))
    else {
        return Written::refused(None);
    };
    change(state, Some(to), |head| {
        head.claim = None;
        drop_state(head);
    });
    let needs_first_wake_up = state.record().filter(|head| head.needs_first_wake_up());
    Written::applied(needs_first_wake_up.map(|head| head.create))
}

/// The table and the queues in the initial state.
pub(crate) fn at_start(config: &Config, mut state: State) -> State {
    if config.start == Start::Nothing {
        return state;
    }
    create(&mut state, config, 0);
    claim(&mut state, config, 0, 0, Release::Current);
    finish(&mut state, config, 0, 0, (1, 2), Ending::Complete);
    change(&mut state, None, |head| head.claim = None);
    if config.start == Start::Ended {
        queue::send(&mut state, Queue::Dispatch, 0, None, false);
        return state;
    }
    let unread = Read {
        attempts_made: 0,
        round_attempts: 0,
    };
    record_attempt(
        &mut state,
        config,
        0,
        0,
        (unread, DeliveryOutcome::Delivered),
    );
    queue::release_sender(&mut state, 0);
    queue::send(&mut state, Queue::Callback, 0, None, true);
    state
}
