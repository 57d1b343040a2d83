//! One process of a function, from its start to its end.
//!
//! An invocation owns the instance that runs it, so a process has one invocation at a time, as the
//! functions rely on. Dropping an instance kills its process and those that it has started.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use axum::body::Bytes;
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::REGION;
use crate::function::error::{EXIT_ERROR, TIMEOUT_ERROR};
use crate::function::output::{self, Output, Rest};
use crate::function::process::Process;
use crate::function::runtime_api::{Event, Invocation, RuntimeApi};
use crate::function::{FunctionCommand, FunctionError, FunctionSettings};

/// The handler of a function whose program needs no name of one, as in the template.
const BOOTSTRAP: &str = "bootstrap";

/// Why a process ends at once and without an error.
const NO_RUNTIME: &str = "; a command has to serve Lambda's Runtime API, as \
                          `python3 -m awslambdaric app.handler` does";

/// A process with its Runtime API.
#[derive(Debug)]
pub struct Instance {
    process: Process,
    api: RuntimeApi,
    output: Output,
    init_timeout: Duration,
    /// The process's request for an invocation.
    request: Option<oneshot::Sender<Invocation>>,
}

impl Instance {
    /// Starts a process. `number` is unique within the function and names the log stream.
    ///
    /// # Errors
    ///
    /// When the program cannot be run.
    pub async fn spawn(settings: &FunctionSettings, number: usize) -> io::Result<Self> {
        let api = RuntimeApi::start().await?;
        let (output, [stdout, stderr]) = Output::open(&settings.log_prefix)?;
        let mut command = command(settings, number, &api);
        command.stdout(stdout).stderr(stderr);
        let process = Process::spawn(command)?;
        Ok(Self {
            process,
            api,
            output,
            init_timeout: settings.init_timeout,
            request: None,
        })
    }

    /// `None` once the process has ended.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until the process asks for an invocation. A process that ends instead has no
    /// invocation to lose.
    ///
    /// # Errors
    ///
    /// When the process has ended or has reported that it cannot start.
    pub async fn ready(&mut self) -> Result<(), NotReady> {
        // `request` may be that of a process that has ended since.
        if let Ok(Some(status)) = self.process.try_wait() {
            return Err(NotReady::Ended(Ok(status)));
        }
        while self.request.is_none() {
            match self.step().await {
                Step::Event(Event::Next(request)) => {
                    self.output.release();
                    self.request = Some(request);
                }
                Step::Event(Event::Response { accepted, .. }) => refuse(accepted),
                Step::Event(Event::InitError(error)) => return Err(NotReady::InitError(error)),
                Step::Ended(status) => return Err(NotReady::Ended(status)),
            }
        }
        Ok(())
    }

    /// Sends the invocation to the process and waits for its response.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Exited`] when the process ended first, else the function's error.
    pub async fn invoke(&mut self, mut invocation: Invocation) -> Result<Bytes, FunctionError> {
        let held = invocation.request_id.clone();
        loop {
            let ready = self.ready().await;
            ready.map_err(|error| FunctionError::Exited {
                request_id: held.clone(),
                status: error.to_string(),
            })?;
            let Some(request) = self.request.take() else {
                continue;
            };
            match request.send(invocation) {
                Ok(()) => break,
                // The request was aborted, so the process did not get the invocation: it asks
                // again, or it has ended.
                Err(returned) => invocation = returned,
            }
        }
        loop {
            match self.step().await {
                Step::Event(Event::Response {
                    request_id,
                    outcome,
                    accepted,
                }) if request_id == held => {
                    // An error says that the process has ended since. Its response is valid.
                    let _ = accepted.send(true);
                    return outcome;
                }
                Step::Event(Event::Response { accepted, .. }) => refuse(accepted),
                // A request before the response gets no invocation; the timeout ends the process.
                Step::Event(Event::Next(request)) => self.request = Some(request),
                Step::Event(Event::InitError(error)) => return Err(error),
                Step::Ended(status) => {
                    return Err(FunctionError::Exited {
                        request_id: held,
                        status: describe(&status),
                    });
                }
            }
        }
    }

