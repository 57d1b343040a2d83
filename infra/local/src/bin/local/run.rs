//! `local run`: runs one function, for its author.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use local::bundle::Registered;
use local::guard::Allowed;
use local::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use shared::catalogue::file::load;
use shared::catalogue::{Entry, worker_timeout_secs};
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::domain::json::Json;
use shared::terminal::visible;
use worker::{Context, WorkError, run_by_name};

use crate::CommandResult;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The function's name. Its latest stable version runs.
    name: String,

    /// A file with the arguments, a JSON object; `-` reads standard input.
    file: PathBuf,

    /// Also know the functions of this file, and run their targets on this machine.
    #[arg(long, value_name = "FILE")]
    functions_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{} cannot be read", .file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is not JSON", .file.display())]
    NotJson {
        file: PathBuf,
        source: serde_json::Error,
    },
    #[error("{}", failure(.0))]
    Failed(WorkError),
    /// The message may have the first lines that the target wrote.
    #[error("{}", failure(.0))]
    TargetFailed(WorkError),
}

/// Prints progress to standard error, and the result to standard output.
pub(crate) async fn run(arguments: &RunArguments, environment: Environment) -> CommandResult {
    let json = read(&arguments.file)?;
    let environment = environment.with([("LOCAL_BUNDLE", "1")]);
    let Some(file) = &arguments.functions_file else {
        return run_one_of(&[], arguments, json, environment).await;
    };
    let worker_timeout_secs = worker_timeout_secs(&environment)?;
    let registered = Registered::start(file, worker_timeout_secs, Allowed::default()).await?;
    let variables = registered.environment();
    let variables = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    // A request is signed in any case. Compiled functions keep the credentials that they have.
    let absent = [
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ]
    .into_iter()
    .filter(|(name, _)| environment.optional(name).is_none())
    .collect::<Vec<_>>();
    let environment = environment.with(absent).with(variables);
    let entries = load(&environment, worker_timeout_secs)?;
    let result = run_one_of(entries, arguments, json, environment).await;
    registered.stop().await;
    result
}

async fn run_one_of(
    registered: &'static [Entry],
    arguments: &RunArguments,
    json: Json,
    environment: Environment,
) -> CommandResult {
    let context = Context::detached(environment, Arc::new(SystemClock), |fraction, message| {
        eprintln!("{:3.0} % {}", fraction * 100.0, visible(message));
    });
    let is_registered = registered.iter().any(|entry| entry.name == arguments.name);
    let failed = if is_registered {
        RunError::TargetFailed
    } else {
        RunError::Failed
    };
    let result = run_by_name(&arguments.name, registered, json, context)
        .await
        .map_err(failed)?;
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

/// Code, message and details, as callers get them.
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
