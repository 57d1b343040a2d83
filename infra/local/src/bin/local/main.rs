//! The program `local`: the bundle on this machine, a demonstration of it, and a command that runs
//! one function.

mod demo;
mod private_file;
mod run;
mod serve;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use indicatif::ProgressBar;
use local::build::{BuildError, build_functions};
use local::bundle::{PASSED_ON, StartError};
use shared::config::Environment;
use shared::telemetry::chain;
use shared::terminal::{VisibleLines, visible, visible_lines};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::demo::DemoArguments;
use crate::run::{RunArguments, RunError};
use crate::serve::ServeArguments;

/// Enough open files for the most processes of each function. A process may raise its limit this
/// far on common systems.
const OPEN_FILES_MAX: u64 = 4096;

/// Ferry on this machine: store, queues, gateway and the four functions.
#[derive(Debug, Parser)]
#[command(name = "local", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    serve: ServeArguments,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Summarize a table: submit, progress, result, signed callback.
    Demo(DemoArguments),
    /// Run one function, without HTTP, store or queue.
    Run(RunArguments),
}

#[derive(Debug, Args)]
struct Binaries {
    /// Use the functions' binaries in this directory instead of building them. Each has its
    /// function's name.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            // The error is the first paragraph; the rest is usage, which `--help` prints in full.
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty());
            let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
            eprintln!("{}", visible(&line));
            return ExitCode::FAILURE;
        }
        Err(help) => {
            print!("{help}");
            return ExitCode::SUCCESS;
        }
    };
    start_logging();
    allow_many_processes();
    let environment = Environment::from_process();
    let result = match arguments.command {
        None => serve::serve(arguments.serve, &environment).await,
        Some(Command::Demo(arguments)) => demo::demo(arguments, &environment).await,
        Some(Command::Run(arguments)) => run::run(&arguments, environment).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = chain(error.as_ref());
            // They contain cargo's output, a file's errors or a target's, which have several lines.
            let has_lines = matches!(error.downcast_ref(), Some(StartError::FunctionsFile(_)))
                || error.is::<BuildError>()
                || matches!(error.downcast_ref(), Some(RunError::TargetFailed(_)));
            let text = if has_lines {
                visible_lines(&text)
            } else {
                visible(&text)
            };
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

impl Binaries {
    /// The binaries' directory. Builds them unless a directory is given.
    async fn directory(self, environment: &Environment) -> Result<PathBuf, BuildError> {
        if let Some(directory) = self.binaries {
            return Ok(directory);
        }
        // Only a terminal shows it, until the build has ended.
        let spinner = ProgressBar::new_spinner().with_message("building the functions");
        spinner.enable_steady_tick(std::time::Duration::from_millis(100));
        let built = build_functions(environment.optional("CARGO").unwrap_or("cargo")).await;
        spinner.finish_and_clear();
        built
    }
}

/// Completes at Ctrl-C or `SIGTERM`. From the call on, neither signal ends the process.
#[cfg(unix)]
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // After an error there is no handler, so Ctrl-C ends the process.
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// The functions' settings in this process's environment.
fn passed_on(environment: &Environment) -> Vec<(String, String)> {
    PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), environment.optional(name)?.to_owned())))
        .collect()
}

/// Raises the soft limit of open files, which is 256 on some systems: each process of a function
/// needs about six.
#[cfg(unix)]
fn allow_many_processes() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = OPEN_FILES_MAX.min(hard);
        if soft >= wanted {
            return Ok(());
        }
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        tracing::warn!(
            %error,
            "the limit of open files could not be raised: fewer callers can wait at once"
        );
    }
}

#[cfg(not(unix))]
const fn allow_many_processes() {}

/// An error is printed as one line.
type CommandResult = Result<(), Box<dyn Error>>;

/// Logs warnings, errors, and the audit of what the console does.
fn start_logging() {
    let logs = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        // As in the functions' logs: a module's path says nothing to a user.
        .with_target(false)
        // `VisibleLines` would escape colours.
        .with_ansi(false)
        .with_writer(|| VisibleLines(io::stderr()))
        .finish();
    let levels = Targets::new()
        .with_default(Level::WARN)
        .with_target("shared::telemetry", Level::INFO);
    logs.with(levels).init();
}
