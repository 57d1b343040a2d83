//! One process of a function, from its start to its end.
//!
//! An instance is owned by whoever invokes it, so two invocations cannot meet in one process; that is the whole of the
//! isolation that the functions count on. Nothing here outlives the instance: dropping it kills the process.

use std::io;
use std::process::ExitStatus;

use axum::body::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::REGION;
use crate::function::output::{self, Output};
use crate::function::runtime_api::{Event, Invocation, RuntimeApi};
use crate::function::{FunctionError, FunctionSettings};

/// A process that was started, with the endpoint that it speaks to.
#[derive(Debug)]
pub struct Instance {
    process: Child,
    api: RuntimeApi,
    output: Output,
    waiting: Option<oneshot::Sender<Invocation>>,
}

impl Instance {
    /// Starts a process. `number` tells it from others of the function, in the name of its log.
    ///
    /// # Errors
    ///
    /// When the binary cannot be run.
    pub async fn spawn(settings: &FunctionSettings, number: usize) -> io::Result<Self> {
        let api = RuntimeApi::start().await?;
        let (output, [stdout, stderr]) = Output::open()?;
        let mut command = command(settings, number, &api);
        let process = command.stdout(stdout).stderr(stderr).spawn()?;
        Ok(Self {
            process,
            api,
            output,
            waiting: None,
        })
    }

    /// The process's id; `None` once it has ended.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until the process asks for an invocation. A process that ended instead has lost nothing: it held none.
    ///
    /// # Errors
    ///
    /// When it will ask for none.
    pub async fn ready(&mut self) -> Result<(), Gone> {
        // A process that died while nobody looked left its request behind; only its exit status tells.
        if let Ok(Some(status)) = self.process.try_wait() {
            return Err(Gone::Ended(status.to_string()));
        }
        while self.waiting.is_none() {
            match self.step().await {
                Step::Said(Event::Next(waiting)) => {
                    self.output.pass_on();
                    self.waiting = Some(waiting);
                }
                Step::Said(Event::Answer { accepted, .. }) => refuse(accepted),
                Step::Said(Event::InitError(error)) => return Err(Gone::GaveUp(error)),
                Step::Ended(status) => return Err(Gone::Ended(describe(status))),
            }
        }
        Ok(())
    }

    /// Hands the invocation to the process and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Exited`] when the process ended first, else what it reported.
    pub async fn invoke(&mut self, mut invocation: Invocation) -> Result<Bytes, FunctionError> {
        let held = invocation.request_id.clone();
        loop {
            self.ready().await.map_err(|gone| FunctionError::Exited {
                status: gone.to_string(),
            })?;
            let Some(waiting) = self.waiting.take() else {
                continue;
            };
            match waiting.send(invocation) {
                Ok(()) => break,
                // The request was broken off, so the process never saw it: either it asks again or it has ended.
                Err(returned) => invocation = returned,
            }
        }
        loop {
            match self.step().await {
                Step::Said(Event::Answer {
                    request_id,
                    outcome,
                    accepted,
                }) if request_id == held => {
                    // The process may have ended since; what it answered stands.
                    let _ = accepted.send(true);
                    return outcome;
                }
                Step::Said(Event::Answer { accepted, .. }) => refuse(accepted),
                // It asks for more without having answered: it gets nothing more until the time limit ends it.
                Step::Said(Event::Next(waiting)) => self.waiting = Some(waiting),
                Step::Said(Event::InitError(error)) => return Err(error),
                Step::Ended(status) => {
                    return Err(FunctionError::Exited {
                        status: describe(status),
                    });
                }
            }
        }
    }

    /// Kills the process and waits until it is gone, as Lambda does: with `SIGKILL`, since nothing may depend on more.
    pub async fn kill(self) {
        output::print(&self.end().await);
    }

    /// The same of a process that did not start; what it logged, which is printed nowhere else.
    pub(super) async fn end(mut self) -> Vec<u8> {
        if let Err(error) = self.process.kill().await {
            tracing::warn!(%error, "a function's process could not be killed");
        }
        self.output.rest().await
    }

    /// The next thing that happens to the process. What it said before it ended comes first.
    async fn step(&mut self) -> Step {
        tokio::select! {
            biased;
            Some(event) = self.api.events.recv() => Step::Said(event),
            status = self.process.wait() => Step::Ended(status),
        }
    }
}

/// Why a process will ask for no invocation.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// It ended, in these words of the operating system.
    #[error("{0}")]
    Ended(String),
    /// It reported that it could not start.
    #[error("{0}")]
    GaveUp(FunctionError),
}

enum Step {
    Said(Event),
    Ended(io::Result<ExitStatus>),
}

/// The environment is Lambda's and the function's, and nothing of this process's own: a function that leans on a
/// developer's shell would fail on AWS. <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn command(settings: &FunctionSettings, number: usize, api: &RuntimeApi) -> Command {
    let mut command = Command::new(&settings.binary);
    command
        .env_clear()
        .envs(
            settings
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", &settings.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env(
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            settings.memory_mb.to_string(),
        )
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env(
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", settings.name),
        )
        .env(
            "AWS_LAMBDA_LOG_STREAM_NAME",
            format!("local/[$LATEST]{number}"),
        )
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("TZ", ":UTC")
        .kill_on_drop(true);
    // Ctrl-C reaches a terminal's whole foreground group. In a group of their own the processes are ended by whoever
    // started them, in order, and not in the middle of an invocation.
    #[cfg(unix)]
    command.process_group(0);
    command
}

fn refuse(accepted: oneshot::Sender<bool>) {
    // Whoever asked may be gone; then there is nobody to tell.
    let _ = accepted.send(false);
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("exit status unknown: {error}"),
    }
}
