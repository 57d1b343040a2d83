//! Runs an exploration and reports its result.
//!
//! States are distinguished by fingerprints of 64 bits, both here and in the checker. Two of a
//! million states share one with a probability of about one in forty million, and only then does a
//! state stay unexplored.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::thread;

use shared::clock::{Clock as _, SystemClock};
use stateright::{Checker, HasDiscoveries, Model as _, Path};

use crate::Ferry;
use crate::action::Action;
use crate::config::Config;
use crate::property::REACHABLE;
use crate::state::State;

/// Explores the whole state space, prints its size, and panics with the trace that breaks a
/// property.
///
/// # Panics
///
/// When a property does not hold, when a condition that must be reachable is not, or when a
/// behaviour does not end.
pub fn assert_holds(config: Config) {
    let (name, began_at) = (config.name, SystemClock.now());
    for condition in config.reaches {
        let is_known = REACHABLE.iter().any(|(name, _)| name == condition);
        assert!(is_known, "{name} requires the unknown \"{condition}\"");
    }
    let model = Ferry { config };
    // Side by side, since either goes through the whole state space.
    let (checker, ends) = thread::scope(|scope| {
        let ends = scope.spawn(|| every_behaviour_ends(&model));
        let checker = model.clone().checker().spawn_bfs().join();
        (checker, ends.join().expect("a search does not panic"))
    });
    println!(
        "{name}: {} states, {} steps between them, at most {} in a row, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        SystemClock.now().since(began_at).as_secs_f64(),
    );
    let broken = checker.discoveries().into_iter().find(|(property, _)| {
        let property = checker.model().property(property);
        property.expectation.discovery_is_failure()
    });
    if let Some((property, path)) = broken {
        panic!("{name} violates: {property}\n{}", trace(path));
    }
    checker.assert_properties();
    assert!(ends, "{name} has a behaviour that does not end");
}

/// Explores until `property` is broken, and prints the trace.
///
/// # Panics
///
/// When the property holds.
pub fn assert_breaks(config: Config, property: &'static str) {
    let name = config.name;
    let model = Ferry { config };
    let until = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = model.checker().finish_when(until).spawn_bfs().join();
    let Some(path) = checker.discovery(property) else {
        panic!(
            "{name}: \"{property}\" holds in all of {} states",
            checker.unique_state_count()
        );
    };
    println!(
        "{name}: violated in {} steps, after {} states: {property}\n{}",
        path.clone().into_actions().len(),
        checker.unique_state_count(),
        trace(path)
    );
}

/// A trace, one action a line.
fn trace(path: Path<State, Action>) -> String {
    let mut trace = String::new();
    let steps = path.into_vec();
    for (number, (state, action)) in (1..).zip(&steps) {
        let Some(action) = action else { break };
        // Writing to a `String` cannot fail.
        let _ = writeln!(trace, "  {number:>2}. {}", describe(state, *action));
    }
    if let Some((last, _)) = steps.last() {
        let _ = writeln!(trace, "  {last:?}");
    }
    trace
}

fn describe(state: &State, action: Action) -> String {
    use crate::action::Process;
    match action {
        Action::Call(process, choice, wire) => {
            let at = match process {
                Process::Submit(create) => format!("{:?}", state.submits[usize::from(create)]),
                Process::Worker(slot) => format!("{:?}", state.workers[usize::from(slot)]),
                Process::Sender(slot) => format!("{:?}", state.senders[usize::from(slot)]),
                Process::Cancel => format!("{:?}", state.cancel),
                Process::Redeliver(id) => format!("{:?}", state.redeliveries[usize::from(id)]),
                Process::Erase(id) => format!("{:?}", state.erases[usize::from(id)]),
            };
            format!("{process:?} {at}: {choice:?}, {wire:?}")
        }
        Action::Receive(process, index) => {
            format!("{process:?} receives {:?}", state.messages[index])
        }
        Action::Expire(timer) => format!("expires: {timer:?}"),
        Action::Rest => "rest".to_owned(),
    }
}

/// Whether every behaviour is finite: the state graph has no cycle.
#[must_use]
pub fn every_behaviour_ends(model: &Ferry) -> bool {
    let mut explored = HashMap::new();
    model
        .init_states()
        .into_iter()
        .all(|state| ends_from(model, &state, &mut explored))
}

/// Depth-first search. `explored` has the fingerprint of each state: `false` while the state is on
/// the current path, `true` once all behaviours from it are known to end.
fn ends_from(model: &Ferry, state: &State, explored: &mut HashMap<u64, bool>) -> bool {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    let fingerprint = hasher.finish();
    match explored.entry(fingerprint) {
        Entry::Occupied(ends) => return *ends.get(),
        Entry::Vacant(entry) => entry.insert(false),
    };
    let ends = model
        .next_states(state)
        .iter()
        .all(|next| ends_from(model, next, explored));
    explored.insert(fingerprint, ends);
    ends
}
