//! Builds the functions' binaries, so that one command starts the bundle from its source.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::bundle::FUNCTIONS;

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo did not run, or this program's own path is unknown.
    #[error("cargo could not be run to build the functions")]
    Cargo(#[source] io::Error),
    #[error("the functions do not build\n{output}")]
    Failed {
        /// Cargo's standard error.
        output: String,
    },
}

/// Builds the functions in this program's profile and returns their directory, which is this
/// program's own. `cargo` is the command to run: the value of `$CARGO` under cargo.
///
/// # Errors
///
/// See [`BuildError`].
pub async fn build_functions(cargo: &str) -> Result<PathBuf, BuildError> {
    let program = std::env::current_exe().map_err(BuildError::Cargo)?;
    // With this package, as in `cargo run -p local`: without it cargo unifies features differently
    // and would build every shared dependency again.
    let mut packages = vec![env!("CARGO_PKG_NAME")];
    packages.extend(FUNCTIONS.map(|function| function.name));
    build(cargo, &packages, !cfg!(debug_assertions)).await?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Builds packages of the workspace with one `cargo build`, so with the features of all of them.
///
/// # Errors
///
/// See [`BuildError`].
pub async fn build(cargo: &str, packages: &[&str], release: bool) -> Result<(), BuildError> {
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet"])
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .kill_on_drop(true);
    remove_package_variables(&mut command);
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

/// Removes the variables that cargo sets for this program's own package from a command that
/// builds. With them, a build script that reads variables of these names (ring's does) would run
/// again on every start, and everything that depends on it would be built again.
pub fn remove_package_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}
