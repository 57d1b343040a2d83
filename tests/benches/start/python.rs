//! The same jobs in Python, on Lambda's runtime client for Python.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use local::function::FunctionCommand;

use crate::job::Job;

/// The directory of the programs.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/start/python");

/// A virtual environment with their dependencies.
pub(crate) struct Python {
    directory: PathBuf,
}

impl Python {
    /// Installs the dependencies from PyPI, unless they are installed.
    pub(crate) fn install() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
        let installed = Command::new("bash")
            .args([
                "-c",
                ". python_environment.sh && python_environment \"$@\"",
                "bash",
            ])
            .arg(&directory)
            .arg("requirements/start.txt")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(installed.success());
        Self { directory }
    }

    /// The output of `python --version`.
    pub(crate) fn version(&self) -> String {
        let python = Command::new(self.directory.join("bin/python"))
            .arg("--version")
            .output()
            .unwrap();
        String::from_utf8(python.stdout).unwrap().trim().to_owned()
    }

    /// Additional environment variables of its processes, as in Lambda's images.
    pub(crate) fn environment(&self) -> [(String, String); 2] {
        let compiled = self.directory.join("compiled").display().to_string();
        [
            ("PYTHONPATH", SOURCE.to_owned()),
            ("PYTHONPYCACHEPREFIX", compiled),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// The program of a function. Its first line starts the interpreter directly, so no shell is
    /// measured.
    pub(crate) fn command(&self, job: Job) -> FunctionCommand {
        let interpreter = self.directory.join("bin/python");
        let program = self.directory.join(job.name());
        let text = format!(
            "#!{}\n\
            import sys\n\
            from awslambdaric.__main__ import main\n\
            main([sys.argv[0], '{}.handler'])\n",
            interpreter.display(),
            job.name()
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        FunctionCommand {
            directory: Some(SOURCE.into()),
            ..program.into()
        }
    }
}
