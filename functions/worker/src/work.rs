//! The work of the functions in the catalogue. `functions/worker/README.md` says how to add a
//! function.

mod csv_summarize;
mod demo;
mod file_checksum;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::catalogue::{ArgumentError, Catalogue, Entry, Function, Target, read_arguments};
use shared::config::SettingError;
use shared::domain::attempt::{NotDeployed, may_continue, state_within_limit, within_limit};
use shared::domain::json::Json;
use shared::domain::operation::{FailureCode, OperationError};
use shared::domain::target_code::TargetCode;
use shared::functions;
use shared::queue::Dispatch;
use shared::random::SystemRandom;
use shared::schema::{CheckError, Validators};

use crate::context::Context;
use crate::target::{Attempt, Input, Targets, document};

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

/// A function with work that may take longer than one attempt, or waits for hours.
///
/// It runs in legs, each like the work of [`Work`]. A leg that continues saves a state, and the
/// next one gets it, in a fresh invocation. Nothing is replayed: what the state does not hold is
/// gone. A state is read only by the version of the function that saved it, so another shape of
/// state is another version.
#[expect(
    async_fn_in_trait,
    reason = "called through `Runner` only, on one thread"
)]
pub trait LongWork: Function {
    /// At most 64 KiB of JSON. A leg whose state cannot be read back from its JSON fails with
    /// `INTERNAL_ERROR`.
    type State: Serialize + DeserializeOwned;

    /// `state` is what the last leg saved; `None` in the first, unless the operation is a redrive
    /// that begins with the failed one's state.
    ///
    /// # Errors
    ///
    /// The error with which the operation fails: at once, or after the attempts of this leg are
    /// used up.
    async fn run(
        args: Self::Args,
        state: Option<Self::State>,
        context: Context,
    ) -> Result<Next<Self::Output, Self::State>, WorkError>;
}

/// What a leg leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<O, S> {
    Done(O),
    /// The next leg begins with this state, after this wait. A wait that would pass the operation's
    /// deadline ends there, and the operation fails with `DEADLINE_EXCEEDED`.
    Continue {
        state: S,
        after: Duration,
    },
}

/// The state of work that never continues.
#[derive(Serialize, Deserialize)]
pub enum NoState {}

impl<W: Work> LongWork for W {
    type State = NoState;

