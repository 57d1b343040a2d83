//! The four functions as AWS Lambda runs them: real processes of the real binaries, on the real Runtime API.
//!
//! What is tested here is what is deployed, so this module may not be kinder than Lambda: one invocation at a time per
//! process, a time limit that kills, and a process that dies takes its invocation down with it. If it were, a function
//! could pass every test and fail on its first day.

mod instance;
mod output;
mod pool;
mod remote;
mod runtime_api;

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;
use serde::Deserialize;

pub use crate::function::instance::{Gone, Instance};
use crate::function::pool::Pool;
use crate::function::remote::RemoteFunction;
pub use crate::function::runtime_api::Invocation;

/// The largest event, and the largest response, of a synchronous invocation: 6 MB, which Lambda counts as 6 MiB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const PAYLOAD_MAX_BYTES: usize = 6 * 1024 * 1024;

/// What a function is and how it runs.
#[derive(Debug, Clone)]
pub struct FunctionSettings {
    /// The name it is invoked by, as `AWS_LAMBDA_FUNCTION_NAME` tells it.
    pub name: String,
    /// The binary: what would be the zip's `bootstrap`.
    pub binary: PathBuf,
    /// How long an invocation may take before its process is killed; at most 1,800 s on AWS.
    pub timeout: Duration,
    /// What `AWS_LAMBDA_FUNCTION_MEMORY_SIZE` says, in MB. Told to the process, not enforced.
    pub memory_mb: u32,
    /// The most processes, hence the most invocations at once. At least 1.
    pub instances_max: usize,
    /// Up to so many processes, one is started as soon as an invocation finds none idle. Beyond it an invocation first waits a
    /// moment for one to come free, so that a burst of short ones does not start as many processes.
    pub instances_eager: usize,
    /// The function's own variables. A process gets these, Lambda's own, and nothing of its starter's environment.
    pub environment: Vec<(String, String)>,
}

/// A function that can be invoked.
#[derive(Debug)]
pub struct Function(Backend);

#[derive(Debug)]
enum Backend {
    Processes(Pool),
    Remote(RemoteFunction),
}

impl Function {
    /// A function run by processes on this machine. None is started before [`Function::start`] or the first invocation.
    #[must_use]
    pub fn processes(settings: FunctionSettings) -> Self {
        Self(Backend::Processes(Pool::new(settings)))
    }

    /// A function that somebody else runs behind the `Invoke` API at `endpoint`, over plain HTTP: `cargo lambda watch`, or
    /// the Runtime Interface Emulator of an image.
    #[must_use]
    pub fn remote(endpoint: &str, name: &str) -> Self {
        Self(Backend::Remote(RemoteFunction::new(endpoint, name)))
    }

    /// Starts a process, which the first invocation then finds. A remote function is its owner's to start.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Init`], with the function's own words when it refused its settings.
    pub async fn start(&self) -> Result<(), FunctionError> {
        match &self.0 {
            Backend::Processes(pool) => pool.start().await,
            Backend::Remote(_) => Ok(()),
        }
    }

    /// Invokes the function and waits for its answer (`RequestResponse`). When every process is busy and no further one
    /// may be started, the invocation waits its turn.
    ///
    /// Dropping the future does not end the invocation, as a caller that hangs up does not end one on AWS.
    ///
    /// # Errors
    ///
    /// When the function fails, or cannot be run at all; see [`FunctionError`].
    pub async fn invoke(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        if event.len() > PAYLOAD_MAX_BYTES {
            return Err(FunctionError::EventTooLarge { bytes: event.len() });
        }
        match &self.0 {
            Backend::Processes(pool) => pool.invoke(event).await,
            Backend::Remote(remote) => remote.invoke(event).await,
        }
    }

    /// What it has used so far; nothing for a remote function, which is its owner's to measure.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match &self.0 {
            Backend::Processes(pool) => pool.usage(),
            Backend::Remote(_) => Usage::default(),
        }
    }

    /// Kills every process and waits until none is left. Running and waiting invocations end with
    /// [`FunctionError::Stopped`], and so does every later one. A remote function is its owner's to stop.
    pub async fn stop(&self) {
        if let Backend::Processes(pool) = &self.0 {
            pool.stop().await;
        }
    }
}

/// What Lambda would bill a function by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How often it was invoked.
    pub invocations: u64,
    /// How long it ran, starts included, each rounded up to a millisecond
    /// (<https://aws.amazon.com/lambda/pricing/>).
    pub billed: Duration,
}

/// Why an invocation has no response. Each but the last three reaches an AWS caller as `X-Amz-Function-Error`.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The function itself answered with an error: it returned one, or it panicked.
    #[error("{error_type}: {message}")]
    Reported {
        /// The runtime's name for the kind of error.
        error_type: String,
        /// What the function said.
        message: String,
    },
    /// The time limit passed; the process was killed.
    #[error("Sandbox.Timedout: no answer within {} s", .timeout.as_secs_f64())]
    TimedOut {
        /// The function's time limit.
        timeout: Duration,
    },
    /// The process died while it held the invocation.
    #[error("Runtime.ExitError: the process ended ({status}) before it answered")]
    Exited {
        /// How it ended, as the operating system tells it.
        status: String,
    },
    /// No process could be brought to the point where it asks for an invocation.
    #[error("the function did not start: {reason}")]
    Init {
        /// What kept it from starting.
        reason: String,
    },
    /// The response was broken off, or is larger than [`PAYLOAD_MAX_BYTES`].
    #[error("the response could not be taken: {reason}")]
    Response {
        /// What was wrong with it.
        reason: String,
    },
    /// The event is larger than [`PAYLOAD_MAX_BYTES`]; the function never saw it.
    #[error("an event of {bytes} bytes is too large to invoke a function with")]
    EventTooLarge {
        /// The event's size.
        bytes: usize,
    },
    /// A remote function's endpoint could not be reached, or did not answer as one.
    #[error("the function's endpoint did not answer")]
    Unreachable(#[source] reqwest::Error),
    /// The function was stopped.
    #[error("the function was stopped")]
    Stopped,
}

impl FunctionError {
    /// From the error document that a runtime posts and an invoker gets. That the function failed is certain whatever the
    /// document holds, so one that cannot be read only leaves the words empty.
    fn reported(document: &[u8]) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct ErrorDocument {
            error_type: String,
            error_message: String,
        }
        let document: ErrorDocument = serde_json::from_slice(document).unwrap_or_default();
        Self::Reported {
            error_type: document.error_type,
            message: document.error_message,
        }
    }
}
