use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use clap::Args;
use operator::erase::{Erase, Found};
use shared::clock::SystemClock;
use shared::config::SettingError;
use shared::domain::operation::Owner;
use shared::operations::Operations;
use shared::random::SystemRandom;
use shared::store::Store;
use shared::telemetry::chain;
use shared::terminal::visible;

use crate::rate::Rate;
use crate::{CommandResult, Services};

/// An operation takes a few requests, and the operations' keys spread them over the table's
/// partitions.
const PER_SECOND_DEFAULT: &str = "20";

#[derive(Debug, Args)]
#[command(mut_arg("per_second", |arg| {
    arg.default_value(PER_SECOND_DEFAULT).help("The most operations a second")
}))]
pub(crate) struct EraseArguments {
    /// The owner with its kind: `jwt:SUBJECT`, `iam:ACCOUNT:UNIQUE_ID`, `cognito:IDENTITY_ID`,
    /// `lambda:NAME` or `local:NAME`.
    #[arg(long, value_parser = owner)]
    owner: Owner,

    /// Cancel operations that have not ended, and erase them as well.
    #[arg(long)]
    cancel: bool,

    /// Print what would be erased, and change nothing.
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    rate: Rate,
}

/// Prints the result to standard output, and all else, including the audit, to standard error.
pub(crate) async fn erase(arguments: EraseArguments, services: &Services) -> CommandResult {
    let store = services.store();
    let cancel = arguments.cancel.then(|| operations(&store, services));
    let erase = Erase {
        store,
        cancel: cancel.transpose()?,
        owner: arguments.owner,
        clock: Arc::new(SystemClock),
        per_second: arguments.rate.per_second,
    };
    if arguments.dry_run {
        return inspect(&erase).await;
    }
    if !arguments.yes && !confirmed(&erase.owner, &services.table)? {
        return Err("nothing was erased".into());
    }
    run(&erase).await
}

fn operations(store: &Store, services: &Services) -> Result<Operations, SettingError> {
    let callbacks = services.queue("CALLBACK_QUEUE_URL")?;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Ok(Operations::new(store.clone(), callbacks, clock, random).acting_as("operator"))
}

async fn inspect(erase: &Erase) -> CommandResult {
    let mut number: usize = 0;
    let mut report = |id: &_, found| {
        number += 1;
        let found = match found {
            Found::Live => "live",
            Found::Ended => "ended",
            Found::Expired => "expired",
            Found::HalfErased => "half erased",
            Found::Unreadable => "unreadable",
        };
        // A reader may close the pipe when it has read enough, as `head` does.
        let _ = writeln!(io::stdout(), "{id} {found}");
    };
    erase.inspect(&mut report).await?;
    let owner = visible(erase.owner.as_str());
    writeln!(io::stdout(), "{number} of {owner}")?;
    Ok(true)
}

async fn run(erase: &Erase) -> CommandResult {
    let mut on_wait =
        |until| eprintln!("waiting until {until} for the workers of cancelled operations");
    let outcome = erase.run(&mut on_wait).await?;
    for id in &outcome.live {
        eprintln!("left: {id} has not ended; --cancel cancels it first");
    }
    for error in &outcome.unreadable {
        eprintln!("left: {}", visible(&chain(error)));
    }
    if !outcome.finished {
        eprintln!("the owner's operations changed during the run: run it again");
    }
    writeln!(
        io::stdout(),
        "{} erased, {} of them cancelled first, {} live, {} unreadable",
        outcome.erased,
        outcome.cancelled,
        outcome.live.len(),
        outcome.unreadable.len()
    )?;
    Ok(outcome.is_complete())
}

fn confirmed(owner: &Owner, table: &str) -> Result<bool, Box<dyn std::error::Error>> {
    if !io::stdin().is_terminal() {
        return Err("standard input is not a terminal to confirm at: confirm with --yes".into());
    }
    eprint!(
        "Erase every operation of {} from {}? It cannot be undone. Type yes: ",
        visible(owner.as_str()),
        visible(table)
    );
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn owner(text: &str) -> Result<Owner, &'static str> {
    text.parse().map_err(|_| {
        "an owner is jwt:, iam:, cognito:, lambda: or local: and a name of 1 to 256 bytes, \
         as `show` prints it"
    })
}
