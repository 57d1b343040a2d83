//! `submit`, as in `functions/submit/src/accept.rs`: a read, message, payload items, record.
//!
//! The code sends the message and the payload items concurrently. Here they follow each other,
//! since neither depends on the other's effects. A submit that was delayed for long sends its
//! message again. That keeps its message young as long as it may create its record:
//! [`crate::worker`] takes no message for old before its submit has ended.
//!
//! A redrive is a submit whose id is derived from the operation that it came from. It also reads
//! that operation, of which only [`Source`] is part of the model, and copies its state.
//!
//! The first read is eventually consistent: it may return any operation that ever existed under the
//! id, or none.

use crate::action::{Action, Choice, Process, READS, WRITES, Wire, offer};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Breach, Key, Queue, Response, Source, State, Submit};
use crate::store::{self, CreateOutcome};

/// The possible next actions.
pub(crate) fn offers(state: &State, config: &Config, create: u8, actions: &mut Vec<Action>) {
    let process = Process::Submit(create);
    let (choices, wires) = match next(state, config, create) {
        // As if it had not been requested.
        _ if is_without_source(state, config, create) => return,
        Submit::NotRequested if state.has_existed => {
            (&[Choice::SeesNone, Choice::Sees][..], &READS[..1])
        }
        Submit::NotRequested => (&[Choice::SeesNone][..], &READS[..1]),
        Submit::Send | Submit::Create | Submit::CreateAgain => (&[Choice::None][..], &WRITES[..]),
        Submit::ReadAgain | Submit::ReadSource | Submit::WriteArguments | Submit::Discard(_) => {
            (&[Choice::None][..], &READS[..])
        }
        Submit::Answered(_) => return,
    };
    for choice in choices {
        offer(state, process, *choice, wires, actions);
    }
}

fn next(state: &State, config: &Config, create: u8) -> Submit {
    match state.submits[usize::from(create)] {
        Submit::NotRequested if config.has(Fault::RecordBeforeMessage) => Submit::Create,
        // Without a second submit under the key there is nothing to find.
        Submit::NotRequested if config.submits == 1 => first_call(config),
        next => next,
    }
}

/// Whether it is a redrive that finds no failed operation, or one whose retention has passed.
fn is_without_source(state: &State, config: &Config, create: u8) -> bool {
    let has_begun = state.submits[usize::from(create)] != Submit::NotRequested;
    let is_redrivable = match state.source {
        Source::Retained => true,
        Source::PastRetention => config.has(Fault::RedrivenPastRetention),
        Source::Deleted => false,
    };
    config.redrive && !has_begun && !is_redrivable
}

/// The first call after the read of the id that it creates.
const fn first_call(config: &Config) -> Submit {
    if config.redrive && config.payloads {
        Submit::ReadSource
    } else {
        Submit::Send
    }
}

/// Makes the next call; `None` when another action has the same effect.
pub(crate) fn call(
    state: &mut State,
    config: &Config,
    create: u8,
    choice: Choice,
    wire: Wire,
) -> Option<()> {
    if wire == Wire::Failed && state.submits[usize::from(create)] == Submit::NotRequested {
        // As if it had not been requested.
        return None;
    }
    let now = next(state, config, create);
    let then = match (now, wire) {
        (Submit::Discard(response), Wire::Failed) => Submit::Answered(response),
        (_, Wire::Failed) => Submit::Answered(Response::None),
        (Submit::NotRequested, _) if choice == Choice::Sees => {
            if config.has(Fault::RepliedFromStaleRead) {
                reply(state, config)
            } else {
                Submit::ReadAgain
            }
        }
        (Submit::ReadAgain, _) if state.record().is_some() => reply(state, config),
        (Submit::NotRequested | Submit::ReadAgain, _) => first_call(config),
        (Submit::ReadSource, _) if state.source == Source::Deleted => {
            Submit::Answered(Response::None)
        }
        (Submit::ReadSource, _) => Submit::Send,
        (Submit::Send, _) => {
            queue::send(state, Queue::Dispatch, create, None, false);
            match wire {
                Wire::Answered => after_send(config),
                Wire::Retried => Submit::Send,
                Wire::Doubtful | Wire::Failed => Submit::Answered(Response::None),
            }
        }
        (Submit::WriteArguments, _) => {
            for key in payload_keys(config, create) {
                store::write_payload(state, key, (create, 0));
            }
            Submit::Create
        }
        (Submit::Create | Submit::CreateAgain, _) => {
            let written = store::create(state, config, create);
            if wire != Wire::Answered && !written.applied {
                return None;
            }
            match wire {
                Wire::Answered => after_create(config, written.outcome),
                Wire::Retried => Submit::CreateAgain,
                Wire::Doubtful | Wire::Failed => Submit::Answered(Response::None),
            }
        }
        (Submit::Discard(response), _) => {
            for key in payload_keys(config, create) {
                store::delete_item(state, key);
            }
            Submit::Answered(response)
        }
        (Submit::Answered(_), _) => return None,
    };
    state.submits[usize::from(create)] = then;
    Some(())
}

/// The items that it writes: the arguments, and the state that a redrive copies.
fn payload_keys(config: &Config, create: u8) -> impl Iterator<Item = Key> {
    let copied = config.redrive.then(|| store::state_key(config, create, 0));
    std::iter::once(store::arguments_key(config, create)).chain(copied)
}

fn reply(state: &mut State, config: &Config) -> Submit {
    if state.record().is_none() {
        state.breach(Breach::RepliedFromNothing);
    }
    Submit::Answered(repeated(config))
}

const fn repeated(config: &Config) -> Response {
    if config.conflicting {
        Response::Conflict
    } else {
        Response::Replayed
    }
}

fn after_send(config: &Config) -> Submit {
    match (config.has(Fault::RecordBeforeMessage), config.payloads) {
        (true, _) => Submit::Answered(Response::Accepted),
        (false, true) => Submit::WriteArguments,
        (false, false) => Submit::Create,
    }
}

fn after_create(config: &Config, created: CreateOutcome) -> Submit {
    let response = match created {
        CreateOutcome::New if config.has(Fault::RecordBeforeMessage) => return Submit::Send,
        CreateOutcome::New => return Submit::Answered(Response::Accepted),
        CreateOutcome::Existing => repeated(config),
        // The caller has to submit again.
        CreateOutcome::Erased => Response::None,
    };
    if config.payloads && !config.has(Fault::RefusedSubmitLeavesItems) {
        Submit::Discard(response)
    } else {
        Submit::Answered(response)
    }
}
