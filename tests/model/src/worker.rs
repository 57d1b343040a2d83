//! `worker`, as in
//! `functions/worker/src/{dispatch,attempt,attempt/outcome,dead_letter,inspect,absent,ended}.rs`.
//!
//! A worker that returns its message does nothing more, so it ends. When the message is received
//! again is open. The visibility timeout that it sets and renews guarantees nothing: the message
//! may be received again at any time.

use crate::action::{
    Action, Choice, Process, READS, Then, WRITES, Wire, after_send, offer, unanswered,
};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Ending, Queue, Serving, State, Worker};
use crate::store::{self, ClaimOutcome, FinishOutcome, GiveUpOutcome};

/// The possible next actions.
pub(crate) fn offers(state: &State, config: &Config, slot: u8, actions: &mut Vec<Action>) {
    let Worker::Serves(create, serving) = state.workers[usize::from(slot)] else {
        return;
    };
    let process = Process::Worker(slot);
    match serving {
        Serving::Read => {
            for choice in ages(state, config, slot, create) {
                offer(state, process, *choice, &READS, actions);
            }
        }
        Serving::Claim => {
            for choice in ages(state, config, slot, create) {
                offer(state, process, *choice, &WRITES, actions);
            }
        }
        Serving::Work { .. } => {
            for choice in [Choice::Returns, Choice::Fails, Choice::FailsRetryably] {
                offer(state, process, choice, &WRITES, actions);
            }
            if state.budget.heartbeats > 0 {
                let renewal = Action::Call(process, Choice::Continues, Wire::Answered);
                actions.push(renewal);
            }
        }
        Serving::Finish { .. }
        | Serving::GiveUp { .. }
        | Serving::SendWakeUp
        | Serving::SendAfresh => {
            offer(state, process, Choice::None, &WRITES, actions);
        }
        Serving::Discard { .. } | Serving::Acknowledge => {
            offer(state, process, Choice::None, &READS, actions);
        }
    }
}

/// How old the message may be, where that matters: messages stay young for longer than any submit
/// lasts (`PHANTOM_AGE`).
fn ages(state: &State, config: &Config, slot: u8, create: u8) -> &'static [Choice] {
    let met = store::read_record(state, config, create);
    if !matches!(met, ClaimOutcome::Absent | ClaimOutcome::OtherIncarnation) {
        return &[Choice::None];
    }
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
        Serving::Read => read_record(state, config, create, choice),
        Serving::Claim => claim(state, config, worker, choice, wire),
        Serving::Work { attempt, version } if choice == Choice::Continues => {
            if !store::renew(state, slot, create, attempt, version) {
                return Then::Redundant;
            }
            state.budget.heartbeats -= 1;
            Then::Next(serving)
        }
        Serving::Work { attempt, version } => {
            let ending = ending(state, config, (create, attempt), choice);
            finish(state, config, worker, (attempt, version), ending, wire)
        }
        Serving::Finish {
            attempt,
            version,
            ending,
        } => record(state, config, worker, (attempt, version), ending, wire),
        Serving::Discard { attempt } => {
            store::delete_item(state, store::result_key(config, create, attempt));
            Then::End
        }
        Serving::GiveUp { version } => give_up(state, config, create, version, wire),
        Serving::SendWakeUp => {
            queue::send(state, Queue::Callback, create, None, false);
            after_send(wire, serving, Serving::Acknowledge)
        }
        Serving::SendAfresh => {
            queue::send(state, Queue::Dispatch, create, None, false);
            after_send(wire, serving, Serving::Acknowledge)
        }
        Serving::Acknowledge => {
            queue::delete(state, queue::worker_bit(slot));
            Then::End
        }
    }
}

