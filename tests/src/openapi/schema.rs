//! The schemas of a document, as written and closed.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

/// The keyword for a list of values that may grow.
pub const EXTENSIBLE: &str = "x-extensible-enum";

pub(super) type Validators = HashMap<(Side, String), Arc<Validator>>;

/// Who wrote the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Ferry: members and values that the schema does not name are errors.
    Ours,
    /// A caller: the schema applies as written.
    Theirs,
}

/// A validator for the schema at a pointer.
pub(super) fn validator(document: &Value, pointer: &str) -> Validator {
    let mut root = document.pointer(pointer).unwrap().clone();
    root["components"] = json!({"schemas": document["components"]["schemas"]});
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&root)
        .unwrap_or_else(|error| panic!("{pointer} is no schema: {error}"))
}

/// The text of an error. An error in a `oneOf` or `anyOf` does not say what is wrong, so the errors
/// of the alternative with the fewest follow.
pub(super) fn causes(error: &ValidationError<'_>) -> Vec<String> {
    let mut causes = vec![format!("{} is wrong: {error}", error.instance_path())];
    if let ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } =
        error.kind()
        && let Some(errors) = context.iter().min_by_key(|errors| errors.len())
    {
        causes.extend(errors.iter().flat_map(self::causes));
    }
    causes
}

/// A copy whose schemas allow only what they name: other members only where `additionalProperties`
/// says so, and for an [`EXTENSIBLE`] only its listed values.
///
/// A component is closed where it is referred to, because a component that is part of another
/// cannot name the other's members. A schema with properties and without `type: object` narrows
/// another schema, and that other one is closed instead.
pub(super) fn closed(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        for schema in schemas.as_object_mut().unwrap().values_mut() {
            close_parts(schema);
        }
    }
    close_media(&mut document);
    document
}

/// Closes the schemas of bodies, wherever they are.
fn close_media(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "content" {
                    for media in member.as_object_mut().unwrap().values_mut() {
                        close(&mut media["schema"]);
                    }
                } else if name != "schemas" && name != "examples" {
                    close_media(member);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(close_media),
        _ => {}
    }
}

/// Closes a schema that describes its value completely, and the schemas in it.
fn close(schema: &mut Value) {
    close_parts(schema);
    if let Value::Object(members) = schema {
        let composes = ["$ref", "allOf", "anyOf", "oneOf"]
            .iter()
            .any(|keyword| members.contains_key(*keyword));
        let describes =
            members.contains_key("properties") && members.get("type") == Some(&json!("object"));
        if (composes || describes) && !members.contains_key("additionalProperties") {
            members.insert("unevaluatedProperties".to_owned(), json!(false));
        }
    }
}

/// Closes the schemas in a schema. The schema itself is closed by the one that it is part of.
fn close_parts(schema: &mut Value) {
    let Value::Object(members) = schema else {
        return;
    };
    for keyword in ["allOf", "anyOf", "oneOf", "not"] {
        match members.get_mut(keyword) {
            Some(Value::Array(parts)) => parts.iter_mut().for_each(close_parts),
            Some(part) => close_parts(part),
            None => {}
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.values_mut().for_each(close);
    }
    if let Some(items) = members.get_mut("items") {
        close(items);
    }
    if let Some(values) = members.get(EXTENSIBLE).cloned() {
        members.insert("enum".to_owned(), values);
    }
}
