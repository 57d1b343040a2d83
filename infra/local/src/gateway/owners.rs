//! The owners of the gateway's requests, for the console.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most owners that are remembered. A list of all of them reads each one's operations.
const OWNERS_MAX: usize = 100;

/// The owners of the last requests, the latest last.
#[derive(Debug, Default)]
pub struct Owners(Mutex<VecDeque<String>>);

impl Owners {
    pub(super) fn record(&self, name: &str) {
        let mut names = self.lock();
        if names.back().is_some_and(|last| last == name) {
            return;
        }
        names.retain(|known| known != name);
        names.push_back(name.to_owned());
        if names.len() > OWNERS_MAX {
            names.pop_front();
        }
    }

    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        // Each change is complete when it panics, if ever.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_owners_are_remembered_once_each() {
        let owners = Owners::default();
        for name in ["a", "b", "b", "a"] {
            owners.record(name);
        }
        assert_eq!(owners.names(), ["b", "a"]);
        for number in 0..OWNERS_MAX {
            owners.record(&number.to_string());
        }
        assert_eq!(owners.names().len(), OWNERS_MAX);
        assert_eq!(owners.names()[0], "0");
    }
}
