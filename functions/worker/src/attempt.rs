//! One attempt: from the claim to its recorded outcome.
//!
//! While the work runs on its own thread, this is the only writer for the operation: heartbeats,
//! progress and the outcome are written one after the other and never race each other. Once a write
//! is refused, another process has changed the operation, and from then on neither its lease nor
//! its message is touched.

mod outcome;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared::domain::attempt::AttemptOutcome;
use shared::domain::json::Json;
use shared::domain::limits::{
    ABORT_GRACE, HEARTBEATS_PER_LEASE, INVOCATION_MARGIN, PROGRESS_INTERVAL,
};
use shared::domain::operation::{FailureCode, Operation, OperationError, Progress};
use shared::domain::time::Timestamp;
use shared::lambda::Disposition;
use shared::metrics::{self, Metric};
use shared::store::{Held, RenewOutcome, StoreError};
use shared::telemetry::chain;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Handler;
use crate::context::{Context, Report};
use crate::received::{INSPECT_AGAIN_SECS, ReceivedDispatch};
use crate::target::{self, document};
use crate::thread::{self, WorkEnd};
use crate::work::Deployed;

/// Why a worker stopped holding an operation.
enum HoldEnd {
    /// The work ended by itself.
    WorkEnded(WorkEnd),
    /// The time of the attempt, the operation or the invocation ran out.
    TimedOut,
    /// The operation's owner cancelled it.
    Cancelled,
    /// Another worker claimed the operation, or its record is gone.
    Lost,
}

/// Why an attempt was aborted. Decides whether an exit for work that ignores its abort counts as
/// the caller's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AbortCause {
    /// The caller's cancel or deadline.
    Caller,
    /// A limit of this release of the worker, or its late heartbeats.
    Release,
}

/// What the work reports.
struct Reported {
    reports: watch::Receiver<Option<Report>>,
    /// The greatest progress so far, of this and earlier attempts.
    greatest: Option<Progress>,
    /// Whether the record certainly has it.
    is_written: bool,
}

/// What an operation's work gets.
struct Input {
    arguments: Json,
    /// For a target that gets it.
    metadata: Option<Json>,
    /// What the last leg saved.
    state: Option<Json>,
}

impl Handler {
    pub(crate) async fn attempt(
        &self,
        received: &ReceivedDispatch<'_>,
        deployed: Deployed,
        mut held: Held,
        invocation_deadline: Timestamp,
    ) -> Disposition {
        let (operation, entry) = (held.operation(), deployed.entry());
        let lease_until = operation.updated_at + self.lease;
        let input = match self.input(deployed, operation, lease_until).await {
            Ok(input) => input,
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!("the attempt fails: {}", chain(&error));
                let error = OperationError::of(
                    FailureCode::InternalError,
                    "the operation's payload cannot be read",
                );
                let outcome = AttemptOutcome::RetryableFailure(error);
                return self.record_outcome(received, entry, &held, outcome).await;
            }
            Err(error) => return received.return_after_error(&error).await,
        };
        // The last read may have succeeded after the lease: another worker may hold the operation.
        if self.clock.now() >= lease_until {
            tracing::warn!("attempt not started: its lease passed while its input was read");
            return received.return_after(INSPECT_AGAIN_SECS).await;
        }
        let deadline = (self.clock.now() + entry.attempt_timeout)
            .min(operation.deadline_at)
            .min(invocation_deadline - INVOCATION_MARGIN);
        let (abort, aborted) = watch::channel(false);
        let (sender, reports) = watch::channel(None);
        let began_at = self.clock.now();
        let mut work = match deployed {
            Deployed::Compiled(runner) => {
                let context = Context::new(
                    operation.leg_attempt(),
                    deadline,
                    aborted.clone(),
                    move |report| {
                        sender.send_replace(Some(report));
                    },
                    Arc::clone(&self.clients),
                    Arc::clone(&self.clock),
                );
                thread::start(runner, input.arguments, input.state, context, aborted)
            }
            Deployed::Registered(_, target) => {
                let input = target::Input {
                    arguments: &input.arguments,
                    metadata: input.metadata.as_ref(),
                    state: input.state.as_ref(),
                };
                let document = document(target, &operation.into(), &input, deadline, began_at);
                self.targets.start(target, document, deadline, aborted)
            }
        };

