//! The messages that clients send: JSON-RPC 2.0, one in each body.

use std::collections::HashSet;

use serde_json::value::RawValue;
use shared::domain::json::{self, StructureError, whole_number};
use shared::domain::limits::NESTING_MAX;
use shared::request::Members;

use super::error::RpcError;
use super::version::TASKS;

/// The version of the protocol by which a request is made.
pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do, on this request.
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What makes a call idempotent. MCP has no such member.
pub(super) const IDEMPOTENCY_KEY: &str = "ferry/idempotencyKey";

pub(super) const CALL_TOOL: &str = "tools/call";
pub(super) const ARGUMENTS: &str = "arguments";

/// A message that a client sent.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Request(Call<'a>),
    /// It has no id, so it gets no response.
    Notification {
        method: String,
    },
}

/// A request of JSON-RPC.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// A string or an integer, as the client spells it.
    pub(super) id: &'a RawValue,
    pub(super) method: String,
    /// Without the members that are fields of this type. What JSON's grammar leaves open is not
    /// checked inside of the arguments of [`CALL_TOOL`], which get errors of their own.
    pub(super) params: Members<'a>,
    /// `params.name`.
    pub(super) name: Option<&'a RawValue>,
    /// `params.taskId`.
    pub(super) task_id: Option<&'a RawValue>,
    pub(super) meta: Meta<'a>,
}

/// `params._meta`.
#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    pub(super) protocol_version: Option<&'a RawValue>,
    pub(super) client_capabilities: Option<&'a RawValue>,
    /// In W3C's form.
    pub(super) traceparent: Option<&'a RawValue>,
    pub(super) idempotency_key: Option<&'a RawValue>,
}

/// Why a body has no message, with the id of the request if it could be read.
#[derive(Debug)]
pub(super) struct Unreadable<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) error: RpcError,
}

impl<'a> Message<'a> {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// When it is not one request or notification.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Unreadable<'a>> {
        let unreadable = |error| Unreadable { id: None, error };
        let raw = json::read(body).map_err(|not_json| {
            unreadable(RpcError::parse_error(format!("the body {not_json}")))
        })?;
        let invalid = |message| unreadable(RpcError::invalid_request(message));
        if raw.get().starts_with('[') {
            return Err(invalid("the body must be one message, not a batch"));
        }
        let members = json::members(raw);
        let members = members.ok_or_else(|| invalid("the body must be a JSON object"))?;
        let all = |name| members.iter().filter(move |(known, _)| known == name);
        let id = all("id").next().map(|(_, raw)| *raw);
        // An id that is given twice is none, and that of a response is of a request that this
        // server would have sent.
        let is_response = all("result").chain(all("error")).next().is_some();
        let is_echoed = id.is_some_and(is_id) && all("id").count() == 1 && !is_response;
        read_members(members).map_err(|error| Unreadable {
            id: id.filter(|_| is_echoed),
            error,
        })
    }
}

fn read_members(members: Vec<(String, &RawValue)>) -> Result<Message<'_>, RpcError> {
    let invalid = |message: &str| Err(RpcError::invalid_request(message));
    check_structure("", &members, "params", NESTING_MAX - 1)?;
    let mut members = Members::new(members);
    if text(members.take_any("jsonrpc")).as_deref() != Some("2.0") {
        return invalid("jsonrpc must be \"2.0\"");
    }
    let Some(method) = text(members.take_any("method")) else {
        return invalid("method must be a string: the body must be a request or a notification");
    };
    let params = match members.take("params") {
        None => Vec::new(),
        Some(raw) => {
            json::members(raw).ok_or_else(|| RpcError::invalid_meta("params must be an object"))?
        }
    };
    let apart = if method == CALL_TOOL { ARGUMENTS } else { "" };
    check_structure("/params", &params, apart, NESTING_MAX - 2)?;
    let id = match members.take_any("id") {
        None => return Ok(Message::Notification { method }),
        Some(id) if is_id(id) => id,
        Some(_) => return invalid("id must be a string or an integer"),
    };
    let mut params = Members::new(params);
    Ok(Message::Request(Call {
        id,
        method,
        name: params.take("name"),
        task_id: params.take("taskId"),
        meta: Meta::read(params.take("_meta")),
        params,
    }))
}

/// Checks what JSON's grammar leaves open: that each member is given once, and inside of all but
/// one of them depth, duplicates and Unicode. Two readers would otherwise see different messages.
fn check_structure(
    base: &str,
    members: &[(String, &RawValue)],
    apart: &str,
    depth_max: usize,
) -> Result<(), RpcError> {
    let mut names = HashSet::new();
    for (name, raw) in members {
        if !names.insert(name) {
            let message = format!("{base}/{name} is given more than once");
            return Err(RpcError::invalid_request(message));
        }
        let checked = if name == apart {
            Ok(())
        } else {
            json::check(raw, depth_max)
        };
        checked.map_err(|StructureError { pointer, kind }| {
            RpcError::invalid_request(format!("{base}/{name}{pointer} {kind}"))
        })?;
    }
    Ok(())
}

/// A string or an integer, of any size.
fn is_id(raw: &RawValue) -> bool {
    let text = raw.get();
    let number = text.strip_prefix('-').unwrap_or(text);
    let in_digits = number.bytes().all(|byte| byte.is_ascii_digit());
    // Such as 1.0 and 1e3.
    let is_whole = || serde_json::from_str(number).is_ok_and(|raw| whole_number(raw).is_some());
    text.starts_with('"') || in_digits || is_whole()
}

/// A string; `None` for any other value.
pub(super) fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

impl<'a> Meta<'a> {
    fn read(raw: Option<&'a RawValue>) -> Self {
        let Some(mut members) = raw.and_then(Members::of) else {
            return Self::default();
        };
        Self {
            protocol_version: members.take(PROTOCOL_VERSION),
            client_capabilities: members.take(CLIENT_CAPABILITIES),
            traceparent: members.take("traceparent"),
            idempotency_key: members.take(IDEMPOTENCY_KEY),
        }
    }

    /// Whether the client declares the tasks extension on this request.
    #[must_use]
    pub(super) fn declares_tasks(&self) -> bool {
        let member = |raw: Option<&'a RawValue>, name| Members::of(raw?)?.take(name);
        let extensions = member(self.client_capabilities, "extensions");
        member(extensions, TASKS).is_some_and(|settings| settings.get().starts_with('{'))
    }
}
