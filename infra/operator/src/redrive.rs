//! Redrives many failed operations, after the fault that made them fail was repaired.
//!
//! Each one is redriven as its owner could do it, with the same audit record. One that was redriven
//! before is not redriven again, so a run can be interrupted and repeated, also while the functions
//! run.

use std::sync::Arc;

use shared::clock::Clock;
use shared::domain::id::OperationId;
use shared::domain::operation::Operation;
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::operations::{Error, RedriveOutcome, RedriveRequest, Submissions};
use shared::store::{Store, StoreError};

use crate::pace::Pace;

/// Items in one request: fewer than `requeue` reads, since each may be redriven before the next
/// page is read.
const PAGE_ITEMS_MAX: u32 = 200;

pub struct Redrive {
    pub store: Store,
    pub submissions: Submissions,
    pub clock: Arc<dyn Clock>,
    pub filter: Filter,
    pub request: RedriveRequest,
    /// Pages and redrives a second; at least 1.
    pub per_second: u16,
    /// Whether to report only, and change nothing.
    pub dry_run: bool,
}

/// The operations that are redriven.
#[derive(Debug, Clone)]
pub struct Filter {
    pub function: String,
    /// Every version, unless named.
    pub version: Option<String>,
    /// Those that failed at this time or later.
    pub since: Timestamp,
    /// Those that have an error with this code.
    pub code: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Items that were read, of every kind.
    pub examined: usize,
    /// Operations that the filter selects.
    pub selected: usize,
    /// Redrives that were created.
    pub created: usize,
    /// Operations that had been redriven before.
    pub before: usize,
    /// Operations that cannot be redriven.
    pub refused: usize,
    /// Records that cannot be read.
    pub unreadable: usize,
}

/// What a run reports on its way.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The filter selects this operation.
    Selected(&'a Operation),
    /// It cannot be redriven, for this reason.
    Refused(&'a OperationId, String),
    Unreadable(&'a StoreError),
    /// A page is done. The counts are those of all pages so far.
    Page(&'a Redriven),
}

impl Filter {
    /// `until` is when the run began: what failed later may be one of its own redrives, which would
    /// otherwise be redriven again and again.
    fn selects(&self, operation: &Operation, until: Timestamp) -> bool {
        let errors = operation.errors().unwrap_or_default();
        let version = self.version.as_ref();
        let failed_at = operation.ended_at();
        operation.function == self.function
            && version.is_none_or(|version| *version == operation.function_version)
            && failed_at.is_some_and(|at| (self.since..=until).contains(&at))
            // Workers' clocks may lag; a redrive's creation has this one's.
            && operation.created_at <= until
            && errors.iter().any(|error| error.code == self.code)
    }
}

impl Redriven {
    /// Whether every operation that the filter selects has a redrive.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.refused == 0 && self.unreadable == 0
    }
}

impl Redrive {
    /// Reads the whole table, and redrives what the filter selects page by page.
    ///
    /// # Errors
    ///
    /// When the table or the queue cannot be reached. What was redriven by then stays redriven, and
    /// a repeated run continues.
    pub async fn run(&self, report: &mut dyn FnMut(Progress<'_>)) -> Result<Redriven, Error> {
        let until = self.clock.now();
        let mut pace = Pace::new(Arc::clone(&self.clock), self.per_second);
        let mut redriven = Redriven::default();
        let mut from = None;
        loop {
            pace.turn().await;
            let now = self.clock.now();
            let scanned = self.store.scan_operations(PAGE_ITEMS_MAX, from, now);
            let scanned = scanned.await?;
            redriven.examined += scanned.examined;
            for operation in &scanned.operations {
                match operation {
                    Ok(operation) if self.filter.selects(operation, until) => {
                        redriven.selected += 1;
                        report(Progress::Selected(operation));
                        if !self.dry_run {
                            pace.turn().await;
                            self.redrive(operation, &mut redriven, report).await?;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        redriven.unreadable += 1;
                        report(Progress::Unreadable(error));
                    }
                }
            }
            report(Progress::Page(&redriven));
            from = scanned.next;
            if from.is_none() {
                return Ok(redriven);
            }
        }
    }

    async fn redrive(
        &self,
        failed: &Operation,
        redriven: &mut Redriven,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Error> {
        let (id, owner) = (&failed.id, &failed.owner);
        let outcome = self
            .submissions
            .redrive(id, owner, &Preconditions::NONE, &self.request)
            .await;
        let reason = match outcome {
            Ok(RedriveOutcome::New(_)) => {
                redriven.created += 1;
                return Ok(());
            }
            // With another `from` as well: it runs, or has run.
            Ok(RedriveOutcome::Replayed(_) | RedriveOutcome::Conflict(_)) => {
                redriven.before += 1;
                return Ok(());
            }
            // Erased or expired since its page was read.
            Ok(RedriveOutcome::Absent) => {
                redriven.selected -= 1;
                return Ok(());
            }
            Ok(RedriveOutcome::NotFailed(status)) => format!("it is {status}"),
            Ok(RedriveOutcome::TooLate) => "it is kept for its callback only".to_owned(),
            Ok(RedriveOutcome::NoState) => "it saved no state".to_owned(),
            Ok(RedriveOutcome::Missing(payload)) => format!("its {payload} cannot be read"),
            Ok(RedriveOutcome::Refused(error)) => {
                format!("a submit would get {}", error.code().as_str())
            }
            Ok(RedriveOutcome::PreconditionFailed | RedriveOutcome::Unavailable) => {
                "it changed during the run".to_owned()
            }
            Err(Error::Store(
                error @ (StoreError::Corrupt { .. } | StoreError::NewerFormat { .. }),
            )) => error.to_string(),
            Err(error) => return Err(error),
        };
        redriven.refused += 1;
        report(Progress::Refused(id, reason));
        Ok(())
    }
}