/// `Handler::claim`.
fn claim(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    choice: Choice,
    wire: Wire,
) -> Then<Serving> {
    let written = store::claim(state, config, slot, create);
    if let Some(then) = unanswered(wire, written.applied, Serving::Claim) {
        return then;
    }
    match written.outcome {
        ClaimOutcome::Held { attempt, version } => Then::Next(Serving::Work { attempt, version }),
        ClaimOutcome::Absent | ClaimOutcome::OtherIncarnation => aged(choice),
        ClaimOutcome::Busy if config.has(Fault::BusyAcknowledged) => {
            Then::Next(Serving::Acknowledge)
        }
        // A claim that was refused did not meet a claimable operation.
        ClaimOutcome::Busy | ClaimOutcome::Claimable { .. } => Then::End,
        ClaimOutcome::Exhausted { version } => Then::Next(Serving::GiveUp { version }),
        ClaimOutcome::Ended {
            needs_first_wake_up,
        } => Then::Next(acknowledge_ended(config, needs_first_wake_up)),
    }
}

/// `Handler::inspect`, for a message from the dead-letter queue.
fn read_record(state: &State, config: &Config, create: u8, choice: Choice) -> Then<Serving> {
    match store::read_record(state, config, create) {
        ClaimOutcome::Absent if config.has(Fault::DeadLetterDropsYoung) => {
            Then::Next(Serving::Acknowledge)
        }
        ClaimOutcome::Absent | ClaimOutcome::OtherIncarnation => aged(choice),
        ClaimOutcome::Busy if config.has(Fault::DeadLetterAcknowledgesBusy) => {
            Then::Next(Serving::Acknowledge)
        }
        ClaimOutcome::Busy => Then::End,
        ClaimOutcome::Claimable { version } if config.has(Fault::DeadLetterGivesUp) => {
            Then::Next(Serving::GiveUp { version })
        }
        ClaimOutcome::Claimable { .. } | ClaimOutcome::Held { .. } => {
            Then::Next(Serving::SendAfresh)
        }
        ClaimOutcome::Exhausted { version } => Then::Next(Serving::GiveUp { version }),
        ClaimOutcome::Ended {
            needs_first_wake_up,
        } => Then::Next(acknowledge_ended(config, needs_first_wake_up)),
    }
}

/// `ReceivedDispatch::wait_for_record` and `ReceivedDispatch::wait_for_incarnation`.
fn aged(choice: Choice) -> Then<Serving> {
    if choice == Choice::Old {
        Then::Next(Serving::Acknowledge)
    } else {
        Then::End
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

/// `AttemptOutcome::into_write`.
fn ending(state: &State, config: &Config, (create, attempt): (u8, u8), choice: Choice) -> Ending {
    let out_of_time = state
        .record_of(create)
        .is_some_and(|head| head.deadline_over);
    match choice {
        Choice::Returns => Ending::Complete,
        Choice::FailsRetryably if attempt < config.attempts_max && !out_of_time => Ending::Retry,
        _ => Ending::Fail,
    }
}

/// The work has ended. A result that does not fit the head is written before the head names it.
fn finish(
    state: &mut State,
    config: &Config,
    (slot, create): (u8, u8),
    (attempt, version): (u8, u8),
    ending: Ending,
    wire: Wire,
) -> Then<Serving> {
    if !config.payloads || ending != Ending::Complete {
        return record(
            state,
            config,
            (slot, create),
            (attempt, version),
            ending,
            wire,
        );
    }
    if wire != Wire::Answered {
        return Then::Redundant;
    }
    let key = store::result_key(config, create, attempt);
    store::write_payload(state, key, (create, attempt));
    Then::Next(Serving::Finish {
        attempt,
        version,
        ending,
    })
}

/// `Handler::record_outcome`.
fn record(
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
        FinishOutcome::Written {
            needs_first_wake_up,
        } => Then::Next(acknowledge_ended(config, needs_first_wake_up)),
        FinishOutcome::Lost if config.has(Fault::FencedOffAcknowledges) => {
            Then::Next(Serving::Acknowledge)
        }
        FinishOutcome::Lost if leaves_result(state, config, create, ending) => {
            Then::Next(Serving::Discard { attempt })
        }
        FinishOutcome::Lost => Then::End,
    }
}

/// Whether a result was written although its operation is gone, or another incarnation has replaced
/// it.
fn leaves_result(state: &State, config: &Config, create: u8, ending: Ending) -> bool {
    let is_gone = state.record_of(create).is_none();
    config.payloads && ending == Ending::Complete && is_gone && !config.has(Fault::LateResultStays)
}

/// `Handler::give_up`.
fn give_up(
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
