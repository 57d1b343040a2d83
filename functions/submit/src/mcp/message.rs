//! The messages that clients send: JSON-RPC 2.0, one in each body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use shared::domain::json::{self, StructureError, whole_number};
use shared::domain::limits::NESTING_MAX;
use shared::http::Request;
use shared::request::Members;

use super::error::RpcError;
use super::server::TASKS;
use super::version::{Era, MODERN};

const ARGUMENTS: &str = "/params/arguments";

/// A message that a client sent.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Request(Call<'a>),
    /// It has no id, so it gets no response.
    Notification,
}

/// A request of JSON-RPC.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// A string or an integer, as the client spells it.
    pub(super) id: &'a RawValue,
    pub(super) method: String,
    /// Without the members that have fields of their own here.
    pub(super) params: Members<'a>,
    /// `params.name`.
    pub(super) name: Option<&'a RawValue>,
    /// `params.taskId`.
    pub(super) task_id: Option<&'a RawValue>,
    pub(super) meta: Meta<'a>,
    /// What is wrong in `params.arguments` that JSON's grammar leaves open. Its pointer begins at
    /// the arguments.
    pub(super) arguments_error: Option<StructureError>,
}

/// `params._meta`.
#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    protocol_version: Option<&'a RawValue>,
    client_capabilities: Option<&'a RawValue>,
    /// In W3C's form.
    pub(super) traceparent: Option<&'a RawValue>,
    pub(super) idempotency_key: Option<&'a RawValue>,
}

/// The name of the member of `_meta` that makes a call idempotent. MCP has none.
pub(super) const IDEMPOTENCY_KEY: &str = "ferry/idempotencyKey";

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
        let invalid = |message: String| unreadable(RpcError::invalid_request(message));
        if raw.get().starts_with('[') {
            return Err(invalid(
                "the body must be one message, not a batch".to_owned(),
            ));
        }
        let structure = json::check(raw, NESTING_MAX).err();
        let (arguments_error, error) = match structure {
            Some(StructureError { pointer, kind }) => match pointer.strip_prefix(ARGUMENTS) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    let pointer = rest.to_owned();
                    (Some(StructureError { pointer, kind }), None)
                }
                _ => (None, Some(format!("the body {pointer} {kind}"))),
            },
            None => (None, None),
        };
        let Some(mut members) = Members::of(raw) else {
            return Err(invalid("the body must be a JSON object".to_owned()));
        };
        let id = members.take_any("id");
        let readable_id = id.filter(|id| is_id(id) && members.take_any("id").is_none());
        read_members(members, id, arguments_error, error).map_err(|error| Unreadable {
            id: readable_id,
            error,
        })
    }
}

fn read_members<'a>(
    mut members: Members<'a>,
    id: Option<&'a RawValue>,
    arguments_error: Option<StructureError>,
    error: Option<String>,
) -> Result<Message<'a>, RpcError> {
    if let Some(error) = error {
        return Err(RpcError::invalid_request(error));
    }
    let invalid = |message| Err(RpcError::invalid_request(message));
    if text(members.take_any("jsonrpc")).as_deref() != Some("2.0") {
        return invalid("jsonrpc must be \"2.0\"");
    }
    let Some(method) = text(members.take_any("method")) else {
        return invalid("method must be a string: the body must be a request or a notification");
    };
    let id = match id {
        None => return Ok(Message::Notification),
        Some(id) if is_id(id) => id,
        Some(_) => return invalid("id must be a string or an integer"),
    };
    let mut params = match members.take("params") {
        None => Members::default(),
        Some(raw) => {
            Members::of(raw).ok_or_else(|| RpcError::invalid_meta("params must be an object"))?
        }
    };
    Ok(Message::Request(Call {
        id,
        method,
        name: params.take("name"),
        task_id: params.take("taskId"),
        meta: Meta::read(params.take("_meta")),
        params,
        arguments_error,
    }))
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
            protocol_version: members.take("io.modelcontextprotocol/protocolVersion"),
            client_capabilities: members.take("io.modelcontextprotocol/clientCapabilities"),
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

impl Call<'_> {
    /// The era of the request. In the modern one, checks what every request must have, in the
    /// specification's order: headers, metadata, version.
    ///
    /// # Errors
    ///
    /// The first of them that is wrong.
    pub(super) fn era(&self, request: &Request) -> Result<Era, RpcError> {
        let header = request.header("mcp-protocol-version");
        // A version that is not a string is of the modern era too, which refuses it.
        let named = self.meta.protocol_version;
        let version = named.map(|raw| text(Some(raw)).unwrap_or_default());
        let era = Era::of(header, version.as_deref(), &self.method)?;
        if era == Era::Modern {
            self.check_headers(request, version.as_deref())?;
            let required = "io.modelcontextprotocol";
            if text(named).is_none() {
                let message =
                    format!("params._meta must have {required}/protocolVersion, a string");
                return Err(RpcError::invalid_meta(message));
            }
            let capabilities = self.meta.client_capabilities;
            if !capabilities.is_some_and(|raw| raw.get().starts_with('{')) {
                let message =
                    format!("params._meta must have {required}/clientCapabilities, an object");
                return Err(RpcError::invalid_meta(message));
            }
            if let Some(version) = version.filter(|version| version != MODERN) {
                return Err(RpcError::unsupported_version(&version));
            }
        }
        Ok(era)
    }

    /// Holds the headers that repeat parts of the body to it (Streamable HTTP, "Request Metadata"):
    /// a gateway may have decided by a header.
    fn check_headers(&self, request: &Request, version: Option<&str>) -> Result<(), RpcError> {
        let name = match self.method.as_str() {
            "tools/call" => Some(self.name),
            "tasks/get" | "tasks/update" | "tasks/cancel" => Some(self.task_id),
            _ => None,
        };
        let version_header = plain_header(request, "mcp-protocol-version")?;
        // A body without a version is refused for that.
        if version.is_some() || version_header.is_none() {
            check_header("MCP-Protocol-Version", version_header, version)?;
        }
        let method = plain_header(request, "mcp-method")?;
        check_header("Mcp-Method", method, Some(&self.method))?;
        if let Some(name) = name {
            let header = plain_header(request, "mcp-name")?;
            let header = header.map(decoded).transpose()?;
            check_header("Mcp-Name", header.as_deref(), text(name).as_deref())?;
        }
        Ok(())
    }
}

/// A header whose characters are legal (RFC 9110, section 5.5): visible ASCII, spaces and tabs.
fn plain_header<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>, RpcError> {
    let header = request.header(name);
    let is_legal = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if header.is_some_and(|header| !is_legal(header)) {
        let message = format!("the header {name} has characters that are not visible ASCII");
        return Err(RpcError::header_mismatch(message));
    }
    Ok(header)
}

/// Decodes the form for values that no header can carry as they are.
fn decoded(header: &str) -> Result<String, RpcError> {
    let coded = header
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(coded) = coded else {
        return Ok(header.to_owned());
    };
    let bytes = STANDARD.decode(coded).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| RpcError::header_mismatch("the header Mcp-Name is not Base64 of UTF-8"))
}

fn check_header(name: &str, header: Option<&str>, body: Option<&str>) -> Result<(), RpcError> {
    if header == body {
        return Ok(());
    }
    let problem = match (header, body) {
        (None, _) => "is missing",
        (Some(_), None) => "names what the body does not have",
        (Some(_), Some(_)) => "is not what the body says",
    };
    Err(RpcError::header_mismatch(format!(
        "the header {name} {problem}"
    )))
}
