//! The table of the functions file's members, against the schema by which editors check the file.
//! That schema is held to the code by its own tests.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{root, rows};

const FUNCTIONS: &str = "functions/README.md";

#[test]
fn the_members_of_the_functions_file_are_those_of_its_schema() {
    let text = std::fs::read_to_string(root().join("infra/functions.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let function = &schema["$defs"]["function"];
    let mut expected = members(function, "");
    // Each is written out member by member.
    expected.remove("retry");
    expected.remove("target");
    expected.extend(members(&function["properties"]["retry"], "retry."));
    expected.extend(members(&schema["$defs"]["lambda"], "target.lambda."));
    expected.insert("target.local".to_owned(), (String::new(), None));

    let rows = rows(FUNCTIONS, "members");
    let written: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let name = row[0].trim_matches('`').to_owned();
            let default = row[1].trim_matches('`').to_owned();
            // Lengths of texts are in words.
            let bounds = expected.get(&name).and_then(|(_, bounds)| bounds.as_ref());
            (name, (default, bounds.map(|_| row[2].to_owned())))
        })
        .collect();
    assert_eq!(written, expected);
}

/// The default of each member, and the bounds of each number.
fn members(object: &Value, prefix: &str) -> BTreeMap<String, (String, Option<String>)> {
    let required: Vec<_> = object["required"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let properties = object["properties"].as_object().unwrap();
    properties
        .iter()
        .filter(|(name, _)| *name != "$comment")
        .map(|(name, member)| {
            let default = if required.contains(&&Value::from(name.as_str())) {
                "required".to_owned()
            } else {
                member["default"].to_string()
            };
            let bounds = member
                .get("minimum")
                .map(|least| format!("{least} to {}", member["maximum"]));
            (format!("{prefix}{name}"), (default, bounds))
        })
        .collect()
}
