//! The functions that callers can submit.
//!
//! A function's entry has its name, version, types and limits, so that a submit can refuse wrong
//! arguments before it writes anything. The work of a compiled function is in the worker; that of a
//! registered one is done by its target. `functions/README.md` says how to add a function.

pub mod file;
mod target;

// Last: the module of a new function goes below them.
pub mod csv_summarize;
pub mod demo;
pub mod file_checksum;

use std::time::Duration;

use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use semver::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

pub use self::target::{LambdaFunction, LocalTarget, Target, reserved_member};
use crate::config::{Environment, SettingError};
use crate::domain::backoff::RetryPolicy;
use crate::domain::json::{Json, push_token, with_plain_integers};
use crate::domain::limits::{
    WORKER_TIMEOUT_SECS_DEFAULT, WORKER_TIMEOUT_SECS_MAX, WORKER_TIMEOUT_SECS_MIN, attempt_secs_max,
};

/// Lists every compiled function, in the order of `GET /functions`, as `$of::of::<FUNCTION>()`. So
/// entries and work are one list, and a function without work does not compile.
#[macro_export]
macro_rules! functions {
    ($of:ident) => {
        &[
            $of::of::<$crate::catalogue::csv_summarize::CsvSummarize>(),
            $of::of::<$crate::catalogue::file_checksum::FileChecksum>(),
            $of::of::<$crate::catalogue::demo::Echo>(),
            $of::of::<$crate::catalogue::demo::Countdown>(),
            $of::of::<$crate::catalogue::demo::Fail>(),
            $of::of::<$crate::catalogue::demo::Long>(),
        ]
    };
}

static COMPILED: &[Entry] = functions!(Entry);

/// A compiled function, without its work.
pub trait Function {
    /// Letters, digits and `. _ : -`, at most 255.
    const NAME: &'static str;
    /// By Semantic Versioning. Two versions of one name are two functions.
    const VERSION: &'static str;
    /// A sentence for callers.
    const DESCRIPTION: &'static str;
    /// Attempts before the operation fails, from 1.
    const ATTEMPTS_MAX: u32;
    /// The time limit of one attempt, at most half a minute less than Lambda's longest timeout. A
    /// worker with a shorter timeout shortens it ([`Catalogue::attempt_timeout`]).
    const ATTEMPT_TIMEOUT: Duration;
    /// The operation's deadline unless its caller sets one, in seconds from its start, at most
    /// seven days.
    const DEADLINE_SECS: u32;
    /// The waits between attempts.
    const RETRY: RetryPolicy;
    /// What the function changes outside of it, for callers.
    const SIDE_EFFECTS: &'static [SideEffect] = &[];
    /// Whether it is for demonstration and tests only, and available only where a setting says so.
    const DEMO: bool = false;

    /// Denies unknown members.
    type Args: DeserializeOwned + JsonSchema;
    type Output: Serialize + JsonSchema;

    /// Checks what the schema of [`Function::Args`] cannot say, such as that one member requires
    /// another. The schema has accepted the arguments.
    ///
    /// # Errors
    ///
    /// Names the wrong member.
    fn validate(_args: &Self::Args) -> Result<(), ArgumentError> {
        Ok(())
    }
}

/// A change that a function makes outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SideEffect {
    Create,
    Update,
    Delete,
}

/// An error in the arguments of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentError {
    /// RFC 6901 pointer from the arguments' root.
    pub pointer: String,
    /// For the caller.
    pub detail: String,
}

impl ArgumentError {
    #[must_use]
    pub fn of_member(name: &str, detail: impl Into<String>) -> Self {
        let mut pointer = String::new();
        push_token(&mut pointer, name);
        Self {
            pointer,
            detail: detail.into(),
        }
    }
}

/// A function that callers can submit, as a value.
#[derive(Debug)]
pub struct Entry {
    pub name: &'static str,
    pub version: &'static str,
    pub description: &'static str,
    pub attempts_max: u32,
    pub attempt_timeout: Duration,
    pub deadline_secs: u32,
    pub retry: RetryPolicy,
    pub side_effects: &'static [SideEffect],
    pub demo: bool,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Compiled {
        validate: fn(&Json) -> Result<(), ArgumentError>,
        arguments_schema: fn() -> Json,
        result_schema: fn() -> Json,
    },
    /// The schemas as the file has them: most functions of a file are not called in one process, so
    /// a start does not read inside of the schemas more than it has to.
    Registered {
        arguments_schema: Box<RawValue>,
        result_schema: Box<RawValue>,
        target: Target,
    },
}

