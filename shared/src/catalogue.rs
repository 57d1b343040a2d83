//! The functions that can be called.
//!
//! A function stands here with its name, version, types and limits, so that a submit can refuse wrong arguments before anything
//! is written; its work stands in the worker. To add one: a file beside this one, a line in `ENTRIES`, and its work there.
//! A test of the worker fails when one of the two is missing.

pub mod csv_summarize;
pub mod demo;

use std::time::Duration;

use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use semver::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::domain::backoff::RetryPolicy;
use crate::domain::json::{Json, push_token, with_plain_integers};

/// All functions. The demonstration ones can be called only where a setting says so.
static ENTRIES: &[Entry] = &[
    Entry::of::<csv_summarize::CsvSummarize>(),
    Entry::of::<demo::Echo>(),
    Entry::of::<demo::Countdown>(),
    Entry::of::<demo::Fail>(),
];

/// A function that can be called: everything but its work.
pub trait Function {
    /// Its name: letters, digits and `. _ : -`, at most 255.
    const NAME: &'static str;
    /// Its version, by Semantic Versioning. Two versions of one name are two functions.
    const VERSION: &'static str;
    /// What it does, in a sentence for its callers.
    const DESCRIPTION: &'static str;
    /// Attempts before its operation fails, from 1.
    const ATTEMPTS_MAX: u32;
    /// How long one attempt may take, at most what an invocation of the worker leaves it (14 minutes and 30 seconds).
    const ATTEMPT_TIMEOUT: Duration;
    /// How long an operation may take unless its caller says otherwise, in seconds, at most seven days.
    const DEADLINE_SECS: u32;
    /// The waits between attempts.
    const RETRY: RetryPolicy;
    /// What it changes, for its callers; nothing for one that only computes.
    const SIDE_EFFECTS: &'static [SideEffect] = &[];
    /// Whether it is for demonstration and tests only.
    const DEMO: bool = false;

    /// What it is called with; refuses unknown members.
    type Args: DeserializeOwned + JsonSchema;
    /// What it returns.
    type Output: Serialize + JsonSchema;

    /// Checks what the schema of [`Function::Args`] cannot say, such as that one member goes with another. Called with arguments that
    /// the schema allows.
    ///
    /// # Errors
    ///
    /// Names the member that is wrong.
    fn validate(_args: &Self::Args) -> Result<(), ArgumentFault> {
        Ok(())
    }
}

/// What a function does to what lies outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SideEffect {
    /// It makes something new.
    Create,
    /// It changes something.
    Update,
    /// It removes something.
    Delete,
}

/// What is wrong with arguments, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentFault {
    /// RFC 6901 pointer from the arguments' root.
    pub pointer: String,
    /// What is wrong there, for the caller.
    pub detail: String,
}

impl ArgumentFault {
    /// A fault of one member.
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

/// A function in the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// See [`Function::NAME`].
    pub name: &'static str,
    /// See [`Function::VERSION`].
    pub version: &'static str,
    /// See [`Function::DESCRIPTION`].
    pub description: &'static str,
    /// See [`Function::ATTEMPTS_MAX`].
    pub attempts_max: u32,
    /// See [`Function::ATTEMPT_TIMEOUT`].
    pub attempt_timeout: Duration,
    /// See [`Function::DEADLINE_SECS`].
    pub deadline_secs: u32,
    /// See [`Function::RETRY`].
    pub retry: RetryPolicy,
    /// See [`Function::SIDE_EFFECTS`].
    pub side_effects: &'static [SideEffect],
    /// See [`Function::DEMO`].
    pub demo: bool,
    validate: fn(&Json) -> Result<(), ArgumentFault>,
    arguments_schema: fn() -> Schema,
    result_schema: fn() -> Schema,
}

impl Entry {
    /// The entry of a function.
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
            validate: |arguments| F::validate(&read_arguments::<F>(arguments)?),
            arguments_schema: schema_of::<F::Args>,
            result_schema: schema_of::<F::Output>,
        }
    }

    /// Checks what the schema of the arguments cannot say; see [`Function::validate`].
    ///
    /// # Errors
    ///
    /// The first member that is wrong.
    pub fn validate(&self, arguments: &Json) -> Result<(), ArgumentFault> {
        (self.validate)(arguments)
    }

    /// The JSON Schema of the arguments.
    #[must_use]
    pub fn arguments_schema(&self) -> Schema {
        (self.arguments_schema)()
    }

    /// The JSON Schema of the result.
    #[must_use]
    pub fn result_schema(&self) -> Schema {
        (self.result_schema)()
    }
}

