//! Beginning an attempt, as in `shared/src/store/{step,outcome}.rs`.

use shared::domain::transition::{self, Status, Step, Verdict, verdict};

use super::{Written, change, state_key, target};
use crate::config::{Config, Fault};
use crate::state::{Breach, Head, State};

/// `store::ClaimOutcome`, and `Availability` of a read.
pub(crate) enum ClaimOutcome {
    Held {
        attempt: u8,
        version: u8,
    },
    Absent,
    /// The incarnation was created, and has expired or was erased.
    Gone,
    OtherIncarnation,
    Claimable {
        version: u8,
    },
    Busy,
    Exhausted {
        version: u8,
    },
    Ended {
        needs_first_wake_up: bool,
    },
}

/// The release whose code a worker runs. The previous one knows neither starts nor states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    Current,
    Previous,
}

/// What a worker finds that does not hold the operation: `Operation::availability`.
pub(crate) fn read_record(state: &State, config: &Config, create: u8) -> ClaimOutcome {
    availability(state, config, create, Release::Current)
}

fn availability(state: &State, config: &Config, create: u8, release: Release) -> ClaimOutcome {
    let Some(head) = state.record() else {
        return if is_gone(state, create) {
            ClaimOutcome::Gone
        } else {
            ClaimOutcome::Absent
        };
    };
    let version = head.version;
    if head.create != create && !config.has(Fault::MessageWithoutCreateId) {
        return ClaimOutcome::OtherIncarnation;
    }
    let ignores_start = release == Release::Previous || config.has(Fault::StartClaimsEarly);
    let waits = !head.lease_over && (head.status != Status::Pending || !ignores_start);
    match verdict(Some(head.status), Step::Claim) {
        Verdict::Refused => ClaimOutcome::Ended {
            needs_first_wake_up: head.needs_first_wake_up(),
        },
        // A pending operation is given up even before its start.
        Verdict::To(_) | Verdict::ToAfterLease(_)
            if is_exhausted(head) && target(Some(head), Step::GiveUp).is_some() =>
        {
            ClaimOutcome::Exhausted { version }
        }
        Verdict::ToAfterLease(_) if waits => ClaimOutcome::Busy,
        Verdict::To(_) | Verdict::ToAfterLease(_) => ClaimOutcome::Claimable { version },
    }
}

/// Whether the incarnation has left a tombstone, or a record that expired or is being erased. One
/// whose callback has no first wake-up yet counts as absent.
fn is_gone(state: &State, create: u8) -> bool {
    let of_record = state
        .head
        .as_ref()
        .is_some_and(|head| head.create == create && (head.erased || !head.needs_first_wake_up()));
    state.tombstone == Some(create) || of_record
}

pub(super) fn is_exhausted(head: &Head) -> bool {
    head.attempt >= head.attempts_max || head.deadline_over
}

/// `Store::claim` by the worker in a slot, which is the token.
pub(crate) fn claim(
    state: &mut State,
    config: &Config,
    slot: u8,
    create: u8,
    release: Release,
) -> Written<ClaimOutcome> {
    let met = availability(state, config, create, release);
    let applied = matches!(met, ClaimOutcome::Claimable { .. });
    if applied {
        begin_attempt(state, config, slot, release);
    }
    // Applied now, or refused by this worker's own claim, whose response was lost.
    let own = state.record().filter(|head| {
        head.status == Status::Processing
            && head.claim == Some(slot)
            && !matches!(
                met,
                ClaimOutcome::Absent | ClaimOutcome::Gone | ClaimOutcome::OtherIncarnation
            )
    });
    let outcome = own.map_or(met, |head| ClaimOutcome::Held {
        attempt: head.attempt,
        version: head.version,
    });
    Written { applied, outcome }
}

/// The claim's effect. The state is read with it: while the worker holds the operation, the item
/// does not change, and once it does not, what its work does changes nothing.
fn begin_attempt(state: &mut State, config: &Config, slot: u8, release: Release) {
    let Some(head) = state.record() else { return };
    let is_early = head.status == Status::Pending && !head.lease_over;
    let runs_with = match release {
        Release::Current => state_to_run_with(state, config, head),
        Release::Previous => None,
    };
    let is_other = runs_with != head.continued.map(|attempt| (head.create, attempt));
    if is_early {
        state.breach(Breach::ClaimedEarly);
    }
    if is_other {
        state.breach(Breach::OtherState);
    }
    change(state, Some(transition::target(Step::Claim)), |head| {
        head.attempt += 1;
        head.claim = Some(slot);
    });
}

/// The incarnation and the attempt whose state the next attempt continues from.
fn state_to_run_with(state: &State, config: &Config, head: &Head) -> Option<(u8, u8)> {
    let named = head.state?;
    if !config.payloads {
        return Some((head.create, named));
    }
    let attempt = if config.has(Fault::StateByLastAttempt) {
        head.attempt
    } else {
        named
    };
    let key = state_key(config, head.create, attempt);
    let item = state.items.iter().find(|item| item.key == key)?;
    Some(item.of)
}

/// Whether only the current release may run the record's work: the record has the newer format.
pub(crate) fn is_newer(config: &Config, head: &Head) -> bool {
    let has_start = config.starts_later && !config.has(Fault::StartInOlderFormat);
    let has_state = head.state.is_some() && !config.has(Fault::StateInOlderFormat);
    has_start || has_state
}
