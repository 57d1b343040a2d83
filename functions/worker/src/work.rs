//! The work of the functions that the catalogue lists. To add one: a file beside this one and a line in `RUNNERS`.

mod csv_summarize;
mod demo;

use std::pin::Pin;

use serde::Serialize;
use shared::catalogue::{
    ArgumentFault, Catalogue, Entry, Function, csv_summarize::CsvSummarize, demo as demo_functions,
    read_arguments,
};
use shared::domain::attempt::NotDeployed;
use shared::domain::json::Json;
use shared::domain::operation::{FailureCode, OperationError};
use shared::queue::Dispatch;
use shared::schema::Validators;

use crate::context::Context;

/// All work, in the catalogue's order.
static RUNNERS: &[Runner] = &[
    Runner::of::<CsvSummarize>(),
    Runner::of::<demo_functions::Echo>(),
    Runner::of::<demo_functions::Countdown>(),
    Runner::of::<demo_functions::Fail>(),
];

/// A function's work.
///
/// It runs on a thread and an async runtime of its own, so it may compute without awaiting and its future need not be `Send`.
/// Everything that it spawned on that runtime ends with it. It may be run more than once for one operation.
#[expect(
    async_fn_in_trait,
    reason = "called through `Runner` only, on one thread"
)]
pub trait Work: Function {
    /// Does it.
    ///
    /// # Errors
    ///
    /// What the operation fails with: at once, or after its attempts are used up.
    async fn run(args: Self::Args, context: Context) -> Result<Self::Output, WorkError>;
}

/// Why work failed.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkError {
    pub(crate) error: OperationError,
    pub(crate) retryable: bool,
}

impl WorkError {
    /// Another attempt would fail in the same way.
    #[must_use]
    pub fn permanent(code: &str, message: &str) -> Self {
        Self {
            error: OperationError::new(code, message, None),
            retryable: false,
        }
    }

    /// Another attempt may succeed.
    #[must_use]
    pub fn retryable(code: &str, message: &str) -> Self {
        Self {
            error: OperationError::new(code, message, None),
            retryable: true,
        }
    }

    /// With details for the caller, of at most 4 KiB of JSON; larger ones, or ones without a JSON form, are left out.
    #[must_use]
    pub fn with_details(self, details: &impl Serialize) -> Self {
        let OperationError { code, message, .. } = self.error;
        Self {
            error: OperationError::new(&code, &message, Json::of(details).ok()),
            ..self
        }
    }

    /// What the caller will see of it.
    #[must_use]
    pub const fn error(&self) -> &OperationError {
        &self.error
    }
}

/// Work with its types taken off: JSON in, JSON out.
pub struct Runner {
    pub(crate) entry: Entry,
    pub(crate) run: fn(Json, Context) -> Running,
}

/// The work that a worker knows.
#[derive(Clone, Copy)]
pub(crate) struct Runners {
    runners: &'static [Runner],
    demo: bool,
}

type Running = Pin<Box<dyn Future<Output = Result<Json, WorkError>>>>;

impl Runner {
    /// The work of one function.
    #[must_use]
    pub const fn of<W: Work + 'static>() -> Self {
        Self {
            entry: Entry::of::<W>(),
            run: |arguments, context| Box::pin(run::<W>(arguments, context)),
        }
    }
}

impl Runners {
    /// All work, with the demonstration functions' or without.
    pub(crate) const fn new(demo: bool) -> Self {
        Self {
            runners: RUNNERS,
            demo,
        }
    }

    /// This work and no other.
    pub(crate) const fn only(runners: &'static [Runner]) -> Self {
        Self {
            runners,
            demo: true,
        }
    }

    /// The work of exactly this version of a function.
    pub(crate) fn find(self, name: &str, version: &str) -> Result<&'static Runner, NotDeployed> {
        let mut versions = self
            .runners
            .iter()
            .filter(|runner| runner.entry.name == name && (self.demo || !runner.entry.demo))
            .peekable();
        if versions.peek().is_none() {
            return Err(NotDeployed::Function);
        }
        versions
            .find(|runner| runner.entry.version == version)
            .ok_or(NotDeployed::Version)
    }

    pub(crate) fn find_for(self, message: &Dispatch) -> Result<&'static Runner, NotDeployed> {
        self.find(&message.function, &message.function_version)
    }
}

async fn run<W: Work>(arguments: Json, context: Context) -> Result<Json, WorkError> {
    // Submit has checked them against the type that it knew, which may have been another version of the code.
    let args = read_arguments::<W>(&arguments).map_err(|fault| invalid_arguments(&[fault]))?;
    let output = W::run(args, context).await?;
    Json::of(&output).map_err(|_| {
        WorkError::permanent(
            FailureCode::InternalError.as_str(),
            "the result has no JSON form",
        )
    })
}

fn invalid_arguments(faults: &[ArgumentFault]) -> WorkError {
    let faults = faults
        .iter()
        .map(|ArgumentFault { pointer, detail }| format!("/arguments{pointer} {detail}"));
    WorkError::permanent("INVALID_ARGUMENTS", &faults.collect::<Vec<_>>().join("; "))
}

/// Runs a function by its name, in its latest stable version, without queue or store. Arguments are checked as a submit checks
/// them.
///
/// # Errors
///
/// When there is none, when it is not called in this way, or when it fails.
pub async fn run_by_name(name: &str, arguments: Json, context: Context) -> Result<Json, WorkError> {
    let not_found = || {
        WorkError::permanent(
            FailureCode::FunctionNotFound.as_str(),
            &format!("there is no function {name}"),
        )
    };
    let entry = Catalogue::new(true).find(name, None);
    let entry = entry.map_err(|_| not_found())?;
    let runner = Runners::new(true).find(entry.name, entry.version);
    let runner = runner.map_err(|_| not_found())?;
    if !arguments.is_object() {
        let detail = "must be an object".to_owned();
        let pointer = String::new();
        return Err(invalid_arguments(&[ArgumentFault { pointer, detail }]));
    }
    Validators::default()
        .check(entry, &arguments)
        .map_err(|faults| invalid_arguments(&faults))?;
    (runner.run)(arguments, context).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function stands in the catalogue and its work here: neither may be missing.
    #[test]
    fn the_catalogue_and_the_work_are_the_same_list() {
        let listed: Vec<_> = Catalogue::new(true)
            .entries()
            .map(|entry| (entry.name, entry.version))
            .collect();
        let worked: Vec<_> = RUNNERS
            .iter()
            .map(|runner| (runner.entry.name, runner.entry.version))
            .collect();
        assert_eq!(listed, worked);
    }
}
