//! The work of the functions in the catalogue. `functions/README.md` says how to add a function.

mod csv_summarize;
mod demo;

use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use shared::catalogue::{ArgumentError, Catalogue, Entry, Function, Target, read_arguments};
use shared::config::SettingError;
use shared::domain::attempt::{NotDeployed, within_limit};
use shared::domain::json::Json;
use shared::domain::operation::{FailureCode, OperationError};
use shared::domain::target_code::TargetCode;
use shared::functions;
use shared::queue::Dispatch;
use shared::random::SystemRandom;
use shared::schema::{CheckError, Validators};

use crate::context::Context;
use crate::target::{Attempt, Targets, document};

static COMPILED: &[Runner] = functions!(Runner);

/// A function with its work.
///
/// The work has a thread and an async runtime to itself, so it may compute without awaiting and its
/// future need not be `Send`. What it spawns on that runtime ends with it. It may run more than
/// once for one operation.
#[expect(
    async_fn_in_trait,
    reason = "called through `Runner` only, on one thread"
)]
pub trait Work: Function {
    /// # Errors
    ///
    /// The error with which the operation fails: at once, or after its attempts are used up.
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

    /// Adds details for the caller, of at most 4 KiB of JSON. Larger ones, and ones without a JSON
    /// form, are left out.
    #[must_use]
    pub fn with_details(self, details: &impl Serialize) -> Self {
        let OperationError { code, message, .. } = self.error;
        Self {
            error: OperationError::new(&code, &message, Json::of(details).ok()),
            ..self
        }
    }

    pub(crate) const fn permanent_of(error: OperationError) -> Self {
        Self {
            error,
            retryable: false,
        }
    }

    pub(crate) fn of_target(code: TargetCode, message: &str, retryable: bool) -> Self {
        Self {
            error: OperationError::new(code.as_str(), message, None),
            retryable,
        }
    }

    /// The error as the caller sees it.
    #[must_use]
    pub const fn error(&self) -> &OperationError {
        &self.error
    }
}

/// A function's work as a value: JSON in, JSON out.
pub struct Runner {
    pub(crate) entry: Entry,
    pub(crate) run: fn(Json, Context) -> Running,
}

/// What does the work of a function that this worker has.
#[derive(Clone, Copy)]
pub(crate) enum Deployed {
    Compiled(&'static Runner),
    /// The entry has a target.
    Registered(&'static Entry, &'static Target),
}

/// The functions that a worker has.
#[derive(Clone, Copy)]
pub(crate) struct Runners {
    compiled: &'static [Runner],
    /// Whether the demonstration functions are among them.
    demo: bool,
    registered: &'static [Entry],
}

type Running = Pin<Box<dyn Future<Output = Result<Json, WorkError>>>>;

impl Runner {
    #[must_use]
    pub const fn of<W: Work + 'static>() -> Self {
        Self {
            entry: Entry::of::<W>(),
            run: |arguments, context| Box::pin(run::<W>(arguments, context)),
        }
    }
}

impl Deployed {
    pub(crate) const fn entry(self) -> &'static Entry {
        match self {
            Self::Compiled(runner) => &runner.entry,
            Self::Registered(entry, _) => entry,
        }
    }
}

impl Runners {
    pub(crate) const fn new(catalogue: &Catalogue) -> Self {
        Self {
            compiled: COMPILED,
            demo: catalogue.has_demo(),
            registered: catalogue.registered(),
        }
    }

    pub(crate) const fn with_compiled(self, compiled: &'static [Runner]) -> Self {
        Self {
            compiled,
            demo: true,
            ..self
        }
    }

    /// The work of exactly this version of a function.
    pub(crate) fn find(self, name: &str, version: &str) -> Result<Deployed, NotDeployed> {
        let compiled = self.compiled.iter().map(Deployed::Compiled);
        let registered = self
            .registered
            .iter()
            .filter_map(|entry| Some(Deployed::Registered(entry, entry.target()?)));
        let mut versions = compiled
            .chain(registered)
            .filter(|deployed| {
                let entry = deployed.entry();
                entry.name == name && (self.demo || !entry.demo)
            })
            .peekable();
        if versions.peek().is_none() {
            return Err(NotDeployed::Function);
        }
        versions
            .find(|deployed| deployed.entry().version == version)
            .ok_or(NotDeployed::Version)
    }

