//! The work of the functions that the catalogue lists. To add one: a file beside this one and a line in [`RUNNERS`].

mod csv_summarize;
mod demo;

use std::pin::Pin;

use semver::Version;
use serde::Serialize;
use shared::catalogue::{
    Catalogue, Function, Unknown, csv_summarize::CsvSummarize, demo as demo_functions,
    read_arguments,
};
use shared::domain::json::Json;
use shared::domain::operation::{FailureCode, OperationError};

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
pub(crate) struct Runner {
    name: &'static str,
    version: &'static str,
    pub(crate) entry: shared::catalogue::Entry,
    pub(crate) run: fn(Json, Context) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<Json, WorkError>>>>;

impl Runner {
    const fn of<W: Work + 'static>() -> Self {
        Self {
            name: W::NAME,
            version: W::VERSION,
            entry: shared::catalogue::Entry::of::<W>(),
            run: |arguments, context| Box::pin(run::<W>(arguments, context)),
        }
    }
}

async fn run<W: Work>(arguments: Json, context: Context) -> Result<Json, WorkError> {
    let args = read_arguments::<W>(&arguments).map_err(|fault| {
        // Submit has checked them against the type that it knew, which may have been another version of the code.
        WorkError::permanent(
            "INVALID_ARGUMENTS",
            &format!("/arguments{} {}", fault.pointer, fault.detail),
        )
    })?;
    let output = W::run(args, context).await?;
    Json::of(&output).map_err(|_| {
        WorkError::permanent(
            FailureCode::InternalError.as_str(),
            "the result has no JSON form",
        )
    })
}

/// The work of this name and version, if the catalogue has it here.
pub(crate) fn find(
    catalogue: Catalogue,
    name: &str,
    version: &str,
) -> Result<&'static Runner, Unknown> {
    let version = Version::parse(version).map_err(|_| Unknown::Version {
        available: Vec::new(),
    })?;
    let entry = catalogue.find(name, Some(&version))?;
    RUNNERS
        .iter()
        .find(|runner| runner.name == entry.name && runner.version == entry.version)
        .ok_or(Unknown::Function)
}

/// Runs a function by its name, in its latest stable version, without queue or store.
///
/// # Errors
///
/// When there is none, or when it fails.
pub async fn run_by_name(name: &str, arguments: Json, context: Context) -> Result<Json, WorkError> {
    let unknown = |_| {
        WorkError::permanent(
            "FUNCTION_NOT_FOUND",
            &format!("there is no function {name}"),
        )
    };
    let catalogue = Catalogue::new(true);
    let entry = catalogue.find(name, None).map_err(unknown)?;
    let runner = find(catalogue, entry.name, entry.version).map_err(unknown)?;
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
            .map(|runner| (runner.name, runner.version))
            .collect();
        assert_eq!(listed, worked);
    }
}
