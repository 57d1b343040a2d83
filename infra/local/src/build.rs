//! Builds the functions' binaries, so that starting the bundle from its source is one command.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::bundle::FUNCTIONS;

/// Why there are no binaries.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be run, or this program does not know where it is itself.
    #[error("cargo could not be run to build the functions")]
    Cargo(#[source] io::Error),
    /// Cargo says why, in its own lines.
    #[error("the functions do not build\n{output}")]
    Failed {
        /// What cargo wrote.
        output: String,
    },
}

/// Builds the functions in the profile of this program, and tells the directory that they are in: its own. `cargo` is the
/// command to run, as `$CARGO` names it to what cargo runs.
///
/// # Errors
///
/// When they cannot be built; see [`BuildError`].
pub async fn build_functions(cargo: &str) -> Result<PathBuf, BuildError> {
    let program = std::env::current_exe().map_err(BuildError::Cargo)?;
    // Together with this package, as `cargo run -p local` built it: with features unified otherwise, everything that is shared
    // would be built once more.
    let mut packages = vec![env!("CARGO_PKG_NAME")];
    packages.extend(FUNCTIONS.map(|function| function.name));
    build(cargo, &packages, !cfg!(debug_assertions)).await?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Builds packages of the workspace, with the features that they need together.
///
/// # Errors
///
/// When they cannot be built; see [`BuildError`].
pub async fn build(cargo: &str, packages: &[&str], release: bool) -> Result<(), BuildError> {
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet"])
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .kill_on_drop(true);
    forget_package(&mut command);
    if release {
        command.arg("--release");
    }
    let built = command.output().await.map_err(BuildError::Cargo)?;
    if built.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&built.stderr).into_owned();
    Err(BuildError::Failed { output })
}

/// Has a command that builds not hear of this program's own package, which cargo told this program. A build script that reads
/// variables of the same names (ring's does) would be run again, and everything above it built again, on every start.
pub fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}
