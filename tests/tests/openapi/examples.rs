//! The document's references and examples.

use serde_json::Value;
use shared::domain::json::push_token;
use tests::openapi::{Document, Side};

/// Every reference has a target, and every example is valid. Examples of responses and callbacks
/// are checked by the closed schema, since Ferry writes those.
pub(crate) fn faults(document: &Document) -> Vec<String> {
    let mut faults = Vec::new();
    walk(document, document.json(), "", Side::Ours, &mut faults);
    faults
}

fn walk(document: &Document, value: &Value, pointer: &str, side: Side, faults: &mut Vec<String>) {
    let Value::Object(members) = value else {
        if let Value::Array(elements) = value {
            for (index, element) in elements.iter().enumerate() {
                walk(
                    document,
                    element,
                    &format!("{pointer}/{index}"),
                    side,
                    faults,
                );
            }
        }
        return;
    };
    if let Some(target) = value["$ref"].as_str() {
        let found = target
            .strip_prefix('#')
            .is_some_and(|target| !document.at(target).is_null());
        if !found {
            faults.push(format!("{pointer}: there is no {target}"));
        }
    }
    if let (Some(example), true) = (value.get("example"), value.get("schema").is_some()) {
        faults.extend(document.schema_faults(Side::Theirs, &format!("{pointer}/schema"), example));
    }
    if value.get("schema").is_some() && value.get("examples").is_some() {
        faults.extend(media_faults(document, pointer, side));
    }
    for (name, member) in members {
        // An example's value has its own structure.
        if name == "examples" {
            continue;
        }
        let side = if name == "requestBody" && pointer.starts_with("/paths") {
            Side::Theirs
        } else {
            side
        };
        let mut inner = pointer.to_owned();
        push_token(&mut inner, name);
        walk(document, member, &inner, side, faults);
    }
}

fn media_faults(document: &Document, media: &str, side: Side) -> Vec<String> {
    let examples = format!("{media}/examples");
    let names = document.at(&examples).as_object().into_iter().flatten();
    names
        .flat_map(|(name, _)| match document.member(&examples, name) {
            Some(example) => {
                let value = &document.at(&example)["value"];
                let faults = document.schema_faults(side, &format!("{media}/schema"), value);
                faults
                    .into_iter()
                    .map(|fault| format!("{example}: {fault}"))
                    .collect()
            }
            None => vec![format!("{examples}/{name} refers to nothing")],
        })
        .collect()
}
