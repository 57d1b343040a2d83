//! Logs: a test's own, and what functions' processes write to their standard output, which they share with the process that starts
//! them.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::{dup, dup2_stdout};
use shared::config::Environment;
use shared::telemetry;

/// Tells what goes wrong in this process in the output of the test that it goes wrong in.
///
/// # Panics
///
/// Never.
pub fn tell_warnings() {
    let level = Environment::from_iter([("AWS_LAMBDA_LOG_LEVEL", "WARN")]);
    telemetry::start(&level).expect("it is a level");
}

/// Standard output led into a file, until this is ended.
#[derive(Debug)]
pub struct Logs {
    file: File,
    stdout: OwnedFd,
}

impl Logs {
    /// From now on.
    #[must_use]
    pub fn collect(file: &Path) -> Self {
        let file = File::create(file).unwrap();
        let stdout = dup(std::io::stdout()).unwrap();
        dup2_stdout(&file).unwrap();
        Self { file, stdout }
    }

    /// How much has been written so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    /// Standard output is what it was.
    pub fn end(self) {
        dup2_stdout(&self.stdout).unwrap();
    }
}
