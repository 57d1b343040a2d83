//! The functions file: registers functions whose work is done by targets.
//!
//! A process reads it once, at start. A file with an error stops the process: it would otherwise
//! accept operations that no worker can serve. What is inside a schema is not read at start, which
//! has to be fast; [`crate::schema`] checks it when its function is first called, and the operator
//! tool before a deployment.

pub mod source;
mod target;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use serde_json::value::RawValue;

use self::target::read_target;
use super::{Catalogue, Entry, Form, SideEffect, Target};
use crate::config::{Environment, SettingError};
use crate::domain::backoff::RetryPolicy;
use crate::domain::json::{self, Json, ObjectMembers, members};
use crate::domain::limits::{DEADLINE_SECS_MAX, DEADLINE_SECS_MIN, attempt_secs_max};
use crate::request::{FieldError, Fields, Invalid, Members};

const SETTING: &str = "FUNCTIONS_FILE";
/// Where a Lambda layer has the file.
pub const PATH_IN_LAYER: &str = "/opt/ferry/functions.json";

const FILE_BYTES_MAX: usize = 1024 * 1024;
const FUNCTIONS_MAX: usize = 500;
const DESCRIPTION_CHARS_MAX: usize = 1000;
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
const ATTEMPTS_MAX: u32 = 20;
const ATTEMPTS_DEFAULT: u32 = 3;
/// In seconds, shortened to what the worker's timeout leaves.
const TIMEOUT_SECS_DEFAULT: u32 = 60;
const DEADLINE_SECS_DEFAULT: u32 = 3600;
const RETRY_SECS_MAX: u32 = 3600;
const RETRY_FIRST_SECS_DEFAULT: u32 = 2;
const RETRY_LONGEST_SECS_DEFAULT: u32 = 60;

/// The dialect of every schema, which `$schema` may name.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The registered functions of this process, which keeps them until it ends: from the file that
/// `FUNCTIONS_FILE` names, or else from the one in a layer, if there is one. The worker's timeout
/// bounds their attempts.
///
/// # Errors
///
/// When the file cannot be read, or is not valid. Names the first error.
pub fn load(
    environment: &Environment,
    worker_timeout_secs: u32,
) -> Result<&'static [Entry], SettingError> {
    let setting = environment.optional(SETTING);
    let path = setting.unwrap_or(PATH_IN_LAYER);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && setting.is_none() => return Ok(&[]),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut text = String::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    file.take(limit)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    match read(&text, worker_timeout_secs) {
        Ok(entries) => Ok(entries.leak()),
        Err(errors) => Err(SettingError::new(SETTING, summary(&errors))),
    }
}

fn unreadable(error: &std::io::Error) -> SettingError {
    let problem = match error.kind() {
        ErrorKind::NotFound => "names a file that does not exist".to_owned(),
        ErrorKind::InvalidData => "must be UTF-8".to_owned(),
        kind => format!("cannot be read: {kind}"),
    };
    SettingError::new(SETTING, problem)
}

/// The first error, and how many more there are.
fn summary(errors: &[FieldError]) -> String {
    let Some(first) = errors.first() else {
        return "is not valid".to_owned();
    };
    match errors.len() {
        1 => first.to_string(),
        count => format!("{first} (and {} more)", count - 1),
    }
}

/// Reads the text of a functions file. The worker's timeout bounds the functions' attempts.
///
/// # Errors
///
/// Every error outside of the schemas, in the order of the functions; at most a few for each.
pub fn read(text: &str, worker_timeout_secs: u32) -> Result<Vec<Entry>, Vec<FieldError>> {
    let (entries, errors) = read_all(text, worker_timeout_secs);
    if errors.is_empty() {
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    } else {
        Err(errors)
    }
}

