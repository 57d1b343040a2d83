//! Payload items, and erasing an operation with all of them, as in
//! `shared/src/store/{payload,erase}.rs`.

use super::{bit, change};
use crate::config::{Config, Fault};
use crate::state::{Breach, Ending, Item, Key, State, Submit};

/// The key of an incarnation's arguments.
pub(crate) fn arguments_key(config: &Config, create: u8) -> Key {
    match config.fault {
        Some(Fault::PayloadsUnderOneName) => Key::Arguments(0),
        _ => Key::Arguments(create),
    }
}

/// The key of an attempt's result.
pub(crate) fn result_key(config: &Config, create: u8, attempt: u8) -> Key {
    match config.fault {
        Some(Fault::PayloadsUnderOneName) => Key::Result(0, 0),
        _ => Key::Result(create, attempt),
    }
}

/// The key of the state that an attempt leaves.
pub(crate) fn state_key(config: &Config, create: u8, attempt: u8) -> Key {
    match config.fault {
        Some(Fault::StatesUnderOneName) => Key::State(create, 0),
        _ => Key::State(create, attempt),
    }
}

/// The key of the item that an attempt writes before it records how it ended, if it writes one.
pub(crate) fn outcome_key(config: &Config, create: u8, attempt: u8, ending: Ending) -> Option<Key> {
    match ending {
        Ending::Complete => Some(result_key(config, create, attempt)),
        Ending::Continue => Some(state_key(config, create, attempt)),
        Ending::Fail | Ending::Retry => None,
    }
    .filter(|_| config.payloads)
}

/// `Store::write_payload`: an existing item is never overwritten. It is taken for an own write
/// whose response was lost.
pub(crate) fn write_payload(state: &mut State, key: Key, of: (u8, u8)) {
    if !state.items.iter().any(|item| item.key == key) {
        state.items.push(Item { key, of });
    }
}

/// What `Store::erase` reads: the incarnation to erase, and whether an erase that crashed has
/// marked it.
pub(crate) fn erasable(state: &State) -> Option<(u8, bool)> {
    let ended = state.record().is_some_and(|head| head.status.is_terminal());
    let head = state.head.as_ref().filter(|head| ended || head.erased)?;
    Some((head.create, head.erased))
}

/// The submits that have begun, as bits.
pub(crate) fn begun(state: &State) -> u8 {
    let begun = (0..)
        .zip(state.submits)
        .filter(|(_, submit)| *submit != Submit::NotRequested);
    begun.fold(0, |bits, (create, _)| bits | bit(create))
}

/// `Store::mark_erased`, when these submits had begun. Returns whether it was applied; when it was
/// refused, the incarnation is marked or gone. An erase uses the time of its read, so an operation
/// that has expired since is marked as well.
pub(crate) fn mark_erased(state: &mut State, config: &Config, create: u8, begun: u8) -> bool {
    let unnamed = config.has(Fault::EraseNamesNoIncarnation);
    let marked = state
        .head
        .as_ref()
        .filter(|head| !head.erased && head.status.is_terminal())
        .filter(|head| head.create == create || unnamed)
        .map(|head| head.create);
    if marked.is_some() {
        change(state, None, |head| head.erased = true);
        state.begun = begun;
        state.redriven = false;
    }
    if marked.is_some_and(|marked| marked != create) {
        state.breach(Breach::SuccessorErased);
    }
    marked.is_some()
}

/// The submits that had begun before the mark of an incarnation; none once its tombstone is gone.
pub(crate) fn begun_before_mark(state: &State, create: u8) -> u8 {
    let marked = state.head.as_ref().filter(|head| head.erased);
    let marked = marked.map(|head| head.create).or(state.tombstone);
    if marked == Some(create) {
        state.begun
    } else {
        0
    }
}

/// `Store::delete_items` of an erase.
pub(crate) fn delete_items(state: &mut State, config: &Config, create: u8, begun: u8) {
    let is_deleted = |of: u8| of == create || begun & bit(of) != 0;
    let all = config.has(Fault::EraseDeletesLaterItems);
    state.items.retain(|item| !all && !is_deleted(item.of.0));
}

/// `Store::delete_payloads` of a refused submit, and `Store::delete_result`.
pub(crate) fn delete_item(state: &mut State, key: Key) {
    state.items.retain(|item| item.key != key);
}

/// `Store::leave_tombstone`, unless a new incarnation has taken the head's place.
pub(crate) fn leave_tombstone(state: &mut State, config: &Config, create: u8) {
    if state
        .head
        .as_ref()
        .is_some_and(|head| head.create == create)
    {
        state.head = None;
        state.tombstone = (!config.has(Fault::EraseDeletesHead)).then_some(create);
    }
}
