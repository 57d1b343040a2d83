//! Matching JSON against a shape, where some values are not known in advance.
//!
//! A shape is JSON. An object may have members that the shape does not name, since responses may
//! gain members; an array must have exactly the shape's elements. A member whose name ends in `?`
//! may be absent. Text in angle brackets matches any value of its kind: `<text>` (not empty),
//! `<number>`, `<count>` (a whole number, not negative), `<boolean>`, `<object>`, `<array>`,
//! `<time>` (RFC 3339) and `<anything>`. Any other value matches itself.

use serde_json::Value;
use shared::domain::json::push_token;
use shared::domain::time::Timestamp;

/// Panics with `context` unless the value matches the shape.
#[track_caller]
pub fn assert_shape(shape: &Value, value: &Value, context: &impl std::fmt::Display) {
    if let Some(fault) = fault(shape, value) {
        panic!("{fault}\nexpected {shape}\n{context}");
    }
}

/// The first place where a value does not match the shape, and why.
#[must_use]
pub fn fault(shape: &Value, value: &Value) -> Option<String> {
    let mut pointer = String::new();
    fault_at(&mut pointer, shape, value)
}

fn fault_at(pointer: &mut String, shape: &Value, value: &Value) -> Option<String> {
    let within = |pointer: &mut String, token: &str, shape, value| {
        let parent = pointer.len();
        push_token(pointer, token);
        let fault = fault_at(pointer, shape, value);
        pointer.truncate(parent);
        fault
    };
    let mismatch = || Some(format!("{pointer}: {value} is not {shape}"));
    match (shape, value) {
        (Value::Object(shapes), Value::Object(members)) => {
            shapes.iter().find_map(|(name, shape)| {
                let (name, optional) = match name.strip_suffix('?') {
                    Some(name) => (name, true),
                    None => (name.as_str(), false),
                };
                match members.get(name) {
                    Some(value) => within(pointer, name, shape, value),
                    None if optional => None,
                    None => Some(format!("{pointer}: {name} is missing")),
                }
            })
        }
        (Value::Array(shapes), Value::Array(elements)) if shapes.len() == elements.len() => {
            let pairs = shapes.iter().zip(elements).enumerate();
            pairs.into_iter().find_map(|(index, (shape, value))| {
                within(pointer, &index.to_string(), shape, value)
            })
        }
        (Value::String(word), value) => {
            let kind = word
                .strip_prefix('<')
                .and_then(|word| word.strip_suffix('>'));
            let matches = kind.map_or(shape == value, |kind| is_of(kind, value));
            if matches { None } else { mismatch() }
        }
        (shape, value) if shape == value => None,
        _ => mismatch(),
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "text" => value.as_str().is_some_and(|text| !text.is_empty()),
        "number" => value.is_number(),
        "count" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "time" => value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
            .is_some(),
        "anything" => true,
        _ => panic!("unknown kind {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_may_have_more_members_but_must_match() {
        let shape = json!({
            "id": "<text>", "at": "<time>", "n": "<count>", "x": "<number>", "b": "<boolean>",
            "null": null, "list": [{"word": "fixed"}, "<anything>"], "o": "<object>",
            "a": "<array>", "left_out?": 1,
        });
        let value = json!({
            "id": "a", "at": "2026-11-23T19:13:48.431Z", "n": 1, "x": 0.5, "b": false,
            "null": null, "list": [{"word": "fixed", "more": 1}, null], "o": {}, "a": [],
            "more": true,
        });
        assert_eq!(fault(&shape, &value), None);
        for (pointer, other, message) in [
            ("/id", json!(""), "/id: \"\" is not"),
            ("/at", json!("yesterday"), "/at: "),
            ("/n", json!(1.5), "/n: "),
            ("/x", json!("1"), "/x: "),
            ("/b", json!(null), "/b: "),
            ("/null", json!(0), "/null: 0 is not null"),
            ("/list/0/word", json!("free"), "/list/0/word: "),
            ("/list", json!([{"word": "fixed"}]), "/list: "),
            ("/list/0", json!({}), "/list/0: word is missing"),
            ("/o", json!([]), "/o: "),
            ("/a", json!({}), "/a: "),
        ] {
            let mut value = value.clone();
            *value.pointer_mut(pointer).unwrap() = other;
            let fault = fault(&shape, &value).unwrap();
            assert!(fault.starts_with(message), "{fault}");
        }
        let mut wrong = value;
        wrong["left_out"] = json!(2);
        assert!(fault(&shape, &wrong).is_some());
    }
}
