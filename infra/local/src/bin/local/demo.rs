//! The demonstration: what a caller of Ferry does, on a bundle of its own, with a real table.
//!
//! It speaks to the bundle over HTTP alone, as any caller would, and believes a callback only when the signature verifies.

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
use crate::{Binaries, Ended, interrupted, passed_on};

/// How long the operation may take, the longest that the whole demonstration could be waited for.
const OPERATION_MAX: Duration = Duration::from_secs(30);

/// How long the callback may take after the operation's end: its first two tries.
const CALLBACK_MAX: Duration = Duration::from_secs(15);

/// What to summarize.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// A table as CSV, in UTF-8; time zones and their offsets in 2025 when left out.
    path: Option<PathBuf>,

    #[command(flatten)]
    binaries: Binaries,
}

/// Why the demonstration did not come to its end.
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
    #[error("the callback is of {0}, another operation")]
    CallbackOfAnother(String),
}

/// Runs it, on a bundle of its own that is gone afterwards.
pub(crate) async fn demo(arguments: DemoArguments, environment: &Environment) -> Ended {
    let mut interrupted = std::pin::pin!(interrupted()?);
    let table = Table::read(arguments.path)?;
    let bundle = tokio::select! {
        () = &mut interrupted => return Err(DemoError::Interrupted.into()),
        bundle = start(arguments.binaries, environment) => bundle?,
    };
    let shown = tokio::select! {
        () = &mut interrupted => Err(DemoError::Interrupted.into()),
        shown = show(&bundle, &table) => shown,
    };
    bundle.stop().await;
    shown
}

async fn start(
    binaries: Binaries,
    environment: &Environment,
) -> Result<Bundle, Box<dyn std::error::Error>> {
    let settings = Settings {
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
        environment: variables(environment),
        clock: Arc::new(SystemClock),
    };
    Ok(Bundle::start(settings).await?)
}

/// The settings of this process's own environment, with what the demonstration needs: few log lines unless they are asked
/// for, and callbacks that its own receiver gets and verifies.
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

async fn show(bundle: &Bundle, table: &Table) -> Ended {
    bundle.ready().await?;
    say("ready", bundle.url());
    let mut receiver = Receiver::start(DEVELOPMENT_WEBHOOK_SECRET).await?;
    let caller = Caller::new(bundle.url());

    let submitted = caller.submit(table, &receiver.url).await?;
    say(
        "submitted",
        &format!("csv.summarize of {} as {}", table.name, submitted.id),
    );

    let ended = timeout(OPERATION_MAX, follow(&caller, submitted))
        .await
        .map_err(|_| DemoError::OperationLate)??;
    let Some(summary) = &ended.result else {
        return Err(DemoError::Failed(ended.failure()).into());
    };
    say(&ended.status, &format!("{} rows", summary.rows));
    println!("{}", summary.table());

    let delivery = timeout(CALLBACK_MAX, receiver.next())
        .await
        .map_err(|_| DemoError::CallbackLate)??;
    if delivery.operation_id != ended.id {
        return Err(DemoError::CallbackOfAnother(delivery.operation_id).into());
    }
    say(
        "callback",
        &format!(
            "{} as {}, signature verified",
            delivery.event, delivery.webhook_id
        ),
    );
    Ok(())
}

/// Polls until the operation has ended, and shows how far it is.
async fn follow(caller: &Caller, submitted: Operation) -> Result<Operation, caller::CallError> {
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
        operation = caller.look(&operation.id).await?;
        polls += 1;
    }
}

fn say(what: &str, text: &str) {
    println!("{:10} {}", visible(what), visible(text));
}
