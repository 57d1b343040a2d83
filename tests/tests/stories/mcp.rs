//! Messages to `POST /mcp`: their responses, and the operations that they create.

mod calls;
mod envelope;
mod operations;
mod tasks;

use serde_json::{Value, json};
use tests::world::{Response, World};

const MODERN: &str = "2026-07-28";
const TASKS: &str = "io.modelcontextprotocol/tasks";
const OPERATION_ID: &str = "ferry/operationId";

/// The metadata that a modern request has, of a client with or without tasks.
fn meta(takes_tasks: bool) -> Value {
    let capabilities = if takes_tasks {
        json!({"extensions": {TASKS: {}}})
    } else {
        json!({})
    };
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// Sends a body with these headers, as `alice`. Time passes for as long as the response waits.
async fn send(world: &World, headers: &[(&str, &str)], body: &str) -> Response {
    let request = world.request("POST", "/mcp", headers, body);
    world.while_waiting(None, request).await
}

/// A modern request, with all that it needs: its headers and its body.
fn modern(method: &str, mut params: Value, takes_tasks: bool) -> (Vec<(&str, String)>, String) {
    let mut headers = vec![
        ("mcp-protocol-version", MODERN.to_owned()),
        ("mcp-method", method.to_owned()),
    ];
    let name = params.get("name").or_else(|| params.get("taskId"));
    if let Some(name) = name.and_then(Value::as_str) {
        headers.push(("mcp-name", name.to_owned()));
    }
    let extra = params["_meta"].take();
    params["_meta"] = meta(takes_tasks);
    for (name, value) in extra.as_object().into_iter().flatten() {
        params["_meta"][name] = value.clone();
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    (headers, body.to_string())
}

fn borrowed<'a>(headers: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    let header = |(name, value): &'a (&'a str, String)| (*name, value.as_str());
    headers.iter().map(header).collect()
}

/// Sends a modern request of a client with or without tasks.
pub(super) async fn request(
    world: &World,
    method: &str,
    params: Value,
    takes_tasks: bool,
) -> Response {
    let (headers, body) = modern(method, params, takes_tasks);
    send(world, &borrowed(&headers), &body).await
}

/// Sends a request of the legacy era.
async fn legacy(world: &World, method: &str, params: &Value) -> Response {
    let headers = [("mcp-protocol-version", "2025-11-25")];
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    send(world, &headers, &body.to_string()).await
}

/// Calls a tool as a client that takes tasks, and returns the task's id.
pub(super) async fn start(world: &World, tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    let response = request(world, "tools/call", params, true).await;
    let result = &response.json["result"];
    assert_eq!(result["resultType"], "task", "{}", response.text);
    result["taskId"].as_str().unwrap().to_owned()
}

/// The texts of a tool's result.
fn texts(response: &Response) -> Vec<&str> {
    let content = response.json["result"]["content"].as_array();
    let content = content.unwrap_or_else(|| panic!("{}", response.text));
    content
        .iter()
        .map(|item| {
            assert_eq!(item["type"], "text");
            item["text"].as_str().unwrap()
        })
        .collect()
}

fn error_code(response: &Response) -> Option<i64> {
    response.json["error"]["code"].as_i64()
}