impl Entry {
    #[must_use]
    pub const fn of<F: Function>() -> Self {
        Self {
            name: F::NAME,
            version: F::VERSION,
            description: F::DESCRIPTION,
            attempts_max: F::ATTEMPTS_MAX,
            attempt_timeout: F::ATTEMPT_TIMEOUT,
            deadline_secs: F::DEADLINE_SECS,
            retry: F::RETRY,
            side_effects: F::SIDE_EFFECTS,
            demo: F::DEMO,
            form: Form::Compiled {
                validate: |arguments| F::validate(&read_arguments::<F>(arguments)?),
                arguments_schema: schema_of::<F::Args>,
                result_schema: schema_of::<F::Output>,
            },
        }
    }

    /// See [`Function::validate`]. A registered function has only its schema.
    ///
    /// # Errors
    ///
    /// Names the first wrong member.
    pub fn validate(&self, arguments: &Json) -> Result<(), ArgumentError> {
        match &self.form {
            Form::Compiled { validate, .. } => validate(arguments),
            Form::Registered { .. } => Ok(()),
        }
    }

    /// As callers see it: of a registered function the text of its file.
    #[must_use]
    pub fn arguments_schema(&self) -> Json {
        match &self.form {
            Form::Compiled {
                arguments_schema, ..
            } => arguments_schema(),
            Form::Registered {
                arguments_schema, ..
            } => Json::compact(arguments_schema),
        }
    }

    #[must_use]
    pub fn result_schema(&self) -> Json {
        match &self.form {
            Form::Compiled { result_schema, .. } => result_schema(),
            Form::Registered { result_schema, .. } => Json::compact(result_schema),
        }
    }

    /// What does the work; `None` for a compiled function.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match &self.form {
            Form::Compiled { .. } => None,
            Form::Registered { target, .. } => Some(target),
        }
    }
}

/// # Errors
///
/// Names the first wrong member.
pub fn read_arguments<F: Function>(arguments: &Json) -> Result<F::Args, ArgumentError> {
    read_as(arguments)
}

/// Reads arguments as any type. Whole numbers may be written with a fraction of zero or an
/// exponent, as JSON Schema allows.
///
/// # Errors
///
/// Names the first wrong member.
pub fn read_as<T: DeserializeOwned>(arguments: &Json) -> Result<T, ArgumentError> {
    let read = |json: &str| {
        let mut json = serde_json::Deserializer::from_str(json);
        serde_path_to_error::deserialize(&mut json)
    };
    let text = arguments.as_str();
    read(text)
        // As sent if possible, since a function may keep the spelling of numbers.
        .or_else(|error| with_plain_integers(text).map_or(Err(error), |plain| read(&plain)))
        .map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
            let mut pointer = String::new();
            for segment in error.path() {
                match segment {
                    Segment::Seq { index } => push_token(&mut pointer, &index.to_string()),
                    Segment::Map { key } => push_token(&mut pointer, key),
                    Segment::Enum { variant } => push_token(&mut pointer, variant),
                    Segment::Unknown => {}
                }
            }
            // The parser's own message names Rust types.
            let detail = "is not what this function takes".to_owned();
            ArgumentError { pointer, detail }
        })
}

/// The schema of a type, as text.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn schema_of<T: JsonSchema>() -> Json {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    RecursiveTransform(bound_integers).transform(&mut schema);
    Json::of(&schema).expect("a schema is JSON")
}

/// Adds the bounds of integer types, which the generator adds for the small types only.
fn bound_integers(schema: &mut Schema) {
    let (smallest, largest) = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => (0, u64::from(u32::MAX)),
        Some("uint" | "uint64") => (0, u64::MAX),
        Some("int32") => (i64::from(i32::MIN), u64::from(i32::MAX.unsigned_abs())),
        Some("int" | "int64") => (i64::MIN, i64::MAX.unsigned_abs()),
        _ => return,
    };
    let schema = schema.ensure_object();
    schema.entry("minimum").or_insert_with(|| smallest.into());
    schema.entry("maximum").or_insert_with(|| largest.into());
}