    pub(crate) fn find_for(self, message: &Dispatch) -> Result<Deployed, NotDeployed> {
        self.find(&message.function, &message.function_version)
    }
}

async fn run<W: Work>(arguments: Json, context: Context) -> Result<Json, WorkError> {
    // Submit has checked them, but against the type of its own release, which may be another one.
    let args = read_arguments::<W>(&arguments).map_err(|error| invalid_arguments(&[error]))?;
    let output = W::run(args, context).await?;
    Json::of(&output).map_err(|_| {
        WorkError::permanent(
            FailureCode::InternalError.as_str(),
            "the result has no JSON form",
        )
    })
}

fn invalid_arguments(errors: &[ArgumentError]) -> WorkError {
    let errors = errors
        .iter()
        .map(|ArgumentError { pointer, detail }| format!("/arguments{pointer} {detail}"));
    let code = FailureCode::InvalidArguments.as_str();
    WorkError::permanent(code, &errors.collect::<Vec<_>>().join("; "))
}

/// Runs the latest stable version of a compiled or of one of these registered functions, without
/// queue or store. Arguments are checked as by a submit.
///
/// # Errors
///
/// When the function does not exist, refuses its arguments, or fails.
pub async fn run_by_name(
    name: &str,
    registered: &'static [Entry],
    arguments: Json,
    context: Context,
) -> Result<Json, WorkError> {
    let not_found = || {
        WorkError::permanent(
            FailureCode::FunctionNotFound.as_str(),
            &format!("there is no function {name}"),
        )
    };
    let catalogue = Catalogue::new(true).with_registered(registered);
    let entry = catalogue.find(name, None).map_err(|_| not_found())?;
    let deployed = Runners::new(&catalogue).find(entry.name, entry.version);
    let deployed = deployed.map_err(|_| not_found())?;
    if !arguments.is_object() {
        let detail = "must be an object".to_owned();
        let pointer = String::new();
        return Err(invalid_arguments(&[ArgumentError { pointer, detail }]));
    }
    match Validators::default().check(entry, &arguments) {
        Ok(()) => {}
        Err(CheckError::Arguments(errors)) => return Err(invalid_arguments(&errors)),
        Err(CheckError::Schema(error)) => {
            let code = FailureCode::InternalError.as_str();
            return Err(WorkError::permanent(
                code,
                &format!("arguments_schema{error}"),
            ));
        }
    }
    let result = match deployed {
        Deployed::Compiled(runner) => (runner.run)(arguments, context).await,
        Deployed::Registered(entry, target) => {
            invoke_once(entry, target, &arguments, &context).await
        }
    }?;
    within_limit(result).map_err(WorkError::permanent_of)
}

/// The first attempt of an operation that is nowhere recorded.
async fn invoke_once(
    entry: &Entry,
    target: &Target,
    arguments: &Json,
    context: &Context,
) -> Result<Json, WorkError> {
    let refused = |error: SettingError| {
        WorkError::permanent(FailureCode::InternalError.as_str(), &error.to_string())
    };
    let clients = context.clients();
    let (environment, aws) = (clients.environment(), clients.aws().map_err(refused)?);
    let targets =
        Targets::new(environment, aws, context.clock(), Arc::new(SystemRandom)).map_err(refused)?;
    let now = context.now();
    let deadline = now + entry.attempt_timeout;
    let attempt = Attempt {
        operation_id: &format!("op_{:024x}", now.as_millis()),
        owner: "anonymous",
        function: entry.name,
        version: entry.version,
        number: context.attempt(),
        attempts_max: entry.attempts_max,
    };
    let document = document(target, &attempt, arguments, None, deadline, now);
    let attempt = targets.attempt(target, document, deadline);
    tokio::time::timeout(entry.attempt_timeout, attempt)
        .await
        .unwrap_or_else(|_| {
            let code = FailureCode::DeadlineExceeded.as_str();
            Err(WorkError::retryable(code, "the attempt took too long"))
        })
}
