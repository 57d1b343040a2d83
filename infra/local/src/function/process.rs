//! A process with the processes that it has started, which end with it: a command such as
//! `sh -c "python3 …; true"` leaves the work to a child.

use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// Dropping it kills all of its processes.
#[derive(Debug)]
pub(super) struct Process {
    leader: Child,
    #[cfg(unix)]
    group: Option<nix::unistd::Pid>,
}

impl Process {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        // Ctrl-C goes to the terminal's whole foreground process group. In another group the
        // functions do not get it in the middle of an invocation: the bundle ends them in order.
        #[cfg(unix)]
        command.process_group(0);
        let leader = command.kill_on_drop(true).spawn()?;
        Ok(Self {
            #[cfg(unix)]
            group: leader
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(nix::unistd::Pid::from_raw),
            leader,
        })
    }

    /// Of the process that the command has started; `None` once it has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.leader.id()
    }

    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.leader.try_wait()
    }

    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.leader.wait().await
    }

    pub(super) async fn kill(mut self) -> io::Result<()> {
        self.kill_group();
        self.leader.kill().await
    }

    /// The id of the group cannot be another's: while a process of the group is left, no other
    /// process gets it, and when none is, the leader ended a moment ago.
    fn kill_group(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group.take() {
            // An error says that no process of the group is left.
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}
