//! Processes of functions that die without a word.

use std::time::Duration;

use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tokio::process::Command;

use crate::Chance;

/// Between two kills: time for a process to start and get into its work.
const PAUSE: Duration = Duration::from_millis(150);

/// `status` only reads and cancels; the others are in the middle of something.
const VICTIMS: [&str; 4] = ["submit", "status", "worker", "callback"];

/// Kills one process after the other, with SIGKILL; how many.
pub(crate) async fn until(ends_at: Timestamp, chance: Chance) -> usize {
    let mut kills = 0;
    let mut pace = tokio::time::interval(PAUSE);
    while SystemClock.now() < ends_at {
        pace.tick().await;
        let alive = processes().await;
        let Some(victim) = chance.of(&alive) else {
            continue;
        };
        let killed = Command::new("kill").args(["-KILL", victim]).status();
        // It may have died by itself meanwhile.
        kills += usize::from(killed.await.unwrap().success());
    }
    kills
}

/// The functions' processes that this one has started.
async fn processes() -> Vec<String> {
    let own = std::process::id().to_string();
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,comm="])
        .output();
    let listed = String::from_utf8(listed.await.unwrap().stdout).unwrap();
    let victim = |line: &str| {
        let [process_id, parent, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        (parent == own && VICTIMS.contains(&name)).then(|| process_id.to_owned())
    };
    listed.lines().filter_map(victim).collect()
}
