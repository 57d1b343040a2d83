//! Members of schemas that JSON Schema ignores, because it does not define them: most are
//! misspelled, and what they were meant to refuse is accepted.

use serde_json::Value;
use shared::catalogue::Entry;
use shared::domain::json::push_token;

/// What keywords of draft 2020-12 have as values. Those that begin with `$` are not listed.
/// <https://json-schema.org/draft/2020-12/schema>
const SCHEMA: [&str; 12] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    // Deprecated.
    "additionalItems",
];
const ARRAY_OF_SCHEMAS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAP_OF_SCHEMAS: [&str; 6] = [
    "$defs",
    // Deprecated.
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
const NO_SCHEMA: [&str; 30] = [
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];

/// Pointers to the unknown members in the schemas of a function, from the file's root. Names that
/// begin with `x-` are left to other tools.
pub(super) fn unknown(index: usize, entry: &Entry) -> Vec<String> {
    let mut found = Vec::new();
    for (member, schema) in [
        ("arguments_schema", entry.arguments_schema()),
        ("result_schema", entry.result_schema()),
    ] {
        // A number that a double cannot represent is an error, which is reported.
        if let Ok(schema) = serde_json::from_str(schema.as_str()) {
            let mut pointer = format!("/functions/{index}/{member}");
            search(&schema, &mut pointer, &mut found);
        }
    }
    found
}

fn search(schema: &Value, pointer: &mut String, found: &mut Vec<String>) {
    for (name, value) in schema.as_object().into_iter().flatten() {
        let parent_len = pointer.len();
        push_token(pointer, name);
        let name = name.as_str();
        if SCHEMA.contains(&name) {
            search(value, pointer, found);
        } else if ARRAY_OF_SCHEMAS.contains(&name) {
            for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                search_child(value, &index.to_string(), pointer, found);
            }
        } else if MAP_OF_SCHEMAS.contains(&name) {
            for (token, value) in value.as_object().into_iter().flatten() {
                search_child(value, token, pointer, found);
            }
        } else if !NO_SCHEMA.contains(&name) && !name.starts_with('$') && !name.starts_with("x-") {
            found.push(pointer.clone());
        }
        pointer.truncate(parent_len);
    }
}

fn search_child(schema: &Value, token: &str, pointer: &mut String, found: &mut Vec<String>) {
    let parent_len = pointer.len();
    push_token(pointer, token);
    search(schema, pointer, found);
    pointer.truncate(parent_len);
}
