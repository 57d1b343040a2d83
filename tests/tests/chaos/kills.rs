//! Kills of the functions' processes.

use std::time::Duration;

use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tests::processes::Process;

use crate::Chance;

/// Between two kills: enough for a process to start and to begin its work.
const PAUSE: Duration = Duration::from_millis(150);

/// The functions, and no other child of this process.
const VICTIMS: [&str; 4] = ["submit", "status", "worker", "callback"];

/// Kills one process after the other with SIGKILL. Returns the number of kills.
pub(crate) async fn until(ends_at: Timestamp, chance: Chance) -> usize {
    let mut kills = 0;
    let mut pace = tokio::time::interval(PAUSE);
    while SystemClock.now() < ends_at {
        pace.tick().await;
        let children = Process::children_of(std::process::id()).await;
        let alive: Vec<_> = children
            .into_iter()
            .filter(|process| VICTIMS.contains(&process.name.as_str()))
            .collect();
        if let Some(victim) = chance.of(&alive) {
            // The process may have ended meanwhile.
            kills += usize::from(victim.signal("KILL").await);
        }
    }
    kills
}
