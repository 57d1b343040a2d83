//! The languages of the receivers.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

#[derive(Debug)]
pub(crate) enum Language {
    /// In this process.
    Rust,
    Python(Interpreter),
    Node(Interpreter),
}

/// Runs programs that are passed to it as text.
#[derive(Debug)]
pub(crate) struct Interpreter {
    program: PathBuf,
    flags: &'static [&'static str],
    /// The directory with its libraries.
    directory: PathBuf,
}

impl Language {
    /// The languages of this run: Python and Node only if `RECEIVERS` is set.
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment chooses the receivers of a run"
    )]
    pub(crate) fn of_this_run() -> Vec<Self> {
        let mut languages = vec![Self::Rust];
        if let Ok(directory) = std::env::var("RECEIVERS") {
            let directory = PathBuf::from(directory);
            languages.push(Self::Python(Interpreter {
                program: directory.join("bin/python"),
                // Unbuffered, so that the tests get its output before it ends.
                flags: &["-u", "-c"],
                directory: directory.clone(),
            }));
            languages.push(Self::Node(Interpreter {
                program: "node".into(),
                // A module passed as text imports from the working directory.
                flags: &["--input-type=module", "--eval"],
                directory,
            }));
        }
        let names: Vec<_> = languages.iter().map(Self::name).collect();
        println!("receivers of this run: {}", names.join(", "));
        languages
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python(_) => "Python",
            Self::Node(_) => "Node",
        }
    }
}

impl Interpreter {
    /// Starts a program, which ends when its handle is dropped. Its standard error is the tests'.
    pub(crate) fn start(&self, program: &str, arguments: &[&OsStr]) -> Child {
        let started = Command::new(&self.program)
            .args(self.flags)
            .arg(program)
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        started.unwrap_or_else(|error| {
            let (program, directory) = (self.program.display(), self.directory.display());
            panic!("{program} in {directory}: {error}")
        })
    }
}
