//! A context for tests of work. Its clock is manual, it records progress, and it can cancel at a
//! chosen report.

use std::sync::{Arc, Mutex};

use shared::clock::ManualClock;
use shared::config::Environment;
use shared::domain::time::Timestamp;
use tokio::sync::watch;

use super::{Clients, Context};

pub(crate) struct TestContext {
    pub(crate) clock: ManualClock,
    attempt: u32,
    cancel_at: Option<usize>,
    cancel: Arc<watch::Sender<bool>>,
    reports: Arc<Mutex<Vec<(f64, String)>>>,
}

impl TestContext {
    /// A first attempt.
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::new(Timestamp::from_secs(1_700_000_000)),
            attempt: 1,
            cancel_at: None,
            cancel: Arc::new(watch::Sender::new(false)),
            reports: Arc::default(),
        }
    }

    pub(crate) fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Cancels at the `report`-th report, from 1.
    pub(crate) fn cancel_at(mut self, report: usize) -> Self {
        self.cancel_at = Some(report);
        self
    }

    pub(crate) fn context(&self) -> Context {
        let (reports, cancel, cancel_at) = (
            Arc::clone(&self.reports),
            Arc::clone(&self.cancel),
            self.cancel_at,
        );
        let record = move |report: super::Report| {
            let mut reports = reports.lock().unwrap();
            reports.push((report.fraction, report.message.unwrap_or_default()));
            if Some(reports.len()) == cancel_at {
                cancel.send_replace(true);
            }
        };
        let deadline = Timestamp::from_secs(1_700_003_600);
        let clients = Arc::new(Clients::new(Environment::default()));
        Context::new(
            self.attempt,
            deadline,
            self.cancel.subscribe(),
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
