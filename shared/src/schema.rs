//! Validation of arguments against the JSON Schema that callers see, and of the schemas themselves.
//!
//! Every error is reported, each with its own pointer, in JSON's terms. The crate `jsonschema`
//! makes up a third of `submit`'s binary, so the `main` of no other function may reach this module.
//! The worker's does not reach `worker::run_by_name`, which the program `local` calls.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::catalogue::{ArgumentError, Entry};
use crate::domain::json::{self, Json, StructureError, push_token, with_finite_numbers};
use crate::domain::limits::{ARGUMENT_VALUES_CHECKED_MAX, ERRORS_LISTED_MAX, NESTING_MAX};
use crate::request::FieldError;

/// Formats are annotations by default (JSON Schema Validation 2020-12, section 7.2.1). Those of
/// times, URIs, UUIDs and mail addresses are checked; these are not.
const UNCHECKED_FORMATS: [&str; 13] = [
    "date",
    "duration",
    "hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri-reference",
    "uri-template",
];
/// Values of an enumeration that an error lists.
const NAMED_VALUES_MAX: usize = 20;

/// The schemas of functions, each compiled when its function is first called. One for each process.
#[derive(Default)]
pub struct Validators {
    /// By the function's name and version.
    compiled: Mutex<HashMap<(&'static str, &'static str), Arc<Validator>>>,
}

/// Why arguments do not pass.
#[derive(Debug, PartialEq, Eq)]
pub enum CheckError {
    /// Every error, up to one more than are shown ([`ERRORS_LISTED_MAX`]). Of arguments with more
    /// than [`ARGUMENT_VALUES_CHECKED_MAX`] values, only the errors among the first values, or the
    /// first error if those have none.
    Arguments(Vec<ArgumentError>),
    /// The registered schema is not valid, so the function cannot be called.
    Schema(SchemaError),
}

/// What is wrong inside a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {detail}")]
pub struct SchemaError {
    /// RFC 6901 pointer from the schema's root.
    pub pointer: String,
    /// Completes a sentence that begins with the pointer.
    pub detail: String,
}

impl Validators {
    /// Checks arguments against everything that a function of the catalogue requires of them.
    ///
    /// # Errors
    ///
    /// When the arguments or the schema are not valid.
    pub fn check(&self, entry: &Entry, arguments: &Json) -> Result<(), CheckError> {
        let function = (entry.name, entry.version);
        let validator = self
            .validator(function, || entry.arguments_schema())
            .map_err(CheckError::Schema)?;
        argument_errors(&validator, arguments)
            .and_then(|()| entry.validate(arguments).map_err(|error| vec![error]))
            .map_err(CheckError::Arguments)
    }

    /// Checks arguments against the schema of one of the protocol's own functions.
    ///
    /// # Errors
    ///
    /// As [`CheckError::Arguments`].
    ///
    /// # Panics
    ///
    /// When the schema is not valid. Code generates it, and a test calls each of these functions.
    pub fn check_generated(
        &self,
        function: &'static str,
        schema: impl FnOnce() -> Json,
        arguments: &Json,
    ) -> Result<(), Vec<ArgumentError>> {
        let validator = self.validator((function, ""), schema);
        let validator = validator.expect("the schema of a type is a schema");
        argument_errors(&validator, arguments)
    }

    fn validator(
        &self,
        function: (&'static str, &'static str),
        schema: impl FnOnce() -> Json,
    ) -> Result<Arc<Validator>, SchemaError> {
        // Compiled under the lock: one instance serves one request at a time.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = compiled.get(&function) {
            return Ok(Arc::clone(validator));
        }
        let validator = Arc::new(compile(&parse(&schema())?)?);
        compiled.insert(function, Arc::clone(&validator));
        Ok(validator)
    }
}

/// What is wrong inside the schemas of registered functions: every error, with its pointer in the
/// functions file, whose structure [`file::read`] has checked.
///
/// [`file::read`]: crate::catalogue::file::read
#[must_use]
pub fn schema_errors(entries: &[Entry]) -> Vec<FieldError> {
    let entries = entries.iter().enumerate();
    entries
        .flat_map(|(index, entry)| schema_errors_of(index, entry))
        .collect()
}

