//! What the server says about itself.

use serde::Serialize;
use serde_json::{Value, json};

use super::version::{SUPPORTED, TASKS, negotiated};

/// How long a client may keep what `server/discover` returns, in milliseconds: it changes with a
/// release only.
const DISCOVERY_TTL_MS: u32 = 3_600_000;

/// For models that call the tools.
const INSTRUCTIONS: &str = "A tool's work continues after its call returns, for up to days. When \
    a call says that an operation is still running, call ferry_get_operation with its id and \
    wait_seconds until it has ended.";

/// The name and version of a program.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Implementation {
    name: &'static str,
    version: &'static str,
}

pub(super) const SERVER: Implementation = Implementation {
    name: "ferry",
    version: env!("CARGO_PKG_VERSION"),
};

/// The result of `server/discover`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discovery {
    supported_versions: [&'static str; 4],
    capabilities: Value,
    instructions: &'static str,
    ttl_ms: u32,
    cache_scope: &'static str,
}

impl Discovery {
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            supported_versions: SUPPORTED,
            capabilities: json!({"tools": {}, "extensions": {TASKS: {}}}),
            instructions: INSTRUCTIONS,
            ttl_ms: DISCOVERY_TTL_MS,
            cache_scope: "public",
        }
    }
}

/// The result of `initialize`. No session follows: each request is independent of the others.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Initialized {
    protocol_version: &'static str,
    capabilities: Value,
    server_info: Implementation,
    instructions: &'static str,
}

impl Initialized {
    /// For a client that asks for this revision.
    #[must_use]
    pub(super) fn new(requested: &str) -> Self {
        Self {
            protocol_version: negotiated(requested),
            capabilities: json!({"tools": {}}),
            server_info: SERVER,
            instructions: INSTRUCTIONS,
        }
    }
}