        let mut reported = Reported {
            reports,
            greatest: operation.progress.clone(),
            is_written: true,
        };
        let hold_end = self
            .hold(received, &held, &mut work, &mut reported, deadline)
            .await;

        abort.send_replace(true);
        let outcome = match hold_end {
            HoldEnd::WorkEnded(ended) => outcome::of_work(ended, entry.attempts_max),
            HoldEnd::TimedOut => {
                // The caller chose the operation's deadline; this release set the other two limits.
                let cause = if deadline == operation.deadline_at {
                    AbortCause::Caller
                } else {
                    AbortCause::Release
                };
                self.join_aborted(&mut work, cause).await;
                AttemptOutcome::TimedOut
            }
            HoldEnd::Cancelled => {
                self.join_aborted(&mut work, AbortCause::Caller).await;
                return abandon(operation);
            }
            HoldEnd::Lost => {
                // A release whose heartbeats come too late loses its leases to other workers.
                self.join_aborted(&mut work, AbortCause::Release).await;
                return abandon(operation);
            }
        };
        let now = self.clock.now();
        metrics::record_duration(
            Metric::WorkDuration(&operation.function),
            now.since(began_at),
        );
        reported.read(now);
        if let Some(greatest) = reported.greatest {
            held.set_progress(greatest);
        }
        self.record_outcome(received, entry, &held, outcome).await
    }

    /// Reads what the work gets. Retried until the lease ends: the claim has counted the attempt,
    /// which would be wasted.
    async fn input(
        &self,
        deployed: Deployed,
        operation: &Operation,
        lease_until: Timestamp,
    ) -> Result<Input, StoreError> {
        let arguments = self
            .retry_while_unavailable(lease_until, || Box::pin(self.store.arguments(operation)))
            .await?;
        let metadata = match deployed {
            Deployed::Registered(_, target) if target.send_metadata => {
                let now = self.clock.now();
                let read = self
                    .retry_while_unavailable(lease_until, || {
                        Box::pin(self.store.payloads(operation, now))
                    })
                    .await?;
                // Without payloads the operation is gone, which the next write finds.
                read.map(|payloads| payloads.metadata)
            }
            Deployed::Compiled(_) | Deployed::Registered(..) => None,
        };
        let state = self
            .retry_while_unavailable(lease_until, || Box::pin(self.store.saved_state(operation)))
            .await?;
        Ok(Input {
            arguments,
            metadata,
            state,
        })
    }

    /// Renews the operation's lease and hides its message until the work ends or must end.
    async fn hold(
        &self,
        received: &ReceivedDispatch<'_>,
        held: &Held,
        work: &mut JoinHandle<WorkEnd>,
        reported: &mut Reported,
        deadline: Timestamp,
    ) -> HoldEnd {
        let heartbeat_interval = self.lease / HEARTBEATS_PER_LEASE;
        // The claim's time, not its response's: the lease runs from it.
        let mut written_at = held.operation().updated_at;
        loop {
            reported.read(self.clock.now());
            let wait = if reported.is_written {
                heartbeat_interval
            } else {
                PROGRESS_INTERVAL
            };
            tokio::select! {
                biased;
                // The process's panic hook has logged where a panic was. Here it is a failed
                // attempt.
                ended = &mut *work => return HoldEnd::WorkEnded(ended.unwrap_or(WorkEnd::Panicked)),
                () = self.clock.sleep_until(deadline) => return HoldEnd::TimedOut,
                () = self.clock.sleep_until(written_at + wait.min(heartbeat_interval)) => {}
                Ok(()) = reported.reports.changed() => continue,
            }
            let now = self.clock.now();
            let progress = reported.unwritten();
            match self.renew(received, held, progress, now).await {
                Ok(RenewOutcome::Held) => reported.is_written = true,
                Ok(RenewOutcome::Cancelled) => return HoldEnd::Cancelled,
                Ok(RenewOutcome::Lost) => return HoldEnd::Lost,
                // The next heartbeat writes it again, with the progress. If the lease runs out
                // meanwhile and another worker claims the operation, the fencing token reveals
                // that.
                Err(error) => {
                    tracing::warn!(
                        "lease not renewed; the next heartbeat tries again: {}",
                        chain(&error)
                    );
                }
            }
            written_at = now;
        }
    }

    /// Renews lease and message together, so that neither runs out before the other.
    async fn renew(
        &self,
        received: &ReceivedDispatch<'_>,
        held: &Held,
        progress: Option<&Progress>,
        now: Timestamp,
    ) -> Result<RenewOutcome, StoreError> {
        let renewed = self.store.renew(held, self.lease, progress, now).await;
        if matches!(renewed, Ok(RenewOutcome::Cancelled | RenewOutcome::Lost)) {
            return renewed;
        }
        if let Err(error) = received.extend_visibility(self.lease).await {
            tracing::warn!(
                "the message's visibility was not extended; the next heartbeat tries again: {}",
                chain(&error)
            );
        }
        renewed
    }

    /// Waits for work that was aborted. Work that awaits ends at once. Work that goes on computing
    /// gets [`ABORT_GRACE`]; after that the process must end, since a thread cannot be ended.
    async fn join_aborted(&self, work: &mut JoinHandle<WorkEnd>, cause: AbortCause) {
        tokio::select! {
            biased;
            _ = work => {}
            () = self.clock.sleep_until(self.clock.now() + ABORT_GRACE) => {
                self.has_stuck_work.store(true, Ordering::Relaxed);
                self.release_has_stuck_work
                    .fetch_or(cause == AbortCause::Release, Ordering::Relaxed);
            }
        }
    }
}

