//! The tools: one for each function of the catalogue, and those for operations.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shared::catalogue::{Catalogue, Entry, SideEffect};
use shared::domain::json::{Json, members};

use super::operation_tool::OperationTool;
use super::version::Era;

/// The longest name that clients accept: Claude refuses a whole list for one name that is longer,
/// or has other characters than letters, digits, `_` and `-`.
const NAME_CHARS_MAX: usize = 64;
/// The hexadecimal digits of a hash that distinguish a name which did not fit.
const HASH_CHARS: usize = 8;

const HEADER_ANNOTATION: &str = "x-mcp-header";

/// How long a client may keep the list, in milliseconds: it changes with a deployment only.
const LIST_TTL_MS: u32 = 300_000;

/// The functions that are tools, by name.
#[derive(Debug)]
pub(crate) struct Tools(Vec<FunctionTool>);

/// A function as a tool: its latest stable version.
#[derive(Debug)]
pub(super) struct FunctionTool {
    /// The name that clients see.
    name: String,
    pub(super) entry: &'static Entry,
}

impl Tools {
    /// The tools of a catalogue, in its order.
    #[must_use]
    pub(super) fn of(catalogue: Catalogue) -> Self {
        let mut entries: Vec<&Entry> = Vec::new();
        for entry in catalogue.entries() {
            let is_listed = entries.iter().any(|listed| listed.name == entry.name);
            // A function without a stable version has to be called by version.
            if let (false, Ok(latest)) = (is_listed, catalogue.find(entry.name, None)) {
                entries.push(latest);
            }
        }
        let mut uses: HashMap<String, usize> = HashMap::new();
        for tool in OperationTool::ALL {
            uses.insert(tool.name().to_owned(), 1);
        }
        for entry in &entries {
            *uses.entry(plain_name(entry.name)).or_default() += 1;
        }
        let tool = |entry: &'static Entry| {
            let plain = plain_name(entry.name);
            let fits = plain.len() <= NAME_CHARS_MAX && uses[&plain] == 1;
            let name = if fits { plain } else { hashed_name(entry.name) };
            FunctionTool { name, entry }
        };
        Self(entries.into_iter().map(tool).collect())
    }

    /// The function that a tool calls.
    #[must_use]
    pub(super) fn find(&self, name: &str) -> Option<&'static Entry> {
        let tool = self.0.iter().find(|tool| tool.name == name)?;
        Some(tool.entry)
    }

    /// The result of `tools/list`.
    #[must_use]
    pub(super) fn list(&self, era: Era, wait_max: Duration) -> ToolList {
        let functions = self.0.iter().map(ToolView::of_function);
        let operations = OperationTool::ALL.map(|tool| ToolView::of_operations(tool, wait_max));
        let is_modern = era == Era::Modern;
        ToolList {
            tools: functions.chain(operations).collect(),
            ttl_ms: is_modern.then_some(LIST_TTL_MS),
            // Only callers whom the authorizer accepts may see it.
            cache_scope: is_modern.then_some("private"),
        }
    }
}

fn plain_name(function: &str) -> String {
    let allowed = |char: char| {
        if char.is_ascii_alphanumeric() || char == '-' {
            char
        } else {
            '_'
        }
    };
    function.chars().map(allowed).collect()
}

/// The name of a function whose plain name is too long, or not its own.
fn hashed_name(function: &str) -> String {
    let mut name = plain_name(function);
    name.truncate(NAME_CHARS_MAX - HASH_CHARS - 1);
    name.push('_');
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(function));
    format!("{name}{:0HASH_CHARS$x}", u32::from_be_bytes([a, b, c, d]))
}

/// The result of `tools/list`, in one page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolList {
    tools: Vec<ToolView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_scope: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolView {
    name: String,
    title: &'static str,
    description: &'static str,
    input_schema: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<Json>,
    annotations: Annotations,
}

/// Hints on what a tool does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the protocol's members")]
struct Annotations {
    read_only_hint: bool,
    destructive_hint: bool,
    idempotent_hint: bool,
    open_world_hint: bool,
}

impl ToolView {
    fn of_function(tool: &FunctionTool) -> Self {
        let entry = tool.entry;
        Self {
            name: tool.name.clone(),
            title: entry.name,
            description: entry.description,
            input_schema: without_headers(entry.arguments_schema()),
            output_schema: output_schema(entry),
            annotations: Annotations {
                read_only_hint: entry.side_effects.is_empty(),
                // "If false, the tool performs only additive updates" (the protocol's schema).
                destructive_hint: entry.side_effects.iter().any(|effect| match effect {
                    SideEffect::Create => false,
                    SideEffect::Update | SideEffect::Delete => true,
                }),
                idempotent_hint: false,
                open_world_hint: true,
            },
        }
    }