    /// Kills the process and those that it has started, and waits for its end. As on Lambda this is
    /// `SIGKILL`: functions must not depend on a signal that they can handle.
    pub async fn kill(self) {
        self.end().await.print();
    }

    /// Waits until the process asks for an invocation, and ends it when it does not: when it fails,
    /// when `stopped` completes, and after the time of an init phase.
    pub(super) async fn ready_or_end(
        mut self,
        stopped: impl Future<Output = ()>,
    ) -> Result<Self, FunctionError> {
        let init_timeout = self.init_timeout;
        let not_ready = tokio::select! {
            biased;
            () = stopped => None,
            ready = tokio::time::timeout(init_timeout, self.ready()) => match ready {
                Ok(Ok(())) => return Ok(self),
                Ok(Err(not_ready)) => Some(not_ready),
                Err(_) => Some(NotReady::Silent),
            },
        };
        let mut rest = self.end().await;
        let refusal = output::take_refusal(&mut rest.stdout);
        rest.print();
        let Some(not_ready) = not_ready else {
            return Err(FunctionError::Stopped);
        };
        let failed =
            |error_type, reason| FunctionError::init(error_type, reason, &rest.first_errors);
        Err(match (refusal, not_ready) {
            (Some(reason), _) => failed(EXIT_ERROR, reason),
            (None, NotReady::InitError(error)) => FunctionError::Init {
                reason: error.to_string(),
                document: error.document().unwrap_or_default(),
            },
            (None, NotReady::Ended(status)) => {
                let mut reason = format!(
                    "the process ended ({}) before it asked for an invocation",
                    describe(&status)
                );
                // Only a target's command can end like this. It writes no error either.
                if status.is_ok_and(|status| status.success()) {
                    reason.push_str(NO_RUNTIME);
                }
                failed(EXIT_ERROR, reason)
            }
            (None, NotReady::Silent) => {
                let secs = init_timeout.as_secs_f64();
                let reason = format!("the process asked for no invocation within {secs} s");
                failed(TIMEOUT_ERROR, reason)
            }
        })
    }

    /// [`Instance::kill`] for a process that did not start. Returns its log, which is not printed.
    async fn end(self) -> Rest {
        if let Err(error) = self.process.kill().await {
            tracing::warn!(%error, "a function's process could not be killed and may still run");
        }
        self.output.rest().await
    }

    /// The next request or the end of the process. Requests sent before the end come first.
    async fn step(&mut self) -> Step {
        tokio::select! {
            biased;
            Some(event) = self.api.events.recv() => Step::Event(event),
            status = self.process.wait() => Step::Ended(status),
        }
    }
}

/// Why a process does not ask for an invocation.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("{}", describe(.0))]
    Ended(io::Result<ExitStatus>),
    /// The process reported that it cannot start.
    #[error("{0}")]
    InitError(FunctionError),
    /// The process did neither in the time of Lambda's init phase.
    #[error("the process asked for no invocation in time")]
    Silent,
}

enum Step {
    Event(Event),
    Ended(io::Result<ExitStatus>),
}

/// The environment has the function's variables and Lambda's, and none of this process: a function
/// that depends on a developer's shell would fail on AWS.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn command(settings: &FunctionSettings, number: usize, api: &RuntimeApi) -> Command {
    let FunctionCommand {
        program,
        arguments,
        directory,
    } = &settings.command;
    let task_root = directory.as_deref().or_else(|| program.parent());
    let handler = arguments.last().map_or(BOOTSTRAP, String::as_str);
    let mut command = Command::new(program);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    command
        .args(arguments)
        .env_clear()
        .envs(
            settings
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .env("_HANDLER", handler)
        .env("LAMBDA_TASK_ROOT", task_root.unwrap_or(Path::new("")))
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
        .env("TZ", ":UTC");
    command
}

fn refuse(accepted: oneshot::Sender<bool>) {
    // An error says that the process has ended.
    let _ = accepted.send(false);
}

fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("exit status unknown: {error}"),
    }
}
