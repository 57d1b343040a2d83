//! Calls of `POST /forrst`: their responses, and the operations that they create.

mod calls;
mod examples;
mod extensions;
mod hostile;
mod system;

use serde_json::{Value, json};
use tests::world::{Response, World};

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

/// Calls as `alice`. Time passes for as long as the response waits.
pub(super) async fn call(
    world: &World,
    function: &str,
    arguments: &Value,
    extensions: &Value,
) -> Response {
    let body = envelope(function, arguments, extensions);
    let request = world.request("POST", "/forrst", &[], &body);
    world.while_waiting(None, request).await
}

/// Calls with a preference for a deferred response and returns the operation's id.
async fn start(world: &World, function: &str, arguments: &Value) -> String {
    let response = call(world, function, arguments, &deferred(&[])).await;
    assert_eq!(response.status, 200, "{}", response.text);
    data(&response, "async")["operation_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(super) fn deferred(others: &[Value]) -> Value {
    let mut extensions =
        vec![json!({"urn": "urn:forrst:ext:async", "options": {"preferred": true}})];
    extensions.extend_from_slice(others);
    Value::Array(extensions)
}

pub(super) fn extension(name: &str, options: &Value) -> Value {
    json!({"urn": format!("urn:forrst:ext:{name}"), "options": options})
}

/// The data of an extension in the response.
pub(super) fn data<'a>(response: &'a Response, name: &str) -> &'a Value {
    let extensions = response.json["extensions"].as_array();
    let urn = |extension: &&Value| {
        let urn = extension["urn"].as_str().unwrap();
        urn.rsplit(':').next() == Some(name)
    };
    extensions
        .and_then(|extensions| extensions.iter().find(urn))
        .map_or(&Value::Null, |extension| &extension["data"])
}

fn codes(response: &Response) -> Vec<&str> {
    let errors = response.json["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect()
}
