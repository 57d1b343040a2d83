//! `callback`, as in `functions/callback/src/deliver.rs`.
//!
//! A POST follows its read at once: nothing that others do in between changes what is posted.

use shared::domain::callback::CallbackStatus;

use crate::action::{
    Action, Choice, Process, READS, Then, WRITES, Wire, after_send, offer, unanswered,
};
use crate::config::{Config, Fault, Redelivery};
use crate::queue;
use crate::state::{Breach, Head, Queue, Read, Sender, Sending, State, Try};
use crate::store::{self, RecordedTry};

/// What a sender serves.
#[derive(Clone, Copy)]
struct Wake {
    slot: u8,
    create: u8,
    redelivery: Option<u8>,
    dead: bool,
}

/// What may come next.
pub(crate) fn offers(state: &State, config: &Config, slot: u8, actions: &mut Vec<Action>) {
    let Sender::Serves { next, .. } = state.senders[usize::from(slot)] else {
        return;
    };
    let process = Process::Sender(slot);
    match next {
        Sending::Look | Sending::LookAgain => {
            offer(state, process, Choice::Accepts, &READS, actions);
            // Only a POST has other answers than this one.
            let mut answers = vec![Choice::Refuses];
            answers.extend(config.gone.then_some(Choice::Gone));
            actions.extend(
                answers
                    .into_iter()
                    .map(|choice| Action::Call(process, choice, Wire::Answered)),
            );
        }
        Sending::StartRound(_) | Sending::Record(..) | Sending::Wake => {
            offer(state, process, Choice::None, &WRITES, actions);
        }
        Sending::Acknowledge => offer(state, process, Choice::None, &READS, actions),
    }
}

/// Makes the next call; `None` when it comes to the same as another.
pub(crate) fn call(
    state: &mut State,
    config: &Config,
    slot: u8,
    choice: Choice,
    wire: Wire,
) -> Option<()> {
    let Sender::Serves {
        create,
        redelivery,
        dead,
        next,
    } = state.senders[usize::from(slot)]
    else {
        return None;
    };
    let wake = Wake {
        slot,
        create,
        redelivery,
        dead,
    };
    let then = if wire == Wire::Failed {
        // Whatever it was: the message comes back.
        Then::End
    } else {
        serve(state, config, wake, next, choice, wire)
    };
    match then {
        Then::Next(next) => {
            state.senders[usize::from(slot)] = Sender::Serves {
                create,
                redelivery,
                dead,
                next,
            };
        }
        Then::End => queue::release_sender(state, slot),
        Then::Redundant => return None,
    }
    Some(())
}

fn serve(
    state: &mut State,
    config: &Config,
    wake: Wake,
    next: Sending,
    choice: Choice,
    wire: Wire,
) -> Then<Sending> {
    match next {
        Sending::Look => look(state, config, wake, choice).map_or(Then::Redundant, Then::Next),
        Sending::LookAgain => {
            look_again(state, config, wake, choice).map_or(Then::Redundant, Then::Next)
        }
        Sending::StartRound(read) => start_round(state, config, wake, read, wire),
        Sending::Record(read, tried) => record(state, config, wake, (read, tried), wire),
        Sending::Wake => {
            // Not for a redelivery any more.
            queue::send(state, Queue::Callback, wake.create, None, true);
            after_send(wire, next, Sending::Acknowledge)
        }
        Sending::Acknowledge => {
            queue::delete(state, queue::sender_bit(wake.slot));
            Then::End
        }
    }
}

/// `Callback::awaited`.
fn awaited<'a>(state: &'a State, config: &Config, create: u8) -> Option<&'a Head> {
    state
        .record()
        .filter(|head| head.create == create || config.has(Fault::WakeUpTrusted))
}

