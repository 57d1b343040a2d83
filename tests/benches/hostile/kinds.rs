//! The requests: each value in each place, and other expensive requests.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::domain::limits::{ARGUMENTS_BYTES_MAX, BODY_BYTES_MAX, METADATA_BYTES_MAX};
use tests::world::event;

use crate::values::{VALUES, array, repeated};

const REST: &str = "/operations";
const FORRST: &str = "/forrst";
const MCP: &str = "/mcp";
const PROTOCOL: &str = r#""protocol":{"name":"forrst","version":"0.1.0"},"id":"r""#;
const CALL: &str = r#""call":{"function":"demo.echo"}"#;

pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) function: Function,
    pub(crate) event: Value,
    /// The size of the body, query or header that is large.
    pub(crate) bytes: usize,
}

/// The function that serves a request.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    Submit,
    Status,
}

/// A place for a value in a body.
struct Place {
    name: &'static str,
    path: &'static str,
    before: String,
    after: &'static str,
    /// The largest value, in bytes.
    bytes_max: usize,
    is_keyed: bool,
}

impl Place {
    fn new(name: &'static str, path: &'static str, before: String, after: &'static str) -> Self {
        Self {
            name,
            path,
            before,
            after,
            bytes_max: BODY_BYTES_MAX,
            is_keyed: false,
        }
    }

    /// Limits the value to a size that is accepted.
    fn within(self, name: &'static str, bytes_max: usize) -> Self {
        Self {
            name,
            bytes_max,
            ..self
        }
    }

    /// Adds an idempotency key, which makes the function hash the arguments.
    fn keyed(self) -> Self {
        Self {
            is_keyed: true,
            ..self
        }
    }
}

pub(crate) fn all() -> Vec<Kind> {
    let mut kinds = Vec::new();
    let places = rest_places().into_iter().chain(forrst_places());
    for place in places.chain(mcp_places()) {
        for (value, grow) in VALUES {
            let room = BODY_BYTES_MAX - place.before.len() - place.after.len();
            let value_text = grow(room.min(place.bytes_max));
            let body = format!("{}{value_text}{}", place.before, place.after);
            let headers: &[_] = if place.is_keyed {
                &[("idempotency-key", "k")]
            } else {
                &[]
            };
            let name = format!("{}: {value}", place.name);
            kinds.push(posted(name, place.path, headers, body.as_bytes()));
        }
    }
    kinds.extend(bodies());
    kinds.extend(extensions());
    kinds.extend(headers());
    kinds.extend(queries());
    kinds
}

