//! A request and its response, and the checks that apply to every response.

use std::fmt;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tests::shape::assert_shape;

use super::server::{CANONICAL, SHORT};

/// The HTTP status of each code, from the tables in the specification's `errors.md` and
/// `transport.md`. A server chooses the status of the codes that it adds.
const STATUSES: [(u16, &[&str]); 9] = [
    (
        400,
        &[
            "PARSE_ERROR",
            "INVALID_PROTOCOL_VERSION",
            "INVALID_ARGUMENTS",
            "EXTENSION_NOT_SUPPORTED",
            "EXTENSION_NOT_APPLICABLE",
            "ASYNC_CANNOT_CANCEL",
        ],
    ),
    (401, &["UNAUTHORIZED"]),
    (403, &["FORBIDDEN"]),
    (
        404,
        &[
            "FUNCTION_NOT_FOUND",
            "VERSION_NOT_FOUND",
            "ASYNC_OPERATION_NOT_FOUND",
        ],
    ),
    (408, &["DEADLINE_EXCEEDED"]),
    (409, &["IDEMPOTENCY_CONFLICT"]),
    (429, &["RATE_LIMITED"]),
    (500, &["INTERNAL_ERROR"]),
    (503, &["UNAVAILABLE"]),
];

/// Its `Display` is part of every failure message.
pub(crate) struct Exchange {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
    request: String,
    text: String,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request: String = self.request.chars().take(2000).collect();
        writeln!(f, "request  {request}")?;
        writeln!(f, "status   {}", self.status)?;
        write!(f, "response {}", self.text)
    }
}

impl Exchange {
    pub(crate) fn new(request: String, status: u16, headers: HeaderMap, text: String) -> Self {
        Self {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            request,
            text,
        }
    }

