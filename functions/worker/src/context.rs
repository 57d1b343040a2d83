//! What work gets besides its arguments.

#[cfg(test)]
pub(crate) mod test;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shared::aws::{self, Aws};
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::limits::{INVOCATION_MARGIN, PROGRESS_MESSAGE_CHARS_MAX, WORKER_TIMEOUT_SECS};
use shared::domain::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Progress is kept to a millionth: nobody sees more, and DynamoDB refuses numbers that are very small.
const PROGRESS_STEPS: f64 = 1e6;

/// What work knows of its attempt, and says about it. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    attempt: u32,
    deadline: Timestamp,
    cancelled: watch::Receiver<bool>,
    report: Arc<dyn Fn(Report) + Send + Sync>,
    clients: Arc<Clients>,
    clock: Arc<dyn Clock>,
}

/// What work said last of its progress.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) fraction: f64,
    pub(crate) message: Option<String>,
}

impl Context {
    /// `report` is given each report as it is made, and must not wait.
    pub(crate) fn new(
        attempt: u32,
        deadline: Timestamp,
        cancelled: watch::Receiver<bool>,
        report: impl Fn(Report) + Send + Sync + 'static,
        clients: Arc<Clients>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            attempt,
            deadline,
            cancelled,
            report: Arc::new(report),
            clients,
            clock,
        }
    }

    /// The context of work that nobody holds an operation for: the only attempt, with as much time as an attempt can have,
    /// which nobody cancels. `report` is given each report's fraction and message.
    #[must_use]
    pub fn detached(
        environment: Environment,
        clock: Arc<dyn Clock>,
        report: impl Fn(f64, &str) + Send + Sync + 'static,
    ) -> Self {
        let (_, never_cancelled) = watch::channel(false);
        Self::new(
            1,
            clock.now() + Duration::from_secs(u64::from(WORKER_TIMEOUT_SECS)) - INVOCATION_MARGIN,
            never_cancelled,
            move |said| report(said.fraction, said.message.as_deref().unwrap_or_default()),
            Arc::new(Clients::new(environment)),
            clock,
        )
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the attempt will be ended, if it has not by itself.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Says how far the work has come, from 0 to 1, and what it is at (1,000 characters; longer text is cut). Costs nothing
    /// here: at most once a second the latest is written, by the one that holds the operation.
    pub fn progress(&self, fraction: f64, message: &str) {
        if fraction.is_nan() {
            return;
        }
        let message: String = message.chars().take(PROGRESS_MESSAGE_CHARS_MAX).collect();
        let report = Report {
            fraction: (fraction.clamp(0.0, 1.0) * PROGRESS_STEPS).round() / PROGRESS_STEPS,
            message: (!message.is_empty()).then_some(message),
        };
        (self.report)(report);
    }

    /// Whether nobody wants the result any more. Work that awaits is dropped by itself then; work that computes for long
    /// should ask now and then, or the process has to be ended for it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Completes when nobody wants the result any more.
    pub async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            // Nobody is left who could.
            std::future::pending::<()>().await;
        }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits by the attempt's own clock, which a test moves by hand.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    /// Clients that are built once for the process.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }
}

/// Clients for work's own use, built when first asked for and kept for the process. A client that a function needs gets its
/// field here.
///
/// Connections are kept from attempt to attempt, and so are neighbours' of one batch. Each attempt has its own runtime, which
/// ends with it, so what a client sends is driven by the process's, which lasts. It rests between two invocations: a kept
/// connection may be frozen, a request may not, and ends with the work that made it.
#[derive(Debug)]
pub struct Clients {
    environment: Environment,
    /// The runtime that [`Clients::new`] was called in. Without one, what is sent is driven where it is awaited.
    runtime: Option<Handle>,
    aws: OnceLock<Aws>,
}

impl Clients {
    /// Clients with these settings, driven by the runtime that this is called in.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            runtime: Handle::try_current().ok(),
            aws: OnceLock::new(),
        }
    }

    /// AWS.
    ///
    /// # Errors
    ///
    /// When the environment has no region or credentials.
    pub fn aws(&self) -> Result<&Aws, SettingError> {
        if let Some(aws) = self.aws.get() {
            return Ok(aws);
        }
        let mut connector = aws::http_connector(&self.environment)?;
        if let Some(runtime) = &self.runtime {
            connector = aws::on_runtime(runtime.clone(), connector);
        }
        let aws = Aws::new(&self.environment, connector)?;
        Ok(self.aws.get_or_init(|| aws))
    }
}
