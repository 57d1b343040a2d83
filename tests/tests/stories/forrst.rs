//! Calls of `POST /forrst`: what becomes of them, and what they are answered.

mod calls;
mod examples;
mod extensions;
mod hostile;
mod system;

use serde_json::{Value, json};
use tests::world::{Answer, World};

pub(super) const STATUS: &str = "urn:cline:forrst:ext:async:fn:status";
pub(super) const CANCEL: &str = "urn:cline:forrst:ext:async:fn:cancel";
pub(super) const LIST: &str = "urn:cline:forrst:ext:async:fn:list";
pub(super) const HEALTH: &str = "urn:cline:forrst:fn:health";

pub(super) fn envelope(function: &str, arguments: &Value, extensions: &Value) -> String {
    json!({
        "protocol": {"name": "forrst", "version": "0.1.0"}, "id": "req_1",
        "call": {"function": function, "arguments": arguments}, "extensions": extensions,
    })
    .to_string()
}

/// A call of `alice`'s, who waits for as long as she is kept waiting.
pub(super) async fn call(
    world: &World,
    function: &str,
    arguments: &Value,
    extensions: &Value,
) -> Answer {
    let body = envelope(function, arguments, extensions);
    let request = world.request("POST", "/forrst", &[], &body);
    world.while_waiting(None, request).await
}

/// A call that prefers to be answered at once; the operation that it has become.
async fn start(world: &World, function: &str, arguments: &Value) -> String {
    let answer = call(world, function, arguments, &at_once(&[])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    data(&answer, "async")["operation_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(super) fn at_once(others: &[Value]) -> Value {
    let mut extensions =
        vec![json!({"urn": "urn:forrst:ext:async", "options": {"preferred": true}})];
    extensions.extend_from_slice(others);
    Value::Array(extensions)
}

pub(super) fn extension(name: &str, options: &Value) -> Value {
    json!({"urn": format!("urn:forrst:ext:{name}"), "options": options})
}

/// An extension's answer.
pub(super) fn data<'a>(answer: &'a Answer, name: &str) -> &'a Value {
    let extensions = answer.json["extensions"].as_array();
    let urn = |extension: &&Value| {
        let urn = extension["urn"].as_str().unwrap();
        urn.rsplit(':').next() == Some(name)
    };
    extensions
        .and_then(|extensions| extensions.iter().find(urn))
        .map_or(&Value::Null, |extension| &extension["data"])
}

fn codes(answer: &Answer) -> Vec<&str> {
    let errors = answer.json["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect()
}
