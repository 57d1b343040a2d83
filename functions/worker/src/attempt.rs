//! One attempt: from the claim to its recorded outcome.
//!
//! While the work runs on its own thread, this is the one writer for the operation: heartbeats, progress and the outcome come
//! one after the other and never race each other. Once a write is refused the operation is somebody else's, and from then on
//! neither its lease nor its message is touched.

mod outcome;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared::domain::limits::{
    ABORT_GRACE, HEARTBEATS_PER_LEASE, INVOCATION_MARGIN, PROGRESS_INTERVAL,
};
use shared::domain::operation::{FailureCode, Operation, OperationError, Progress};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::{Dispatch, QueueError};
use shared::store::{Held, Renewed, StoreError};
use shared::telemetry::chain;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Worker;
use crate::attempt::outcome::Outcome;
use crate::context::{Context, Report};
use crate::thread::{self, Ended};
use crate::work::Runner;

/// How the holding of an operation ended.
enum Holding {
    /// The work ended by itself.
    Ended(Ended),
    /// The attempt's time ran out: its own, the operation's or the invocation's.
    OutOfTime,
    /// The operation's owner cancelled it.
    Cancelled,
    /// Another worker took the operation over, or its record is gone.
    Lost,
}

impl Worker {
    pub(crate) async fn attempt(
        &self,
        record: &Record,
        message: &Dispatch,
        runner: &'static Runner,
        held: Held,
        invocation_deadline: Timestamp,
    ) -> Disposition {
        let operation = held.operation();
        // As long as the lease lasts: the attempt is counted already, and would be wasted.
        let arguments = match self
            .retry_while_unavailable(|| Box::pin(self.store.arguments(operation)))
            .await
        {
            Ok(arguments) => arguments,
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!("{}", chain(&error));
                let error =
                    OperationError::of(FailureCode::InternalError, "the arguments cannot be read");
                let outcome = Outcome::FailedForNow(error);
                return self
                    .record_outcome(record, message, runner, &held, outcome)
                    .await;
            }
            Err(error) => return self.return_after_error(record, message, &error).await,
        };
        let deadline = (self.clock.now() + runner.entry.attempt_timeout)
            .min(operation.deadline_at)
            .min(invocation_deadline - INVOCATION_MARGIN);
        let (abort, aborted) = watch::channel(false);
        let (reporter, reports) = watch::channel(None);
        let context = Context::new(
            operation.attempt,
            deadline,
            aborted.clone(),
            move |report| {
                reporter.send_replace(Some(report));
            },
            Arc::clone(&self.clients),
            Arc::clone(&self.clock),
        );
        let began_at = self.clock.now();
        let mut ended = thread::start(runner, arguments, context, aborted);

        let holding = self
            .hold(record, &held, &mut ended, reports, deadline)
            .await;

