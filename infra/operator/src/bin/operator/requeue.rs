//! `operator requeue`.

use std::io::{Write as _, stdout};
use std::sync::Arc;

use clap::Args;
use operator::requeue::{Need, Requeue, Told};
use shared::clock::SystemClock;
use shared::telemetry::chain;
use shared::terminal::visible;

use crate::{Ended, Services};

/// At 1 MB and 256 read units a request at most, under half of the 3,000 units a second that one partition serves (Amazon DynamoDB
/// Developer Guide, "Best practices for designing and using partition keys effectively").
const PER_SECOND_DEFAULT: u16 = 5;

/// What to send, and how fast.
#[derive(Debug, Args)]
pub(crate) struct RequeueArguments {
    /// Tell what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,

    /// The most requests a second, to table and queues together; each reads up to 500 items, or sends up to 10 messages.
    #[arg(long, value_name = "N", default_value_t = PER_SECOND_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=1000))]
    per_second: u16,
}

/// Sends what is needed. What is sent, or would be, is told on standard output in the end; all else on standard error.
pub(crate) async fn requeue(arguments: &RequeueArguments, services: &Services) -> Ended {
    let dry_run = arguments.dry_run;
    let requeue = Requeue {
        store: services.store(),
        dispatch: services.queue("DISPATCH_QUEUE_URL")?,
        callbacks: services.queue("CALLBACK_QUEUE_URL")?,
        clock: Arc::new(SystemClock),
        per_second: arguments.per_second,
        dry_run,
    };
    let mut tell = |told: Told<'_>| match told {
        Told::Needs(operation, need) if dry_run => {
            let message = match need {
                Need::Dispatch { .. } => "dispatch",
                Need::WakeUp { .. } => "callback",
            };
            // Whoever has read enough of it need not be told.
            let _ = writeln!(
                stdout(),
                "{message} {} {}",
                operation.id,
                operation.status().as_str()
            );
        }
        Told::Needs(..) => {}
        Told::Unsent(id, code) => {
            eprintln!("not sent: the message for {id}: {}", visible(code));
        }
        Told::Unreadable(error) => eprintln!("not read: {}", visible(&chain(error))),
        Told::Page(so_far) => eprintln!(
            "{} items read, {} messages sent",
            so_far.examined, so_far.sent
        ),
    };
    let requeued = requeue.run(&mut tell).await?;
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
