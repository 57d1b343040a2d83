//! The schema by which editors check the file says what the code does.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::target::{COMMAND_WORDS_MAX, PERMANENT_ERRORS_MAX};
use super::{errors, file, read_valid, resize, with};
use crate::catalogue::file::{ATTEMPTS_MAX, DESCRIPTION_CHARS_MAX, FUNCTIONS_MAX, RETRY_SECS_MAX};
use crate::domain::limits::{
    DEADLINE_SECS_MAX, DEADLINE_SECS_MIN, FUNCTION_NAME_CHARS_MAX, VERSION_CHARS_MAX,
    WORKER_TIMEOUT_SECS_MAX, attempt_secs_max,
};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../../infra/functions.schema.json");
    serde_json::from_str(text).unwrap()
});
static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA).unwrap());

/// What a schema cannot express, as parts of the errors.
const NOT_EXPRESSIBLE: [&str; 9] = [
    " bytes",
    " is given more than once",
    " repeats ",
    ", which has the same Lambda function",
    " must be at least timeout_seconds",
    " must be at least first_seconds",
    " must be a regular expression",
    " refers to what is not in this schema",
    " is nested too deeply",
];

/// Holds an editor's result to the errors that the code finds.
pub(super) fn assert_agrees(text: &str, errors: &[String]) {
    // An editor checks the syntax first.
    let Ok(value) = serde_json::from_str(text) else {
        return;
    };
    let is_expressible = |error: &String| !NOT_EXPRESSIBLE.iter().any(|part| error.contains(part));
    let is_accepted = !errors.iter().any(is_expressible);
    let found = VALIDATOR
        .validate(&value)
        .map_err(|error| error.to_string());
    assert_eq!(found.is_ok(), is_accepted, "{errors:?} {found:?} {text}");
}

#[test]
fn it_is_a_schema() {
    jsonschema::draft202012::meta::validate(&SCHEMA).unwrap();
}

#[test]
fn it_has_the_bounds_of_the_code() {
    // Members that another one bounds are at that one's end.
    let number = |member: &'static str, others: &'static [(&'static str, u32)]| {
        move |value: i64| {
            let mut function = resize();
            for (other, value) in others {
                function[*other] = json!(value);
            }
            function[member] = json!(value);
            file(&[function])
        }
    };
    let seconds = |member: &'static str| {
        move |value: i64| {
            let mut retry = json!({"first_seconds": 0});
            retry[member] = json!(value);
            file(&[with("retry", retry)])
        }
    };
    let deadline: &[_] = &[("deadline_seconds", DEADLINE_SECS_MAX)];
    let timeout: &[_] = &[("timeout_seconds", 1)];
    assert_bounds(1..=ATTEMPTS_MAX, number("attempts", &[]));
    // Of the longest worker: an editor does not know the deployment's.
    assert_bounds(
        1..=attempt_secs_max(WORKER_TIMEOUT_SECS_MAX),
        number("timeout_seconds", deadline),
    );
    assert_bounds(
        DEADLINE_SECS_MIN..=DEADLINE_SECS_MAX,
        number("deadline_seconds", timeout),
    );
    assert_bounds(0..=RETRY_SECS_MAX, seconds("first_seconds"));
    assert_bounds(0..=RETRY_SECS_MAX, seconds("longest_seconds"));
}

#[test]
fn it_has_the_lengths_of_the_code() {
    assert_lengths(1..=DESCRIPTION_CHARS_MAX, |count| {
        file(&[with("description", json!("ü".repeat(count)))])
    });
    assert_lengths(1..=FUNCTION_NAME_CHARS_MAX, |count| {
        file(&[with("name", json!("x".repeat(count)))])
    });
    // A version with one character less is not one.
    assert_lengths(7..=VERSION_CHARS_MAX, |count| {
        let version = format!("1.0.0-{}", "x".repeat(count - 6));
        file(&[with("version", json!(version))])
    });
    assert_lengths(0..=FUNCTIONS_MAX, |count| {
        let functions = (0..count).map(|number| with("name", json!(format!("f{number}"))));
        file(&functions.collect::<Vec<_>>())
    });
    let target = |lambda: Value, local: Value| {
        file(&[with("target", json!({"lambda": lambda, "local": local}))])
    };
    assert_lengths(0..=PERMANENT_ERRORS_MAX, |count| {
        let lambda = json!({"function": "a:1", "permanent_errors": vec!["E"; count]});
        target(lambda, json!(null))
    });
    assert_lengths(1..=COMMAND_WORDS_MAX, |count| {
        target(
            json!({"function": "a:1"}),
            json!({"command": vec!["a"; count]}),
        )
    });
    assert_lengths(1..=64, |count| {
        target(json!({"function": "a".repeat(count)}), json!(null))
    });
    assert_lengths(1..=128, |count| {
        let function = format!("a:{}", "a".repeat(count));
        target(json!({"function": function}), json!(null))
    });
}

