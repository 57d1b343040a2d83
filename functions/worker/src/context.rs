//! What work gets besides its arguments.

#[cfg(test)]
pub(crate) mod test;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shared::aws::{self, Aws};
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::limits::{
    PROGRESS_MESSAGE_CHARS_MAX, WORKER_TIMEOUT_SECS_DEFAULT, attempt_secs_max,
};
use shared::domain::network::AllowedNetworks;
use shared::domain::operation::Progress;
use shared::domain::time::Timestamp;
use shared::outbound::{Resolve, SystemResolver};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Progress is rounded to a millionth: DynamoDB refuses very small numbers.
const PROGRESS_STEPS: f64 = 1e6;

/// The attempt that work runs in. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    attempt: u32,
    deadline: Timestamp,
    aborted: watch::Receiver<bool>,
    report: Arc<dyn Fn(Report) + Send + Sync>,
    clients: Arc<Clients>,
    clock: Arc<dyn Clock>,
}

/// A report of progress.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) fraction: f64,
    pub(crate) message: Option<String>,
}

impl Report {
    pub(crate) fn made_at(self, at: Timestamp) -> Progress {
        let Self { fraction, message } = self;
        Progress {
            fraction,
            message,
            at,
        }
    }
}

impl Context {
    /// `report` receives each report as it is made, and must not block.
    pub(crate) fn new(
        attempt: u32,
        deadline: Timestamp,
        aborted: watch::Receiver<bool>,
        report: impl Fn(Report) + Send + Sync + 'static,
        clients: Arc<Clients>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            attempt,
            deadline,
            aborted,
            report: Arc::new(report),
            clients,
            clock,
        }
    }

    /// The context of work that runs without an operation: in its first attempt, and never aborted.
    /// `report` receives the fraction and the message of each report. The time is the longest that
    /// an attempt has by default; [`run_by_name`](crate::run_by_name) gives each leg the function's.
    #[must_use]
    pub fn detached(
        environment: Environment,
        clock: Arc<dyn Clock>,
        report: impl Fn(f64, &str) + Send + Sync + 'static,
    ) -> Self {
        let (_, never_aborted) = watch::channel(false);
        let longest = Duration::from_secs(attempt_secs_max(WORKER_TIMEOUT_SECS_DEFAULT).into());
        Self::new(
            1,
            clock.now() + longest,
            never_aborted,
            move |made| report(made.fraction, made.message.as_deref().unwrap_or_default()),
            Arc::new(Clients::new(environment)),
            clock,
        )
    }

    /// The context of a leg that begins now, of work that runs without an operation.
    pub(crate) fn of_leg(&self, attempt_timeout: Duration) -> Self {
        Self {
            deadline: self.clock.now() + attempt_timeout,
            ..self.clone()
        }
    }

    /// The attempt's number, from 1; of long work, within its leg.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the attempt is aborted, unless its work has ended.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// How long the attempt still has. Work that would take longer saves a state and continues.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.since(self.clock.now())
    }

    /// Reports progress: a fraction from 0 to 1, and a message of up to 1,000 characters; longer
    /// text is cut. It costs the work nothing: the worker writes the latest report at most once a
    /// second.
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

    /// Whether the attempt was aborted: by a cancel, by a time limit, or because its lease was
    /// lost. What work returns after that is discarded. Work that awaits is dropped by then. Work
    /// that computes for long must check this regularly: if it is still running five seconds after
    /// its abort, the worker process exits.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        *self.aborted.borrow()
    }

    /// Completes when the attempt is aborted.
    pub async fn aborted(&self) {
        let mut aborted = self.aborted.clone();
        if aborted.wait_for(|aborted| *aborted).await.is_err() {
            // The sender is gone, so nothing can abort the attempt any more.
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits by the attempt's clock, which tests control.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    /// Clients that live as long as the process.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }
}

/// Clients for work to use, built on first use and kept for the process. A client that a function
/// needs gets a field here.
///
/// Attempts share connections, one after another and within a batch. Each attempt has its own
/// runtime, which ends with it, so the process's runtime drives what a client sends. That runtime
/// does not run between two invocations: an idle connection may be frozen; a request may not, and
/// ends with the work that made it.
#[derive(Debug)]
pub struct Clients {
    environment: Environment,
    /// The runtime that [`Clients::new`] was called in. Without one, the caller's runtime drives
    /// what it sends.
    runtime: Option<Handle>,
    names: Arc<dyn Resolve>,
    aws: OnceLock<Aws>,
}

impl Clients {
    /// Clients with these settings, driven by the runtime that this is called in.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        let runtime = Handle::try_current().ok();
        let names = runtime.clone().map(SystemResolver::on);
        Self {
            environment,
            runtime,
            names: Arc::new(names.unwrap_or_default()),
            aws: OnceLock::new(),
        }
    }

    /// The resolver of names in callers' URLs.
    pub(crate) fn names(&self) -> Arc<dyn Resolve> {
        Arc::clone(&self.names)
    }

    #[cfg(test)]
    pub(crate) fn with_names(self, names: Arc<dyn Resolve>) -> Self {
        Self { names, ..self }
    }

    pub(crate) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The networks besides the public ones that work may read callers' files from.
    ///
    /// # Errors
    ///
    /// When the setting is not valid.
    pub(crate) fn file_networks(&self) -> Result<AllowedNetworks, SettingError> {
        self.environment.allowed_networks("FILE_ALLOWED_NETWORKS")
    }

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
