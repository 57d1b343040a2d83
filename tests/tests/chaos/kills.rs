//! Processes of functions that die without a word.

use std::path::Path;
use std::time::Duration;

use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tests::processes::Process;

use super::Chance;

/// Between two kills: time for a process to start and get into its work.
const PAUSE: Duration = Duration::from_millis(150);

/// Kills one process after the other that was started from this directory, with SIGKILL; how many.
pub(crate) async fn until(ends_at: Timestamp, functions: &Path, chance: Chance) -> usize {
    let mut kills = 0;
    let mut pace = tokio::time::interval(PAUSE);
    while SystemClock.now() < ends_at {
        pace.tick().await;
        let children = Process::children_of(std::process::id()).await;
        let alive: Vec<_> = children
            .into_iter()
            .filter(|process| process.directory == functions)
            .collect();
        if let Some(victim) = chance.of(&alive) {
            // It may have died by itself meanwhile.
            kills += usize::from(victim.signal("KILL").await);
        }
    }
    kills
}
