//! `callback`, as in `functions/callback/src/{deliver,due}.rs` and
//! `shared/src/domain/delivery.rs`.
//!
//! A POST follows its read at once, as one action: no other process's action in between would
//! change what is posted.

use shared::domain::callback::CallbackStatus;

use crate::action::{
    Action, Choice, Process, READS, Then, WRITES, Wire, after_send, offer, unanswered,
};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Breach, Callback, DeliveryOutcome, Head, Queue, Read, Sender, Sending, State};
use crate::store::{self, RecordOutcome};

/// The message that a sender handles.
#[derive(Clone, Copy)]
struct Wake {
    slot: u8,
    create: u8,
    redelivery: Option<u8>,
    dead: bool,
}

/// The possible next actions.
pub(crate) fn offers(state: &State, config: &Config, slot: u8, actions: &mut Vec<Action>) {
    let Sender::Serves { next, .. } = state.senders[usize::from(slot)] else {
        return;
    };
    let process = Process::Sender(slot);
    match next {
        Sending::Read | Sending::StartRound(_) => {
            let wires = if next == Sending::Read {
                &READS[..]
            } else {
                &WRITES[..]
            };
            offer(state, process, Choice::Accepts, wires, actions);
            // Only a POST offers these choices.
            let mut responses = vec![Choice::Refuses];
            responses.extend(config.gone.then_some(Choice::Gone));
            responses.extend((state.budget.deferrals > 0).then_some(Choice::Defers));
            actions.extend(
                responses
                    .into_iter()
                    .map(|choice| Action::Call(process, choice, Wire::Answered)),
            );
        }
        Sending::Record(..) | Sending::Wake => {
            offer(state, process, Choice::None, &WRITES, actions);
        }
        Sending::Acknowledge => offer(state, process, Choice::None, &READS, actions),
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
        // The message is received again, whatever the call was.
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
        Sending::Read => {
            read_record(state, config, wake, choice).map_or(Then::Redundant, Then::Next)
        }
        Sending::StartRound(read) => start_round(state, config, wake, read, choice, wire),
        Sending::Record(read, outcome) => record(state, config, wake, (read, outcome), wire),
        Sending::Wake => {
            // The wake-up no longer asks for a redelivery.
            queue::send(state, Queue::Callback, wake.create, None, true);
            after_send(wire, next, Sending::Acknowledge)
        }
        Sending::Acknowledge => {
            queue::delete(state, queue::sender_bit(wake.slot));
            Then::End
        }
    }
}

/// `Handler::find`.
fn awaited<'a>(state: &'a State, config: &Config, create: u8) -> Option<&'a Head> {
    state
        .record()
        .filter(|head| head.create == create || config.has(Fault::WakeUpTrusted))
}

/// `Handler::due_callback`, with `Handler::in_round`.
fn read_record(state: &mut State, config: &Config, wake: Wake, choice: Choice) -> Option<Sending> {
    let unanswered = |sending| (choice == Choice::Accepts).then_some(sending);
    let Some(head) = awaited(state, config, wake.create) else {
        return unanswered(Sending::Acknowledge);
    };
    if head.callback_is_due() || config.has(Fault::WakeUpTrusted) {
        return attempt(state, config, wake, choice);
    }
    let (Some(callback), Some(redelivery)) = (&head.callback, wake.redelivery) else {
        return unanswered(Sending::Acknowledge);
    };
    let read = read(callback);
    let is_over = head
        .callback_status()
        .is_some_and(CallbackStatus::allows_redelivery);
    let is_new = if config.has(Fault::RedeliveryNamesItself) {
        callback.last_redelivery != Some(redelivery)
    } else {
        read.attempts_made == redelivery
    };
    unanswered(if is_over && is_new {
        Sending::StartRound(read)
    } else {
        Sending::Acknowledge
    })
}

const fn read(callback: &Callback) -> Read {
    Read {
        attempts_made: callback.attempts_made,
        round_attempts: callback.round_attempts,
    }
}

/// The attempt of a callback that is due, unless the attempt is too early or cannot be made.
fn attempt(state: &mut State, config: &Config, wake: Wake, choice: Choice) -> Option<Sending> {
    let head = state.record()?;
    let (callback, has_ended) = (head.callback.as_ref()?, head.status.is_terminal());
    let (read, waits) = (read(callback), callback.waits);
    let failed = if read.round_attempts + 1 < config.callback_attempts_max {
        DeliveryOutcome::Retry
    } else {
        DeliveryOutcome::Exhausted
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
    if choice == Choice::Defers {
        state.budget.deferrals -= 1;
        return Some(if config.has(Fault::DeferralSendsNothing) {
            Sending::Acknowledge
        } else {
            Sending::Wake
        });
    }
    if !has_ended {
        state.breach(Breach::PostedEarly);
    }
    state.posts += u8::from(config.posts_max > 0);
    let outcome = match choice {
        Choice::Accepts => DeliveryOutcome::Delivered,
        Choice::Gone => DeliveryOutcome::Gone,
        _ => failed,
    };
    Some(Sending::Record(read, outcome))
}

fn start_round(
    state: &mut State,
    config: &Config,
    wake: Wake,
    read: Read,
    choice: Choice,
    wire: Wire,
) -> Then<Sending> {
    let Some(redelivery) = wake.redelivery else {
        return Then::Redundant;
    };
    let written = store::start_round(state, config, wake.create, read, redelivery);
    if let Some(then) = unanswered(wire, written.applied, Sending::StartRound(read)) {
        return then;
    }
    // It does not matter which process started the round: as long as the callback is due, any
    // wake-up serves it.
    let goes_on = written.applied || !config.has(Fault::RefusedStartAcknowledges);
    let next = if goes_on && written.outcome {
        attempt(state, config, wake, choice)
    } else {
        (choice == Choice::Accepts).then_some(Sending::Acknowledge)
    };
    next.map_or(Then::Redundant, Then::Next)
}

/// `Handler::record_attempt`.
fn record(
    state: &mut State,
    config: &Config,
    wake: Wake,
    (read, outcome): (Read, DeliveryOutcome),
    wire: Wire,
) -> Then<Sending> {
    let written = store::record_attempt(state, config, wake.slot, wake.create, (read, outcome));
    if let Some(then) = unanswered(wire, written.applied, Sending::Record(read, outcome)) {
        return then;
    }
    let leaves_a_wake_up = match written.outcome {
        RecordOutcome::Written => outcome == DeliveryOutcome::Retry,
        // `Handler::schedule_fallback`.
        RecordOutcome::Refused { due } => due && !config.has(Fault::RefusedSenderAcknowledges),
    };
    Then::Next(if leaves_a_wake_up {
        Sending::Wake
    } else {
        Sending::Acknowledge
    })
}
