use std::io::{Write as _, stdout};
use std::sync::Arc;

use clap::Args;
use operator::requeue::{Need, Progress, Requeue};
use shared::clock::SystemClock;
use shared::telemetry::chain;
use shared::terminal::visible;

use crate::rate::Rate;
use crate::{CommandResult, Services};

/// A request reads at most 1 MB, which is 256 read units, so this uses less than half of the 3,000
/// units a second of one partition (Amazon DynamoDB Developer Guide, "Best practices for designing
/// and using partition keys effectively").
const PER_SECOND_DEFAULT: &str = "5";

#[derive(Debug, Args)]
#[command(mut_arg("per_second", |arg| {
    arg.default_value(PER_SECOND_DEFAULT).help("The most requests a second: reads of a page, and sends of ten messages")
}))]
pub(crate) struct RequeueArguments {
    /// Print what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    rate: Rate,
}

/// Prints the result to standard output, and all else to standard error.
pub(crate) async fn requeue(arguments: &RequeueArguments, services: &Services) -> CommandResult {
    let dry_run = arguments.dry_run;
    let requeue = Requeue {
        store: services.store(),
        dispatch: services.queue("DISPATCH_QUEUE_URL")?,
        callbacks: services.queue("CALLBACK_QUEUE_URL")?,
        clock: Arc::new(SystemClock),
        per_second: arguments.rate.per_second,
        dry_run,
    };
    let mut report = |progress: Progress<'_>| match progress {
        Progress::Needs(operation, need) if dry_run => {
            let message = match need {
                Need::Dispatch { .. } => "dispatch",
                Need::WakeUp { .. } => "callback",
            };
            // A reader may close the pipe when it has read enough, as `head` does.
            let _ = writeln!(
                stdout(),
                "{message} {} {}",
                operation.id,
                operation.status().as_str()
            );
        }
        Progress::Needs(..) => {}
        Progress::Unsent(id, code) => {
            eprintln!("not sent: the message for {id}: {}", visible(code));
        }
        Progress::Unreadable(error) => eprintln!("not read: {}", visible(&chain(error))),
        Progress::Page(so_far) => eprintln!(
            "{} items read, {} messages sent",
            so_far.examined, so_far.sent
        ),
    };
    let requeued = requeue.run(&mut report).await?;
    writeln!(
        stdout(),
        "{} live, {} callbacks due, {} messages sent, {} not sent, {} records unreadable",
        requeued.live,
        requeued.due,
        requeued.sent,
        requeued.unsent,
        requeued.unreadable
    )?;
    Ok(requeued.is_complete())
}
