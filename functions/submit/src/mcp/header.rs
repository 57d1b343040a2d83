//! What a request must have before its method is served, and the headers that repeat parts of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::http::Request;

use super::error::RpcError;
use super::message::{CALL_TOOL, CLIENT_CAPABILITIES, Call, PROTOCOL_VERSION, text};
use super::version::{Era, MODERN};

const VERSION_HEADER: &str = "MCP-Protocol-Version";
const METHOD_HEADER: &str = "Mcp-Method";
const NAME_HEADER: &str = "Mcp-Name";

/// Checks the revision that the header of a notification names. Its other headers are not defined.
pub(super) fn check_notification(request: &Request, method: &str) -> Result<(), RpcError> {
    era(request, None, method).map(drop)
}

fn era(request: &Request, meta: Option<&str>, method: &str) -> Result<Era, RpcError> {
    let header = header(request, VERSION_HEADER);
    let unknown = |_| RpcError::unsupported_version(header.unwrap_or_default());
    Era::of(header, meta, method).map_err(unknown)
}

impl Call<'_> {
    /// The era of the request. In the modern one, checks what every request must have, in the
    /// specification's order: headers, metadata, version.
    ///
    /// # Errors
    ///
    /// The first of them that is wrong.
    pub(super) fn era(&self, request: &Request) -> Result<Era, RpcError> {
        let meta = &self.meta;
        let version = text(meta.protocol_version);
        // A version that is not a string is of the modern era too, which refuses it.
        let named = meta
            .protocol_version
            .map(|_| version.as_deref().unwrap_or_default());
        if era(request, named, &self.method)? == Era::Legacy {
            return Ok(Era::Legacy);
        }
        self.check_headers(request, named)?;
        let missing = |member, kind| {
            let message = format!("params._meta must have {member}, {kind}");
            RpcError::invalid_meta(message)
        };
        let version = version.ok_or_else(|| missing(PROTOCOL_VERSION, "a string"))?;
        let capabilities = meta.client_capabilities;
        if !capabilities.is_some_and(|raw| raw.get().starts_with('{')) {
            return Err(missing(CLIENT_CAPABILITIES, "an object"));
        }
        if version != MODERN {
            return Err(RpcError::unsupported_version(&version));
        }
        Ok(Era::Modern)
    }

    /// Compares the headers that repeat parts of the body with it (Streamable HTTP, "Request
    /// Metadata"): a gateway may have decided by a header.
    fn check_headers(&self, request: &Request, version: Option<&str>) -> Result<(), RpcError> {
        let named = match self.method.as_str() {
            CALL_TOOL => Some(self.name),
            "tasks/get" | "tasks/update" | "tasks/cancel" => Some(self.task_id),
            _ => None,
        };
        let version_header = legal(request, VERSION_HEADER)?;
        // A body without a version is refused for that.
        if version.is_some() || version_header.is_none() {
            compare(VERSION_HEADER, version_header, version)?;
        }
        let method = legal(request, METHOD_HEADER)?;
        compare(METHOD_HEADER, method, Some(&self.method))?;
        if let Some(name) = named {
            let header = legal(request, NAME_HEADER)?.map(decoded).transpose()?;
            compare(NAME_HEADER, header.as_deref(), text(name).as_deref())?;
        }
        Ok(())
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.header(&name.to_ascii_lowercase())
}

/// A header with legal characters (RFC 9110, section 5.5).
fn legal<'a>(request: &'a Request, name: &str) -> Result<Option<&'a str>, RpcError> {
    let header = header(request, name);
    let is_legal = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if header.is_some_and(|header| !is_legal(header)) {
        let message = format!("the header {name} must have visible ASCII, spaces and tabs only");
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
    let text = STANDARD
        .decode(coded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        RpcError::header_mismatch(format!("the header {NAME_HEADER} is not Base64 of UTF-8"))
    })
}

fn compare(name: &str, header: Option<&str>, body: Option<&str>) -> Result<(), RpcError> {
    if header == body {
        return Ok(());
    }
    let problem = if header.is_none() {
        "is missing"
    } else {
        "does not match the body"
    };
    Err(RpcError::header_mismatch(format!(
        "the header {name} {problem}"
    )))
}
