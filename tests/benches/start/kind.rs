//! The kinds of function that the benchmark compares, and how to run each.

use std::path::PathBuf;
use std::time::Duration;

use local::bundle::FUNCTIONS;
use local::function::{FunctionSettings, INIT_TIMEOUT};
use serde_json::{Value, json};
use tests::benchmark::build_functions_and;
use tests::bundle::binaries;
use tests::target::{FunctionsFile, resize};

use crate::job::{Job, Stage};
use crate::python::Python;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Only the runtime, with an empty handler.
    Hello,
    /// Only the same calls to AWS.
    Calls,
    /// The function as it is deployed.
    Ferry,
    /// The same with a functions file that registers nothing.
    EmptyFile,
    /// The same with a functions file of [`REGISTERED`] functions.
    FullFile,
    /// The function as it is deployed, called by Forrst.
    Forrst,
    /// The same, called by MCP.
    Mcp,
    /// The same job in Python.
    Python,
}

impl Kind {
    /// All kinds, in the order of the table.
    pub(crate) const ALL: [Self; 8] = [
        Self::Hello,
        Self::Calls,
        Self::Ferry,
        Self::EmptyFile,
        Self::FullFile,
        Self::Forrst,
        Self::Mcp,
        Self::Python,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Calls => "bare calls",
            Self::Ferry => "Ferry",
            Self::EmptyFile => "… empty file",
            Self::FullFile => "… 50 functions",
            Self::Forrst => "… by Forrst",
            Self::Mcp => "… by MCP",
            Self::Python => "Python",
        }
    }
}

/// Functions of a full file.
const REGISTERED: usize = 50;
/// Arguments of a wide function.
pub(crate) const MEMBERS: usize = 10;

/// A file of functions with two arguments each.
pub(crate) fn full_file() -> Vec<Value> {
    (0..REGISTERED).map(numbered).collect()
}

/// A file of functions with [`MEMBERS`] arguments each.
pub(crate) fn wide_file() -> Vec<Value> {
    (0..REGISTERED).map(wide_function).collect()
}

fn numbered(number: usize) -> Value {
    let mut function = resize();
    function["name"] = json!(format!("image.resize_{number}"));
    function
}

pub(crate) fn wide_function(number: usize) -> Value {
    let properties = (0..MEMBERS).map(|member| {
        let schema = json!({
            "type": "string",
            "minLength": 1,
            "description": "Where to find the image in the bucket.",
        });
        (format!("member_{member}"), schema)
    });
    let mut function = numbered(number);
    function["arguments_schema"]["properties"] = properties.collect();
    function["arguments_schema"]["required"] = json!(["member_0"]);
    function
}

/// The binaries of all kinds.
pub(crate) struct Kinds {
    directory: PathBuf,
    python: Option<Python>,
    empty_file: FunctionsFile,
    full_file: FunctionsFile,
}

impl Kinds {
    /// Builds them as they are deployed: in release mode, with only the features that they need.
    pub(crate) async fn build(with_python: bool) -> Self {
        build_functions_and(&["bare"]).await;
        Self {
            directory: binaries(),
            python: with_python.then(Python::install),
            empty_file: FunctionsFile::new(&[]),
            full_file: FunctionsFile::new(&full_file()),
        }
    }

    /// All kinds of a function, without Python if it is left out.
    pub(crate) fn of(&self, job: Job) -> Vec<Kind> {
        let kinds = Kind::ALL.into_iter();
        kinds
            .filter(|kind| match kind {
                Kind::Hello | Kind::Calls | Kind::Ferry => true,
                // It does not read the file.
                Kind::EmptyFile | Kind::FullFile => job != Job::Callback,
                Kind::Forrst | Kind::Mcp => job == Job::Submit,
                Kind::Python => self.python.is_some(),
            })
            .collect()
    }

    /// The version of Python, unless it is left out.
    pub(crate) fn python_version(&self) -> Option<String> {
        self.python.as_ref().map(Python::version)
    }

    pub(crate) fn settings(&self, kind: Kind, job: Job, stage: &Stage) -> FunctionSettings {
        let shape = FUNCTIONS
            .into_iter()
            .find(|shape| shape.name == job.name())
            .unwrap();
        let mut environment = stage.environment();
        let command = match kind {
            Kind::Ferry | Kind::EmptyFile | Kind::FullFile | Kind::Forrst | Kind::Mcp => {
                let file = match kind {
                    Kind::EmptyFile => Some(&self.empty_file),
                    Kind::FullFile => Some(&self.full_file),
                    _ => None,
                };
                let variable =
                    |file: &FunctionsFile| ("FUNCTIONS_FILE".to_owned(), file.path().to_owned());
                environment.extend(file.map(variable));
                self.directory.join(shape.name).into()
            }
            Kind::Hello => self.directory.join("hello").into(),
            Kind::Calls => {
                environment.push(("CALLS".to_owned(), shape.name.to_owned()));
                self.directory.join("calls").into()
            }
            Kind::Python => {
                let python = self.python.as_ref().unwrap();
                environment.extend(python.environment());
                python.command(job)
            }
        };
        FunctionSettings {
            name: shape.name.to_owned(),
            command,
            timeout: Duration::from_secs(30),
            init_timeout: INIT_TIMEOUT,
            memory_mb: shape.memory_mb,
            instances_max: 1,
            instances_eager: 1,
            environment,
            log_prefix: String::new(),
        }
    }

    /// The binary, if the kind has one.
    pub(crate) fn binary(&self, kind: Kind, job: Job) -> Option<PathBuf> {
        match kind {
            Kind::Ferry | Kind::EmptyFile | Kind::FullFile | Kind::Forrst | Kind::Mcp => {
                Some(self.directory.join(job.name()))
            }
            Kind::Hello => Some(self.directory.join("hello")),
            Kind::Calls => Some(self.directory.join("calls")),
            Kind::Python => None,
        }
    }
}
