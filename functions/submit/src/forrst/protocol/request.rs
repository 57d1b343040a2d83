//! What a caller sends.

use semver::Version;
use serde_json::json;
use serde_json::value::RawValue;

use super::error::{ErrorObject, Errors, Faults, Source};
use super::extensions::{Extension, Extensions};
use super::options::TracingOptions;
use super::urn::{ExtensionName, Spelling};
use super::{PROTOCOL_MAJOR, PROTOCOL_NAME, PROTOCOL_VERSION};
use shared::domain::json::{self, Fault, Json};
use shared::domain::limits::{ARGUMENTS_BYTES_MAX, NESTING_MAX, REQUEST_ID_CHARS_MAX};
use shared::http::{Code, Fields, Members};

const ARGUMENTS: &str = "/call/arguments";

/// A body as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What the answer repeats of it, whatever else is wrong.
    pub echo: Echo,
    /// The request, or everything that is wrong with it.
    pub request: Result<Request, Errors>,
}

/// What every answer to a request repeats of it. The default is for a request that could not be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo {
    /// The request's id, when it has a good one.
    pub id: Option<String>,
    /// What the call belongs to, when the caller says so and says it well.
    pub tracing: Option<Extension<TracingOptions>>,
    /// How each extension was spelled, the first one first.
    seen: Vec<(ExtensionName, Spelling)>,
}

impl Echo {
    pub(super) fn saw(&mut self, name: ExtensionName, spelling: Spelling) {
        if self.seen.iter().all(|(seen, _)| *seen != name) {
            self.seen.push((name, spelling));
        }
    }

    /// An extension's name as the caller spelled it; one that the caller did not name is spelled like the first that they did.
    #[must_use]
    pub fn urn(&self, name: ExtensionName) -> String {
        let spelled = self.seen.iter().find(|(seen, _)| *seen == name);
        let spelling = spelled.or(self.seen.first());
        name.urn(spelling.map_or(Spelling::Canonical, |(_, spelling)| *spelling))
    }
}

/// A request whose envelope is right. Whether there is such a function, and whether these are arguments of its, is not judged here.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its id, chosen by the caller.
    pub id: String,
    /// The function to call, at `/call/function`.
    pub function: String,
    /// Its version as requested, at `/call/version`.
    pub version: Option<Version>,
    /// What to call it with, an object within its limit, at `/call/arguments`.
    pub arguments: Json,
    /// What else is asked for.
    pub extensions: Extensions,
}

impl Reading {
    /// Reads a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let mut echo = Echo::default();
        let request = json::read(body)
            .map_err(|not_json| {
                ErrorObject::new(Code::ParseError, format!("the body {not_json}"))
                    .with_source(Source::Position(not_json.position_bytes()))
                    .into()
            })
            .and_then(|raw| read_envelope(raw, &mut echo));
        Self { echo, request }
    }
}

fn read_envelope(raw: &RawValue, echo: &mut Echo) -> Result<Request, Errors> {
    let mut faults = Faults::default();
    if !raw.get().starts_with('{') {
        let detail = "must be a JSON object";
        return Err(ErrorObject::at(Code::InvalidRequest, "", detail).into());
    }
    if let Err(Fault { pointer, kind }) = json::check(raw, NESTING_MAX) {
        let code = code_of_structure(&pointer);
        faults.push(ErrorObject::at(code, pointer, &kind.to_string()));
    }
    let Some(mut members) = Members::of(raw) else {
        // A name in the envelope is no text; that has just been told.
        faults.finish()?;
        return Err(ErrorObject::at(Code::InvalidRequest, "", "is not valid Unicode").into());
    };
    let mut fields = Fields::default();

    let protocol = fields.required(&mut members, "protocol");
    let id = read_id(&mut fields, &mut members);
    let call = fields.required(&mut members, "call");
    if let Some(context) = members.take("context")
        && !context.get().starts_with('{')
    {
        fields.wrong("context", "must be an object");
    }
    let extensions = members.take("extensions");
    echo.id.clone_from(&id);

    faults.extend(Code::InvalidRequest, fields.into_errors());
    if let Some(raw) = protocol {
        check_protocol(raw, &mut faults);
    }
    let call = call.and_then(|raw| Call::read(raw, &mut faults));
    let extensions = Extensions::read(extensions, echo, &mut faults);
    faults.finish()?;
    match (id, call) {
        (
            Some(id),
            Some(Call {
                function: Some(function),
                version,
                arguments: Some(arguments),
            }),
        ) => Ok(Request {
            id,
            function,
            version,
            arguments,
            extensions,
        }),
        // Whatever is missing has been told above.
        _ => Err(ErrorObject::at(Code::InvalidRequest, "", "is incomplete").into()),
    }
}