/// As [`schema_errors`], of the function that has this index in the file.
#[must_use]
pub fn schema_errors_of(index: usize, entry: &Entry) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (member, schema) in [
        ("arguments_schema", entry.arguments_schema()),
        ("result_schema", entry.result_schema()),
    ] {
        for SchemaError { pointer, detail } in errors_of_schema(&schema) {
            let pointer = format!("/functions/{index}/{member}{pointer}");
            errors.push(FieldError::new(pointer, detail));
        }
    }
    errors
}

/// What is wrong with a result by its function's `result_schema`, which is valid.
#[must_use]
pub fn result_errors(entry: &Entry, result: &Json) -> Vec<ArgumentError> {
    let schema = parse(&entry.result_schema()).and_then(|schema| compile(&schema));
    let errors = schema.map(|schema| argument_errors(&schema, result).err());
    errors.ok().flatten().unwrap_or_default()
}

fn errors_of_schema(schema: &Json) -> Vec<SchemaError> {
    let schema = match parse(schema) {
        Ok(schema) => schema,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    for error in jsonschema::draft202012::meta::validator().iter_errors(&schema) {
        push(&mut errors, &error, &schema);
    }
    if errors.is_empty() {
        return compile(&schema).err().into_iter().collect();
    }
    let to_schema_error = |ArgumentError { pointer, detail }| SchemaError { pointer, detail };
    errors.into_iter().map(to_schema_error).collect()
}

fn parse(schema: &Json) -> Result<Value, SchemaError> {
    let whole = |detail: String| SchemaError {
        pointer: String::new(),
        detail,
    };
    if let Err(StructureError { pointer, kind }) = json::check(schema.raw(), NESTING_MAX) {
        let detail = kind.to_string();
        return Err(SchemaError { pointer, detail });
    }
    serde_json::from_str(schema.as_str())
        .map_err(|_| whole("has a number that a double cannot represent".to_owned()))
}

/// Nothing is fetched, whatever `$ref` names: the crate has been built without that.
fn compile(schema: &Value) -> Result<Validator, SchemaError> {
    let mut options = jsonschema::draft202012::options()
        // Patterns run on callers' text, so their engine has to be linear.
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true);
    for format in UNCHECKED_FORMATS {
        options = options.with_format(format, |_: &str| true);
    }
    options.build(schema).map_err(|error| {
        let place = error.instance_path().as_str().to_owned();
        let (pointer, detail) = match error.kind() {
            ValidationErrorKind::Referencing(_) => {
                let detail = "refers to what is not in this schema";
                let dangling = dangling_reference(schema, &error.to_string());
                dangling.map_or_else(
                    || (place, detail.to_owned()),
                    |(pointer, reference)| (pointer, format!("{detail}: {reference}")),
                )
            }
            _ => (place, schema_detail(&error)),
        };
        SchemaError { pointer, detail }
    })
}

/// The `$ref` that an error is about, with its pointer: the error names only what it refers to, and
/// no place.
fn dangling_reference(root: &Value, error: &str) -> Option<(String, String)> {
    fn search(value: &Value, pointer: &mut String, found: &mut Vec<(String, String)>) {
        let mut enter = |token: &str, value: &Value| {
            let parent_len = pointer.len();
            push_token(pointer, token);
            match value {
                Value::String(reference) if matches!(token, "$ref" | "$dynamicRef") => {
                    found.push((pointer.clone(), reference.clone()));
                }
                value => search(value, pointer, found),
            }
            pointer.truncate(parent_len);
        };
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    enter(name, value);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    enter(&index.to_string(), value);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    search(root, &mut String::new(), &mut found);
    found.into_iter().find(|(_, reference)| {
        let is_there = match reference.strip_prefix('#') {
            Some(pointer) if pointer.starts_with('/') => root.pointer(pointer).is_some(),
            _ => false,
        };
        !is_there && error.contains(reference.trim_start_matches('#'))
    })
}

fn schema_detail(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Format { .. } => {
            "must be a regular expression without look-around and back-references".to_owned()
        }
        _ => detail(error),
    }
}