    fn of_operations(tool: OperationTool, wait_max: Duration) -> Self {
        Self {
            name: tool.name().to_owned(),
            title: tool.title(),
            description: tool.description(),
            input_schema: tool.arguments_schema(wait_max),
            output_schema: None,
            annotations: Annotations {
                read_only_hint: tool == OperationTool::Get,
                destructive_hint: tool == OperationTool::Cancel,
                idempotent_hint: true,
                open_world_hint: false,
            },
        }
    }
}

/// The schema of results, if every result is an object that it describes. Clients refuse other
/// results, and lose them. The results of targets are not checked, so they may be anything.
fn output_schema(entry: &Entry) -> Option<Json> {
    let schema = entry.target().is_none().then(|| entry.result_schema())?;
    let members = members(schema.raw())?;
    let is_object = members
        .iter()
        .any(|(name, raw)| name == "type" && raw.get() == r#""object""#);
    is_object.then_some(schema)
}

/// A schema of arguments without the annotation `x-mcp-header`. It would oblige clients to repeat
/// an argument in a header, and this server to compare the two.
fn without_headers(schema: Json) -> Json {
    fn remove(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove(HEADER_ANNOTATION);
                members.values_mut().for_each(remove);
            }
            Value::Array(elements) => elements.iter_mut().for_each(remove),
            _ => {}
        }
    }
    if !schema.as_str().contains(HEADER_ANNOTATION) {
        return schema;
    }
    let parsed: Result<Value, _> = serde_json::from_str(schema.as_str());
    // A schema that cannot be parsed makes its function fail when it is called.
    let Ok(mut value) = parsed else { return schema };
    remove(&mut value);
    Json::of(&value).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::catalogue::file;
    use shared::domain::limits::WORKER_TIMEOUT_SECS_DEFAULT;

    fn catalogue(functions: &[(&str, &str)]) -> Catalogue {
        let functions: Vec<Value> = functions
            .iter()
            .map(|(name, version)| {
                json!({
                    "name": name, "version": version, "description": "A function.",
                    "arguments_schema": {
                        "type": "object",
                        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
                    },
                    "result_schema": {"type": "object"},
                    "target": {"lambda": {"function": "f"}},
                })
            })
            .collect();
        let file = json!({"format": 1, "functions": functions}).to_string();
        let entries = file::read(&file, WORKER_TIMEOUT_SECS_DEFAULT).unwrap();
        Catalogue::new(false).with_registered(entries.leak())
    }

    fn names(functions: &[(&str, &str)]) -> Vec<String> {
        let tools = Tools::of(catalogue(functions)).0;
        let own = tools
            .into_iter()
            .filter(|tool| tool.entry.target().is_some());
        own.map(|tool| tool.name).collect()
    }

    #[test]
    fn a_name_has_only_what_every_client_accepts() {
        let long = "x".repeat(65);
        let fits = "y".repeat(64);
        let registered = [
            ("orders.price", "1.0.0"),
            ("a:b-c_d", "1.0.0"),
            (long.as_str(), "1.0.0"),
            (fits.as_str(), "1.0.0"),
        ];
        let found = names(&registered);
        assert_eq!(found[0], "orders_price");
        assert_eq!(found[1], "a_b-c_d");
        assert_eq!(found[2], format!("{}_9537c5fd", "x".repeat(55)));
        assert_eq!(found[3], fits);
    }

    #[test]
    fn names_that_would_be_the_same_get_a_hash_each() {
        let found = names(&[
            ("a.b", "1.0.0"),
            ("c", "1.0.0"),
            ("a_b", "1.0.0"),
            ("ferry.get_operation", "1.0.0"),
        ]);
        assert_eq!(found[1], "c");
        assert_ne!(found[0], found[2]);
        for (name, start) in [
            (&found[0], "a_b_"),
            (&found[2], "a_b_"),
            (&found[3], "ferry_get_operation_"),
        ] {
            let hash = name.strip_prefix(start).unwrap();
            assert!(hash.len() == HASH_CHARS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn schemas_promise_only_what_holds() {
        let tools = Tools::of(catalogue(&[("f", "1.0.0")]));
        let list = tools.list(Era::Modern, Duration::ZERO);
        let list = serde_json::to_value(&list).unwrap();
        let tool = |name: &str| {
            let mut tools = list["tools"].as_array().unwrap().iter();
            tools.find(|tool| tool["name"] == name).unwrap().clone()
        };
        assert_eq!(tool("csv_summarize")["outputSchema"]["type"], "object");
        let registered = tool("f");
        assert_eq!(registered.get("outputSchema"), None);
        let region = json!({"region": {"type": "string"}});
        assert_eq!(registered["inputSchema"]["properties"], region);
    }

    #[test]
    fn a_tool_calls_the_latest_stable_version() {
        let functions = [
            ("f", "1.0.0"),
            ("f", "2.0.0"),
            ("f", "3.0.0-rc.1"),
            ("g", "1.0.0-rc.1"),
        ];
        let tools = Tools::of(catalogue(&functions));
        assert_eq!(tools.find("f").unwrap().version, "2.0.0");
        assert!(tools.find("g").is_none());
        assert_eq!(names(&functions), ["f"]);
    }
}
