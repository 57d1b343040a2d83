//! `worker`, as in
//! `functions/worker/src/{dispatch,attempt,attempt/outcome,dead_letter,inspect,absent,ended}.rs`.
//!
//! A worker that returns its message does nothing more, so it ends. When the message is received
//! again is open. The visibility timeout that it sets and renews guarantees nothing: the message
//! may be received again at any time.

mod inspect;
mod outcome;

use crate::action::{Action, Choice, Process, READS, Then, WRITES, Wire, after_send, offer};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Queue, Serving, State, Worker};
use crate::store::{self, ClaimOutcome};

/// The possible next actions.
pub(crate) fn offers(state: &State, config: &Config, slot: u8, actions: &mut Vec<Action>) {
    let Worker::Serves(create, serving) = state.workers[usize::from(slot)] else {
        return;
    };
    let process = Process::Worker(slot);
    match serving {
        Serving::Read => {
            for choice in findings(state, config, slot, create) {
                offer(state, process, *choice, &READS, actions);
            }
        }
        Serving::ReadFirst => {
            for choice in findings(state, config, slot, create) {
                offer(state, process, *choice, &READS, actions);
            }
            offer_older(state, process, create, actions);
        }
        Serving::Claim => {
            for choice in findings(state, config, slot, create) {
                offer(state, process, *choice, &WRITES, actions);
            }
            offer_older(state, process, create, actions);
        }
        Serving::Work { .. } => {
            let continues = (config.claims_max > 0).then_some(Choice::Continues);
            let ends = [Choice::Returns, Choice::Fails, Choice::FailsRetryably];
            for choice in ends.into_iter().chain(continues) {
                offer(state, process, choice, &WRITES, actions);
            }
            if state.budget.heartbeats > 0 {
                let renewal = Action::Call(process, Choice::Renews, Wire::Answered);
                actions.push(renewal);
            }
        }
        Serving::Finish { .. }
        | Serving::GiveUp { .. }
        | Serving::SendWakeUp
        | Serving::SendAfresh
        | Serving::SendDelayed => {
            offer(state, process, Choice::None, &WRITES, actions);
        }
        Serving::Discard { .. } | Serving::Acknowledge => {
            offer(state, process, Choice::None, &READS, actions);
        }
    }
}

/// What matters of what a claim or a read finds: for how long a busy operation has to wait, and how
/// old the message of an absent one is.
fn findings(state: &State, config: &Config, slot: u8, create: u8) -> &'static [Choice] {
    match store::read_record(state, config, create) {
        ClaimOutcome::Absent | ClaimOutcome::OtherIncarnation => ages(state, slot, create),
        ClaimOutcome::Busy if state.budget.resends > 0 => &[Choice::None, Choice::WaitsLong],
        _ => &[Choice::None],
    }
}

/// How old the message may be: messages stay young for longer than any submit lasts
/// (`PHANTOM_AGE`).
fn ages(state: &State, slot: u8, create: u8) -> &'static [Choice] {
    let bit = queue::worker_bit(slot);
    let known_old = state
        .messages
        .iter()
        .any(|message| message.holders & bit != 0 && message.old);
    match (state.submit_is_over(create), known_old) {
        (false, _) => &[Choice::Young],
        (true, false) => &[Choice::Young, Choice::Old],
        (true, true) => &[Choice::Old],
    }
}

/// A worker of the previous release may have received the message instead. It never reads first.
fn offer_older(state: &State, process: Process, create: u8, actions: &mut Vec<Action>) {
    if state.budget.older > 0 && state.record_of(create).is_some() {
        // A call that fails leaves no trace of who made it.
        offer(state, process, Choice::OlderRelease, &WRITES[..3], actions);
    }
}

/// Makes the next call; `None` when another action has the same effect.
pub(crate) fn call(
    state: &mut State,
    config: &Config,
    slot: u8,
    choice: Choice,
    wire: Wire,
) -> Option<()> {
    let Worker::Serves(create, serving) = state.workers[usize::from(slot)] else {
        return None;
    };
    let then = if wire == Wire::Failed {
        // The message is received again, whatever the call was.
        Then::End
    } else {
        serve(state, config, (slot, create), serving, choice, wire)
    };
    match then {
        Then::Next(serving) => state.workers[usize::from(slot)] = Worker::Serves(create, serving),
        Then::End => queue::release_worker(state, slot),
        Then::Redundant => return None,
    }
    Some(())
}

fn serve(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    serving: Serving,
    choice: Choice,
    wire: Wire,
) -> Then<Serving> {
    let worker = (slot, create);
    match serving {
        Serving::ReadFirst | Serving::Claim if choice == Choice::OlderRelease => {
            inspect::claim_by_older(state, config, worker, wire)
        }
        Serving::Read => inspect::read_record(state, config, worker, choice),
        Serving::ReadFirst => inspect::read_first(state, config, worker, choice),
        Serving::Claim => inspect::claim(state, config, worker, choice, wire),
        Serving::Work { attempt, version } if choice == Choice::Renews => {
            if !store::renew(state, slot, create, attempt, version) {
                return Then::Redundant;
            }
            state.budget.heartbeats -= 1;
            Then::Next(serving)
        }
        Serving::Work { attempt, version } => {
            let ending = outcome::ending(state, config, (create, attempt), choice);
            outcome::finish(state, config, worker, (attempt, version), ending, wire)
        }
        Serving::Finish {
            attempt,
            version,
            ending,
        } => outcome::record(state, config, worker, (attempt, version), ending, wire),
        Serving::Discard { attempt, ending } => {
            if let Some(key) = store::outcome_key(config, create, attempt, ending) {
                store::delete_item(state, key);
            }
            Then::End
        }
        Serving::GiveUp { version } => outcome::give_up(state, config, create, version, wire),
        Serving::SendWakeUp => {
            queue::send(state, Queue::Callback, create, None, false);
            after_send(wire, serving, Serving::Acknowledge)
        }
        Serving::SendAfresh => {
            queue::send(state, Queue::Dispatch, create, None, false);
            after_send(wire, serving, Serving::Acknowledge)
        }
        Serving::SendDelayed => {
            queue::send_delayed(state, config, create);
            after_send(wire, serving, Serving::Acknowledge)
        }
        Serving::Acknowledge => {
            queue::delete(state, queue::worker_bit(slot));
            Then::End
        }
    }
}

/// `Handler::acknowledge_ended`.
fn acknowledge_ended(config: &Config, needs_first_wake_up: bool) -> Serving {
    if needs_first_wake_up && !config.has(Fault::FirstWakeUpNotSent) {
        Serving::SendWakeUp
    } else {
        Serving::Acknowledge
    }
}

/// `ReceivedDispatch::send_on`: a fresh message, then the acknowledgement. A crash in between
/// leaves two messages, and each of them ends with the operation.
fn send_on(state: &mut State, config: &Config, slot: u8) -> Serving {
    if config.has(Fault::AcknowledgedBeforeFresh) {
        queue::delete(state, queue::worker_bit(slot));
    }
    Serving::SendDelayed
}