fn argument_errors(validator: &Validator, arguments: &Json) -> Result<(), Vec<ArgumentError>> {
    let text = arguments.as_str();
    let value: Value = serde_json::from_str(text)
        .or_else(|_| {
            let finite = with_finite_numbers(text)
                .expect("only a number beyond f64's range keeps `Value` from parsing JSON");
            serde_json::from_str(&finite)
        })
        .expect("every number is now finite");
    // `is_valid` stops at the first error, so that invalid arguments are not validated twice in
    // full.
    if validator.is_valid(&value) {
        return Ok(());
    }
    let mut errors = Vec::new();
    let (prefix, cut) = prefix(&value);
    // The crate collects every error before it returns the first, so it gets a limited part only.
    for error in validator.iter_errors(&prefix) {
        // The part may lack what the whole value has, but it has no member that the whole value
        // lacks.
        let holds_for_whole = |cut: &String| {
            !is_within(cut, error.instance_path().as_str()) || is_about_unexpected_members(&error)
        };
        if cut.as_ref().is_none_or(holds_for_whole) {
            push(&mut errors, &error, &prefix);
        }
        if errors.len() > ERRORS_LISTED_MAX {
            break;
        }
    }
    if errors.is_empty()
        && let Err(error) = validator.validate(&value)
    {
        push(&mut errors, &error, &value);
    }
    errors.truncate(ERRORS_LISTED_MAX + 1);
    Err(errors)
}

/// The first [`ARGUMENT_VALUES_CHECKED_MAX`] values in one, members in the order of their names.
/// When there are more, also a pointer to the innermost array or object that was cut.
fn prefix(value: &Value) -> (Value, Option<String>) {
    let (mut left, mut cut) = (ARGUMENT_VALUES_CHECKED_MAX, None);
    let prefix = take_prefix(value, &mut left, &mut String::new(), &mut cut);
    (prefix, cut)
}

fn take_prefix(
    value: &Value,
    left: &mut usize,
    pointer: &mut String,
    cut: &mut Option<String>,
) -> Value {
    *left = left.saturating_sub(1);
    let mut take = |token: &str, value: &Value| {
        let parent_len = pointer.len();
        if *left == 0 {
            cut.get_or_insert_with(|| pointer.clone());
            return None;
        }
        push_token(pointer, token);
        let prefix = take_prefix(value, left, pointer, cut);
        pointer.truncate(parent_len);
        Some(prefix)
    };
    match value {
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            let heads = elements.map_while(|(index, value)| take(&index.to_string(), value));
            Value::Array(heads.collect())
        }
        Value::Object(members) => {
            let heads = members
                .iter()
                .map_while(|(name, value)| Some((name.clone(), take(name, value)?)));
            Value::Object(heads.collect())
        }
        scalar => scalar.clone(),
    }
}

/// Whether a pointer leads to the target of another, or to a part of it.
fn is_within(pointer: &str, other: &str) -> bool {
    let rest = pointer.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds the argument error for a validation error; several for one about several members.
fn push(errors: &mut Vec<ArgumentError>, error: &ValidationError<'_>, root: &Value) {
    let mut add = |member: Option<&str>, detail: String| {
        let mut pointer = error.instance_path().as_str().to_owned();
        if let Some(member) = member {
            push_token(&mut pointer, member);
        }
        let argument_error = ArgumentError { pointer, detail };
        if !errors.contains(&argument_error) {
            errors.push(argument_error);
        }
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            add(property.as_str(), "is required".to_owned());
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for member in unexpected.iter().take(ERRORS_LISTED_MAX + 1) {
                add(Some(member), "is not a known member".to_owned());
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            if let Some(values) = values(error, context) {
                add(None, format!("must be {}", one_of(&values)));
            } else if let Some(branch) = intended_branch(error, context) {
                for error in branch {
                    push(errors, error, root);
                }
            } else {
                add(None, "has none of the allowed forms".to_owned());
            }
        }
        ValidationErrorKind::FalseSchema if is_about_unexpected_members(error) => {
            let object = root.pointer(error.instance_path().as_str());
            let members = object.and_then(Value::as_object).into_iter().flatten();
            for (member, _) in members.take(ERRORS_LISTED_MAX + 1) {
                add(Some(member), "is not a known member".to_owned());
            }
        }
        ValidationErrorKind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default();
            add(Some(name), format!("has a name that {}", detail(error)));
        }
        _ => add(None, detail(error)),
    }
}

/// Whether an error is about members that an object has and must not have.
fn is_about_unexpected_members(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::PropertyNames { .. } => true,
        // The crate reports an object that must not have any members in this way.
        ValidationErrorKind::FalseSchema => error
            .schema_path()
            .as_str()
            .ends_with("/additionalProperties"),
        _ => false,
    }
}