/// `WORKER_TIMEOUT_SECONDS`: the worker's timeout, in seconds. The functions that read the
/// functions file get it as well, since it bounds an attempt.
///
/// # Errors
///
/// When it is not a whole number, or out of bounds.
pub fn worker_timeout_secs(environment: &Environment) -> Result<u32, SettingError> {
    environment.number(
        "WORKER_TIMEOUT_SECONDS",
        WORKER_TIMEOUT_SECS_MIN..=WORKER_TIMEOUT_SECS_MAX,
        WORKER_TIMEOUT_SECS_DEFAULT,
    )
}

/// The functions that callers of this deployment can submit: the compiled ones, then those of the
/// functions file.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue {
    /// Whether the demonstration functions are among them.
    demo: bool,
    registered: &'static [Entry],
    worker_timeout_secs: u32,
}

/// Why no function was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// No function has this name.
    Function,
    /// The function does not have this version.
    Version { available: Vec<&'static str> },
}

impl Catalogue {
    /// The compiled functions.
    #[must_use]
    pub const fn new(demo: bool) -> Self {
        Self {
            demo,
            registered: &[],
            worker_timeout_secs: WORKER_TIMEOUT_SECS_DEFAULT,
        }
    }

    /// The functions of this process, which reads them once. `DEMO_FUNCTIONS` adds the
    /// demonstration functions, and [`file::load`] the registered ones.
    ///
    /// # Errors
    ///
    /// When the switch, the worker's timeout or the functions file is not valid.
    pub fn load(environment: &Environment) -> Result<Self, SettingError> {
        let worker_timeout_secs = worker_timeout_secs(environment)?;
        Ok(Self {
            demo: environment.switch("DEMO_FUNCTIONS")?,
            registered: file::load(environment, worker_timeout_secs)?,
            worker_timeout_secs,
        })
    }

    /// For `local run` and tests, which have no setting.
    #[must_use]
    pub const fn with_registered(self, registered: &'static [Entry]) -> Self {
        Self { registered, ..self }
    }

    /// Whether the demonstration functions are among them.
    #[must_use]
    pub const fn has_demo(&self) -> bool {
        self.demo
    }