/// Holds code and editor to the bounds: `errors` compares the two.
fn assert_bounds(bounds: RangeInclusive<u32>, text: impl Fn(i64) -> String) {
    let (least, most) = (i64::from(*bounds.start()), i64::from(*bounds.end()));
    for value in [least - 1, least, most, most + 1] {
        let text = text(value);
        let is_valid = errors(&text).is_empty();
        assert_eq!(is_valid, (least..=most).contains(&value), "{value} {text}");
    }
}

fn assert_lengths(lengths: RangeInclusive<usize>, text: impl Fn(usize) -> String) {
    let (least, most) = (*lengths.start(), *lengths.end());
    for count in [least.saturating_sub(1), least, most, most + 1] {
        let is_valid = errors(&text(count)).is_empty();
        assert_eq!(is_valid, lengths.contains(&count), "{count}");
    }
}

#[test]
fn it_has_the_defaults_of_the_code() {
    let left_out = resize();
    let mut given = left_out.clone();
    let mut named = Vec::new();
    give_defaults(&SCHEMA["$defs"]["function"], &mut given, &mut named);
    named.sort_unstable();
    assert_eq!(
        named,
        [
            "attempts",
            "deadline_seconds",
            "first_seconds",
            "longest_seconds",
            "permanent_errors",
            "result_schema",
            "retry",
            "send_metadata",
            "send_owner",
            "side_effects",
            "timeout_seconds",
        ]
    );
    let read = |function: Value| format!("{:?}", read_valid(&file(&[function])));
    assert_eq!(read(given), read(left_out));
}

/// Adds every member that has a default to an object that the schema accepts.
fn give_defaults<'a>(schema: &'a Value, object: &mut Value, named: &mut Vec<&'a str>) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(default) = member.get("default") {
            object[name] = default.clone();
            named.push(name);
        }
        let reference = member["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix('#'));
        let member = reference.map_or(member, |pointer| SCHEMA.pointer(pointer).unwrap());
        if let Some(inner) = object.get_mut(name).filter(|inner| inner.is_object()) {
            give_defaults(member, inner, named);
        }
    }
}

#[test]
fn it_accepts_null_for_what_may_be_left_out() {
    let mut function = resize();
    for member in [
        "result_schema",
        "attempts",
        "timeout_seconds",
        "deadline_seconds",
        "side_effects",
        "send_owner",
        "send_metadata",
    ] {
        function[member] = Value::Null;
    }
    function["retry"] = json!({"first_seconds": null, "longest_seconds": null});
    let lambda = json!({"function": "a:1", "permanent_errors": null});
    for local in [
        json!(null),
        json!({"command": ["a"], "directory": null, "environment": null, "endpoint": null}),
        json!({"command": null, "endpoint": "http://127.0.0.1:3001/"}),
    ] {
        function["target"] = json!({"lambda": lambda, "local": local});
        read_valid(&file(&[function.clone()]));
    }
    function["retry"] = Value::Null;
    read_valid(&file(&[function]));
}

#[test]
fn it_describes_every_member() {
    fn assert_described(schema: &Value, path: &str) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            let reference = member["$ref"]
                .as_str()
                .and_then(|path| path.strip_prefix('#'));
            let definition = reference.map_or(member, |pointer| SCHEMA.pointer(pointer).unwrap());
            let is_described = [member, definition]
                .iter()
                .any(|schema| schema["description"].is_string());
            // A member that must not be there, or that is described where it is defined.
            let is_detail = member.get("const").is_some() || member["type"] == "null";
            assert!(is_described || is_detail, "{path}");
            assert_described(definition, &path);
            assert_described(&definition["items"], &path);
            for branch in definition["anyOf"].as_array().into_iter().flatten() {
                assert_described(branch, &path);
            }
        }
    }
    assert_described(&SCHEMA, "");
    assert_described(&SCHEMA["$defs"]["function"], "");
}