/// The values that the branches allow, if each branch lists its own.
fn values(error: &ValidationError<'_>, context: &[Vec<ValidationError<'_>>]) -> Option<Vec<Value>> {
    let of_branch = |branch: &Vec<ValidationError<'_>>| {
        branch
            .iter()
            .filter(|inner| inner.instance_path() == error.instance_path())
            .find_map(|inner| match inner.kind() {
                ValidationErrorKind::Constant { expected_value } => {
                    Some(vec![expected_value.as_ref().clone()])
                }
                ValidationErrorKind::Enum { options } => options.as_array().cloned(),
                _ => None,
            })
    };
    let values: Option<Vec<_>> = context.iter().map(of_branch).collect();
    values.map(|values| values.concat())
}

/// The branch that the value was meant for: the only one that allows its type.
fn intended_branch<'a, 'e>(
    error: &ValidationError<'_>,
    context: &'a [Vec<ValidationError<'e>>],
) -> Option<&'a [ValidationError<'e>]> {
    let rejects_type = |branch: &&Vec<ValidationError<'_>>| {
        branch.iter().any(|inner| {
            matches!(inner.kind(), ValidationErrorKind::Type { .. })
                && inner.instance_path() == error.instance_path()
        })
    };
    let mut possible = context.iter().filter(|branch| !rejects_type(branch));
    let first = possible.next()?;
    possible.next().is_none().then_some(first)
}

/// What is wrong, as a sentence that follows the pointer.
fn detail(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Type { kind } => format!("must be {}", types(kind)),
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice);
            format!("must be {}", one_of(options.unwrap_or_default()))
        }
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}")
        }
        ValidationErrorKind::MinLength { limit } => at_least(*limit, "character"),
        ValidationErrorKind::MaxLength { limit } => at_most(*limit, "character"),
        ValidationErrorKind::MinItems { limit } => at_least(*limit, "element"),
        ValidationErrorKind::MaxItems { limit } => at_most(*limit, "element"),
        ValidationErrorKind::AdditionalItems { limit } => at_most(*limit as u64, "element"),
        ValidationErrorKind::MinProperties { limit } => at_least(*limit, "member"),
        ValidationErrorKind::MaxProperties { limit } => at_most(*limit, "member"),
        ValidationErrorKind::UniqueItems => "must not have two equal elements".to_owned(),
        ValidationErrorKind::UnevaluatedItems { .. } => {
            "has elements that are not allowed".to_owned()
        }
        ValidationErrorKind::Contains => "lacks an element that it must have".to_owned(),
        ValidationErrorKind::Pattern { pattern } => format!("must match the pattern {pattern}"),
        ValidationErrorKind::Format { format } => format!("must be of the format {format}"),
        ValidationErrorKind::ContentEncoding { content_encoding } => {
            format!("must be encoded as {content_encoding}")
        }
        ValidationErrorKind::ContentMediaType { content_media_type } => {
            format!("must be {content_media_type}")
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "has several of the allowed forms, but must have exactly one".to_owned()
        }
        ValidationErrorKind::FalseSchema | ValidationErrorKind::Not { .. } => {
            "is not allowed".to_owned()
        }
        _ => "is not valid".to_owned(),
    }
}

fn at_least(limit: u64, what: &str) -> String {
    format!("must have at least {limit} {what}{}", plural(limit))
}

fn at_most(limit: u64, what: &str) -> String {
    format!("must have at most {limit} {what}{}", plural(limit))
}

const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn types(kind: &TypeKind) -> String {
    let mut kinds: Vec<_> = match kind {
        TypeKind::Single(only) => vec![*only],
        TypeKind::Multiple(several) => several.iter().collect(),
    };
    kinds.sort_by_key(|kind| *kind == JsonType::Null);
    kinds
        .into_iter()
        .map(type_phrase)
        .collect::<Vec<_>>()
        .join(" or ")
}

