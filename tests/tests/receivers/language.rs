//! What receivers are written in.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// See the module.
#[derive(Debug)]
pub(crate) enum Language {
    /// In this process.
    Rust,
    Python(Interpreter),
    Node(Interpreter),
}

/// Runs programs that are handed to it as text.
#[derive(Debug)]
pub(crate) struct Interpreter {
    program: PathBuf,
    flags: &'static [&'static str],
    /// Where its libraries are.
    directory: PathBuf,
}

impl Language {
    /// Those of this run.
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever runs the suite chooses its receivers"
    )]
    pub(crate) fn of_this_run() -> Vec<Self> {
        let mut languages = vec![Self::Rust];
        if let Ok(directory) = std::env::var("RECEIVERS") {
            let directory = PathBuf::from(directory);
            languages.push(Self::Python(Interpreter {
                program: directory.join("bin/python"),
                // Unbuffered, so that what it prints is read before it ends.
                flags: &["-u", "-c"],
                directory: directory.clone(),
            }));
            languages.push(Self::Node(Interpreter {
                program: "node".into(),
                // Such a module imports from the working directory.
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
    /// Starts a program, which ends when its handle is dropped. What it has to say of itself, it writes where the tests do.
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
