//! The targets of registered functions: on AWS Lambda functions of the operator's, on this machine
//! processes of their handlers, behind Lambda's Invoke API.

mod files;
mod invoke_api;
mod results;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use shared::catalogue::{Entry, LambdaFunction, LocalTarget};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::function::{Function, FunctionCommand, FunctionSettings, INIT_TIMEOUT};
use crate::guard::{Allowed, guarded};

/// The most processes of a target, hence the most invocations at once; more are throttled.
const INSTANCES_MAX: usize = 10;

/// Lambda's default. It is not enforced.
const MEMORY_MB: u32 = 128;

/// In a command, the directory of the runtimes that come with this program.
const RUNTIMES: &str = "$FERRY_RUNTIMES";

/// Runs a Node handler: `node $FERRY_RUNTIMES/node.mjs app.handler`.
const NODE_RUNTIME: (&str, &str) = ("node.mjs", include_str!("targets/node.mjs"));

/// A registered function's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSettings {
    /// The registered function's name and version.
    pub name: String,
    pub version: String,
    /// The Lambda function that the worker invokes.
    pub lambda_function: LambdaFunction,
    /// An invocation that takes longer is killed with its process.
    pub timeout: Duration,
    /// What runs in place of the Lambda function on this machine.
    pub local: Option<LocalTarget>,
}

impl fmt::Display for TargetSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: ", self.name, self.version)?;
        match &self.local {
            Some(LocalTarget::Command {
                command, directory, ..
            }) => {
                formatter.write_str(&command.join(" "))?;
                match directory {
                    Some(directory) => write!(formatter, " ({directory})"),
                    None => Ok(()),
                }
            }
            Some(LocalTarget::Endpoint(endpoint)) => formatter.write_str(endpoint),
            None => formatter.write_str("cannot run on this machine without \"local\""),
        }
    }
}

/// All targets. Dropping it kills their processes.
#[derive(Debug)]
pub struct Targets {
    /// Absolute.
    functions_file: PathBuf,
    runtimes: PathBuf,
    by_lambda_function: Mutex<HashMap<String, Target>>,
    /// The functions whose results are checked.
    entries: Mutex<Vec<Entry>>,
    /// The processes of targets that were replaced or removed.
    retiring: Mutex<JoinSet<()>>,
}

#[derive(Debug, Clone)]
struct Target {
    settings: TargetSettings,
    backend: Backend,
    /// The newest file of a command's directory.
    modified: Option<SystemTime>,
}

#[derive(Debug, Clone)]
enum Backend {
    Processes(Arc<Function>),
    Endpoint(String),
    Missing,
}

impl Targets {
    /// Directories of targets are relative to that of the functions file. The runtimes that come
    /// with this program are written to the directory `runtimes`.
    ///
    /// # Errors
    ///
    /// When a runtime cannot be written.
    pub fn new(functions_file: PathBuf, runtimes: PathBuf) -> io::Result<Self> {
        let (name, text) = NODE_RUNTIME;
        std::fs::write(runtimes.join(name), text)?;
        Ok(Self {
            functions_file,
            runtimes,
            by_lambda_function: Mutex::default(),
            entries: Mutex::default(),
            retiring: Mutex::default(),
        })
    }

    /// Replaces all targets. The processes of one that stays the same stay. Those of the others end
    /// as they become idle. Functions with one Lambda function have one target, that of the first.
    /// The results of these functions are checked.
    pub fn replace(&self, settings: Vec<TargetSettings>, entries: Vec<Entry>) {
        *lock(&self.entries) = entries;
        let mut targets = lock(&self.by_lambda_function);
        let mut old = std::mem::take(&mut *targets);
        for settings in settings {
            let name = settings.lambda_function.to_string();
            if targets.contains_key(&name) {
                continue;
            }
            let target = match old.remove(&name) {
                Some(same) if same.settings == settings => same,
                changed => {
                    self.retire(changed);
                    self.target(settings)
                }
            };
            targets.insert(name, target);
        }
        for removed in old.into_values() {
            self.retire(Some(removed));
        }
    }