/// The code for what JSON's grammar leaves open.
fn code_of_structure(pointer: &str) -> Code {
    let mut tokens = pointer.split('/').skip(1);
    match [tokens.next(), tokens.next(), tokens.next()] {
        [Some("call"), Some("arguments"), _] | [Some("extensions"), Some(_), Some("options")] => {
            Code::InvalidArguments
        }
        _ => Code::InvalidRequest,
    }
}

/// The id; one that is given twice is as good as none.
fn read_id(fields: &mut Fields, members: &mut Members<'_>) -> Option<String> {
    let raw = fields.required(members, "id")?;
    if members.take_any("id").is_some() {
        fields.wrong("id", "is given more than once");
        return None;
    }
    let id = fields.text("id", raw)?;
    if (1..=REQUEST_ID_CHARS_MAX).contains(&id.chars().count()) {
        return Some(id);
    }
    fields.wrong(
        "id",
        format!("must have 1 to {REQUEST_ID_CHARS_MAX} characters"),
    );
    None
}

fn check_protocol(raw: &RawValue, faults: &mut Faults) {
    const POINTER: &str = "/protocol";
    let Some(mut members) = Members::of(raw) else {
        let detail = "must be an object";
        return faults.push(ErrorObject::at(Code::InvalidRequest, POINTER, detail));
    };
    let mut fields = Fields::at(POINTER);
    let name = fields
        .required(&mut members, "name")
        .and_then(|raw| fields.text("name", raw));
    if name.is_some_and(|name| name != PROTOCOL_NAME) {
        fields.wrong("name", format!("must be {PROTOCOL_NAME}"));
    }
    let version = fields
        .required(&mut members, "version")
        .and_then(|raw| fields.version("version", raw));
    faults.extend(Code::InvalidRequest, fields.into_errors());
    if let Some(version) = version.filter(|version| version.major != PROTOCOL_MAJOR) {
        let pointer = "/protocol/version";
        let detail = format!("must be of the major version {PROTOCOL_MAJOR}");
        faults.push(
            ErrorObject::at(Code::InvalidProtocolVersion, pointer, &detail).with_details(
                &json!({"requested": version.to_string(), "supported": [PROTOCOL_VERSION]}),
            ),
        );
    }
}

struct Call {
    function: Option<String>,
    version: Option<Version>,
    arguments: Option<Json>,
}

impl Call {
    fn read(raw: &RawValue, faults: &mut Faults) -> Option<Self> {
        const POINTER: &str = "/call";
        let Some(mut members) = Members::of(raw) else {
            let detail = "must be an object";
            faults.push(ErrorObject::at(Code::InvalidRequest, POINTER, detail));
            return None;
        };
        let mut fields = Fields::at(POINTER);
        let function = fields
            .required(&mut members, "function")
            .and_then(|raw| fields.function_name("function", raw));
        let version = members
            .take("version")
            .and_then(|raw| fields.version("version", raw));
        faults.extend(Code::InvalidRequest, fields.into_errors());

        let mut fields = Fields::at(POINTER);
        let arguments = match members.take("arguments") {
            Some(raw) => fields
                .object("arguments", raw)
                .and_then(|json| fields.bound(ARGUMENTS, json, ARGUMENTS_BYTES_MAX)),
            None => Some(Json::empty_object()),
        };
        faults.extend(Code::InvalidArguments, fields.into_errors());
        Some(Self {
            function,
            version,
            arguments,
        })
    }
}
