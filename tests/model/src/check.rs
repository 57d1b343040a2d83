//! Runs an exploration and tells what it found.
//!
//! Moments are told apart by fingerprints of 64 bits, here and in the checker. Of a million moments two have the same with a
//! probability of about one in forty million, and only then would one go unexplored.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use shared::clock::{Clock as _, SystemClock};
use stateright::{Checker, HasDiscoveries, Model as _, Path};

use crate::Ferry;
use crate::action::Action;
use crate::config::Config;
use crate::property::WITNESSES;
use crate::state::State;

/// Explores everything, prints how much that was, and panics with the course of events that breaks a property.
///
/// # Panics
///
/// When a property does not hold, when something that was to be seen was not, or when a course of events does not end.
pub fn assert_holds(config: Config) {
    let (name, began_at) = (config.name, SystemClock.now());
    for seen in config.seen {
        let is_known = WITNESSES.iter().any(|(name, _)| name == seen);
        assert!(
            is_known,
            "{name} asks for \"{seen}\", of which nothing is known"
        );
    }
    let checker = Ferry { config }.checker().spawn_bfs().join();
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
        panic!("{name}, not so: {property}\n{}", tell(path));
    }
    checker.assert_properties();
    assert!(
        every_course_ends(checker.model()),
        "{name} goes in a circle"
    );
}

/// Explores until `property` is broken, and tells how.
///
/// # Panics
///
/// When it is not.
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
        "{name}: not so in {} steps, after {} states: {property}\n{}",
        path.clone().into_actions().len(),
        checker.unique_state_count(),
        tell(path)
    );
}

/// A course of events, one a line.
fn tell(path: Path<State, Action>) -> String {
    let mut told = String::new();
    let steps = path.into_vec();
    for (number, (state, action)) in (1..).zip(&steps) {
        let Some(action) = action else { break };
        // Writing to memory cannot fail.
        let _ = writeln!(told, "  {number:>2}. {}", describe(state, *action));
    }
    if let Some((last, _)) = steps.last() {
        let _ = writeln!(told, "  {last:?}");
    }
    told
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
        Action::Pass(passing) => format!("passes: {passing:?}"),
        Action::Rest => "rest".to_owned(),
    }
}

/// Whether every course of events comes to an end: no moment can be come to twice.
#[must_use]
pub fn every_course_ends(model: &Ferry) -> bool {
    let mut seen = HashMap::new();
    model
        .init_states()
        .into_iter()
        .all(|state| ends_from(model, &state, &mut seen))
}

/// Whether each moment seen has been left behind again, by a fingerprint of 64 bits as the checker's own.
fn ends_from(model: &Ferry, state: &State, seen: &mut HashMap<u64, bool>) -> bool {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    let fingerprint = hasher.finish();
    match seen.entry(fingerprint) {
        Entry::Occupied(left) => return *left.get(),
        Entry::Vacant(entry) => entry.insert(false),
    };
    let ends = model
        .next_states(state)
        .iter()
        .all(|next| ends_from(model, next, seen));
    seen.insert(fingerprint, ends);
    ends
}
