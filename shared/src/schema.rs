//! Arguments held to the JSON Schema that callers are shown.
//!
//! Every fault is found, each with its own pointer, in words of JSON. The crate `jsonschema` makes up
//! a third of `submit`, so the other functions must not come to use this module.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use schemars::Schema;
use serde_json::Value;

use crate::catalogue::{ArgumentFault, Entry};
use crate::domain::json::{Json, push_token, with_finite_numbers};
use crate::domain::limits::{FAULTS_MAX, FAULTY_VALUES_MAX};

/// Values of an enumeration that a fault names.
const NAMED_VALUES_MAX: usize = 20;

/// The schemas of functions, each compiled when its function is first called. One for a process.
#[derive(Default)]
pub struct Validators {
    /// By the function's name and version.
    compiled: Mutex<HashMap<(&'static str, &'static str), Arc<Validator>>>,
}

impl Validators {
    /// Holds arguments to everything that a function of the catalogue asks of them.
    ///
    /// # Errors
    ///
    /// Every fault, up to one more than are shown ([`FAULTS_MAX`]). Of arguments with more than
    /// [`FAULTY_VALUES_MAX`] values, those among the first of them; the first fault when there is
    /// none.
    pub fn check(&self, entry: &Entry, arguments: &Json) -> Result<(), Vec<ArgumentFault>> {
        let function = (entry.name, entry.version);
        self.check_by(function, || entry.arguments_schema(), arguments)?;
        entry.validate(arguments).map_err(|fault| vec![fault])
    }

    /// Holds arguments to the schema of the function of this name and version.
    ///
    /// # Errors
    ///
    /// As [`Validators::check`].
    pub fn check_by(
        &self,
        function: (&'static str, &'static str),
        schema: impl FnOnce() -> Schema,
        arguments: &Json,
    ) -> Result<(), Vec<ArgumentFault>> {
        let validator = {
            // Compiled under the lock. One instance serves one request at a time.
            let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            let validator = compiled
                .entry(function)
                .or_insert_with(|| Arc::new(compile(&schema())));
            Arc::clone(validator)
        };
        let faults = faults(&validator, arguments);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

/// # Panics
///
/// When the schema is none: those of the catalogue and the protocol are made by code, and a test
/// compiles each of them.
fn compile(schema: &Schema) -> Validator {
    jsonschema::draft202012::options()
        // Patterns run on callers' text, so that their engine has to be linear.
        .with_pattern_options(PatternOptions::regex())
        .build(schema.as_value())
        .expect("the schema of a type is a schema")
}

fn faults(validator: &Validator, arguments: &Json) -> Vec<ArgumentFault> {
    let text = arguments.as_str();
    let value: Value = serde_json::from_str(text)
        .or_else(|_| {
            // Only a number that floating point cannot hold makes JSON unreadable.
            serde_json::from_str(&with_finite_numbers(text).unwrap_or_default())
        })
        .unwrap_or_default();
    // It ends at the first fault, so that a refused value is not read twice.
    if validator.is_valid(&value) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let (head, cut) = head(&value);
    // The crate collects every error before it returns the first, so it gets no more than this.
    for error in validator.iter_errors(&head) {
        // What is cut may lack what the whole value has, but has no member that this lacks.
        let is_of_whole =
            |cut: &String| !is_within(cut, error.instance_path().as_str()) || is_of_members(&error);
        if cut.as_ref().is_none_or(is_of_whole) {
            push(&mut faults, &error, &head);
        }
        if faults.len() > FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty()
        && let Err(error) = validator.validate(&value)
    {
        push(&mut faults, &error, &value);
    }
    faults.truncate(FAULTS_MAX + 1);
    faults
}

/// The first [`FAULTY_VALUES_MAX`] values in one, members in the order of their names, and a pointer
/// to the innermost array or object that lacks some of its own when there are more.
fn head(value: &Value) -> (Value, Option<String>) {
    let (mut left, mut cut) = (FAULTY_VALUES_MAX, None);
    let head = take_head(value, &mut left, &mut String::new(), &mut cut);
    (head, cut)
}

fn take_head(
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
        let head = take_head(value, left, pointer, cut);
        pointer.truncate(parent_len);
        Some(head)
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

/// Whether a pointer is to what another points at, or to a part of it.
fn is_within(pointer: &str, other: &str) -> bool {
    let rest = pointer.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds what an error says; several faults for one that is about several members.
fn push(faults: &mut Vec<ArgumentFault>, error: &ValidationError<'_>, root: &Value) {
    let mut add = |member: Option<&str>, detail: String| {
        let mut pointer = error.instance_path().as_str().to_owned();
        if let Some(member) = member {
            push_token(&mut pointer, member);
        }
        let fault = ArgumentFault { pointer, detail };
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            add(property.as_str(), "is required".to_owned());
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for member in unexpected.iter().take(FAULTS_MAX + 1) {
                add(Some(member), "is not a known member".to_owned());
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            if let Some(values) = values(error, context) {
                add(None, format!("must be {}", one_of(&values)));
            } else if let Some(branch) = likely(error, context) {
                for error in branch {
                    push(faults, error, root);
                }
            } else {
                add(
                    None,
                    "has none of the forms that are allowed here".to_owned(),
                );
            }
        }
        ValidationErrorKind::FalseSchema if is_of_members(error) => {
            let object = root.pointer(error.instance_path().as_str());
            let members = object.and_then(Value::as_object).into_iter().flatten();
            for (member, _) in members.take(FAULTS_MAX + 1) {
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
fn is_of_members(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::PropertyNames { .. } => true,
        // How the crate reports an object that may have no members at all.
        ValidationErrorKind::FalseSchema => error
            .schema_path()
            .as_str()
            .ends_with("/additionalProperties"),
        _ => false,
    }
}

/// The values that the branches allow, when each of them lists its own.
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
fn likely<'a, 'e>(
    error: &ValidationError<'_>,
    context: &'a [Vec<ValidationError<'e>>],
) -> Option<&'a [ValidationError<'e>]> {
    let is_of_other_type = |branch: &&Vec<ValidationError<'_>>| {
        branch.iter().any(|inner| {
            matches!(inner.kind(), ValidationErrorKind::Type { .. })
                && inner.instance_path() == error.instance_path()
        })
    };
    let mut likely = context.iter().filter(|branch| !is_of_other_type(branch));
    let first = likely.next()?;
    likely.next().is_none().then_some(first)
}

/// What is wrong, to be read on after the pointer.
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
            "has more than one of the forms of which it must have one".to_owned()
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
    kinds.into_iter().map(word).collect::<Vec<_>>().join(" or ")
}

const fn word(kind: JsonType) -> &'static str {
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

    fn told(faults: Result<(), Vec<ArgumentFault>>) -> Vec<String> {
        let faults = faults.err().unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| format!("{} {}", fault.pointer, fault.detail))
            .collect()
    }

    fn check(name: &str, arguments: &str) -> Vec<String> {
        let entry = Catalogue::new(true).find(name, None).unwrap();
        let arguments = Json::parse(arguments).unwrap();
        told(Validators::default().check(entry, &arguments))
    }

    fn check_schema(schema: Value, arguments: &Value) -> Vec<String> {
        let schema = Schema::try_from(schema).unwrap();
        let arguments = Json::of(arguments).unwrap();
        let validators = Validators::default();
        told(validators.check_by(("a", "1.0.0"), || schema, &arguments))
    }

    #[test]
    fn every_schema_of_the_catalogue_compiles() {
        for entry in Catalogue::new(true).entries() {
            compile(&entry.arguments_schema());
            compile(&entry.result_schema());
        }
    }

    #[test]
    fn right_arguments_pass_however_their_numbers_are_written() {
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
    fn every_fault_has_its_own_pointer_and_plain_words() {
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
            let mut faults = check(name, arguments);
            faults.sort();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(faults, expected, "{arguments}");
        }
    }

    #[test]
    fn every_keyword_has_its_words() {
        let orders = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["texts", "nested"],
            "propertyNames": {"maxLength": 10},
            "properties": {
                "texts": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 3}, "minItems": 1, "uniqueItems": true},
                "nested": {"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}},
                "size": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10, "multipleOf": 0.5},
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
                    "/both has more than one of the forms of which it must have one",
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
                    "/either has none of the forms that are allowed here",
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
            let mut faults = check_schema(orders.clone(), &arguments);
            faults.sort();
            assert_eq!(faults, expected, "{arguments}");
        }
    }

