//! `submit`, as in `functions/submit/src/accept.rs`: message, payload items, record.
//!
//! The message and the payload items are sent side by side there; here they follow each other, since neither looks at what the
//! other did. A submit that has waited for long sends its message again, which is what keeps its message young as long as it may
//! create: [`crate::worker`] takes no message for old before its submit is over.

use crate::action::{Action, Choice, Process, READS, WRITES, Wire, offer};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Answer, Queue, State, Submit};
use crate::store::{self, Created};

/// What may come next.
pub(crate) fn offers(state: &State, config: &Config, create: u8, actions: &mut Vec<Action>) {
    let wires = match next(state, config, create) {
        Submit::Send | Submit::Create | Submit::CreateAgain => &WRITES[..],
        Submit::WriteArguments => &READS[..],
        Submit::Unasked | Submit::Answered(_) => return,
    };
    offer(state, Process::Submit(create), Choice::None, wires, actions);
}

fn next(state: &State, config: &Config, create: u8) -> Submit {
    match state.submits[usize::from(create)] {
        Submit::Unasked if config.has(Fault::RecordBeforeMessage) => Submit::Create,
        Submit::Unasked => Submit::Send,
        next => next,
    }
}

/// Makes the next call; `None` when it comes to the same as another.
pub(crate) fn call(state: &mut State, config: &Config, create: u8, wire: Wire) -> Option<()> {
    if wire == Wire::Failed && state.submits[usize::from(create)] == Submit::Unasked {
        // As if it had not been asked.
        return None;
    }
    let now = next(state, config, create);
    let then = match (now, wire) {
        (_, Wire::Failed) => Submit::Answered(Answer::None),
        (Submit::Send, _) => {
            queue::send(state, Queue::Dispatch, create, None, false);
            match wire {
                Wire::Answered => after_send(config),
                Wire::Retried => Submit::Send,
                Wire::Doubtful | Wire::Failed => Submit::Answered(Answer::None),
            }
        }
        (Submit::WriteArguments, _) => {
            let key = store::arguments_key(config, create);
            store::write_payload(state, key, (create, 0));
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
                Wire::Doubtful | Wire::Failed => Submit::Answered(Answer::None),
            }
        }
        (Submit::Unasked | Submit::Answered(_), _) => return None,
    };
    state.submits[usize::from(create)] = then;
    Some(())
}

fn after_send(config: &Config) -> Submit {
    match (config.has(Fault::RecordBeforeMessage), config.payloads) {
        (true, _) => Submit::Answered(Answer::Accepted),
        (false, true) => Submit::WriteArguments,
        (false, false) => Submit::Create,
    }
}

fn after_create(config: &Config, created: Created) -> Submit {
    match created {
        Created::New if config.has(Fault::RecordBeforeMessage) => Submit::Send,
        Created::New => Submit::Answered(Answer::Accepted),
        Created::Existing if config.conflicting => Submit::Answered(Answer::Conflict),
        Created::Existing => Submit::Answered(Answer::Replayed),
        // To be asked again.
        Created::Erased => Submit::Answered(Answer::None),
    }
}
