//! `local demo`: a caller of Ferry, with a bundle, a receiver of callbacks and a table to
//! summarize.
//!
//! It uses only the HTTP API, as any caller does, and accepts a callback only if the signature
//! verifies.

mod caller;
mod receiver;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use local::bundle::{Bundle, DEVELOPMENT_WEBHOOK_SECRET, HTTP_INSTANCES_MAX, Settings};
use local::guard::Allowed;
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::terminal::visible;
use tokio::time::timeout;

use crate::demo::caller::{Caller, Operation};
use crate::demo::receiver::Receiver;
use crate::demo::table::Table;
use crate::{Binaries, CommandResult, interrupted, passed_on};

/// How long to wait for the operation's end.
const OPERATION_MAX: Duration = Duration::from_secs(30);

/// How long to wait for the callback after the operation's end: enough for two attempts.
const CALLBACK_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// A CSV file in UTF-8. The default is a table of time zones and their UTC offsets in 2025.
    path: Option<PathBuf>,

    #[command(flatten)]
    binaries: Binaries,
}

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("interrupted")]
    Interrupted,
    #[error("the operation failed: {0}")]
    Failed(String),
    #[error("the operation did not end within {} s", OPERATION_MAX.as_secs())]
    OperationLate,
    #[error("no callback came within {} s", CALLBACK_MAX.as_secs())]
    CallbackLate,
    #[error("the callback is for {0}, another operation")]
    CallbackOfAnother(String),
}

/// Starts a bundle, runs the demonstration and stops the bundle.
pub(crate) async fn demo(arguments: DemoArguments, environment: &Environment) -> CommandResult {
    let mut interrupted = std::pin::pin!(interrupted()?);
    let table = Table::read(arguments.path)?;
    let bundle = tokio::select! {
        () = &mut interrupted => return Err(DemoError::Interrupted.into()),
        bundle = start(arguments.binaries, environment) => bundle?,
    };
    let result = tokio::select! {
        () = &mut interrupted => Err(DemoError::Interrupted.into()),
        result = run(&bundle, &table) => result,
    };
    bundle.stop().await;
    result
}

async fn start(
    binaries: Binaries,
    environment: &Environment,
) -> Result<Bundle, Box<dyn std::error::Error>> {
    let settings = Settings {
        console_port: None,
        port: 0,
        instances: 2,
        http_instances: HTTP_INSTANCES_MAX,
        require_token: false,
        allowed: Allowed::default(),
        worker_batch_size: 1,
        dynamodb: None,
        sqs: None,
        lambda: None,
        functions_directory: binaries.directory(environment).await?,
        functions_file: None,
        environment: variables(environment),
        clock: Arc::new(SystemClock),
    };
    Ok(Bundle::start(settings).await?)
}

/// The settings from this process's environment, and those of the demonstration: callbacks may go
/// to its receiver, signed with a secret that it knows, and only warnings are logged unless a log
/// level is set.
fn variables(environment: &Environment) -> Vec<(String, String)> {
    let mut variables = passed_on(environment);
    for (name, own) in [
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("WEBHOOK_SECRETS", DEVELOPMENT_WEBHOOK_SECRET),
    ] {
        match variables.iter_mut().find(|(set, _)| set == name) {
            Some((_, value)) => *value = format!("{value},{own}"),
            None => variables.push((name.to_owned(), own.to_owned())),
        }
    }
    let log_level = "AWS_LAMBDA_LOG_LEVEL";
    if environment.optional(log_level).is_none() {
        variables.push((log_level.to_owned(), "WARN".to_owned()));
    }
    variables
}

async fn run(bundle: &Bundle, table: &Table) -> CommandResult {
    bundle.ready().await?;
    print_line("ready", bundle.url());
    let mut receiver = Receiver::start(DEVELOPMENT_WEBHOOK_SECRET).await?;
    let caller = Caller::new(bundle.url());

    let submitted = caller.submit(table, &receiver.url).await?;
    print_line(
        "submitted",
        &format!("csv.summarize of {} as {}", table.name, submitted.id),
    );

    let ended = timeout(OPERATION_MAX, poll(&caller, submitted))
        .await
        .map_err(|_| DemoError::OperationLate)??;
    let Some(summary) = &ended.result else {
        return Err(DemoError::Failed(ended.failure()).into());
    };
    print_line(&ended.status, &format!("{} rows", summary.rows));
    println!("{}", summary.table());

    let delivery = timeout(CALLBACK_MAX, receiver.next())
        .await
        .map_err(|_| DemoError::CallbackLate)??;
    if delivery.operation_id != ended.id {
        return Err(DemoError::CallbackOfAnother(delivery.operation_id).into());
    }
    print_line(
        "callback",
        &format!(
            "{} as {}, signature verified",
            delivery.event, delivery.webhook_id
        ),
    );
    Ok(())
}

/// Polls until the operation has ended, and shows its progress.
async fn poll(caller: &Caller, submitted: Operation) -> Result<Operation, caller::CallError> {
    let style = ProgressStyle::with_template("{prefix:10} {bar:40} {percent:>3} %  {msg}");
    let bar = ProgressBar::new(1000).with_style(style.unwrap_or(ProgressStyle::default_bar()));
    let mut operation = submitted;
    let mut polls = 0;
    loop {
        bar.set_prefix(visible(&operation.status).into_owned());
        let message = operation.progress_message.as_deref();
        bar.set_message(visible(message.unwrap_or_default()).into_owned());
        bar.set_position(operation.progress_permille());
        if operation.has_ended() {
            bar.finish_and_clear();
            return Ok(operation);
        }
        tokio::time::sleep(operation.poll_again_after(polls)).await;
        operation = caller.read(&operation.id).await?;
        polls += 1;
    }
}

fn print_line(label: &str, text: &str) {
    println!("{:10} {}", visible(label), visible(text));
}