    /// Expects a response document: a result or errors, with the status that belongs to them.
    #[track_caller]
    pub(crate) fn is_response(&self) {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/json"),
            "{content_type}\n{self}"
        );
        let envelope = json!({
            "protocol": {"name": "forrst", "version": "<text>"}, "id": "<anything>",
            "result": "<anything>", "errors?": "<array>", "extensions?": "<array>",
            "meta?": "<object>",
        });
        assert_shape(&envelope, &self.json, self);
        for extension in self.extensions() {
            assert_shape(
                &json!({"urn": "<text>", "data?": "<object>"}),
                extension,
                self,
            );
        }
        match self.json.get("errors") {
            None => assert!(
                matches!(self.status, 200 | 503),
                "a result with this status\n{self}"
            ),
            Some(errors) => self.are_errors(errors.as_array().unwrap()),
        }
    }

    #[track_caller]
    fn are_errors(&self, errors: &[Value]) {
        assert_eq!(
            self.json["result"],
            Value::Null,
            "a result and errors\n{self}"
        );
        for error in errors {
            let shape = json!({
                "code": "<text>", "message": "<text>", "source?": "<object>",
                "details?": "<object>",
            });
            assert_shape(&shape, error, self);
            let code = error["code"].as_str().unwrap();
            let is_allowed =
                |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(
                code.bytes().all(is_allowed),
                "{code} is not SCREAMING_SNAKE_CASE\n{self}"
            );
            if let Some(source) = error.get("source") {
                let has = |name| source.get(name).is_some();
                assert!(
                    has("pointer") != has("position"),
                    "a source has either a pointer or a position\n{self}"
                );
            }
        }
        match errors {
            [] => panic!("an empty list of errors\n{self}"),
            [only] => {
                let code = only["code"].as_str().unwrap();
                let known = STATUSES.iter().find(|(_, codes)| codes.contains(&code));
                let expected = known.map_or(self.status, |(status, _)| *status);
                assert_eq!(self.status, expected, "the status of {code}\n{self}");
                assert!(self.status >= 400, "{code} with a success status\n{self}");
            }
            _ => assert_eq!(self.status, 400, "several errors\n{self}"),
        }
    }

    /// Expects errors of the function, and none from before the call.
    #[track_caller]
    pub(crate) fn is_functions_failure(&self) {
        let before_the_call = ["PARSE_", "INVALID_", "EXTENSION_", "FUNCTION_", "VERSION_"];
        for (code, _) in self.errors() {
            let before = before_the_call.iter().any(|kind| code.starts_with(kind));
            assert!(!before, "the function was not called\n{self}");
        }
    }

    /// Expects a response to the request with this id; `None` is a request whose id could not be
    /// read.
    #[track_caller]
    pub(crate) fn is_for(&self, id: Option<&str>) {
        assert_eq!(
            self.json["id"].as_str(),
            id,
            "another request's response\n{self}"
        );
        assert!(
            id.is_some() || self.json["id"].is_null(),
            "an unreadable id\n{self}"
        );
        // The headers are optional, but may not contradict the body.
        if let Some(header) = self.header("x-forrst-request-id") {
            assert_eq!(Some(header), id, "x-forrst-request-id\n{self}");
        }
        if let Some(header) = self.header("x-forrst-duration-ms") {
            assert!(
                header.parse::<u64>().is_ok(),
                "x-forrst-duration-ms: {header}\n{self}"
            );
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The result of a call that did not fail; null if the call is deferred.
    #[track_caller]
    pub(crate) fn result(&self) -> &Value {
        assert!(self.json.get("errors").is_none(), "errors\n{self}");
        &self.json["result"]
    }

    /// Codes and pointers of errors.
    #[track_caller]
    pub(crate) fn errors(&self) -> Vec<(&str, &str)> {
        let errors = self.json["errors"].as_array();
        errors
            .unwrap_or_else(|| panic!("no errors\n{self}"))
            .iter()
            .map(|error| {
                let code = error["code"].as_str().unwrap_or_default();
                let pointer = error["source"]["pointer"].as_str().unwrap_or_default();
                (code, pointer)
            })
            .collect()
    }

    /// Expects one error with this code and returns it.
    #[track_caller]
    pub(crate) fn error(&self, code: &str) -> &Value {
        let codes: Vec<_> = self.errors().into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, [code], "{self}");
        &self.json["errors"][0]
    }

    /// Expects one error with one of these codes and this pointer.
    #[track_caller]
    pub(crate) fn is_refused(&self, codes: &[&str], pointer: &str) {
        let errors = self.errors();
        let [(code, at)] = errors[..] else {
            panic!("expected one error at {pointer}\n{self}")
        };
        assert!(codes.contains(&code), "expected {codes:?}\n{self}");
        assert_eq!(at, pointer, "{self}");
    }

    pub(crate) fn extensions(&self) -> &[Value] {
        self.json["extensions"]
            .as_array()
            .map_or(&[], Vec::as_slice)
    }

    /// The data of an extension in the response, in either spelling of its name.
    pub(crate) fn data_of(&self, name: &str) -> Option<&Value> {
        let mut responses = self.extensions().iter().filter(|extension| {
            let urn = extension["urn"].as_str().unwrap_or_default();
            let word = urn.strip_prefix(CANONICAL).or(urn.strip_prefix(SHORT));
            word == Some(name)
        });
        let response = responses.next();
        assert!(
            responses.next().is_none(),
            "{name} is answered twice\n{self}"
        );
        response.map(|response| &response["data"])
    }

    /// The same, which must exist.
    #[track_caller]
    pub(crate) fn data(&self, name: &str) -> &Value {
        self.data_of(name)
            .unwrap_or_else(|| panic!("{name} is not answered\n{self}"))
    }

    #[track_caller]
    pub(crate) fn has_data(&self, name: &str, shape: &Value) {
        assert_shape(shape, self.data(name), self);
    }

    #[track_caller]
    pub(crate) fn has_result(&self, shape: &Value) {
        assert_shape(shape, self.result(), self);
    }
}
