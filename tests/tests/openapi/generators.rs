//! What generators of clients need from the document. `tests/clients.sh` runs two of them.

use serde_json::Value;
use tests::openapi::Document;

/// Keywords that both generators read past without a loss.
const HARMLESS: [&str; 2] = ["description", "not"];

/// Every schema of a component that a generator misreads.
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
    // openapi-typescript 7.13 reads it as one that has no members.
    let open = schema["type"] == "object" && schema.get("properties").is_none();
    if open && schema.get("additionalProperties").is_none() {
        return Some("an object whose members are free does not say so".to_owned());
    }
    // openapi-python-client 0.29 ignores one of the two, or what is next to an `allOf` of one.
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let next_to_it = schema.as_object()?.keys().find(|other| {
            *other != keyword && *other != "discriminator" && !HARMLESS.contains(&other.as_str())
        });
        if let (Some(Value::Array(_)), Some(other)) = (schema.get(keyword), next_to_it) {
            return Some(format!("{other} is next to {keyword}"));
        }
    }
    // openapi-typescript requires a member that has a default.
    let members = schema["properties"].as_object()?;
    members
        .iter()
        .find(|(_, member)| member.get("default").is_some())
        .map(|(name, _)| format!("{name} has its default in place, not by a reference"))
}
