//! `status`, handling an owner's cancel, redelivery or erase, as in
//! `functions/status/src/{cancel,redeliver,erase}.rs`.

use shared::domain::callback::CallbackStatus;

use crate::action::{Action, Choice, Process, READS, WRITES, Wire, offer};
use crate::config::{Config, Fault};
use crate::queue;
use crate::state::{Cancel, Erase, Queue, Redeliver, State};
use crate::store;

/// The possible next actions of a cancel.
pub(crate) fn offer_cancel(state: &State, actions: &mut Vec<Action>) {
    if state.cancel != Cancel::Answered {
        offer(state, Process::Cancel, Choice::None, &WRITES, actions);
    }
}

/// Makes the next call of a cancel; `None` when another action has the same effect.
pub(crate) fn cancel(state: &mut State, wire: Wire) -> Option<()> {
    state.cancel = match (state.cancel, wire) {
        // As if it had not been requested.
        (Cancel::NotRequested, Wire::Failed) | (Cancel::Answered, _) => return None,
        (_, Wire::Failed) => Cancel::Answered,
        (Cancel::NotRequested | Cancel::Write, _) => {
            let written = store::cancel(state);
            match (wire, written.applied, written.outcome) {
                (Wire::Answered, _, Some(create)) => Cancel::SendWakeUp(create),
                (Wire::Answered, _, None) | (Wire::Doubtful, true, _) => Cancel::Answered,
                (Wire::Retried, true, _) => Cancel::Write,
                _ => return None,
            }
        }
        (Cancel::SendWakeUp(create), _) => {
            queue::send(state, Queue::Callback, create, None, false);
            match wire {
                Wire::Retried => Cancel::SendWakeUp(create),
                // If this send fails, the dispatch message triggers the callback.
                Wire::Answered => Cancel::Answered,
                Wire::Doubtful | Wire::Failed => return None,
            }
        }
    };
    Some(())
}

/// The possible next actions of a redelivery.
pub(crate) fn offers_of_redelivery(state: &State, id: u8, actions: &mut Vec<Action>) {
    let process = Process::Redeliver(id);
    match state.redeliveries[usize::from(id)] {
        // Only a callback whose round is over is redelivered. A failed read has no effect.
        Redeliver::NotRequested
            if state.record().is_some_and(|head| {
                head.callback_status()
                    .is_some_and(CallbackStatus::allows_redelivery)
            }) =>
        {
            actions.push(Action::Call(process, Choice::None, Wire::Answered));
        }
        Redeliver::Send(..) => offer(state, process, Choice::None, &WRITES, actions),
        Redeliver::NotRequested | Redeliver::Failed | Redeliver::Sent(..) => {}
    }
}

/// Makes the next call of a redelivery; `None` when another action has the same effect.
pub(crate) fn redeliver(state: &mut State, config: &Config, id: u8, wire: Wire) -> Option<()> {
    let next = match (state.redeliveries[usize::from(id)], wire) {
        (Redeliver::NotRequested, _) => {
            let head = state.record()?;
            let callback = head.callback.as_ref()?;
            Redeliver::Send(head.create, callback.attempts_made)
        }
        (Redeliver::Send(..), Wire::Failed) => Redeliver::Failed,
        (Redeliver::Send(create, attempts_made), _) => {
            let redelivery = if config.has(Fault::RedeliveryNamesItself) {
                id
            } else {
                attempts_made
            };
            queue::send(state, Queue::Callback, create, Some(redelivery), false);
            match wire {
                Wire::Retried => Redeliver::Send(create, attempts_made),
                Wire::Answered => Redeliver::Sent(create, attempts_made),
                Wire::Doubtful | Wire::Failed => return None,
            }
        }
        (Redeliver::Failed | Redeliver::Sent(..), _) => return None,
    };
    state.redeliveries[usize::from(id)] = next;
    Some(())
}

/// The possible next actions of an erase.
pub(crate) fn offers_of_erase(state: &State, id: u8, actions: &mut Vec<Action>) {
    let wires = match state.erases[usize::from(id)] {
        // Neither a failed read nor a read of an absent or live operation has an effect.
        Erase::NotRequested if store::erasable(state).is_some() => &READS[..1],
        Erase::Mark(..) => &WRITES[..],
        Erase::DeletePayloads(..) | Erase::LeaveTombstone(_) => &READS[..],
        Erase::NotRequested | Erase::Answered => return,
    };
    offer(state, Process::Erase(id), Choice::None, wires, actions);
}

/// Makes the next call of an erase; `None` when another action has the same effect.
pub(crate) fn erase(state: &mut State, config: &Config, id: u8, wire: Wire) -> Option<()> {
    let next = match (state.erases[usize::from(id)], wire) {
        (Erase::Answered, _) => return None,
        (Erase::NotRequested, _) => {
            let (create, is_marked) = store::erasable(state)?;
            if is_marked {
                Erase::DeletePayloads(create, store::begun_before_mark(state, create))
            } else {
                Erase::Mark(create, store::begun(state))
            }
        }
        (_, Wire::Failed) => Erase::Answered,
        (Erase::Mark(create, begun), _) => {
            let applied = store::mark_erased(state, config, create, begun);
            match wire {
                Wire::Answered => {
                    Erase::DeletePayloads(create, store::begun_before_mark(state, create))
                }
                Wire::Doubtful if applied => Erase::Answered,
                Wire::Retried if applied => Erase::Mark(create, begun),
                _ => return None,
            }
        }
        (Erase::DeletePayloads(create, begun), _) => {
            store::delete_items(state, config, create, begun);
            Erase::LeaveTombstone(create)
        }
        (Erase::LeaveTombstone(create), _) => {
            store::leave_tombstone(state, config, create);
            Erase::Answered
        }
    };
    state.erases[usize::from(id)] = next;
    Some(())
}