/// Reads arguments as the function's own type.
///
/// # Errors
///
/// The first member that is wrong.
pub fn read_arguments<F: Function>(arguments: &Json) -> Result<F::Args, ArgumentFault> {
    read_as(arguments)
}

/// Reads arguments as any type. Whole numbers may be written with a fraction of zero or an exponent,
/// as JSON Schema allows them.
///
/// # Errors
///
/// The first member that is wrong.
pub fn read_as<T: DeserializeOwned>(arguments: &Json) -> Result<T, ArgumentFault> {
    let read = |json: &str| {
        let mut json = serde_json::Deserializer::from_str(json);
        serde_path_to_error::deserialize(&mut json)
    };
    let text = arguments.as_str();
    read(text)
        // As they were sent if that can be read, since a function may want to keep their spelling.
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
            // The parser's own words are about types of this code.
            let detail = "is not what this function takes".to_owned();
            ArgumentFault { pointer, detail }
        })
}

/// The JSON Schema of a type.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    RecursiveTransform(bound_integers).transform(&mut schema);
    schema
}

/// Gives integers the bounds of their type, which the generator names for the small types alone.
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

/// The functions that can be called here.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue {
    demo: bool,
}

/// Why no function was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// There is none of this name.
    Function,
    /// There is, but not in this version.
    Version {
        /// The versions that there are.
        available: Vec<&'static str>,
    },
}

impl Catalogue {
    /// The catalogue, with the demonstration functions or without them.
    #[must_use]
    pub const fn new(demo: bool) -> Self {
        Self { demo }
    }

    /// Every function.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> + use<> {
        let demo = self.demo;
        ENTRIES.iter().filter(move |entry| demo || !entry.demo)
    }

    /// The function of this name and version; without a version the latest stable one.
    ///
    /// # Errors
    ///
    /// When there is none.
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
    use crate::domain::limits::{
        DEADLINE_SECS_MAX, DEADLINE_SECS_MIN, INVOCATION_MARGIN, WORKER_TIMEOUT_SECS,
    };
    use crate::schema::Validators;

    #[test]
    fn every_entry_keeps_its_own_rules() {
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
            let longest = Duration::from_secs(u64::from(WORKER_TIMEOUT_SECS));
            assert!(
                entry.attempt_timeout + INVOCATION_MARGIN <= longest,
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn demonstration_functions_hide_unless_asked_for() {
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
    fn an_unknown_version_names_those_there_are() {
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
    fn an_argument_that_may_be_left_out_may_be_null() {
        for entry in Catalogue::new(true).entries() {
            let schema = serde_json::to_value(entry.arguments_schema()).unwrap();
            let required = schema["required"].as_array();
            let members = schema["properties"].as_object().into_iter().flatten();
            let arguments: serde_json::Map<_, _> = members
                .map(|(name, member)| {
                    let is_required =
                        required.is_some_and(|all| all.contains(&name.as_str().into()));
                    let value = match member["type"].as_str() {
                        _ if !is_required => Value::Null,
                        Some("string") => "a".into(),
                        Some("integer") => 1.into(),
                        _ => panic!("{} {name}: {member}", entry.name),
                    };
                    (name.clone(), value)
                })
                .collect();
            let arguments = Json::of(&arguments).unwrap();
            let checked = Validators::default().check(entry, &arguments);
            assert_eq!(checked, Ok(()), "{} {}", entry.name, arguments.as_str());
        }
    }

    #[test]
    fn schemas_name_what_is_required() {
        let entry = Catalogue::new(false).find("csv.summarize", None).unwrap();
        let schema = serde_json::to_value(entry.arguments_schema()).unwrap();
        assert_eq!(schema["required"], serde_json::json!(["csv"]));
        assert_eq!(schema["additionalProperties"], serde_json::json!(false));
    }
}
