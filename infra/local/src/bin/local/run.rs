//! One function by itself: for writing one, and for looking at what it does.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::domain::json::Json;
use shared::terminal::visible;
use worker::{Context, WorkError, run_by_name};

use crate::Ended;

/// Which function, with what.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The function, in its latest stable version.
    name: String,

    /// A file with its arguments, a JSON object; `-` is standard input.
    file: PathBuf,
}

/// Why a function did not run, or what it failed with.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("{} cannot be read", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is not JSON", .file.display())]
    NotJson {
        file: PathBuf,
        source: serde_json::Error,
    },
    #[error("{}", failure(.0))]
    Failed(WorkError),
}

/// Runs it: progress to standard error, the result to standard output.
pub(crate) async fn run(arguments: &RunArguments, environment: Environment) -> Ended {
    let context = Context::detached(environment, Arc::new(SystemClock), |fraction, message| {
        eprintln!("{:3.0} % {}", fraction * 100.0, visible(message));
    });
    let json = read(&arguments.file)?;
    let result = run_by_name(&arguments.name, json, context)
        .await
        .map_err(RunError::Failed)?;
    println!("{}", visible(result.as_str()));
    Ok(())
}

fn read(file: &PathBuf) -> Result<Json, RunError> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let file = || file.clone();
    let text = text.map_err(|source| RunError::Unreadable {
        file: file(),
        source,
    })?;
    text.parse::<Json>().map_err(|source| RunError::NotJson {
        file: file(),
        source,
    })
}

/// Code, message and details, as callers would see them.
fn failure(error: &WorkError) -> String {
    let error = error.error();
    let details = error
        .details
        .as_ref()
        .map(|details| format!(" {}", details.as_str()));
    format!(
        "{}: {}{}",
        error.code,
        error.message,
        details.unwrap_or_default()
    )
}
