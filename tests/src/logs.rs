//! Logs: those of a test, and the standard output that the functions' processes share with the
//! process that starts them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nix::unistd::{dup, dup2_stdout};
use shared::config::Environment;
use shared::telemetry;
use tracing::subscriber::DefaultGuard;

/// Logs warnings and errors of this process in the output of the test that causes them.
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn log_warnings() {
    let level = Environment::from_iter([("AWS_LAMBDA_LOG_LEVEL", "WARN")]);
    telemetry::start(&level).expect("WARN is a level");
}

/// Records what this thread logs from INFO on, until it is dropped.
pub struct Logged {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    #[must_use]
    pub fn start() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let logs = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone());
        Self {
            written,
            _guard: tracing::subscriber::set_default(logs.finish()),
        }
    }

    /// The lines since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        let written = std::mem::take(&mut *self.written.0.lock().unwrap());
        let written = String::from_utf8(written).unwrap();
        written.lines().map(str::to_owned).collect()
    }
}

/// Standard output redirected into a file, until [`Logs::end`].
#[derive(Debug)]
pub struct Logs {
    file: File,
    stdout: OwnedFd,
}

impl Logs {
    #[must_use]
    pub fn collect(file: &Path) -> Self {
        let file = File::create(file).unwrap();
        let stdout = dup(std::io::stdout()).unwrap();
        dup2_stdout(&file).unwrap();
        Self { file, stdout }
    }

    /// The length of the file so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    /// Restores standard output.
    pub fn end(self) {
        dup2_stdout(&self.stdout).unwrap();
    }
}