const fn type_phrase(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn one_of(options: &[Value]) -> String {
    let mut text = String::new();
    for (index, option) in options.iter().take(NAMED_VALUES_MAX).enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{separator}{option}");
    }
    match options.len() {
        1 => text,
        count if count > NAMED_VALUES_MAX => format!("one of {count} values such as {text}"),
        _ => format!("one of {text}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::Catalogue;

    fn messages(errors: Result<(), Vec<ArgumentError>>) -> Vec<String> {
        let errors = errors.err().unwrap_or_default();
        errors
            .into_iter()
            .map(|error| format!("{} {}", error.pointer, error.detail))
            .collect()
    }

    fn check(name: &str, arguments: &str) -> Vec<String> {
        let entry = Catalogue::new(true).find(name, None).unwrap();
        let arguments = arguments.parse::<Json>().unwrap();
        match Validators::default().check(entry, &arguments) {
            Err(CheckError::Schema(error)) => panic!("{error}"),
            Err(CheckError::Arguments(errors)) => messages(Err(errors)),
            Ok(()) => messages(Ok(())),
        }
    }

    fn check_schema(schema: &Value, arguments: &Value) -> Vec<String> {
        let schema = Json::of(schema).unwrap();
        let arguments = Json::of(arguments).unwrap();
        let validators = Validators::default();
        messages(validators.check_generated("a", || schema, &arguments))
    }

    #[test]
    fn every_schema_of_the_catalogue_compiles() {
        for entry in Catalogue::new(true).entries() {
            assert_eq!(errors_of_schema(&entry.arguments_schema()), []);
            assert_eq!(errors_of_schema(&entry.result_schema()), []);
        }
    }

    #[test]
    fn valid_arguments_pass_in_every_spelling_of_their_numbers() {
        for (name, arguments) in [
            ("csv.summarize", r#"{"csv":"a"}"#),
            ("demo.countdown", r#"{"steps":5.0,"step_ms":6e1}"#),
            ("demo.fail", r#"{"code":null,"succeed_on_attempt":2.0}"#),
            (
                "demo.echo",
                r#"{"n":18446744073709551616,"m":[1e400,-1e400,1e-400]}"#,
            ),
        ] {
            assert_eq!(check(name, arguments), [""; 0], "{arguments}");
        }
    }

    #[test]
    fn formats_of_times_uris_uuids_and_mail_addresses_are_checked() {
        for (format, valid, invalid) in [
            ("date-time", "2026-11-29T15:50:13Z", "2026-11-29"),
            ("uri", "https://example.com/a?b", "//example.com"),
            ("uuid", "0190a2f4-7f3e-7cc2-98c4-dc0c0c07398f", "0190a2f4"),
            ("email", "alice@example.com", "alice"),
        ] {
            let schema = json!({"properties": {"a": {"format": format}}});
            assert_eq!(check_schema(&schema, &json!({"a": valid})), [""; 0]);
            let expected = format!("/a must be of the format {format}");
            assert_eq!(check_schema(&schema, &json!({"a": invalid})), [expected]);
        }
        for format in UNCHECKED_FORMATS.into_iter().chain(["own"]) {
            let schema = json!({"properties": {"a": {"format": format}}});
            assert_eq!(
                check_schema(&schema, &json!({"a": "\u{0}"})),
                [""; 0],
                "{format}"
            );
        }
    }

    #[test]
    fn every_error_is_reported_with_its_pointer_in_plain_words() {
        for (name, arguments, expected) in [
            ("csv.summarize", "{}", &["/csv is required"][..]),
            (
                "csv.summarize",
                r#"{"csv":1,"extra":1,"a/b":2}"#,
                &[
                    "/csv must be a string",
                    "/a~1b is not a known member",
                    "/extra is not a known member",
                ],
            ),
            (
                "demo.countdown",
                r#"{"steps":0,"step_ms":60001}"#,
                &[
                    "/step_ms must be at most 60000",
                    "/steps must be at least 1",
                ],
            ),
            (
                "demo.countdown",
                r#"{"steps":1.5,"step_ms":"1"}"#,
                &[
                    "/step_ms must be a whole number",
                    "/steps must be a whole number",
                ],
            ),
            (
                "demo.fail",
                r#"{"mode":"nap","retryable":"yes","succeed_on_attempt":4294967296,"code":7}"#,
                &[
                    "/code must be a string or null",
                    r#"/mode must be one of "error", "panic", "exit", "hang""#,
                    "/retryable must be true or false or null",
                    "/succeed_on_attempt must be at most 4294967295",
                ],
            ),
        ] {
            let mut errors = check(name, arguments);
            errors.sort();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(errors, expected, "{arguments}");
        }
    }

    #[test]
    fn every_keyword_has_its_message() {
        let orders = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["texts", "nested"],
            "propertyNames": {"maxLength": 10},
            "properties": {
                "texts": {
                    "type": "array", "minItems": 1, "uniqueItems": true,
                    "items": {"type": "string", "minLength": 1, "maxLength": 3},
                },
                "nested": {"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}},
                "size": {
                    "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10,
                    "multipleOf": 0.5,
                },
                "code": {"type": "string", "pattern": "^[A-Z]+$"},
                "either": {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]},
                "both": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
                "never": false,
            },
        });
        for (arguments, expected) in [
            (json!({"texts": ["a"], "nested": {"a": 1}}), &[][..]),
            (
                json!({"texts": [], "nested": {}}),
                &[
                    "/nested/a is required",
                    "/texts must have at least 1 element",
                ],
            ),
            (
                json!({"texts": ["", "abcd", 7, 7], "nested": {"a": 2}}),
                &[
                    "/nested/a must be 1",
                    "/texts must not have two equal elements",
                    "/texts/0 must have at least 1 character",
                    "/texts/1 must have at most 3 characters",
                    "/texts/2 must be a string",
                    "/texts/3 must be a string",
                ],
            ),
            (
                json!({
                    "texts": ["a"], "nested": {"a": 1}, "size": 10.25, "code": "a", "either": "y",
                    "both": 1, "never": 1,
                }),
                &[
                    "/both has several of the allowed forms, but must have exactly one",
                    "/code must match the pattern ^[A-Z]+$",
                    r#"/either must be "x""#,
                    "/never is not allowed",
                    "/size must be a multiple of 0.5",
                    "/size must be less than 10",
                ],
            ),
            (
                json!({"texts": ["a"], "nested": {"a": 1}, "size": 0, "either": 7}),
                &[
                    "/either has none of the allowed forms",
                    "/size must be more than 0",
                ],
            ),
            (
                json!({"texts": ["a"], "nested": {"a": 1}, "a name too long": 1}),
                &[
                    "/a name too long has a name that must have at most 10 characters",
                    "/a name too long is not a known member",
                ],
            ),
        ] {
            let mut errors = check_schema(&orders, &arguments);
            errors.sort();
            assert_eq!(errors, expected, "{arguments}");
        }
    }

    #[test]
    fn one_error_more_than_are_shown_is_collected() {
        let schema = json!({"properties": {"n": {"items": {"type": "string"}}}});
        let errors = check_schema(&schema, &json!({"n": vec![1; 1000]}));
        assert_eq!(errors.len(), ERRORS_LISTED_MAX + 1);
        let schema = json!({"additionalProperties": false});
        let names: serde_json::Map<_, _> =
            (0..1000).map(|n| (n.to_string(), Value::Null)).collect();
        let errors = check_schema(&schema, &Value::Object(names));
        assert_eq!(errors.len(), ERRORS_LISTED_MAX + 1);
    }

    /// The validator makes every error before the first can be read.
    #[test]
    fn a_validator_gets_the_first_thousand_values_of_invalid_arguments() {
        let all = json!({"a": [[1, 2], {"b": vec![1; 131_000]}, 3], "c": 4});
        let (prefix, cut) = prefix(&all);
        assert_eq!(cut.as_deref(), Some("/a/1/b"));
        // Values before those elements: the object, /a, /a/0 with two, /a/1, and /a/1/b.
        let elements = ARGUMENT_VALUES_CHECKED_MAX - 7;
        assert_eq!(prefix, json!({"a": [[1, 2], {"b": vec![1; elements]}]}));
        let few = json!({"a": vec![1; ARGUMENT_VALUES_CHECKED_MAX - 2]});
        assert_eq!(super::prefix(&few), (few.clone(), None));
    }

    #[test]
    fn large_arguments_get_errors_only_for_values_that_the_validator_gets() {
        let schema = json!({
            "type": "object",
            "required": ["items", "last"],
            "properties": {
                "items": {"minItems": 4000, "items": {"type": "integer"}},
                "last": {"type": "integer"},
            },
        });
        let check = |wrong: &[usize], last: Value| {
            let mut items = vec![json!(1); 5000];
            for &index in wrong {
                items[index] = json!("x");
            }
            let arguments = json!({"items": items, "last": last});
            check_schema(&schema, &arguments)
        };
        assert_eq!(check(&[], json!(1)), [""; 0]);
        assert_eq!(
            check(&[3, 700, 4000], json!("x")),
            [3, 700].map(|index| format!("/items/{index} must be a whole number"))
        );
        assert_eq!(
            check(&[4000, 4500], json!(1)),
            ["/items/4000 must be a whole number"]
        );
        assert_eq!(check(&[], json!("x")), ["/last must be a whole number"]);
        let many: Vec<_> = (0..5000).collect();
        assert_eq!(check(&many, json!(1)).len(), ERRORS_LISTED_MAX + 1);
    }
}
