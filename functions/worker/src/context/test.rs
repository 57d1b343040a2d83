//! A context for tests of work. Its clock is manual, it records progress, and it can abort the
//! attempt at a chosen report.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::clock::{Clock as _, ManualClock};
use shared::config::Environment;
use shared::domain::time::Timestamp;
use shared::outbound::Resolve;
use tokio::sync::watch;

use super::{Clients, Context};

pub(crate) struct TestContext {
    pub(crate) clock: ManualClock,
    attempt: u32,
    time_left: Duration,
    environment: Environment,
    names: Option<Arc<dyn Resolve>>,
    abort_at: Option<usize>,
    advance_at: Option<(usize, Duration)>,
    abort: Arc<watch::Sender<bool>>,
    reports: Arc<Mutex<Vec<(f64, String)>>>,
}

impl TestContext {
    /// A first attempt.
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::new(Timestamp::from_secs(1_700_000_000)),
            attempt: 1,
            time_left: Duration::from_secs(3600),
            environment: Environment::default(),
            names: None,
            abort_at: None,
            advance_at: None,
            abort: Arc::new(watch::Sender::new(false)),
            reports: Arc::default(),
        }
    }

    pub(crate) fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// How long the attempt has.
    pub(crate) fn time_left(mut self, time_left: Duration) -> Self {
        self.time_left = time_left;
        self
    }

    pub(crate) fn with_settings<const N: usize>(
        mut self,
        settings: [(&'static str, &'static str); N],
    ) -> Self {
        self.environment = Environment::from_iter(settings);
        self
    }

    pub(crate) fn with_names(mut self, names: Arc<dyn Resolve>) -> Self {
        self.names = Some(names);
        self
    }

    /// Aborts the attempt at the `report`-th report, from 1.
    pub(crate) fn abort_at(mut self, report: usize) -> Self {
        self.abort_at = Some(report);
        self
    }

    /// So much time passes at the `report`-th report, from 1.
    pub(crate) fn advance_at(mut self, report: usize, duration: Duration) -> Self {
        self.advance_at = Some((report, duration));
        self
    }

    pub(crate) fn context(&self) -> Context {
        let (reports, abort, abort_at) = (
            Arc::clone(&self.reports),
            Arc::clone(&self.abort),
            self.abort_at,
        );
        let (clock, advance_at) = (self.clock.clone(), self.advance_at);
        let record = move |report: super::Report| {
            let mut reports = reports.lock().unwrap();
            reports.push((report.fraction, report.message.unwrap_or_default()));
            if Some(reports.len()) == abort_at {
                abort.send_replace(true);
            }
            if let Some((report, duration)) = advance_at
                && report == reports.len()
            {
                clock.advance(duration);
            }
        };
        let deadline = self.clock.now() + self.time_left;
        let clients = Clients::new(self.environment.clone());
        let clients = Arc::new(match &self.names {
            Some(names) => clients.with_names(Arc::clone(names)),
            None => clients,
        });
        Context::new(
            self.attempt,
            deadline,
            self.abort.subscribe(),
            record,
            clients,
            Arc::new(self.clock.clone()),
        )
    }

    /// The reports so far.
    pub(crate) fn reports(&self) -> Vec<(f64, String)> {
        self.reports.lock().unwrap().clone()
    }
}
