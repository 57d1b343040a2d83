//! What functions' processes write to their logs: their standard output, which they share with the process that starts them.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::{dup, dup2_stdout};

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
