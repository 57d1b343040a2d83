//! Processes of this machine, by `ps` and `kill`.

use tokio::process::Command;

/// A running or stopped process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    /// The binary's name.
    pub name: String,
    parent: u32,
}

impl Process {
    /// The live processes that `parent` has started.
    pub async fn children_of(parent: u32) -> Vec<Self> {
        Self::all()
            .await
            .into_iter()
            .filter(|process| process.parent == parent)
            .collect()
    }

    pub async fn all() -> Vec<Self> {
        let listed = Command::new("ps")
            .args(["-A", "-o", "pid=,ppid=,comm="])
            .output();
        let listed = String::from_utf8(listed.await.unwrap().stdout).unwrap();
        let process = |line: &str| {
            let mut words = line.split_whitespace();
            Self {
                id: words.next().unwrap().parse().unwrap(),
                parent: words.next().unwrap().parse().unwrap(),
                name: words.collect::<Vec<_>>().join(" "),
            }
        };
        listed.lines().map(process).collect()
    }

    /// Sends a signal such as `KILL`. Returns whether the process existed.
    pub async fn signal(&self, name: &str) -> bool {
        let id = self.id.to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).output();
        sent.await.unwrap().status.success()
    }
}
