//! Lambda's execution environments: processes of the deployed binaries, on the Runtime API.
//!
//! Tests run what is deployed, so this module must not be more lenient than Lambda, or a function
//! could pass every test and fail on AWS: a process has one invocation at a time, the timeout kills
//! the process, and a process that ends fails its invocation.

mod error;
mod instance;
mod output;
mod pool;
mod process;
pub(crate) mod remote;
pub(crate) mod runtime_api;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;

pub use crate::function::error::FunctionError;
pub use crate::function::instance::{Instance, NotReady};
use crate::function::pool::Pool;
use crate::function::remote::RemoteFunction;
pub use crate::function::runtime_api::Invocation;

/// Lambda's limit for the event and for the response of a synchronous invocation: 6 MB, which it
/// counts as 6 MiB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const PAYLOAD_MAX_BYTES: usize = 6 * 1024 * 1024;

/// Lambda's limit for the init phase: the time until a process asks for its first invocation.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct FunctionSettings {
    /// The value of `AWS_LAMBDA_FUNCTION_NAME`.
    pub name: String,
    pub command: FunctionCommand,
    /// An invocation that takes longer is killed with its process.
    pub timeout: Duration,
    /// A process that takes longer until it asks for its first invocation is killed.
    pub init_timeout: Duration,
    /// The value of `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`. It is not enforced.
    pub memory_mb: u32,
    /// The most processes, hence the most invocations at once. At least 1.
    pub instances_max: usize,
    /// While fewer processes exist, an invocation that finds none idle starts one at once. Later
    /// invocations first wait a moment for an idle process, so that a burst of short invocations
    /// does not start as many processes.
    pub instances_eager: usize,
    /// A process gets these variables and Lambda's, and none of this process's environment.
    pub environment: Vec<(String, String)>,
    /// Printed before each line that a process logs. With a prefix, all lines go to standard error.
    pub log_prefix: String,
}

/// What starts a process of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCommand {
    /// A path, or a name that is looked up in the environment's `PATH`.
    pub program: PathBuf,
    /// As on Lambda, where `_HANDLER` is a part of the function's configuration, the last argument
    /// is the handler for a runtime that takes one.
    pub arguments: Vec<String>,
    /// The working directory and the value of `LAMBDA_TASK_ROOT`. Without it, this process's
    /// working directory, and the directory of the program.
    pub directory: Option<PathBuf>,
}

impl FunctionCommand {
    /// The operating system has one error for a missing program and a missing directory.
    fn why_not_started(&self, error: &io::Error) -> String {
        let directory = self.directory.as_deref();
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            let directory = directory.display();
            return format!("{directory}: the target's directory does not exist");
        }
        let is_name = self.program.components().count() == 1;
        if is_name && error.kind() == io::ErrorKind::NotFound {
            return format!("{}: not found in PATH", self.program.display());
        }
        format!("{self}: {error}")
    }
}

impl From<PathBuf> for FunctionCommand {
    /// The `bootstrap` of a zip on AWS, which needs no arguments.
    fn from(program: PathBuf) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            directory: None,
        }
    }
}

impl fmt::Display for FunctionCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.program.display())?;
        for argument in &self.arguments {
            write!(formatter, " {argument}")?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub struct Function(Backend);

#[derive(Debug)]
enum Backend {
    Processes(Pool),
    Remote(RemoteFunction),
}

impl Function {
    /// A function run by processes on this machine. [`Function::start`] or the first invocation
    /// starts the first one.
    #[must_use]
    pub fn processes(settings: FunctionSettings) -> Self {
        Self(Backend::Processes(Pool::new(settings)))
    }

    /// A function behind the `Invoke` API at `endpoint`, over plain HTTP: of `cargo lambda watch`,
    /// or of an image's Runtime Interface Emulator.
    #[must_use]
    pub fn remote(endpoint: &str, name: &str) -> Self {
        Self(Backend::Remote(RemoteFunction::new(endpoint, name)))
    }

    /// Starts a process for the first invocation. Does nothing for a remote function.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Init`], with the function's own message when it refused its settings.
    pub async fn start(&self) -> Result<(), FunctionError> {
        match &self.0 {
            Backend::Processes(pool) => pool.start().await,
            Backend::Remote(_) => Ok(()),
        }
    }

    /// Invokes the function and waits for its response (`RequestResponse`). While all processes are
    /// busy and [`FunctionSettings::instances_max`] is reached, the invocation waits.
    ///
    /// Dropping the future does not end the invocation: on AWS, too, it continues when its caller
    /// hangs up.
    ///
    /// # Errors
    ///
    /// When the function fails or cannot be run; see [`FunctionError`].
    pub async fn invoke(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        if event.len() > PAYLOAD_MAX_BYTES {
            return Err(FunctionError::EventTooLarge { bytes: event.len() });
        }
        match &self.0 {
            Backend::Processes(pool) => pool.invoke(event).await,
            Backend::Remote(remote) => remote.invoke(event).await,
        }
    }

    /// [`Function::invoke`], but as Lambda throttles: while every process is busy, the invocation
    /// is refused. The endpoint of a remote function decides whether it waits.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Throttled`], or when the function fails or cannot be run.
    pub async fn invoke_or_throttle(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        if event.len() > PAYLOAD_MAX_BYTES {
            return Err(FunctionError::EventTooLarge { bytes: event.len() });
        }
        match &self.0 {
            Backend::Processes(pool) => pool.invoke_or_throttle(event).await,
            Backend::Remote(remote) => remote.invoke(event).await,
        }
    }

    /// Replaces every process: the idle ones at once, a busy one after its invocation. Does nothing
    /// for a remote function.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Init`] when the first new process does not start. The next invocation tries
    /// again.
    pub async fn renew(&self) -> Result<(), FunctionError> {
        match &self.0 {
            Backend::Processes(pool) => pool.renew().await,
            Backend::Remote(_) => Ok(()),
        }
    }

    /// Ends every process: the idle ones at once, a busy one after its invocation. Returns when
    /// none is left. Does nothing for a remote function.
    pub async fn retire(&self) {
        if let Backend::Processes(pool) = &self.0 {
            pool.retire().await;
        }
    }

    /// Zero for a remote function.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match &self.0 {
            Backend::Processes(pool) => pool.usage(),
            Backend::Remote(_) => Usage::default(),
        }
    }

    /// Zero for a remote function.
    #[must_use]
    pub fn process_counts(&self) -> Processes {
        match &self.0 {
            Backend::Processes(pool) => pool.process_counts(),
            Backend::Remote(_) => Processes::default(),
        }
    }

    /// Kills every process and waits until none is left. Every invocation, running, waiting or
    /// later, ends with [`FunctionError::Stopped`]. Does nothing for a remote function.
    pub async fn stop(&self) {
        if let Backend::Processes(pool) = &self.0 {
            pool.stop().await;
        }
    }
}

/// What Lambda bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub invocations: u64,
    /// The duration of invocations and starts, each rounded up to a millisecond
    /// (<https://aws.amazon.com/lambda/pricing/>).
    pub billed: Duration,
}

/// The processes of a function as they are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processes {
    pub busy: usize,
    pub idle: usize,
    /// Since the start of the bundle.
    pub started: usize,
}
