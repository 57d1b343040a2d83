//! The official JSON Schema test suite through registered functions: each schema is that of an
//! argument, and each instance is that argument. `tests/references.sh` says where the suite is.

use std::path::Path;

use serde_json::{Value, json};
use shared::catalogue::file;
use shared::config::Environment;
use shared::domain::json::Json;
use shared::domain::limits::WORKER_TIMEOUT_SECS_DEFAULT;
use shared::schema::{CheckError, Validators};
use tests::target::resize;

/// Schemas that a functions file must not have: nothing is fetched, and there is one dialect.
const REFUSED: [&str; 2] = ["refRemote.json", "vocabulary.json"];
/// Where the suite has documents for schemas to refer to.
const REMOTE: &str = "http://localhost:1234/";
const NOT_FETCHED: &str = "refers to what is not in this schema";
/// Formats that are checked, while the suite takes them for annotations.
const CHECKED_FORMATS: [&str; 4] = [
    "email format",
    "uri format",
    "date-time format",
    "uuid format",
];

#[test]
fn arguments_are_valid_exactly_when_the_suite_says_so() {
    let environment = Environment::from_process();
    let directory = Path::new(environment.required("SCHEMA_SUITE").unwrap());
    let (mut checked, mut refused, mut wrong) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() || REFUSED.contains(&name.as_str()) {
            continue;
        }
        let groups: Vec<Value> =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (number, group) in groups.iter().enumerate() {
            let description = group["description"].as_str().unwrap();
            if name == "format.json" && CHECKED_FORMATS.contains(&description) {
                continue;
            }
            let needs_fetch = group["schema"].to_string().contains(REMOTE);
            for test in group["tests"].as_array().unwrap() {
                let valid = is_valid(&group["schema"], number, &test["data"]);
                let is_refused = |error: &String| error.contains(NOT_FETCHED);
                if needs_fetch && valid.as_ref().is_err_and(is_refused) {
                    refused += 1;
                    continue;
                }
                checked += 1;
                if valid.as_ref().ok() != test["valid"].as_bool().as_ref() {
                    let test = &test["description"];
                    wrong.push(format!("{name}: {description}: {test}: {valid:?}"));
                }
            }
        }
    }
    println!("{checked} instances; {refused} of schemas that would have to be fetched");
    assert!(checked > 1000, "{checked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether an instance passes as an argument, or why its schema cannot be registered.
fn is_valid(schema: &Value, number: usize, instance: &Value) -> Result<bool, String> {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        // A separate resource, so that `#` refers to it as in the suite.
        let id = format!("https://suite.example.com/{number}");
        members.entry("$id").or_insert_with(|| id.into());
    }
    let mut function = resize();
    function["arguments_schema"] = json!({"type": "object", "properties": {"value": schema}});
    let text = json!({"format": 1, "functions": [function]}).to_string();
    let entries =
        file::read(&text, WORKER_TIMEOUT_SECS_DEFAULT).map_err(|errors| format!("{errors:?}"))?;
    let arguments = Json::of(&json!({"value": instance})).expect("it is JSON");
    match Validators::default().check(&entries[0], &arguments) {
        Ok(()) => Ok(true),
        Err(CheckError::Arguments(errors)) => {
            assert!(
                errors
                    .iter()
                    .all(|error| error.pointer.starts_with("/value"))
            );
            Ok(false)
        }
        Err(CheckError::Schema(error)) => Err(error.to_string()),
    }
}
