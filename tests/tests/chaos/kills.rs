//! Kills of the functions' processes.

use std::path::Path;
use std::time::Duration;

use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tests::processes::Process;

use super::Chance;

/// Between two kills: enough for a process to start and to begin its work.
const PAUSE: Duration = Duration::from_millis(150);

/// Kills processes that were started from this directory with SIGKILL, one after the other.
/// Returns the number of kills.
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
            // The process may have ended meanwhile.
            kills += usize::from(victim.signal("KILL").await);
        }
    }
    kills
}