    /// The functions of the functions file.
    #[must_use]
    pub const fn registered(&self) -> &'static [Entry] {
        self.registered
    }

    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> + use<> {
        let demo = self.demo;
        let compiled = COMPILED.iter().filter(move |entry| demo || !entry.demo);
        compiled.chain(self.registered)
    }

    /// The time limit of one attempt: the function's own, shortened to what the worker's timeout
    /// leaves.
    #[must_use]
    pub fn attempt_timeout(&self, entry: &Entry) -> Duration {
        let longest = Duration::from_secs(attempt_secs_max(self.worker_timeout_secs).into());
        entry.attempt_timeout.min(longest)
    }

    /// The function of this name and version, without a version the latest stable one.
    ///
    /// # Errors
    ///
    /// When the catalogue lacks it.
    pub fn find(&self, name: &str, version: Option<&Version>) -> Result<&'static Entry, Unknown> {
        let named: Vec<_> = self
            .entries()
            .filter(|entry| entry.name == name)
            .filter_map(|entry| Some((Version::parse(entry.version).ok()?, entry)))
            .collect();
        if named.is_empty() {
            return Err(Unknown::Function);
        }
        let found = match version {
            Some(version) => named.iter().find(|(known, _)| known == version),
            None => named
                .iter()
                .filter(|(known, _)| known.pre.is_empty())
                .max_by(|a, b| a.0.cmp(&b.0)),
        };
        found
            .map(|(_, entry)| *entry)
            .ok_or_else(|| Unknown::Version {
                available: named.iter().map(|(_, entry)| entry.version).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{DEADLINE_SECS_MAX, DEADLINE_SECS_MIN};
    use crate::schema::{CheckError, Validators};

    #[test]
    fn every_entry_is_within_the_limits() {
        let mut seen = std::collections::HashSet::new();
        for entry in Catalogue::new(true).entries() {
            assert!(Version::parse(entry.version).is_ok(), "{}", entry.name);
            assert!(
                seen.insert((entry.name, entry.version)),
                "{} twice",
                entry.name
            );
            assert!(entry.attempts_max >= 1);
            assert!((DEADLINE_SECS_MIN..=DEADLINE_SECS_MAX).contains(&entry.deadline_secs));
            let longest = Duration::from_secs(attempt_secs_max(WORKER_TIMEOUT_SECS_MAX).into());
            assert!(entry.attempt_timeout <= longest, "{}", entry.name);
        }
    }

    #[test]
    fn a_short_worker_timeout_shortens_the_attempts() {
        let attempt_secs = |timeout: &str| {
            let environment = Environment::from_iter([("WORKER_TIMEOUT_SECONDS", timeout)]);
            let catalogue = Catalogue::load(&environment).unwrap();
            let entry = catalogue.find("csv.summarize", None).unwrap();
            assert_eq!(entry.attempt_timeout.as_secs(), 300);
            catalogue.attempt_timeout(entry).as_secs()
        };
        assert_eq!(attempt_secs("60"), 30);
        assert_eq!(attempt_secs("329"), 299);
        assert_eq!(attempt_secs("330"), 300);
        assert_eq!(attempt_secs("1800"), 300);
    }

    #[test]
    fn a_worker_timeout_that_lambda_refuses_or_that_leaves_no_attempt_is_refused() {
        for timeout in ["59", "1801", "soon"] {
            let environment = Environment::from_iter([("WORKER_TIMEOUT_SECONDS", timeout)]);
            assert_eq!(
                Catalogue::load(&environment).unwrap_err().to_string(),
                "WORKER_TIMEOUT_SECONDS must be a whole number from 60 to 1800"
            );
        }
    }

    #[test]
    fn demonstration_functions_are_there_only_when_enabled() {
        assert!(
            Catalogue::new(false)
                .entries()
                .all(|entry| !entry.name.starts_with("demo."))
        );
        assert_eq!(
            Catalogue::new(false).find("demo.echo", None).unwrap_err(),
            Unknown::Function
        );
        assert!(Catalogue::new(true).find("demo.echo", None).is_ok());
    }

    #[test]
    fn an_unknown_version_names_the_available_ones() {
        let version = Version::new(9, 0, 0);
        let unknown = Catalogue::new(false)
            .find("csv.summarize", Some(&version))
            .unwrap_err();
        assert_eq!(
            unknown,
            Unknown::Version {
                available: vec!["1.0.0"]
            }
        );
    }

    #[test]
    fn an_optional_argument_may_be_null() {
        for entry in Catalogue::new(true).entries() {
            let schema = serde_json::to_value(entry.arguments_schema()).unwrap();
            let required = schema["required"].as_array();
            let is_required = |name: &str| required.is_some_and(|all| all.contains(&name.into()));
            let members = schema["properties"].as_object().into_iter().flatten();
            let arguments: serde_json::Map<_, _> = members
                .filter_map(|(name, member)| {
                    let value = match member["type"].as_str() {
                        _ if !is_required(name) => Value::Null,
                        Some("array") => Value::Array(Vec::new()),
                        Some("boolean") => true.into(),
                        Some("integer" | "number") => 1.into(),
                        Some("string") => "a".into(),
                        // Without a value that the function accepts, the error names the member,
                        // which is required.
                        _ => return None,
                    };
                    Some((name.clone(), value))
                })
                .collect();
            let arguments = Json::of(&arguments).unwrap();
            let checked = Validators::default().check(entry, &arguments);
            let Err(CheckError::Arguments(errors)) = checked else {
                assert_eq!(checked, Ok(()), "{}", entry.name);
                continue;
            };
            for error in errors {
                let name = error.pointer.trim_start_matches('/');
                assert!(is_required(name), "{} {error:?}", entry.name);
            }
        }
    }

    #[test]
    fn schemas_list_the_required_members() {
        let entry = Catalogue::new(false).find("csv.summarize", None).unwrap();
        let schema = serde_json::to_value(entry.arguments_schema()).unwrap();
        assert_eq!(schema["required"], serde_json::json!(["csv"]));
        assert_eq!(schema["additionalProperties"], serde_json::json!(false));
    }
}
