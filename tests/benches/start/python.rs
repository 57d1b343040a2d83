//! The same jobs in Python, on Lambda's own runtime client for it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::job::Job;

/// Where the programs are.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/start/python");

/// An environment with what they need.
pub(crate) struct Python {
    directory: PathBuf,
}

impl Python {
    /// Installs it, from PyPI, unless it is there.
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

    /// As it says itself.
    pub(crate) fn version(&self) -> String {
        let python = Command::new(self.directory.join("bin/python"))
            .arg("--version")
            .output()
            .unwrap();
        String::from_utf8(python.stdout).unwrap().trim().to_owned()
    }

    /// What its processes are given besides, as in Lambda's own images.
    pub(crate) fn environment(&self) -> [(String, String); 3] {
        let compiled = self.directory.join("compiled").display().to_string();
        [
            ("LAMBDA_TASK_ROOT", SOURCE.to_owned()),
            ("PYTHONPATH", SOURCE.to_owned()),
            ("PYTHONPYCACHEPREFIX", compiled),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// The program of a function. It is the interpreter itself, by way of its first line: no shell is measured with it.
    pub(crate) fn bootstrap(&self, job: Job) -> PathBuf {
        let interpreter = self.directory.join("bin/python");
        let program = self.directory.join(job.name());
        let text = format!(
            "#!{}\nimport sys\nfrom awslambdaric.__main__ import main\nmain([sys.argv[0], '{}.handler'])\n",
            interpreter.display(),
            job.name()
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }
}
