//! The program `operator`, for the operators of a deployment.
//!
//! It exits with 0 when all is done, with 1 when it could not go on or a checked file has errors,
//! and with 2 when it finished but something is left, which it lists.

mod check;
mod erase;
mod rate;
mod redrive;
mod requeue;
mod show;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use aws_config::SdkConfig;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use operator::services::sdk_config;
use shared::config::{Environment, SettingError};
use shared::queue::Queue;
use shared::store::Store;
use shared::telemetry::chain;
use shared::terminal::{VisibleLines, visible};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::check::CheckArguments;
use crate::erase::EraseArguments;
use crate::redrive::RedriveArguments;
use crate::requeue::RequeueArguments;
use crate::show::ShowArguments;

/// For Ferry's operators: replaces lost messages, redrives failed operations, shows stored
/// operations, erases an owner's data, checks a functions file.
///
/// `TABLE_NAME`, `DISPATCH_QUEUE_URL` and `CALLBACK_QUEUE_URL` name the table and the queues.
/// Region and credentials come from where the AWS CLI finds them.
#[derive(Debug, Parser)]
#[command(name = "operator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a message for every operation that has not ended, and for every callback that is due.
    Requeue(RequeueArguments),
    /// Run failed operations of a function again, each as its owner could.
    Redrive(RedriveArguments),
    /// Show everything that is stored for an operation, as JSON.
    Show(ShowArguments),
    /// Erase every operation of an owner, expired ones included.
    Erase(EraseArguments),
    /// Check a functions file, without AWS unless an option says so.
    Check(CheckArguments),
}

/// Whether nothing is left to do or wrong, or why the command could not go on.
type CommandResult = Result<bool, Box<dyn Error>>;

/// The exit code when something is left. The command has listed it.
const INCOMPLETE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{error}");
            return ExitCode::FAILURE;
        }
        Err(error) if error.use_stderr() => {
            // The first paragraph says what is wrong. The rest is usage, which `--help` prints in
            // full.
            let text = error.to_string();
            let wrong = text.lines().take_while(|line| !line.is_empty());
            let wrong = wrong.map(str::trim).collect::<Vec<_>>().join(" ");
            eprintln!("{}", visible(&wrong));
            return ExitCode::FAILURE;
        }
        Err(help) => {
            print!("{help}");
            return ExitCode::SUCCESS;
        }
    };
    start_logging();
    match Box::pin(run(arguments.command)).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", visible(&chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let environment = Environment::from_process();
    let services = || Services::new(environment.clone());
    let (result, otherwise) = match command {
        Command::Requeue(arguments) => (
            requeue::requeue(&arguments, &services().await?).await,
            ExitCode::from(INCOMPLETE),
        ),
        Command::Redrive(arguments) => (
            redrive::redrive(arguments, &services().await?).await,
            ExitCode::from(INCOMPLETE),
        ),
        Command::Show(arguments) => (
            show::show(&arguments, &services().await?).await,
            ExitCode::from(INCOMPLETE),
        ),
        Command::Erase(arguments) => (
            erase::erase(arguments, &services().await?).await,
            ExitCode::from(INCOMPLETE),
        ),
        Command::Check(arguments) => (
            check::check(&arguments, &environment).await,
            ExitCode::FAILURE,
        ),
    };
    Ok(if result? {
        ExitCode::SUCCESS
    } else {
        otherwise
    })
}

/// Clients for the table and the queues that the settings name.
struct Services {
    environment: Environment,
    table: String,
    /// Shared by all clients, so that credentials are fetched once.
    config: SdkConfig,
}

impl Services {
    async fn new(environment: Environment) -> Result<Self, SettingError> {
        let table = environment.required("TABLE_NAME")?.to_owned();
        let config = sdk_config(&environment).await?;
        Ok(Self {
            environment,
            table,
            config,
        })
    }

    fn store(&self) -> Store {
        let client = aws_sdk_dynamodb::Client::new(&self.config);
        Store::new(client, self.table.clone())
    }

    fn queue(&self, name: &'static str) -> Result<Queue, SettingError> {
        let url = self.environment.required(name)?.to_owned();
        Ok(Queue::new(aws_sdk_sqs::Client::new(&self.config), url))
    }
}

/// Logs warnings, errors and the audit.
fn start_logging() {
    let logs = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        // `VisibleLines` would escape colours.
        .with_ansi(false)
        .with_writer(|| VisibleLines(io::stderr()))
        .with_target(false)
        .finish();
    let levels = Targets::new()
        .with_default(Level::WARN)
        // It warns at length of every place without credentials. When no place has any, the
        // command's error says so.
        .with_target("aws_config", Level::ERROR)
        .with_target("shared::telemetry", Level::INFO);
    logs.with(levels).init();
}