    /// Replaces the targets whose files have changed, as [`Targets::replace`] does, and returns
    /// them.
    #[must_use]
    pub fn replace_changed(&self) -> Vec<TargetSettings> {
        let mut targets = lock(&self.by_lambda_function);
        // Many targets may have one directory.
        let mut modified = HashMap::new();
        let mut changed = Vec::new();
        for target in targets.values_mut() {
            let Some(directory) = self.directory(&target.settings) else {
                continue;
            };
            let modified = *modified
                .entry(directory)
                .or_insert_with_key(|directory| files::modified(directory, &self.functions_file));
            if modified != target.modified {
                let new = self.target(target.settings.clone());
                changed.push(target.settings.clone());
                self.retire(Some(std::mem::replace(target, new)));
            }
        }
        changed
    }

    /// The working directory of a command.
    fn directory(&self, settings: &TargetSettings) -> Option<PathBuf> {
        match settings.local.as_ref()? {
            LocalTarget::Command { directory, .. } => {
                let base = self.functions_file.parent()?;
                Some(base.join(directory.as_deref().unwrap_or("")))
            }
            LocalTarget::Endpoint(_) => None,
        }
    }

    fn retire(&self, target: Option<Target>) {
        if let Some(Target {
            backend: Backend::Processes(function),
            ..
        }) = target
        {
            let mut retiring = lock(&self.retiring);
            retiring.spawn(async move { function.retire().await });
            // Forgets those that have ended.
            while retiring.try_join_next().is_some() {}
        }
    }

    fn target(&self, settings: TargetSettings) -> Target {
        let directory = self.directory(&settings);
        // Before a process reads them.
        let modified = directory
            .as_deref()
            .and_then(|directory| files::modified(directory, &self.functions_file));
        let backend = match &settings.local {
            Some(LocalTarget::Command {
                command,
                environment,
                ..
            }) => {
                let command = self.command(command, directory.unwrap_or_default());
                let function = function(&settings, command, environment);
                Backend::Processes(Arc::new(function))
            }
            Some(LocalTarget::Endpoint(endpoint)) => Backend::Endpoint(endpoint.clone()),
            None => Backend::Missing,
        };
        Target {
            settings,
            backend,
            modified,
        }
    }

    fn command(&self, command: &[String], directory: PathBuf) -> FunctionCommand {
        let runtimes = self.runtimes.to_string_lossy();
        let mut parts = command.iter().map(|part| part.replace(RUNTIMES, &runtimes));
        let program = parts.next().unwrap_or_default();
        // A path is relative to the working directory, as for a shell. A name is looked up.
        let program = if program.contains(std::path::is_separator) {
            directory.join(program)
        } else {
            program.into()
        };
        FunctionCommand {
            program,
            arguments: parts.collect(),
            directory: Some(directory),
        }
    }

    fn find(&self, lambda_function: &str) -> Option<Target> {
        lock(&self.by_lambda_function).get(lambda_function).cloned()
    }

    /// Warns of a result that does not match its function's schema.
    fn check_result(&self, document: &[u8], response: &[u8]) {
        results::check(&lock(&self.entries), document, response);
    }

    /// Serves the Invoke API.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, allowed: Allowed) -> io::Result<()> {
        let routes = guarded(invoke_api::routes(self), &listener, allowed)?;
        axum::serve(listener, routes).await
    }

    /// Kills every process. Every invocation, running or later, ends with an error.
    pub async fn stop(&self) {
        lock(&self.retiring).abort_all();
        let targets = std::mem::take(&mut *lock(&self.by_lambda_function));
        for target in targets.into_values() {
            if let Backend::Processes(function) = target.backend {
                function.stop().await;
            }
        }
    }
}

fn function(
    settings: &TargetSettings,
    command: FunctionCommand,
    own_environment: &BTreeMap<String, String>,
) -> Function {
    // The one variable of the developer's shell that a target gets: interpreters such as
    // `python3` are wherever it says, and some are scripts that start others. On Lambda it is
    // set, too.
    let path = std::env::var_os("PATH").and_then(|path| OsString::into_string(path).ok());
    let path = path.map(|path| ("PATH".to_owned(), path));
    Function::processes(FunctionSettings {
        name: settings.lambda_function.name().to_owned(),
        command,
        timeout: settings.timeout,
        // Lambda starts a function whose init phase took too long once more, and then gives it the
        // time of an invocation.
        init_timeout: settings.timeout.max(INIT_TIMEOUT),
        memory_mb: MEMORY_MB,
        instances_max: INSTANCES_MAX,
        instances_eager: INSTANCES_MAX,
        // Of two values the later one counts.
        environment: path.into_iter().chain(own_environment.clone()).collect(),
        log_prefix: format!("{}: ", settings.name),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic can leave the map without targets, which are then reported as unknown.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
