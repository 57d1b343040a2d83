//! The table: each write with its condition, as in
//! `shared/src/store/{step,outcome,callback,erase,payload}.rs`.
//!
//! The steps are those of the transition table that the functions are compiled with.

mod callback;
mod payload;

pub(crate) use self::callback::{RecordOutcome, record_attempt, start_round};
pub(crate) use self::payload::{
    arguments_key, begun, begun_before_mark, delete_item, delete_items, erasable, leave_tombstone,
    mark_erased, result_key, write_payload,
};

use shared::domain::transition::{self, Status, Step, Verdict, verdict};

use crate::config::{Config, Fault, Start};
use crate::queue;
use crate::state::{Breach, Callback, DeliveryOutcome, Ending, Head, Queue, Read, State, Submit};

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

/// `store::ClaimOutcome`, and `Availability` of a read.
pub(crate) enum ClaimOutcome {
    Held { attempt: u8, version: u8 },
    Absent,
    OtherIncarnation,
    Claimable { version: u8 },
    Busy,
    Exhausted { version: u8 },
    Ended { needs_first_wake_up: bool },
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
    let identity = |head: &Head| (head.status, head.version, head.attempt, head.result);
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
    let Some(status) = target(met, Step::Create) else {
        return Written::refused(CreateOutcome::Existing);
    };
    state.tombstone = None;
    state.begun = 0;
    state.has_existed = true;
    state.posts = 0;
    state.rounds = 0;
    state.head = Some(Head {
        create,
        status,
        version: 1,
        attempt: 0,
        claim: None,
        // No lease holds off its first claim.
        lease_over: true,
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

/// What a worker finds that does not hold the operation: `Operation::availability`.
pub(crate) fn read_record(state: &State, config: &Config, create: u8) -> ClaimOutcome {
    let Some(head) = state.record() else {
        return ClaimOutcome::Absent;
    };
    let version = head.version;
    if head.create != create && !config.has(Fault::MessageWithoutCreateId) {
        return ClaimOutcome::OtherIncarnation;
    }
    match verdict(Some(head.status), Step::Claim) {
        Verdict::Refused => ClaimOutcome::Ended {
            needs_first_wake_up: head.needs_first_wake_up(),
        },
        Verdict::ToAfterLease(_) if !head.lease_over => ClaimOutcome::Busy,
        Verdict::To(_) | Verdict::ToAfterLease(_) if is_exhausted(head, config) => {
            ClaimOutcome::Exhausted { version }
        }
        Verdict::To(_) | Verdict::ToAfterLease(_) => ClaimOutcome::Claimable { version },
    }
}

fn is_exhausted(head: &Head, config: &Config) -> bool {
    head.attempt >= config.attempts_max || head.deadline_over
}

/// `Store::claim` by the worker in a slot, which is the token.
pub(crate) fn claim(
    state: &mut State,
    config: &Config,
    slot: u8,
    create: u8,
) -> Written<ClaimOutcome> {
    let met = read_record(state, config, create);
    if matches!(met, ClaimOutcome::Claimable { .. }) {
        let to = target(state.record(), Step::Claim);
        change(state, to, |head| {
            head.attempt += 1;
            head.claim = Some(slot);
        });
    }
    let applied = matches!(met, ClaimOutcome::Claimable { .. });
    // Applied now, or refused by this worker's own claim, whose response was lost.
    let own = state.record().filter(|head| {
        head.status == Status::Processing
            && head.claim == Some(slot)
            && !matches!(met, ClaimOutcome::Absent | ClaimOutcome::OtherIncarnation)
    });
    let outcome = own.map_or(met, |head| ClaimOutcome::Held {
        attempt: head.attempt,
        version: head.version,
    });
    Written { applied, outcome }
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

/// `Store::complete`, `Store::fail` and `Store::retry`.
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

/// `Store::give_up` of the record that was met at this version.
pub(crate) fn give_up(
    state: &mut State,
    config: &Config,
    create: u8,
    version: u8,
) -> Written<GiveUpOutcome> {
    let met = state.record().filter(|head| {
        let same = head.create == create || config.has(Fault::MessageWithoutCreateId);
        let exhausted = is_exhausted(head, config) || config.has(Fault::DeadLetterGivesUp);
        same && head.version == version && exhausted
    });
    let to = met.and_then(|head| target(Some(head), Step::GiveUp));
    if to.is_some() {
        if !met.is_some_and(|head| is_exhausted(head, config)) {
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
    change(state, Some(to), |head| head.claim = None);
    let needs_first_wake_up = state.record().filter(|head| head.needs_first_wake_up());
    Written::applied(needs_first_wake_up.map(|head| head.create))
}

/// The table and the queues in the initial state.
pub(crate) fn at_start(config: &Config, mut state: State) -> State {
    if config.start == Start::Nothing {
        return state;
    }
    create(&mut state, config, 0);
    claim(&mut state, config, 0, 0);
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