/// As [`read`], but returns the functions that are valid whatever is wrong with others, each with
/// its index in the file.
#[must_use]
pub fn read_all(text: &str, worker_timeout_secs: u32) -> (Vec<(usize, Entry)>, Vec<FieldError>) {
    let functions = match read_file(text) {
        Ok(functions) => functions,
        Err(errors) => return (Vec::new(), errors),
    };
    let (mut entries, mut errors) = (Vec::with_capacity(functions.len()), Vec::new());
    for (index, ObjectMembers(members)) in functions.into_iter().enumerate() {
        let base = format!("/functions/{index}");
        match read_function(&base, members, attempt_secs_max(worker_timeout_secs)) {
            Ok(entry) => {
                errors.extend(repeated(&entry, index, &entries));
                errors.extend(runs_otherwise(&entry, index, &entries));
                entries.push((index, entry));
            }
            Err(more) => errors.extend(more),
        }
    }
    (entries, errors)
}

/// The functions of a file whose own members are valid.
fn read_file(text: &str) -> Result<Vec<ObjectMembers<'_>>, Vec<FieldError>> {
    let whole = |detail: String| vec![FieldError::new("", detail)];
    if text.len() > FILE_BYTES_MAX {
        return Err(whole(format!("must be at most {FILE_BYTES_MAX} bytes")));
    }
    let ObjectMembers(members) = serde_json::from_str(text).map_err(|error| {
        whole(format!(
            "is not JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    })?;
    let mut fields = Fields::default();
    let Some(mut file) = unique_members("", members, &mut fields) else {
        return Err(fields.into_errors());
    };
    file.take_any("$schema");
    file.take_any("$comment");
    let format = fields
        .required(&mut file, "format")
        .and_then(|raw| fields.number("format", raw, 1..=1));
    let functions = fields.required(&mut file, "functions").and_then(|raw| {
        if !raw.get().starts_with('[') {
            return Err(fields.reject("functions", "must be an array"));
        }
        serde_json::from_str(raw.get())
            .map_err(|_| fields.reject("functions", "has a name that is not valid Unicode"))
    });
    file.reject_unknown(&mut fields);
    if functions
        .as_ref()
        .is_ok_and(|all: &Vec<_>| all.len() > FUNCTIONS_MAX)
    {
        let detail = format!("must have at most {FUNCTIONS_MAX} elements");
        fields.reject("functions", detail);
    }
    fields.finish(format.and(functions))
}

/// The error of a function that another one has registered, or that is compiled.
fn repeated(entry: &Entry, index: usize, before: &[(usize, Entry)]) -> Option<FieldError> {
    let is_same = |other: &Entry| (other.name, other.version) == (entry.name, entry.version);
    let other = before
        .iter()
        .find(|(_, other)| is_same(other))
        .map(|(index, _)| format!("/functions/{index}"))
        .or_else(|| {
            let compiled = Catalogue::new(true).entries().any(is_same);
            compiled.then(|| "a compiled function".to_owned())
        })?;
    let Entry { name, version, .. } = entry;
    let detail = format!("repeats {name} {version}, which is {other}");
    Some(FieldError::new(format!("/functions/{index}"), detail))
}

/// The error of a function whose Lambda function another one runs locally in another way: on one
/// machine it is one target.
fn runs_otherwise(entry: &Entry, index: usize, before: &[(usize, Entry)]) -> Option<FieldError> {
    let target = entry.target()?;
    let local = target.local.as_ref()?;
    let other = before.iter().map(|(_, other)| other).find(|other| {
        let other = other
            .target()
            .filter(|other| other.function == target.function);
        let other = other.and_then(|other| other.local.as_ref());
        other.is_some_and(|other| other != local)
    })?;
    let detail = format!(
        "must be that of {} {}, which has the same Lambda function",
        other.name, other.version
    );
    Some(FieldError::new(
        format!("/functions/{index}/target/local"),
        detail,
    ))
}

fn read_function(
    base: &str,
    members: Option<Vec<(String, &RawValue)>>,
    timeout_secs_max: u32,
) -> Result<Entry, Vec<FieldError>> {
    let mut fields = Fields::at(base);
    let Some(mut members) = unique_members(base, members, &mut fields) else {
        return Err(fields.into_errors());
    };
    members.take_any("$comment");
    let name = read_name(&mut fields, &mut members);
    let version = fields
        .required(&mut members, "version")
        .and_then(|raw| fields.version("version", raw));
    let description = fields
        .required(&mut members, "description")
        .and_then(|raw| read_description(&mut fields, raw));
    let arguments_schema = fields
        .required(&mut members, "arguments_schema")
        .and_then(|raw| read_schema(base, "arguments_schema", &mut fields, raw));
    let result_schema = match members.take("result_schema") {
        Some(raw) => read_schema(base, "result_schema", &mut fields, raw),
        None => Ok(RawValue::from_string("true".to_owned()).expect("a JSON value")),
    };
    let mut number = |name, bounds, default| match members.take(name) {
        Some(raw) => fields.number(name, raw, bounds),
        None => Ok(default),
    };
    let attempts_max = number("attempts", 1..=ATTEMPTS_MAX, ATTEMPTS_DEFAULT);
    let timeout_secs = number(
        "timeout_seconds",
        1..=timeout_secs_max,
        TIMEOUT_SECS_DEFAULT.min(timeout_secs_max),
    );
    let deadline_secs = number(
        "deadline_seconds",
        DEADLINE_SECS_MIN..=DEADLINE_SECS_MAX,
        DEADLINE_SECS_DEFAULT,
    );
    if let (Ok(timeout), Ok(deadline)) = (timeout_secs, deadline_secs)
        && deadline < timeout
    {
        let detail = format!("must be at least timeout_seconds, which is {timeout}");
        fields.reject("deadline_seconds", detail);
    }
    let retry = match members.take("retry") {
        Some(raw) => read_retry(&format!("{base}/retry"), &mut fields, raw),
        None => Ok(retry_policy(
            RETRY_FIRST_SECS_DEFAULT,
            RETRY_LONGEST_SECS_DEFAULT,
        )),
    };
    let side_effects = match members.take("side_effects") {
        Some(raw) => read_side_effects(&mut fields, raw),
        None => Ok(vec![SideEffect::Update]),
    };
    let mut switch = |name| match members.take(name) {
        Some(raw) => fields.boolean(name, raw),
        None => Ok(false),
    };
    let (send_owner, send_metadata) = (switch("send_owner"), switch("send_metadata"));
    let target = fields
        .required(&mut members, "target")
        .and_then(|raw| read_target(&format!("{base}/target"), &mut fields, raw));
    members.reject_unknown(&mut fields);

    let read = (|| {
        let (function, permanent_errors, local) = target?;
        Ok(Entry {
            name: String::leak(name?),
            version: String::leak(version?.to_string()),
            description: String::leak(description?),
            attempts_max: attempts_max?,
            attempt_timeout: Duration::from_secs(timeout_secs?.into()),
            deadline_secs: deadline_secs?,
            retry: retry?,
            side_effects: side_effects?.leak(),
            demo: false,
            form: Form::Registered {
                arguments_schema: arguments_schema?,
                result_schema: result_schema?,
                target: Target {
                    function,
                    permanent_errors,
                    send_owner: send_owner?,
                    send_metadata: send_metadata?,
                    local,
                },
            },
        })
    })();
    fields.finish(read)
}

/// The members of an object that names each once.
fn unique_members<'a>(
    base: &str,
    members: Option<Vec<(String, &'a RawValue)>>,
    fields: &mut Fields,
) -> Option<Members<'a>> {
    let Some(members) = members.map(Members::new) else {
        fields.reject_at(base, "must be an object");
        return None;
    };
    if let Some(name) = members.repeated() {
        let mut pointer = base.to_owned();
        json::push_token(&mut pointer, name);
        fields.reject_at(pointer, "is given more than once");
        return None;
    }
    Some(members)
}

fn read_name(fields: &mut Fields, members: &mut Members<'_>) -> Result<String, Invalid> {
    let raw = fields.required(members, "name")?;
    let name = fields.function_name("name", raw)?;
    for prefix in ["demo.", "urn:"] {
        if name.starts_with(prefix) {
            return Err(fields.reject("name", format!("must not begin with {prefix}")));
        }
    }
    Ok(name)
}

fn read_description(fields: &mut Fields, raw: &RawValue) -> Result<String, Invalid> {
    let text = fields.text("description", raw)?;
    if (1..=DESCRIPTION_CHARS_MAX).contains(&text.chars().count()) {
        return Ok(text);
    }
    let detail = format!("must have 1 to {DESCRIPTION_CHARS_MAX} characters");
    Err(fields.reject("description", detail))
}

/// Reads of a schema only what its place in the file demands.
fn read_schema(
    base: &str,
    member: &str,
    fields: &mut Fields,
    raw: &RawValue,
) -> Result<Box<RawValue>, Invalid> {
    let is_object = raw.get().starts_with('{');
    if !is_object && !matches!(raw.get(), "true" | "false") {
        return Err(fields.reject(member, "must be a JSON Schema"));
    }
    let pointer = format!("{base}/{member}");
    // White space does not count.
    if raw.get().len() > SCHEMA_BYTES_MAX {
        fields.bound(&pointer, Json::compact(raw), SCHEMA_BYTES_MAX)?;
    }
    let (mut dialect, mut kind) = (None, None);
    for (name, value) in members(raw).unwrap_or_default() {
        match name.as_str() {
            "$schema" => dialect = dialect.or(Some(value)),
            "type" => kind = kind.or(Some(value)),
            _ => {}
        }
    }
    let is_known = |raw: &RawValue| {
        serde_json::from_str::<String>(raw.get())
            .is_ok_and(|dialect| dialect.trim_end_matches('#') == DIALECT)
    };
    if dialect.is_some_and(|dialect| !is_known(dialect)) {
        let detail = format!("must be {DIALECT}");
        return Err(fields.reject_at(format!("{pointer}/$schema"), detail));
    }
    // Callers send arguments as an object, and the schema says so.
    let is_of_object = kind.is_some_and(|kind| kind.get() == r#""object""#);
    if member == "arguments_schema" && !is_of_object {
        return Err(fields.reject_at(format!("{pointer}/type"), "must be \"object\""));
    }
    Ok(raw.to_owned())
}

fn read_retry(base: &str, outer: &mut Fields, raw: &RawValue) -> Result<RetryPolicy, Invalid> {
    let mut members = unique_members(base, members(raw), outer).ok_or(Invalid)?;
    let mut fields = Fields::at(base);
    members.take_any("$comment");
    let mut secs = |name, default| match members.take(name) {
        Some(raw) => fields.number(name, raw, 0..=RETRY_SECS_MAX),
        None => Ok(default),
    };
    let first = secs("first_seconds", RETRY_FIRST_SECS_DEFAULT);
    let longest = match first {
        // A first wait alone must not contradict the default of the longest.
        Ok(first) => secs("longest_seconds", RETRY_LONGEST_SECS_DEFAULT.max(first)),
        Err(Invalid) => secs("longest_seconds", RETRY_LONGEST_SECS_DEFAULT),
    };
    if let (Ok(first), Ok(longest)) = (first, longest)
        && longest < first
    {
        let detail = format!("must be at least first_seconds, which is {first}");
        fields.reject("longest_seconds", detail);
    }
    members.reject_unknown(&mut fields);
    let read = first.and_then(|first| Ok(retry_policy(first, longest?)));
    merge(outer, fields, read)
}

const fn retry_policy(first_secs: u32, longest_secs: u32) -> RetryPolicy {
    RetryPolicy {
        initial: Duration::from_secs(first_secs as u64),
        max: Duration::from_secs(longest_secs as u64),
    }
}

fn read_side_effects(fields: &mut Fields, raw: &RawValue) -> Result<Vec<SideEffect>, Invalid> {
    let read: Result<Vec<SideEffect>, _> = serde_json::from_str(raw.get());
    read.map_err(|_| {
        let detail = "must be an array of \"create\", \"update\" and \"delete\"";
        fields.reject("side_effects", detail)
    })
}

/// Adds the errors of an inner object to those of the outer one.
fn merge<T>(outer: &mut Fields, inner: Fields, read: Result<T, Invalid>) -> Result<T, Invalid> {
    inner.finish(read).map_err(|errors| {
        for FieldError { pointer, detail } in errors {
            outer.reject_at(pointer, detail);
        }
        Invalid
    })
}
