//! Requests: the envelope that a caller sends.

use semver::Version;
use serde_json::json;
use serde_json::value::RawValue;

use super::error::{ErrorCollector, ErrorObject, Errors, Source};
use super::extension::Extension;
use super::extension_list::Extensions;
use super::options::TracingOptions;
use super::urn::Spellings;
use super::version::{PROTOCOL_MAJOR, PROTOCOL_NAME, PROTOCOL_VERSION};
use shared::domain::json::{self, Json, StructureError};
use shared::domain::limits::{ARGUMENTS_BYTES_MAX, NESTING_MAX, REQUEST_ID_CHARS_MAX};
use shared::request::{ErrorCode, Fields, Invalid, Members};

const ARGUMENTS: &str = "/call/arguments";

/// A body as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedBody {
    pub echo: Echo,
    /// The request, or its errors.
    pub request: Result<ForrstRequest, Errors>,
}

/// What the response echoes, even when the rest is invalid. The default is for a request that could
/// not be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo {
    /// The request's id, when it is valid.
    pub id: Option<String>,
    /// The extension `tracing`, when it is valid.
    pub tracing: Option<Extension<TracingOptions>>,
    pub spellings: Spellings,
}

/// A request with a valid envelope. Whether there is such a function, and whether it takes these
/// arguments, is not checked here.
#[derive(Debug, Clone, PartialEq)]
pub struct ForrstRequest {
    /// The caller chose it.
    pub id: String,
    /// At `/call/function`.
    pub function: String,
    /// As requested, at `/call/version`.
    pub version: Option<Version>,
    /// An object within its limit, at `/call/arguments`.
    pub arguments: Json,
    pub extensions: Extensions,
}

impl ParsedBody {
    /// Reads a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let mut echo = Echo::default();
        let request = json::read(body)
            .map_err(|not_json| {
                ErrorObject::new(ErrorCode::ParseError, format!("the body {not_json}"))
                    .with_source(Source::Position(not_json.position_bytes()))
                    .into()
            })
            .and_then(|raw| read_envelope(raw, &mut echo));
        Self { echo, request }
    }
}

fn read_envelope(raw: &RawValue, echo: &mut Echo) -> Result<ForrstRequest, Errors> {
    let mut errors = ErrorCollector::default();
    if !raw.get().starts_with('{') {
        let detail = "must be a JSON object";
        return Err(ErrorObject::at(ErrorCode::InvalidRequest, "", detail).into());
    }
    if let Err(StructureError { pointer, kind }) = json::check(raw, NESTING_MAX) {
        let code = code_of_structure(&pointer);
        errors.push(ErrorObject::at(code, pointer, &kind.to_string()));
    }
    let Some(mut members) = Members::of(raw) else {
        // `json::check` has reported it: a member name is not valid Unicode.
        return errors.finish(Err(Invalid));
    };
    let mut fields = Fields::default();

    let protocol = fields.required(&mut members, "protocol");
    let id = read_id(&mut fields, &mut members);
    let call = fields.required(&mut members, "call");
    if let Some(context) = members.take("context")
        && !context.get().starts_with('{')
    {
        fields.reject("context", "must be an object");
    }
    let extensions = members.take("extensions");
    echo.id = id.clone().ok();

    errors.extend(ErrorCode::InvalidRequest, fields.into_errors());
    if let Ok(raw) = protocol {
        check_protocol(raw, &mut errors);
    }
    let call = call.and_then(|raw| CallMember::read(raw, &mut errors));
    let (extensions, spellings) = Extensions::read(extensions, &mut errors);
    echo.tracing.clone_from(&extensions.tracing);
    echo.spellings = spellings;
    let request = id.and_then(|id| {
        let CallMember {
            function,
            version,
            arguments,
        } = call?;
        Ok(ForrstRequest {
            id,
            function,
            version,
            arguments,
            extensions,
        })
    });
    errors.finish(request)
}

/// The code for a structural error (a duplicate name, too deep) in valid JSON.
fn code_of_structure(pointer: &str) -> ErrorCode {
    let mut tokens = pointer.split('/').skip(1);
    match [tokens.next(), tokens.next(), tokens.next()] {
        [Some("call"), Some("arguments"), _] | [Some("extensions"), Some(_), Some("options")] => {
            ErrorCode::InvalidArguments
        }
        _ => ErrorCode::InvalidRequest,
    }
}

/// Reads the id. One that is given twice is invalid.
fn read_id(fields: &mut Fields, members: &mut Members<'_>) -> Result<String, Invalid> {
    let raw = fields.required(members, "id")?;
    if members.take_any("id").is_some() {
        return Err(fields.reject("id", "is given more than once"));
    }
    let id = fields.text("id", raw)?;
    if (1..=REQUEST_ID_CHARS_MAX).contains(&id.chars().count()) {
        return Ok(id);
    }
    let detail = format!("must have 1 to {REQUEST_ID_CHARS_MAX} characters");
    Err(fields.reject("id", detail))
}

fn check_protocol(raw: &RawValue, errors: &mut ErrorCollector) {
    const POINTER: &str = "/protocol";
    let Some(mut members) = Members::of(raw) else {
        let detail = "must be an object";
        errors.push(ErrorObject::at(ErrorCode::InvalidRequest, POINTER, detail));
        return;
    };
    let mut fields = Fields::at(POINTER);
    let name = fields
        .required(&mut members, "name")
        .and_then(|raw| fields.text("name", raw));
    if name.is_ok_and(|name| name != PROTOCOL_NAME) {
        fields.reject("name", format!("must be {PROTOCOL_NAME}"));
    }
    let version = fields
        .required(&mut members, "version")
        .and_then(|raw| fields.version("version", raw));
    errors.extend(ErrorCode::InvalidRequest, fields.into_errors());
    if let Ok(version) = version
        && version.major != PROTOCOL_MAJOR
    {
        let pointer = "/protocol/version";
        let detail = format!("must have major version {PROTOCOL_MAJOR}");
        errors.push(
            ErrorObject::at(ErrorCode::InvalidProtocolVersion, pointer, &detail).with_details(
                &json!({"requested": version.to_string(), "supported": [PROTOCOL_VERSION]}),
            ),
        );
    }
}

struct CallMember {
    function: String,
    version: Option<Version>,
    arguments: Json,
}

impl CallMember {
    fn read(raw: &RawValue, errors: &mut ErrorCollector) -> Result<Self, Invalid> {
        const POINTER: &str = "/call";
        let Some(mut members) = Members::of(raw) else {
            let detail = "must be an object";
            return Err(errors.push(ErrorObject::at(ErrorCode::InvalidRequest, POINTER, detail)));
        };
        let mut fields = Fields::at(POINTER);
        let function = fields
            .required(&mut members, "function")
            .and_then(|raw| fields.function_name("function", raw));
        let version = members
            .take("version")
            .and_then(|raw| fields.version("version", raw).ok());
        errors.extend(ErrorCode::InvalidRequest, fields.into_errors());

        // Arguments have their own error code.
        let mut fields = Fields::at(POINTER);
        let arguments = match members.take("arguments") {
            Some(raw) => fields
                .object("arguments", raw)
                .and_then(|json| fields.bound(ARGUMENTS, json, ARGUMENTS_BYTES_MAX)),
            None => Ok(Json::empty_object()),
        };
        errors.extend(ErrorCode::InvalidArguments, fields.into_errors());
        Ok(Self {
            function: function?,
            version,
            arguments: arguments?,
        })
    }
}