    #[test]
    fn faults_are_collected_up_to_one_more_than_are_shown() {
        let schema = json!({"properties": {"n": {"items": {"type": "string"}}}});
        let faults = check_schema(schema, &json!({"n": vec![1; 1000]}));
        assert_eq!(faults.len(), FAULTS_MAX + 1);
        let schema = json!({"additionalProperties": false});
        let names: serde_json::Map<_, _> =
            (0..1000).map(|n| (n.to_string(), Value::Null)).collect();
        let faults = check_schema(schema, &Value::Object(names));
        assert_eq!(faults.len(), FAULTS_MAX + 1);
    }

    /// The validator makes every error before the first can be read.
    #[test]
    fn a_validator_gets_the_first_thousand_values_of_what_is_wrong() {
        let all = json!({"a": [[1, 2], {"b": vec![1; 131_000]}, 3], "c": 4});
        let (head, cut) = head(&all);
        assert_eq!(cut.as_deref(), Some("/a/1/b"));
        // Before those elements, itself counted: the object, /a, /a/0 with two, /a/1, /a/1/b.
        let elements = FAULTY_VALUES_MAX - 7;
        assert_eq!(head, json!({"a": [[1, 2], {"b": vec![1; elements]}]}));
        let few = json!({"a": vec![1; FAULTY_VALUES_MAX - 2]});
        assert_eq!(super::head(&few), (few.clone(), None));
    }

    #[test]
    fn faults_in_much_are_named_and_none_for_what_a_validator_did_not_get() {
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
            check_schema(schema.clone(), &arguments)
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
        assert_eq!(check(&many, json!(1)).len(), FAULTS_MAX + 1);
    }
}