/// Ends an attempt whose operation another process changed: writes and acknowledges nothing.
fn abandon(operation: &Operation) -> Disposition {
    metrics::count(Metric::RaceLost);
    metrics::count(Metric::AttemptLost(&operation.function));
    tracing::info!("attempt abandoned: the operation was cancelled, or another worker claimed it");
    Disposition::Return
}

impl Reported {
    /// Takes the latest report if it is progress. A poller never sees progress fall: the smaller
    /// values of a later attempt are held back until they pass what an earlier one has reported.
    fn read(&mut self, now: Timestamp) {
        let report = self.reports.borrow_and_update().clone();
        let is_progress = |report: &Report| {
            self.greatest.as_ref().is_none_or(|greatest| {
                report.fraction > greatest.fraction
                    || (report.fraction >= greatest.fraction && report.message != greatest.message)
            })
        };
        if let Some(report) = report.filter(is_progress) {
            self.greatest = Some(report.made_at(now));
            self.is_written = false;
        }
    }

    fn unwritten(&self) -> Option<&Progress> {
        self.greatest.as_ref().filter(|_| !self.is_written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_does_not_fall_after_a_write_that_may_have_failed() {
        let now = Timestamp::from_secs(1_800_000_000);
        let (sender, reports) = watch::channel(None);
        let mut reported = Reported {
            reports,
            greatest: None,
            is_written: true,
        };
        let fraction = |progress: Option<&Progress>| progress.map(|progress| progress.fraction);
        for (report, greatest) in [(0.5, 0.5), (0.3, 0.5), (0.6, 0.6)] {
            sender.send_replace(Some(Report {
                fraction: report,
                message: None,
            }));
            // Without an answer to the last write, it is written again.
            reported.read(now);
            assert_eq!(fraction(reported.unwritten()), Some(greatest));
        }
        reported.is_written = true;
        reported.read(now);
        assert_eq!(fraction(reported.unwritten()), None);
        assert_eq!(fraction(reported.greatest.as_ref()), Some(0.6));
    }
}