        abort.send_replace(true);
        let outcome = match holding {
            Holding::Ended(ended) => Outcome::of(ended),
            Holding::OutOfTime => {
                // The operation's deadline is its caller's to choose; the others are this version's.
                self.join(&mut ended, deadline == operation.deadline_at)
                    .await;
                Outcome::OutOfTime
            }
            Holding::Cancelled => {
                self.join(&mut ended, true).await;
                return lost(operation);
            }
            Holding::Lost => {
                // A version whose heartbeats come too late loses its leases to other workers.
                self.join(&mut ended, false).await;
                return lost(operation);
            }
        };
        let took = self.clock.now().since(began_at);
        metrics::time(Metric::WorkDuration(&operation.function), took);
        self.record_outcome(record, message, runner, &held, outcome)
            .await
    }

    /// Keeps lease and message until the work ends or must end.
    async fn hold(
        &self,
        record: &Record,
        held: &Held,
        ended: &mut JoinHandle<Ended>,
        mut reports: watch::Receiver<Option<Report>>,
        deadline: Timestamp,
    ) -> Holding {
        let heartbeat_interval = self.lease / HEARTBEATS_PER_LEASE;
        let mut shown = held.operation().progress.clone();
        // The claim's own time, from which its lease counts, and not that of its answer.
        let mut written_at = held.operation().updated_at;
        loop {
            // Seen or not, a report is written when its second has come.
            let report = reports.borrow_and_update().clone();
            let report = report.filter(|report| is_news(report, shown.as_ref()));
            let wait = if report.is_some() {
                PROGRESS_INTERVAL
            } else {
                heartbeat_interval
            };
            tokio::select! {
                biased;
                // The process's panic hook has told where a panic was; that it was is a failed attempt.
                ended = &mut *ended => return Holding::Ended(ended.unwrap_or(Ended::Panicked)),
                () = self.clock.sleep_until(deadline) => return Holding::OutOfTime,
                () = self.clock.sleep_until(written_at + wait.min(heartbeat_interval)) => {}
                Ok(()) = reports.changed() => continue,
            }
            let now = self.clock.now();
            let progress = report.map(|report| Progress {
                fraction: report.fraction,
                message: report.message,
                at: now,
            });
            match self.renew(record, held, progress.as_ref(), now).await {
                Ok(Renewed::Held) => shown = progress.or(shown),
                Ok(Renewed::Cancelled) => return Holding::Cancelled,
                Ok(Renewed::Lost) => return Holding::Lost,
                // What could not be said to the store is said again at the next heartbeat, progress as well. If the lease runs
                // out meanwhile and somebody else claims, the fence tells.
                Err(error) => {
                    tracing::warn!("lease not renewed: {}", chain(&error));
                }
            }
            written_at = now;
        }
    }

    /// Renews lease and message together, so that neither runs out before the other.
    async fn renew(
        &self,
        record: &Record,
        held: &Held,
        progress: Option<&Progress>,
        now: Timestamp,
    ) -> Result<Renewed, StoreError> {
        let renewed = self.store.renew(held, self.lease, progress, now).await;
        if matches!(renewed, Ok(Renewed::Cancelled | Renewed::Lost)) {
            return renewed;
        }
        if let Err(error) = self.extend_visibility_by_lease(record).await {
            tracing::warn!("message not hidden for longer: {}", chain(&error));
        }
        renewed
    }

    /// Hides a dispatch message until the lease that is begun or renewed with it is over.
    pub(crate) async fn extend_visibility_by_lease(
        &self,
        record: &Record,
    ) -> Result<(), QueueError> {
        let lease_secs = u32::try_from(self.lease.as_secs()).unwrap_or(u32::MAX);
        self.dispatch
            .change_visibility(&record.receipt_handle, lease_secs)
            .await
    }

    /// Waits for work that was told to end. Work that awaits ends at once; work that computes on is given a while, and then
    /// the process has to end, for its thread cannot be.
    async fn join(&self, ended: &mut JoinHandle<Ended>, is_caused_by_caller: bool) {
        tokio::select! {
            biased;
            _ = ended => {}
            () = self.clock.sleep_until(self.clock.now() + ABORT_GRACE) => {
                self.leaked.store(true, Ordering::Relaxed);
                self.leaked_by_itself
                    .fetch_or(!is_caused_by_caller, Ordering::Relaxed);
            }
        }
    }
}

/// An attempt that somebody else's write has ended: nothing is written and nothing acknowledged.
fn lost(operation: &Operation) -> Disposition {
    metrics::count(Metric::RaceLost);
    metrics::count(Metric::AttemptLost(&operation.function));
    tracing::info!("operation lost to a cancel or another worker");
    Disposition::Return
}

/// A poller never sees progress fall: a later attempt's smaller values are held back until they pass what was shown.
fn is_news(report: &Report, shown: Option<&Progress>) -> bool {
    shown.is_none_or(|shown| {
        report.fraction > shown.fraction
            || (report.fraction >= shown.fraction && report.message != shown.message)
    })
}
