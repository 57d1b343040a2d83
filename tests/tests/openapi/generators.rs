//! Rules that generators of clients need. `tests/clients.sh` runs two of them.

use serde_json::Value;
use tests::openapi::Document;

/// Keywords that both generators may ignore without a loss.
const HARMLESS: [&str; 2] = ["description", "not"];

/// Every component's schema that a generator would misread.
pub(crate) fn faults(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    let schemas = document.at("/components/schemas").as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        walk(&format!("/components/schemas/{name}"), schema, &mut faults);
    }
    faults
}

fn walk(pointer: &str, schema: &Value, faults: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            faults.extend(fault(schema).map(|fault| format!("{pointer}: {fault}")));
            for (name, member) in members {
                walk(&format!("{pointer}/{name}"), member, faults);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                walk(&format!("{pointer}/{index}"), element, faults);
            }
        }
        _ => {}
    }
}

fn fault(schema: &Value) -> Option<String> {
    // openapi-typescript 7.13 reads it as an object without members.
    let open = schema["type"] == "object" && schema.get("properties").is_none();
    if open && schema.get("additionalProperties").is_none() {
        return Some("an object with any members needs additionalProperties".to_owned());
    }
    // openapi-python-client 0.29 ignores one of the two, or the keywords next to an `allOf` with
    // one entry.
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let next_to_it = schema.as_object()?.keys().find(|other| {
            *other != keyword && *other != "discriminator" && !HARMLESS.contains(&other.as_str())
        });
        if let (Some(Value::Array(_)), Some(other)) = (schema.get(keyword), next_to_it) {
            return Some(format!("{other} is next to {keyword}"));
        }
    }
    // openapi-typescript makes a member with a default required.
    let members = schema["properties"].as_object()?;
    members
        .iter()
        .find(|(_, member)| member.get("default").is_some())
        .map(|(name, _)| format!("{name} has its default in place, not in a referenced schema"))
}
