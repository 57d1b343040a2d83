//! The queues, as SQS has them: at least once, in any order, and no message is lost except by a
//! delete.

use crate::config::Config;
use crate::state::{Message, Queue, SLOTS, Sender, Sending, Serving, State, Worker};

/// `Queue::send`.
pub(crate) fn send(
    state: &mut State,
    queue: Queue,
    create: u8,
    redelivery: Option<u8>,
    delayed: bool,
) {
    state.messages.push(Message {
        queue,
        create,
        redelivery,
        visible: !delayed,
        receives: 0,
        old: false,
        read_first: false,
        hidden: false,
        holders: 0,
    });
}

/// Sends a fresh, delayed message for an operation that waits.
pub(crate) fn send_delayed(state: &mut State, config: &Config, create: u8) {
    send(state, Queue::Dispatch, create, None, true);
    if let Some(message) = state.messages.last_mut() {
        message.read_first = config.reads_first;
    }
}

/// Hides a worker's message until a sleep is over.
pub(crate) fn hide(state: &mut State, slot: u8) {
    for message in &mut state.messages {
        message.hidden |= message.holders & worker_bit(slot) != 0;
    }
}

/// The sleep is over.
pub(crate) fn show_hidden(state: &mut State) {
    for message in &mut state.messages {
        message.hidden = false;
    }
}

/// The bit of the worker in a slot, in [`Message::holders`].
pub(crate) const fn worker_bit(slot: u8) -> u8 {
    1 << slot
}

/// The bit of the sender in a slot.
pub(crate) const fn sender_bit(slot: u8) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "two")]
    let first = SLOTS as u8;
    1 << (slot + first)
}

/// A delete, by any receipt handle: a stale one may still work.
pub(crate) fn delete(state: &mut State, bit: u8) {
    state.messages.retain(|message| message.holders & bit == 0);
}

/// Ends a process: its receipt handle is gone, and it can no longer recognise its token in the
/// store.
pub(crate) fn release_worker(state: &mut State, slot: u8) {
    state.workers[usize::from(slot)] = Worker::Idle;
    forget(state, worker_bit(slot));
    if let Some(head) = &mut state.head {
        head.claim = head.claim.filter(|claim| *claim != slot);
    }
}

/// As [`release_worker`].
pub(crate) fn release_sender(state: &mut State, slot: u8) {
    state.senders[usize::from(slot)] = Sender::Idle;
    forget(state, sender_bit(slot));
    if let Some(callback) = state.head.as_mut().and_then(|head| head.callback.as_mut()) {
        callback.last_by = callback.last_by.filter(|last| *last != slot);
    }
}

fn forget(state: &mut State, bit: u8) {
    for message in &mut state.messages {
        message.holders &= !bit;
    }
}

/// An idle process receives the message at `index`.
pub(crate) fn receive(state: &mut State, config: &Config, slot: u8, index: usize) {
    if !state.messages[index].visible {
        charge_receive(state, config, index);
    }
    let message = &mut state.messages[index];
    let reads_first = message.read_first || (config.reads_first && message.receives > 0);
    message.visible = false;
    // From now on its receives say so.
    message.read_first = false;
    message.receives = config.receives_max.min(message.receives + 1);
    let Message {
        queue,
        create,
        redelivery,
        ..
    } = *message;
    let sender = |dead| Sender::Serves {
        create,
        redelivery,
        dead,
        next: Sending::Read,
    };
    let at = usize::from(slot);
    match queue {
        Queue::Dispatch | Queue::DispatchDeadLetters => {
            message.holders |= worker_bit(slot);
            let serving = match queue {
                Queue::Dispatch if reads_first => Serving::ReadFirst,
                Queue::Dispatch => Serving::Claim,
                _ => Serving::Read,
            };
            state.workers[at] = Worker::Serves(create, serving);
        }
        Queue::Callback | Queue::CallbackDeadLetters => {
            message.holders |= sender_bit(slot);
            state.senders[at] = sender(queue == Queue::CallbackDeadLetters);
        }
    }
}

/// The dead-letter queue of a queue.
const fn dead_letters(queue: Queue) -> Option<Queue> {
    match queue {
        Queue::Dispatch => Some(Queue::DispatchDeadLetters),
        Queue::Callback => Some(Queue::CallbackDeadLetters),
        Queue::DispatchDeadLetters | Queue::CallbackDeadLetters => None,
    }
}

/// Whether the next receive moves the message to the dead-letter queue.
fn is_dead_letter_next(state: &State, config: &Config, message: Message) -> bool {
    message.receives >= config.receives_max
        && state.budget.dead_letters > 0
        && dead_letters(message.queue).is_some()
}

/// Whether a message may be received again while another process can still act. A delayed message
/// may not be early, except for a hop.
pub(crate) fn may_reappear(state: &State, config: &Config, message: Message) -> bool {
    if message.visible || message.hidden {
        return false;
    }
    if is_early(state, message) && state.budget.hops == 0 {
        return false;
    }
    message.receives < config.receives_max || is_dead_letter_next(state, config, message)
}

/// Whether a delayed wake-up would arrive before its attempt is due.
fn is_early(state: &State, message: Message) -> bool {
    message.receives == 0
        && state
            .record_of(message.create)
            .and_then(|head| head.callback.as_ref())
            .is_some_and(|callback| callback.waits)
}

/// Charges the budget for receiving a message again: it comes from its dead-letter queue once it
/// was received often enough.
fn charge_receive(state: &mut State, config: &Config, index: usize) {
    let message = state.messages[index];
    if is_early(state, message) {
        state.budget.hops -= 1;
    }
    if is_dead_letter_next(state, config, message) {
        state.budget.dead_letters -= 1;
        let message = &mut state.messages[index];
        message.queue = dead_letters(message.queue).unwrap_or(message.queue);
        message.receives = 0;
    }
}