    async fn run(
        args: Self::Args,
        _state: Option<NoState>,
        context: Context,
    ) -> Result<Next<Self::Output, NoState>, WorkError> {
        <W as Work>::run(args, context).await.map(Next::Done)
    }
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
    pub(crate) run: fn(Json, Option<Json>, Context) -> Running,
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

/// What work returned, as JSON.
pub(crate) type Returned = Result<Next<Json, Json>, WorkError>;

type Running = Pin<Box<dyn Future<Output = Returned>>>;

impl Runner {
    #[must_use]
    pub const fn of<W: LongWork + 'static>() -> Self {
        Self {
            entry: Entry::of::<W>(),
            run: |arguments, state, context| Box::pin(run::<W>(arguments, state, context)),
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

async fn run<W: LongWork>(arguments: Json, state: Option<Json>, context: Context) -> Returned {
    // Submit has checked them, but against the type of its own release, which may be another one.
    let args = read_arguments::<W>(&arguments).map_err(|error| invalid_arguments(&[error]))?;
    let state = state.map(|state| read_state(&state)).transpose()?;
    Ok(match W::run(args, state, context).await? {
        Next::Done(output) => Next::Done(to_json(&output, "result")?),
        Next::Continue { state, after } => {
            let state = to_json(&state, "state")?;
            // The leg that saves it fails, and not every attempt of the next one.
            if serde_json::from_str::<W::State>(state.as_str()).is_err() {
                return Err(internal_error(
                    "the state cannot be read back from its JSON",
                ));
            }
            Next::Continue { state, after }
        }
    })
}

fn read_state<S: DeserializeOwned>(state: &Json) -> Result<S, WorkError> {
    serde_json::from_str(state.as_str()).map_err(|error| {
        // Its text can quote the state.
        let (line, column) = (error.line(), error.column());
        tracing::error!(
            line,
            column,
            "the attempt fails: this release cannot read its state"
        );
        // Another release may be able to.
        let message = "the worker cannot read the operation's state";
        WorkError::retryable(FailureCode::InternalError.as_str(), message)
    })
}

fn to_json(value: &impl Serialize, what: &str) -> Result<Json, WorkError> {
    Json::of(value).map_err(|_| internal_error(&format!("the {what} has no JSON form")))
}

fn internal_error(message: &str) -> WorkError {
    WorkError::permanent(FailureCode::InternalError.as_str(), message)
}

fn invalid_arguments(errors: &[ArgumentError]) -> WorkError {
    let errors = errors
        .iter()
        .map(|ArgumentError { pointer, detail }| format!("/arguments{pointer} {detail}"));
    let code = FailureCode::InvalidArguments.as_str();
    WorkError::permanent(code, &errors.collect::<Vec<_>>().join("; "))
}

/// Runs the latest stable version of a compiled or of one of these registered functions, without
/// queue or store, through all of its legs. Arguments are checked as by a submit.
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
    run_legs(deployed, &arguments, &context).await
}

/// One attempt for each leg, with the time limit and the number of legs that an operation has.
async fn run_legs(
    deployed: Deployed,
    arguments: &Json,
    context: &Context,
) -> Result<Json, WorkError> {
    let attempt_timeout = deployed.entry().attempt_timeout;
    let (mut number, mut saved) = (1, None);
    loop {
        let context = context.of_leg(attempt_timeout);
        let state = saved.take();
        let run = async {
            match deployed {
                Deployed::Compiled(runner) => {
                    (runner.run)(arguments.clone(), state, context.clone()).await
                }
                Deployed::Registered(entry, target) => {
                    let state = state.as_ref();
                    invoke_once(entry, target, number, arguments, state, &context).await
                }
            }
        };
        let clock = context.clock();
        let returned = tokio::select! {
            biased;
            returned = run => returned,
            () = clock.sleep_until(context.deadline()) => {
                let code = FailureCode::DeadlineExceeded.as_str();
                let message = "the attempt exceeded its time limit";
                Err(WorkError::retryable(code, message))
            }
        };
        match returned? {
            Next::Done(result) => {
                return within_limit(result).map_err(WorkError::permanent_of);
            }
            Next::Continue { state, after } => {
                let state = state_within_limit(state).map_err(WorkError::permanent_of)?;
                may_continue(number).map_err(WorkError::permanent_of)?;
                saved = Some(state);
                context.sleep(after).await;
            }
        }
        number += 1;
    }
}

/// An attempt, the first of its leg, of an operation that is nowhere recorded.
async fn invoke_once(
    entry: &Entry,
    target: &Target,
    number: u32,
    arguments: &Json,
    state: Option<&Json>,
    context: &Context,
) -> Returned {
    let refused = |error: SettingError| {
        WorkError::permanent(FailureCode::InternalError.as_str(), &error.to_string())
    };
    let clients = context.clients();
    let (environment, aws) = (clients.environment(), clients.aws().map_err(refused)?);
    let targets =
        Targets::new(environment, aws, context.clock(), Arc::new(SystemRandom)).map_err(refused)?;
    let (now, deadline) = (context.now(), context.deadline());
    let attempt = Attempt {
        operation_id: &format!("op_{:024x}", now.as_millis()),
        owner: "anonymous",
        function: entry.name,
        version: entry.version,
        number,
        attempts_max: number - 1 + entry.attempts_max,
    };
    let input = Input {
        arguments,
        metadata: None,
        state,
    };
    let document = document(target, &attempt, &input, deadline, now);
    targets.attempt(target, document, deadline).await
}