/// `Callback::due_now`, with `Callback::in_a_round`.
fn look(state: &mut State, config: &Config, wake: Wake, choice: Choice) -> Option<Sending> {
    let unanswered = |sending| (choice == Choice::Accepts).then_some(sending);
    let Some(head) = awaited(state, config, wake.create) else {
        return unanswered(Sending::Acknowledge);
    };
    if head.callback_is_due() || config.has(Fault::WakeUpTrusted) {
        return try_it(state, config, wake, choice);
    }
    let (Some(read), Some(redelivery)) = (read(head), wake.redelivery) else {
        return unanswered(Sending::Acknowledge);
    };
    let settled = head
        .callback_status()
        .is_some_and(CallbackStatus::allows_redelivery);
    let is_new = match config.redelivery {
        Redelivery::NamesItself => read.redelivery != Some(redelivery),
        Redelivery::NamesTries => read.tries == redelivery,
    };
    unanswered(if settled && is_new {
        Sending::StartRound(read)
    } else {
        Sending::Acknowledge
    })
}

/// After the start of a round, which another receive of the same message may have got to the end of.
fn look_again(state: &mut State, config: &Config, wake: Wake, choice: Choice) -> Option<Sending> {
    if awaited(state, config, wake.create).is_some_and(Head::callback_is_due) {
        try_it(state, config, wake, choice)
    } else {
        (choice == Choice::Accepts).then_some(Sending::Acknowledge)
    }
}

fn read(head: &Head) -> Option<Read> {
    head.callback.as_ref().map(|callback| Read {
        tries: callback.tries,
        round_tries: callback.round_tries,
        redelivery: callback.redelivery,
    })
}

/// A callback that is due: its try, unless it is too early for that, or none can be made.
fn try_it(state: &mut State, config: &Config, wake: Wake, choice: Choice) -> Option<Sending> {
    let head = state.record()?;
    let (read, has_ended) = (read(head)?, head.status.is_terminal());
    let waits = head
        .callback
        .as_ref()
        .is_some_and(|callback| callback.waits);
    let failed = if read.round_tries + 1 < config.tries_max {
        Try::Again
    } else {
        Try::Exhausted
    };
    if wake.dead || waits {
        let instead = if waits {
            Sending::Wake
        } else {
            // A dead letter counts as a failed attempt.
            Sending::Record(read, failed)
        };
        return (choice == Choice::Accepts).then_some(instead);
    }
    if !has_ended {
        state.breach(Breach::ToldEarly);
    }
    state.posts += u8::from(config.posts_max > 0);
    let tried = match choice {
        Choice::Accepts => Try::Delivered,
        Choice::Gone => Try::Gone,
        _ => failed,
    };
    Some(Sending::Record(read, tried))
}

fn start_round(
    state: &mut State,
    config: &Config,
    wake: Wake,
    read: Read,
    wire: Wire,
) -> Then<Sending> {
    let Some(redelivery) = wake.redelivery else {
        return Then::Redundant;
    };
    let written = store::start_round(state, config, wake.create, read, redelivery);
    if let Some(then) = unanswered(wire, written.applied, Sending::StartRound(read)) {
        return then;
    }
    Then::Next(if written.outcome {
        Sending::LookAgain
    } else {
        Sending::Acknowledge
    })
}

/// `Callback::conclude`.
fn record(
    state: &mut State,
    config: &Config,
    wake: Wake,
    (read, tried): (Read, Try),
    wire: Wire,
) -> Then<Sending> {
    let written = store::record_try(state, config, wake.slot, wake.create, (read, tried));
    if let Some(then) = unanswered(wire, written.applied, Sending::Record(read, tried)) {
        return then;
    }
    let leaves_a_wake_up = match written.outcome {
        RecordedTry::Written => tried == Try::Again,
        // `Callback::follow`.
        RecordedTry::Refused { due } => due && !config.has(Fault::RefusedSenderAcknowledges),
    };
    Then::Next(if leaves_a_wake_up {
        Sending::Wake
    } else {
        Sending::Acknowledge
    })
}
