//! Tables of files and of the errors that they have.

mod editor_schema;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::catalogue::LocalTarget;
use crate::domain::limits::{WORKER_TIMEOUT_SECS_DEFAULT, WORKER_TIMEOUT_SECS_MAX};
use crate::schema::schema_errors;

fn resize() -> Value {
    json!({
        "name": "image.resize",
        "version": "1.2.0",
        "description": "Resizes an image in a bucket.",
        "arguments_schema": {
            "type": "object",
            "properties": {"key": {"type": "string", "minLength": 1}},
            "required": ["key"],
            "additionalProperties": false,
        },
        "target": {"lambda": {"function": "image-resize:live"}},
    })
}

fn file(functions: &[Value]) -> String {
    json!({"format": 1, "functions": functions}).to_string()
}

/// [`resize`] with one member replaced, or removed by null.
fn with(member: &str, value: Value) -> Value {
    let mut function = resize();
    if value.is_null() {
        function.as_object_mut().unwrap().remove(member);
    } else {
        function[member] = value;
    }
    function
}

fn lines(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Every error of a file, those inside its schemas included. An editor accepts and refuses the same
/// files.
fn errors(text: &str) -> Vec<String> {
    let errors = match read(text, WORKER_TIMEOUT_SECS_MAX) {
        Ok(entries) => lines(&schema_errors(&entries)),
        Err(errors) => lines(&errors),
    };
    editor_schema::assert_agrees(text, &errors);
    errors
}

fn read_valid(text: &str) -> Vec<Entry> {
    assert_eq!(errors(text), [""; 0]);
    read(text, WORKER_TIMEOUT_SECS_MAX).unwrap()
}

fn errors_of(function: Value) -> Vec<String> {
    errors(&file(&[function]))
}

#[test]
fn a_function_has_the_defaults_of_the_members_that_are_left_out() {
    let entries = read_valid(&file(&[resize()]));
    let [entry] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!((entry.name, entry.version), ("image.resize", "1.2.0"));
    assert_eq!(entry.attempts_max, 3);
    assert_eq!(entry.attempt_timeout, Duration::from_secs(60));
    assert_eq!(entry.deadline_secs, 3600);
    assert_eq!(entry.retry, retry_policy(2, 60));
    assert_eq!(entry.side_effects, [SideEffect::Update]);
    assert_eq!(entry.result_schema().as_str(), "true");
    let target = entry.target().unwrap();
    assert_eq!(target.function.as_str(), "image-resize:live");
    assert!(target.permanent_errors.is_empty());
    assert!(!target.send_owner && !target.send_metadata);
    assert_eq!(target.local, None);
}

#[test]
fn every_member_is_read() {
    let function = json!({
        "$comment": "for people",
        "name": "report.render",
        "version": "2.0.0-rc.1",
        "description": "Renders a report.",
        "arguments_schema": {"$schema": DIALECT, "type": "object"},
        "result_schema": {"type": "object"},
        "attempts": 20,
        "timeout_seconds": 1770,
        "deadline_seconds": 604_800,
        "retry": {"first_seconds": 0, "longest_seconds": 3600},
        "send_owner": true,
        "send_metadata": true,
        "side_effects": [],
        "target": {
            "lambda": {"function": "render", "permanent_errors": ["ValueError"]},
            "local": {
                "command": ["python3", "-m", "awslambdaric", "app.handler"],
                "directory": "../render",
                "environment": {"BUCKET": "dev"},
            },
        },
    });
    let entries = read_valid(&file(&[function, resize()]));
    let entry = &entries[0];
    assert_eq!(entry.version, "2.0.0-rc.1");
    assert_eq!(entry.attempts_max, 20);
    assert_eq!(entry.attempt_timeout, Duration::from_secs(1770));
    assert_eq!(entry.deadline_secs, 604_800);
    assert_eq!(entry.retry, retry_policy(0, 3600));
    assert!(entry.side_effects.is_empty());
    let target = entry.target().unwrap();
    assert_eq!(target.permanent_errors, ["ValueError"]);
    assert!(target.send_owner && target.send_metadata);
    let expected = LocalTarget::Command {
        command: ["python3", "-m", "awslambdaric", "app.handler"]
            .map(str::to_owned)
            .to_vec(),
        directory: Some("../render".to_owned()),
        environment: [("BUCKET".to_owned(), "dev".to_owned())].into(),
    };
    assert_eq!(target.local, Some(expected));
}

#[test]
fn a_file_that_is_not_a_functions_file_is_refused_as_a_whole() {
    let comment = "x".repeat(FILE_BYTES_MAX);
    let large = json!({"$comment": comment, "format": 1, "functions": []}).to_string();
    let functions = vec![resize(); FUNCTIONS_MAX + 1];
    for (text, expected) in [
        ("", "is not JSON at line 1 column 0"),
        ("format: 1\n", "is not JSON at line 1 column 2"),
        ("{\n  \"format\": 1,\n}\n", "is not JSON at line 3 column 1"),
        ("{} {}", "is not JSON at line 1 column 4"),
        ("[]", "must be an object"),
        ("null", "must be an object"),
        (r#"{"functions":[]}"#, "/format is required"),
        (r#"{"format":1}"#, "/functions is required"),
        (r#"{"format":2,"functions":[]}"#, "/format must be 1"),
        (r#"{"format":"1","functions":[]}"#, "/format must be 1"),
        (
            r#"{"format":1,"functions":{}}"#,
            "/functions must be an array",
        ),
        (
            r#"{"format":1,"functions":[],"targets":[]}"#,
            "/targets is not a known member",
        ),
        (
            r#"{"format":1,"format":1,"functions":[]}"#,
            "/format is given more than once",
        ),
        (&large, "must be at most 1048576 bytes"),
        (
            &file(&functions),
            "/functions must have at most 500 elements",
        ),
    ] {
        let shown: String = text.chars().take(80).collect();
        assert_eq!(errors(text), [expected], "{shown}");
    }
    read_valid(r#"{"$schema":"x","$comment":[],"format":1.0,"functions":[]}"#);
}

/// Holds each replaced member to the only error that it causes.
fn assert_errors(cases: &[(&str, Value, &str)]) {
    for (member, value, expected) in cases {
        let found = errors_of(with(member, value.clone()));
        assert_eq!(found, [*expected], "{member} {value}");
    }
}

#[test]
fn every_error_of_what_callers_see_is_named_with_its_place() {
    const NAME: &str = "/functions/0/name must be 1 to 255 letters, digits or . _ : - and begin \
                        with a letter or digit";
    let long = "x".repeat(1001);
    assert_errors(&[
        ("name", Value::Null, "/functions/0/name is required"),
        ("name", json!(7), "/functions/0/name must be a string"),
        ("name", json!(""), NAME),
        ("name", json!(".resize"), NAME),
        ("name", json!("image resize"), NAME),
        ("name", json!("x".repeat(256)), NAME),
        (
            "name",
            json!("demo.x"),
            "/functions/0/name must not begin with demo.",
        ),
        (
            "name",
            json!("urn:x"),
            "/functions/0/name must not begin with urn:",
        ),
        ("version", Value::Null, "/functions/0/version is required"),
        (
            "version",
            json!("1.2"),
            "/functions/0/version must be a semantic version such as 1.0.0",
        ),
        (
            "version",
            json!(1.2),
            "/functions/0/version must be a string",
        ),
        (
            "description",
            Value::Null,
            "/functions/0/description is required",
        ),
        (
            "description",
            json!(""),
            "/functions/0/description must have 1 to 1000 characters",
        ),
        (
            "description",
            json!(long),
            "/functions/0/description must have 1 to 1000 characters",
        ),
        (
            "description",
            json!([]),
            "/functions/0/description must be a string",
        ),
        (
            "arguments_schema",
            Value::Null,
            "/functions/0/arguments_schema is required",
        ),
        (
            "arguments_schema",
            json!("object"),
            "/functions/0/arguments_schema must be a JSON Schema",
        ),
        (
            "arguments_schema",
            json!(true),
            "/functions/0/arguments_schema/type must be \"object\"",
        ),
        (
            "arguments_schema",
            json!({}),
            "/functions/0/arguments_schema/type must be \"object\"",
        ),
        (
            "arguments_schema",
            json!({"type": ["object", "null"]}),
            "/functions/0/arguments_schema/type must be \"object\"",
        ),
        (
            "arguments_schema",
            json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}),
            "/functions/0/arguments_schema/$schema must be \
             https://json-schema.org/draft/2020-12/schema",
        ),
        (
            "arguments_schema",
            json!({"type": "object", "$schema": 2020}),
            "/functions/0/arguments_schema/$schema must be \
             https://json-schema.org/draft/2020-12/schema",
        ),
        (
            "arguments_schema",
            json!({"type": "object", "description": "x".repeat(SCHEMA_BYTES_MAX)}),
            "/functions/0/arguments_schema must be at most 65536 bytes, but is 65570",
        ),
        (
            "result_schema",
            json!(7),
            "/functions/0/result_schema must be a JSON Schema",
        ),
    ]);
}

#[test]
fn every_error_of_limits_and_switches_is_named_with_its_place() {
    const EFFECTS: &str = "/functions/0/side_effects must be an array of \"create\", \"update\" \
                           and \"delete\"";
    assert_errors(&[
        (
            "attempts",
            json!(0),
            "/functions/0/attempts must be a whole number from 1 to 20",
        ),
        (
            "attempts",
            json!(21),
            "/functions/0/attempts must be a whole number from 1 to 20",
        ),
        (
            "attempts",
            json!("3"),
            "/functions/0/attempts must be a whole number from 1 to 20",
        ),
        (
            "timeout_seconds",
            json!(0),
            "/functions/0/timeout_seconds must be a whole number from 1 to 1770",
        ),
        (
            "timeout_seconds",
            json!(1771),
            "/functions/0/timeout_seconds must be a whole number from 1 to 1770",
        ),
        (
            "timeout_seconds",
            json!(1.5),
            "/functions/0/timeout_seconds must be a whole number from 1 to 1770",
        ),
        (
            "deadline_seconds",
            json!(0),
            "/functions/0/deadline_seconds must be a whole number from 1 to 604800",
        ),
        (
            "deadline_seconds",
            json!(604_801),
            "/functions/0/deadline_seconds must be a whole number from 1 to 604800",
        ),
        (
            "deadline_seconds",
            json!(59),
            "/functions/0/deadline_seconds must be at least timeout_seconds, which is 60",
        ),
        ("retry", json!(2), "/functions/0/retry must be an object"),
        (
            "retry",
            json!({"first_seconds": -1}),
            "/functions/0/retry/first_seconds must be a whole number from 0 to 3600",
        ),
        (
            "retry",
            json!({"longest_seconds": 3601}),
            "/functions/0/retry/longest_seconds must be a whole number from 0 to 3600",
        ),
        (
            "retry",
            json!({"first_seconds": 9, "longest_seconds": 8}),
            "/functions/0/retry/longest_seconds must be at least first_seconds, which is 9",
        ),
        (
            "retry",
            json!({"max": 8}),
            "/functions/0/retry/max is not a known member",
        ),
        ("side_effects", json!("update"), EFFECTS),
        ("side_effects", json!(["write"]), EFFECTS),
        (
            "send_owner",
            json!(1),
            "/functions/0/send_owner must be true or false",
        ),
        (
            "send_metadata",
            json!("yes"),
            "/functions/0/send_metadata must be true or false",
        ),
        (
            "timeout",
            json!(60),
            "/functions/0/timeout is not a known member",
        ),
    ]);
}

#[test]
fn every_error_of_a_target_is_named_with_its_place() {
    const FUNCTION: &str = "/functions/0/target/lambda/function must be the name of a Lambda \
                            function, such as resize:live, or its ARN, each with or without an \
                            alias or version";
    const PERMANENT: &str = "/functions/0/target/lambda/permanent_errors must be an array of 0 to \
                             100 strings that are not empty";
    let lambda = |lambda: Value| json!({"lambda": lambda});
    assert_errors(&[
        ("target", Value::Null, "/functions/0/target is required"),
        (
            "target",
            json!("resize"),
            "/functions/0/target must be an object",
        ),
        (
            "target",
            json!({}),
            "/functions/0/target/lambda is required",
        ),
        (
            "target",
            lambda(json!("resize")),
            "/functions/0/target/lambda must be an object",
        ),
        (
            "target",
            lambda(json!({})),
            "/functions/0/target/lambda/function is required",
        ),
        ("target", lambda(json!({"function": "re size"})), FUNCTION),
        ("target", lambda(json!({"function": "resize:*"})), FUNCTION),
        ("target", lambda(json!({"function": ""})), FUNCTION),
        (
            "target",
            lambda(json!({"function": null})),
            "/functions/0/target/lambda/function must be a string",
        ),
        (
            "target",
            lambda(json!({"function": "resize", "permanent_errors": "ValueError"})),
            PERMANENT,
        ),
        (
            "target",
            lambda(json!({"function": "resize", "permanent_errors": [""]})),
            PERMANENT,
        ),
        (
            "target",
            lambda(json!({"function": "resize", "permanent_errors": vec!["E"; 101]})),
            PERMANENT,
        ),
        (
            "target",
            lambda(json!({"function": "resize", "name": "resize"})),
            "/functions/0/target/lambda/name is not a known member",
        ),
        (
            "target",
            json!({"lambda": {"function": "resize"}, "https": {"url": "https://a.example"}}),
            "/functions/0/target/https is not a known member",
        ),
    ]);
}

#[test]
fn every_error_of_how_a_target_runs_locally_is_named_with_its_place() {
    let local = |local: Value| json!({"lambda": {"function": "resize:live"}, "local": local});
    assert_errors(&[
        (
            "target",
            local(json!([])),
            "/functions/0/target/local must be an object",
        ),
        (
            "target",
            local(json!({})),
            "/functions/0/target/local must have command or endpoint",
        ),
        (
            "target",
            local(json!({"command": ["a"], "endpoint": "http://127.0.0.1:3001"})),
            "/functions/0/target/local must have only one of command and endpoint",
        ),
        (
            "target",
            local(json!({"command": []})),
            "/functions/0/target/local/command must be an array of 1 to 100 strings that are not \
             empty",
        ),
        (
            "target",
            local(json!({"command": "python3 app.py"})),
            "/functions/0/target/local/command must be an array of 1 to 100 strings that are not \
             empty",
        ),
        (
            "target",
            local(json!({"command": ["a"], "directory": 1})),
            "/functions/0/target/local/directory must be a string",
        ),
        (
            "target",
            local(json!({"command": ["a"], "environment": {"A": 1}})),
            "/functions/0/target/local/environment must be an object of strings",
        ),
        (
            "target",
            local(json!({"command": ["a"], "env": {}})),
            "/functions/0/target/local/env is not a known member",
        ),
        (
            "target",
            local(json!({"endpoint": "https://127.0.0.1:3001"})),
            "/functions/0/target/local/endpoint must be a URL such as http://127.0.0.1:3001",
        ),
        (
            "target",
            local(json!({"endpoint": "127.0.0.1:3001"})),
            "/functions/0/target/local/endpoint must be a URL such as http://127.0.0.1:3001",
        ),
    ]);
}

#[test]
fn every_error_of_every_function_is_named_at_once() {
    assert_eq!(errors_of(json!([])), ["/functions/0 must be an object"]);
    let mut wrong = with("attempts", json!(0));
    wrong["version"] = json!("one");
    wrong["colour"] = json!("red");
    assert_eq!(
        errors(&file(&[wrong, resize(), with("name", json!("demo.x"))])),
        [
            "/functions/0/version must be a semantic version such as 1.0.0",
            "/functions/0/attempts must be a whole number from 1 to 20",
            "/functions/0/colour is not a known member",
            "/functions/2/name must not begin with demo.",
        ]
    );
}

#[test]
fn a_name_and_version_are_registered_once() {
    let other = with("version", json!("1.3.0"));
    read_valid(&file(&[resize(), other.clone()]));
    let mut compiled = with("name", json!("csv.summarize"));
    compiled["version"] = json!("1.0.0");
    assert_eq!(
        errors(&file(&[resize(), other, resize(), compiled.clone()])),
        [
            "/functions/2 repeats image.resize 1.2.0, which is /functions/0",
            "/functions/3 repeats csv.summarize 1.0.0, which is a compiled function",
        ]
    );
    // A newer version of a compiled function may be registered.
    compiled["version"] = json!("2.0.0");
    read_valid(&file(&[compiled]));
}

#[test]
fn functions_with_one_lambda_function_run_locally_in_one_way() {
    let function = |name: &str, lambda: &str, command: Option<&str>| {
        let mut function = with("name", json!(name));
        function["target"] = json!({"lambda": {"function": lambda}});
        if let Some(command) = command {
            function["target"]["local"] = json!({"command": [command]});
        }
        function
    };
    let functions = [
        function("first", "resize:live", Some("a")),
        function("same", "resize:live", Some("a")),
        function("without", "resize:live", None),
        function("other", "resize:test", Some("b")),
    ];
    read_valid(&file(&functions));
    assert_eq!(
        errors(&file(
            &[
                &functions[..],
                &[function("last", "resize:live", Some("b"))]
            ]
            .concat()
        )),
        [
            "/functions/4/target/local must be that of first 1.2.0, which has the same Lambda \
             function"
        ]
    );
}

#[test]
fn a_member_that_is_given_twice_is_refused_at_every_level() {
    let text = file(&[resize()]);
    for (member, expected) in [
        (r#""name":"#, "/functions/0/name is given more than once"),
        (
            r#""lambda":"#,
            "/functions/0/target/lambda is given more than once",
        ),
        (
            r#""function":"#,
            "/functions/0/target/lambda/function is given more than once",
        ),
        (
            r#""minLength":"#,
            "/functions/0/arguments_schema/properties/key/minLength is given more than once",
        ),
    ] {
        let twice = text.replacen(member, &format!("{member}1,{member}"), 1);
        assert_eq!(errors(&twice), [expected], "{twice}");
    }
}

#[test]
fn every_error_inside_a_schema_is_named_with_its_place() {
    const BASE: &str = "/functions/0/arguments_schema";
    const PATTERN: &str = "must be a regular expression without look-around and back-references";
    let mut deep = json!({"type": "object"});
    for _ in 0..64 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    for (member, value, pointer, detail) in [
        (
            "minProperties",
            json!(-1),
            "/minProperties",
            "must be at least 0",
        ),
        (
            "minProperties",
            json!("1"),
            "/minProperties",
            "must be a whole number",
        ),
        ("properties", json!([]), "/properties", "must be an object"),
        (
            "properties",
            json!({"a": {"minimum": "1"}}),
            "/properties/a/minimum",
            "must be a number",
        ),
        ("required", json!("a"), "/required", "must be an array"),
        (
            "required",
            json!(["a", "a"]),
            "/required",
            "must not have two equal elements",
        ),
        (
            "properties",
            json!({"a": {"pattern": "(a+)+(?=b)"}}),
            "/properties/a/pattern",
            PATTERN,
        ),
        (
            "properties",
            json!({"a": {"pattern": "(a)\\1"}}),
            "/properties/a/pattern",
            PATTERN,
        ),
        (
            "properties",
            json!({"a": {"pattern": "("}}),
            "/properties/a/pattern",
            PATTERN,
        ),
        (
            "patternProperties",
            json!({"(?!a)": true}),
            "/patternProperties/(?!a)",
            PATTERN,
        ),
        (
            "properties",
            json!({"a": {"$ref": "#/$defs/missing"}, "b": {"$ref": "#/properties/a"}}),
            "/properties/a/$ref",
            "refers to what is not in this schema: #/$defs/missing",
        ),
        (
            "$ref",
            json!("https://example.com/schema.json"),
            "/$ref",
            "refers to what is not in this schema: https://example.com/schema.json",
        ),
        (
            "items",
            json!([{}, {"$ref": "#anchor"}]),
            "/items",
            "must be true or false or an object",
        ),
        (
            "allOf",
            json!([{}, {"$ref": "#anchor"}]),
            "/allOf/1/$ref",
            "refers to what is not in this schema: #anchor",
        ),
    ] {
        let mut schema = json!({"type": "object"});
        schema[member] = value.clone();
        let expected = format!("{BASE}{pointer} {detail}");
        let found = errors_of(with("arguments_schema", schema));
        assert_eq!(found, [expected], "{member} {value}");
    }
    let found = errors_of(with("arguments_schema", deep));
    assert!(found[0].ends_with("is nested too deeply"), "{found:?}");
    let inner = json!({"minimum": "1", "type": "whole"});
    assert_eq!(
        errors_of(with("result_schema", json!({"properties": {"a": inner}})))[0],
        "/functions/0/result_schema/properties/a/minimum must be a number"
    );
}

#[test]
fn an_attempt_ends_half_a_minute_before_the_workers_timeout() {
    let read_with = |worker_timeout_secs, timeout: Value| {
        let read = read(
            &file(&[with("timeout_seconds", timeout)]),
            worker_timeout_secs,
        );
        read.map(|entries| entries[0].attempt_timeout.as_secs())
            .map_err(|errors| lines(&errors))
    };
    for (worker_timeout_secs, most) in [(60, 30), (WORKER_TIMEOUT_SECS_DEFAULT, 870)] {
        assert_eq!(read_with(worker_timeout_secs, json!(most)), Ok(most));
        let refused = read_with(worker_timeout_secs, json!(most + 1));
        let expected =
            format!("/functions/0/timeout_seconds must be a whole number from 1 to {most}");
        assert_eq!(refused, Err(vec![expected]));
    }
    // The default of a minute is no error.
    assert_eq!(read_with(60, Value::Null), Ok(30));
    assert_eq!(read_with(90, Value::Null), Ok(60));
}

#[test]
fn a_process_reads_the_file_that_its_setting_names() {
    let load = |path: &str| {
        let environment = Environment::from_iter([("FUNCTIONS_FILE", path)]);
        load(&environment, WORKER_TIMEOUT_SECS_DEFAULT)
    };
    let directory = std::env::temp_dir().join(format!("functions-file-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("functions.json");
    let refused = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        load(path.to_str().unwrap()).unwrap_err().to_string()
    };
    let mut wrong = with("timeout_seconds", json!(900));
    assert_eq!(
        refused(file(&[resize(), wrong.clone()]).as_bytes()),
        "FUNCTIONS_FILE /functions/1/timeout_seconds must be a whole number from 1 to 870"
    );
    wrong["attempts"] = json!(0);
    assert_eq!(
        refused(file(&[wrong]).as_bytes()),
        "FUNCTIONS_FILE /functions/0/attempts must be a whole number from 1 to 20 (and 1 more)"
    );
    assert_eq!(
        refused(b"{"),
        "FUNCTIONS_FILE is not JSON at line 1 column 1"
    );
    assert_eq!(refused(b"\xff"), "FUNCTIONS_FILE must be UTF-8");
    let missing = directory.join("missing.json");
    assert_eq!(
        load(missing.to_str().unwrap()).unwrap_err().to_string(),
        "FUNCTIONS_FILE names a file that does not exist"
    );
    assert_eq!(
        load(directory.to_str().unwrap()).unwrap_err().to_string(),
        "FUNCTIONS_FILE cannot be read: is a directory"
    );
    std::fs::write(&path, file(&[resize()])).unwrap();
    assert_eq!(load(path.to_str().unwrap()).unwrap().len(), 1);
    std::fs::remove_dir_all(&directory).unwrap();
    // Without the setting, and without a layer.
    let loaded = super::load(&Environment::default(), WORKER_TIMEOUT_SECS_DEFAULT);
    assert!(loaded.unwrap().is_empty());
}

proptest! {
    /// Whatever the text, its errors are reported: reading it never panics.
    #[test]
    fn any_change_of_a_file_is_read_or_refused(
        position in 0.0..1.0,
        replacement in "[\\[\\]{}:,\"a0$/~ .-]{0,3}",
    ) {
        let mut text = file(&[resize()]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a position in a short text"
        )]
        let position = (position * text.len() as f64) as usize;
        text.replace_range(position..=position, &replacement);
        let _ = errors(&text);
    }
}
