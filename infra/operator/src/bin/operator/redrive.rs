use std::io::{Write as _, stdout};
use std::sync::Arc;

use clap::Args;
use operator::redrive::{Filter, Progress, Redrive};
use shared::catalogue::Catalogue;
use shared::clock::SystemClock;
use shared::config::SettingError;
use shared::domain::time::Timestamp;
use shared::operations::{Operations, RedriveFrom, RedriveRequest, Submissions};
use shared::random::SystemRandom;
use shared::telemetry::chain;
use shared::terminal::visible;

use crate::rate::Rate;
use crate::{CommandResult, Services};

/// A redrive is a submit, and the worker needs time for each.
const PER_SECOND_DEFAULT: &str = "20";

#[derive(Debug, Args)]
#[command(mut_arg("per_second", |arg| {
    arg.default_value(PER_SECOND_DEFAULT).help("The most redrives a second")
}))]
pub(crate) struct RedriveArguments {
    /// The function of the operations.
    #[arg(long)]
    function: String,

    /// Their version; every version by default.
    #[arg(long)]
    version: Option<String>,

    /// Those that failed at this time or later, such as 2026-11-23T19:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Timestamp,

    /// Those with an error of this code.
    #[arg(long)]
    code: String,

    /// Where they continue: `state` or `start`; by default from the state when there is one.
    #[arg(long, value_parser = from)]
    from: Option<RedriveFrom>,

    /// Print the operations, and change nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    rate: Rate,
}

/// Prints the result to standard output, and all else, including the audit, to standard error.
pub(crate) async fn redrive(arguments: RedriveArguments, services: &Services) -> CommandResult {
    let dry_run = arguments.dry_run;
    let redrive = Redrive {
        store: services.store(),
        submissions: submissions(services)?,
        clock: Arc::new(SystemClock),
        filter: Filter {
            function: arguments.function,
            version: arguments.version,
            since: arguments.since,
            code: arguments.code,
        },
        request: RedriveRequest {
            from: arguments.from,
            ..RedriveRequest::default()
        },
        per_second: arguments.rate.per_second,
        dry_run,
    };
    let mut report = |progress: Progress<'_>| match progress {
        Progress::Selected(operation) if dry_run => {
            // A reader may close the pipe when it has read enough, as `head` does.
            let _ = writeln!(stdout(), "{}", operation.id);
        }
        Progress::Selected(_) => {}
        Progress::Refused(id, reason) => eprintln!("not redriven: {id}: {}", visible(&reason)),
        Progress::Unreadable(error) => eprintln!("not read: {}", visible(&chain(error))),
        Progress::Page(so_far) => eprintln!(
            "{} items read, {} selected, {} redriven",
            so_far.examined, so_far.selected, so_far.created
        ),
    };
    let redriven = redrive.run(&mut report).await?;
    writeln!(
        stdout(),
        "{} selected, {} redriven, {} redriven before, {} refused, {} records unreadable",
        redriven.selected,
        redriven.created,
        redriven.before,
        redriven.refused,
        redriven.unreadable
    )?;
    Ok(redriven.is_complete())
}

fn submissions(services: &Services) -> Result<Submissions, SettingError> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let callbacks = services.queue("CALLBACK_QUEUE_URL")?;
    let operations =
        Operations::new(services.store(), callbacks, clock, random).acting_as("operator");
    Ok(Submissions::new(
        operations,
        services.queue("DISPATCH_QUEUE_URL")?,
        Catalogue::load(&services.environment)?,
        services
            .environment
            .allowed_networks("CALLBACK_ALLOWED_NETWORKS")?,
        // Only the ids of idempotency keys depend on the salt.
        String::new(),
    ))
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    text.parse()
        .map_err(|_| "must be an RFC 3339 date and time, such as 2026-11-23T19:00:00Z")
}

fn from(text: &str) -> Result<RedriveFrom, &'static str> {
    text.parse().map_err(|_| "must be state or start")
}