fn rest_places() -> Vec<Place> {
    let arguments = |function| format!(r#"{{"function":"{function}","arguments":{{"a":"#);
    let within = ARGUMENTS_BYTES_MAX - 6;
    let echo = || Place::new("REST arguments", REST, arguments("demo.echo"), "}}");
    let metadata = || {
        let before = r#"{"function":"demo.echo","metadata":{"a":"#;
        Place::new("REST metadata", REST, before.to_owned(), "}}")
    };
    let member = |name, before: &str| Place::new(name, REST, before.to_owned(), "}");
    vec![
        echo(),
        echo().within("REST arguments of 256 KiB", within).keyed(),
        Place::new(
            "REST wrong arguments",
            REST,
            arguments("csv.summarize"),
            "}}",
        )
        .within("REST wrong arguments of 256 KiB", within),
        Place::new(
            "REST csv",
            REST,
            r#"{"function":"csv.summarize","arguments":{"csv":"#.to_owned(),
            "}}",
        )
        .within("REST csv of 256 KiB", within - 2),
        Place::new(
            "REST steps",
            REST,
            r#"{"function":"demo.countdown","arguments":{"step_ms":1,"steps":"#.to_owned(),
            "}}",
        )
        .within("REST steps of 256 KiB", within - 20),
        metadata(),
        metadata().within("REST metadata of 64 KiB", METADATA_BYTES_MAX - 6),
        metadata().within(
            "REST metadata of 64 KiB and one byte",
            METADATA_BYTES_MAX - 5,
        ),
        member(
            "REST unknown member",
            r#"{"function":"demo.echo","unknown":"#,
        ),
        member("REST function", r#"{"function":"#),
        member("REST version", r#"{"function":"demo.echo","version":"#),
        member(
            "REST callback_url",
            r#"{"function":"demo.echo","callback_url":"#,
        ),
        member(
            "REST callback_events",
            r#"{"function":"demo.echo","callback_events":"#,
        ),
        member(
            "REST ttl_seconds",
            r#"{"function":"demo.echo","ttl_seconds":"#,
        ),
        Place::new("REST body", REST, String::new(), ""),
    ]
}

fn forrst_places() -> Vec<Place> {
    let called =
        |function| format!(r#"{{{PROTOCOL},"call":{{"function":"{function}","arguments":{{"a":"#);
    let envelope = |member: &str| format!("{{{PROTOCOL},{CALL},\"{member}\":");
    let within = ARGUMENTS_BYTES_MAX - 6;
    let member = |name, before| Place::new(name, FORRST, before, "}");
    vec![
        Place::new("Forrst arguments", FORRST, called("demo.echo"), "}}}"),
        Place::new("Forrst arguments", FORRST, called("csv.summarize"), "}}}")
            .within("Forrst wrong arguments of 256 KiB", within),
        Place::new(
            "Forrst list",
            FORRST,
            format!(
                "{{{PROTOCOL},\"call\":{{\"function\":\"urn:cline:forrst:ext:async:fn:list\",\
                 \"arguments\":"
            ),
            "}}",
        )
        .within("Forrst list's arguments of 256 KiB", ARGUMENTS_BYTES_MAX),
        member("Forrst context", envelope("context")),
        member("Forrst unknown member", envelope("unknown")),
        member("Forrst extensions", envelope("extensions")),
        Place::new(
            "Forrst options",
            FORRST,
            format!(
                "{{{PROTOCOL},{CALL},\"extensions\":[{{\"urn\":\"urn:forrst:ext:webhook\",\
                 \"options\":{{\"events\":"
            ),
            "}}]}",
        ),
        Place::new(
            "Forrst idempotent arguments",
            FORRST,
            format!(
                "{{{PROTOCOL},\"extensions\":[{{\"urn\":\"urn:forrst:ext:idempotency\",\
                 \"options\":{{\"key\":\"k\"}}}}],\
                 \"call\":{{\"function\":\"demo.echo\",\"arguments\":{{\"a\":"
            ),
            "}}}",
        )
        .within("Forrst idempotent arguments of 256 KiB", within),
        member(
            "Forrst protocol",
            format!("{{\"id\":\"r\",{CALL},\"protocol\":"),
        ),
        Place::new(
            "Forrst protocol version",
            FORRST,
            format!("{{\"id\":\"r\",{CALL},\"protocol\":{{\"name\":\"forrst\",\"version\":"),
            "}}",
        ),
        member(
            "Forrst id",
            format!("{{\"protocol\":{{\"name\":\"forrst\",\"version\":\"0.1.0\"}},{CALL},\"id\":"),
        ),
        Place::new("Forrst body", FORRST, String::new(), ""),
    ]
}

fn mcp_places() -> Vec<Place> {
    let called = |function: &str, member: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\
             \"params\":{{\"name\":\"{function}\",\"{member}\":"
        )
    };
    let arguments = |function| format!("{}{{\"a\":", called(function, "arguments"));
    let within = ARGUMENTS_BYTES_MAX - 6;
    vec![
        Place::new("MCP arguments", MCP, arguments("demo_echo"), "}}}"),
        Place::new("MCP arguments", MCP, arguments("csv_summarize"), "}}}")
            .within("MCP wrong arguments of 256 KiB", within),
        Place::new(
            "MCP operation's arguments",
            MCP,
            called("ferry_get_operation", "arguments"),
            "}}",
        ),
        Place::new("MCP metadata", MCP, called("demo_echo", "_meta"), "}}"),
        Place::new(
            "MCP unknown member",
            MCP,
            called("demo_echo", "unknown"),
            "}}",
        ),
        Place::new(
            "MCP params",
            MCP,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"#.to_owned(),
            "}",
        ),
        Place::new(
            "MCP id",
            MCP,
            r#"{"jsonrpc":"2.0","method":"ping","id":"#.to_owned(),
            "}",
        ),
        Place::new("MCP body", MCP, String::new(), ""),
    ]
}

/// Bodies that do not follow from a value and a place.
fn bodies() -> Vec<Kind> {
    let valid = format!(
        r#"{{"function":"demo.echo","arguments":{{"a":{}}}}}"#,
        array(BODY_BYTES_MAX - 50, "1")
    );
    let mut late = valid.clone().into_bytes();
    let end = late.len() - 4;
    late[end] = 0xff;
    let version = format!("1.0.0-{}", repeated(BODY_BYTES_MAX - 100, "a", "."));
    let url = |host: &str| format!(r#"{{"function":"demo.echo","callback_url":"https://{host}"}}"#);
    let long = BODY_BYTES_MAX - 100;
    let mut kinds = Vec::new();
    for (protocol, path) in [("REST", REST), ("Forrst", FORRST), ("MCP", MCP)] {
        let mut add = |name: &str, body: &[u8]| {
            kinds.push(posted(format!("{protocol}: {name}"), path, &[], body));
        };
        add("invalid UTF-8 at the end", &late);
        add("a truncated body", &valid.as_bytes()[..valid.len() - 2]);
        add(
            "arrays without an end",
            "[".repeat(BODY_BYTES_MAX).as_bytes(),
        );
        add(
            "text without an end",
            format!("\"{}", "x".repeat(long)).as_bytes(),
        );
        add(
            "line breaks before a character that is not JSON",
            format!("{}?", "\n".repeat(long)).as_bytes(),
        );
        add(
            "white space around an object",
            format!("{}{{}}", " ".repeat(long)).as_bytes(),
        );
    }
    let mut encoded = event("alice", "POST", REST, &[], b"");
    encoded["body"] = json!(STANDARD.encode(&valid));
    encoded["isBase64Encoded"] = json!(true);
    kinds.push(Kind {
        name: "REST: a body in base64".to_owned(),
        function: Function::Submit,
        event: encoded,
        bytes: valid.len(),
    });
    let versioned = format!(r#"{{"function":"demo.echo","version":"{version}"}}"#);
    let called =
        format!(r#"{{{PROTOCOL},"call":{{"function":"demo.echo","version":"{version}"}}}}"#);
    let requested =
        format!(r#"{{"id":"r",{CALL},"protocol":{{"name":"forrst","version":"9{version}"}}}}"#);
    for (name, path, body) in [
        ("REST: a long version", REST, versioned),
        ("Forrst: a long version", FORRST, called),
        ("Forrst: a long version of the protocol", FORRST, requested),
        (
            "REST: a URL of labels",
            REST,
            url(&repeated(long, "a", ".")),
        ),
        (
            "REST: a URL of percent signs",
            REST,
            url(&repeated(long, "%41", "")),
        ),
        (
            "REST: a URL of a long path",
            REST,
            url(&format!("a.example/{}", "../".repeat(long / 4))),
        ),
        (
            "REST: a URL of non-ASCII letters",
            REST,
            url(&"é".repeat(long / 2)),
        ),
    ] {
        kinds.push(posted(name.to_owned(), path, &[], body.as_bytes()));
    }
    kinds
}

/// Envelopes with many extensions.
fn extensions() -> Vec<Kind> {
    let numbered = |prefix: &str| {
        let mut all = String::new();
        let mut number = 0;
        while all.len() < BODY_BYTES_MAX - 400 {
            let separator = if number == 0 { "" } else { "," };
            write!(all, "{separator}{{\"urn\":\"{prefix}{number}\"}}").unwrap();
            number += 1;
        }
        all
    };
    let room = BODY_BYTES_MAX - 200;
    let long = |count: usize| {
        let urn = "x".repeat(room / count - 40);
        let all = (0..count).map(|number| format!("{{\"urn\":\"urn:acme:{number}{urn}\"}}"));
        all.collect::<Vec<_>>().join(",")
    };
    let of = |element: &str| repeated(room, element, ",");
    [
        ("unknown names", numbered("urn:acme:ext:")),
        ("malformed names", numbered("acme")),
        ("long unknown names", long(30)),
        ("one unknown name", of(r#"{"urn":"urn:acme:ext:a"}"#)),
        ("one known name", of(r#"{"urn":"urn:forrst:ext:retry"}"#)),
        ("missing names", of(r#"{"options":{}}"#)),
        (
            "empty options",
            of(r#"{"urn":"urn:forrst:ext:async","options":{}}"#),
        ),
        (
            "wrong options",
            of(r#"{"urn":"urn:forrst:ext:webhook","options":{"events":[1]}}"#),
        ),
    ]
    .into_iter()
    .map(|(name, all)| {
        let body = format!("{{{PROTOCOL},{CALL},\"extensions\":[{all}]}}");
        posted(
            format!("Forrst extensions: {name}"),
            FORRST,
            &[],
            body.as_bytes(),
        )
    })
    .collect()
}

/// Headers that are parsed by a grammar. API Gateway accepts 10 KB of them, the local gateway
/// somewhat more.
fn headers() -> Vec<Kind> {
    let operation = "/operations/op_000000000000000000000000";
    let cancel = "/operations/op_000000000000000000000000/cancel";
    let tags = repeated(BODY_BYTES_MAX, "\"a.1.a\"", ",");
    let commas = ",".repeat(BODY_BYTES_MAX);
    let body = r#"{"function":"demo.echo","arguments":1}"#;
    let quoted = |unit: &str| format!("\"{}\"", repeated(BODY_BYTES_MAX, unit, ""));
    [
        (
            "Idempotency-Key",
            "POST",
            REST,
            "idempotency-key",
            quoted("k"),
        ),
        (
            "Idempotency-Key of escapes",
            "POST",
            REST,
            "idempotency-key",
            quoted("\\\""),
        ),
        (
            "Prefer of waits",
            "POST",
            REST,
            "prefer",
            repeated(BODY_BYTES_MAX, "wait=1", ","),
        ),
        ("Prefer of commas", "POST", REST, "prefer", commas.clone()),
        (
            "Prefer of parameters",
            "POST",
            REST,
            "prefer",
            repeated(BODY_BYTES_MAX, "a=b;", ""),
        ),
        (
            "Prefer with a quoted value",
            "POST",
            REST,
            "prefer",
            format!("a={}", quoted("\\\\")),
        ),
        (
            "Content-Type",
            "POST",
            REST,
            "content-type",
            format!("application/json{}", repeated(BODY_BYTES_MAX, ";a=b", "")),
        ),
        (
            "Content-Encoding",
            "POST",
            REST,
            "content-encoding",
            repeated(BODY_BYTES_MAX, "identity", ","),
        ),
        ("If-Match", "POST", cancel, "if-match", tags.clone()),
        (
            "If-Match of commas",
            "POST",
            cancel,
            "if-match",
            commas.clone(),
        ),
        (
            "If-Match of one tag",
            "POST",
            cancel,
            "if-match",
            quoted("a"),
        ),
        ("If-None-Match", "GET", operation, "if-none-match", tags),
        (
            "If-None-Match of commas",
            "GET",
            operation,
            "if-none-match",
            commas,
        ),
    ]
    .map(|(name, method, path, header, value)| {
        let body = if path == REST { body } else { "" };
        let headers = [(header, value.as_str())];
        Kind {
            name: format!("header {name}"),
            function: if path == REST {
                Function::Submit
            } else {
                Function::Status
            },
            event: event("alice", method, path, &headers, body.as_bytes()),
            bytes: value.len(),
        }
    })
    .into()
}

/// Queries of a list, and the same parameters in Forrst.
fn queries() -> Vec<Kind> {
    let mut unknown = String::new();
    let mut number = 0;
    while unknown.len() < BODY_BYTES_MAX {
        write!(unknown, "{number:x}=1&").unwrap();
        number += 1;
    }
    let mut kinds: Vec<_> = [
        ("unknown parameters", unknown),
        (
            "one parameter repeatedly",
            repeated(BODY_BYTES_MAX, "limit=1", "&"),
        ),
        ("ampersands", "&".repeat(BODY_BYTES_MAX)),
        (
            "percent signs",
            format!("function={}", "%41".repeat(BODY_BYTES_MAX / 3)),
        ),
        ("a cursor", format!("cursor={}", "A".repeat(BODY_BYTES_MAX))),
        (
            "a time",
            format!(
                "created_after=2026-01-01T00:00:00.{}Z",
                "0".repeat(BODY_BYTES_MAX)
            ),
        ),
        ("a limit", format!("limit={}", "9".repeat(BODY_BYTES_MAX))),
        ("a status", format!("status={}", "x".repeat(BODY_BYTES_MAX))),
    ]
    .into_iter()
    .map(|(name, query)| Kind {
        name: format!("query of {name}"),
        function: Function::Status,
        event: event("alice", "GET", &format!("/operations?{query}"), &[], b""),
        bytes: query.len(),
    })
    .collect();
    for (member, value) in [
        ("cursor", "A".repeat(ARGUMENTS_BYTES_MAX - 20)),
        ("created_after", "0".repeat(ARGUMENTS_BYTES_MAX - 40)),
    ] {
        let body = format!(
            "{{{PROTOCOL},\"call\":{{\"function\":\"urn:cline:forrst:ext:async:fn:list\",\
             \"arguments\":{{\"{member}\":\"{value}\"}}}}}}"
        );
        let name = format!("Forrst list's {member}");
        kinds.push(posted(name, FORRST, &[], body.as_bytes()));
    }
    kinds
}

fn posted(name: String, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Kind {
    Kind {
        name,
        function: Function::Submit,
        event: event("alice", "POST", path, headers, body),
        bytes: body.len(),
    }
}
