//! The document allows exactly the requests that the code accepts.

use serde_json::{Value, json};
use shared::domain::caller_url::CallerUrl;
use shared::domain::id::OperationId;
use shared::domain::limits::CALLER_URL_CHARS_MAX;
use shared::domain::network::AllowedNetworks;
use shared::domain::operation::Owner;
use shared::domain::time::Timestamp;
use shared::http::{idempotency_key, list_request};
use shared::request::Cursor;
use shared::store::{ListFilter, Position};
use submit::forrst::protocol::ParsedBody;
use tests::openapi::{Document, Side};

#[path = "../../../shared/src/domain/caller_url/tests/accepted.rs"]
mod accepted;

/// A schema, texts to validate by it, and whether the code accepts a text.
struct Case {
    schema: &'static str,
    texts: Vec<String>,
    accepts: fn(&str) -> bool,
}

/// Every text and every Forrst request on which document and code differ.
pub(crate) fn faults(document: &Document) -> Vec<String> {
    let mut faults = request_faults(document);
    for case in cases() {
        for text in &case.texts {
            let value = Value::from(text.as_str());
            let allowed = document
                .schema_faults(Side::Theirs, case.schema, &value)
                .is_empty();
            let accepted = (case.accepts)(text);
            if allowed != accepted {
                let shown: String = text.chars().take(80).collect();
                faults.push(format!(
                    "{}: {shown:?} is allowed: {allowed}, and accepted: {accepted}",
                    case.schema
                ));
            }
        }
    }
    faults
}

fn request_faults(document: &Document) -> Vec<String> {
    const SCHEMA: &str = "/components/schemas/ForrstRequest";
    let extended = EXTENSIONS.map(|(name, options)| {
        let extension = format!(r#"{{"urn":"urn:forrst:ext:{name}","options":{options}}}"#);
        format!(r#""id":"r","call":{{"function":"f"}},"extensions":[{extension}]"#)
    });
    let mut faults = Vec::new();
    for members in REQUESTS.map(str::to_owned).iter().chain(&extended) {
        let text = format!(r#"{{"protocol":{{"name":"forrst","version":"0.1.0"}},{members}}}"#);
        let value = serde_json::from_str(&text).unwrap();
        let allowed = document
            .schema_faults(Side::Theirs, SCHEMA, &value)
            .is_empty();
        let accepted = ParsedBody::of(text.as_bytes()).request.is_ok();
        if allowed != accepted {
            faults.push(format!(
                "{SCHEMA}: {members} is allowed: {allowed}, and accepted: {accepted}"
            ));
        }
    }
    faults
}

/// The members of requests besides `protocol`, some valid and some not.
const REQUESTS: [&str; 14] = [
    r#""id":"r","call":{"function":"f"}"#,
    r#""id":"r","call":{"function":"f","version":null,"arguments":null}"#,
    r#""id":"r","call":{"function":"f"},"context":null,"extensions":null"#,
    r#""id":"r","call":{"function":"f","arguments":{"a":null}}"#,
    r#""id":"r","call":{"function":"f"},"context":{},"extensions":[],"more":1"#,
    r#""id":null,"call":{"function":"f"}"#,
    r#""id":"","call":{"function":"f"}"#,
    r#""id":7,"call":{"function":"f"}"#,
    r#""id":"r","call":null"#,
    r#""id":"r","call":{}"#,
    r#""id":"r","call":{"function":null}"#,
    r#""id":"r","call":{"function":"f","arguments":[]}"#,
    r#""id":"r","call":{"function":"f"},"context":[]"#,
    r#""id":"r","call":{"function":"f"},"extensions":{}"#,
];

/// Names of extensions and their options, some valid and some not.
const EXTENSIONS: [(&str, &str); 34] = [
    ("unknown", "{}"),
    ("async", "null"),
    (
        "async",
        r#"{"preferred":null,"accept":null,"callback_url":null}"#,
    ),
    ("async", r#"{"preferred":"yes"}"#),
    // Checked later, and only if it is used.
    ("async", r#"{"callback_url":"no URL"}"#),
    ("async", r#"{"callback_url":1}"#),
    ("async", r#"{"start_after_seconds":null,"start_at":null}"#),
    ("async", r#"{"start_after_seconds":0,"start_at":null}"#),
    ("async", r#"{"start_after_seconds":6e1}"#),
    ("async", r#"{"start_after_seconds":604800.0}"#),
    ("async", r#"{"start_after_seconds":604801}"#),
    ("async", r#"{"start_after_seconds":-1}"#),
    ("async", r#"{"start_after_seconds":0.5}"#),
    ("async", r#"{"start_after_seconds":"60"}"#),
    ("async", r#"{"start_at":"2026-11-24T06:00:00+01:00"}"#),
    ("async", r#"{"start_at":"2026-11-24"}"#),
    ("async", r#"{"start_at":1795461220}"#),
    (
        "async",
        r#"{"start_after_seconds":0,"start_at":"2026-11-24T06:00:00Z"}"#,
    ),
    ("webhook", "null"),
    ("webhook", r#"{"callback_url":null}"#),
    (
        "webhook",
        r#"{"callback_url":"https://a.example.com/","events":null}"#,
    ),
    (
        "webhook",
        r#"{"callback_url":"https://a.example.com/","signature_version":null}"#,
    ),
    (
        "webhook",
        r#"{"callback_url":"https://a.example.com/","events":[]}"#,
    ),
    (
        "webhook",
        r#"{"callback_url":"https://a.example.com/","signature_version":"v2"}"#,
    ),
    ("idempotency", r#"{"key":"k","ttl":null}"#),
    ("idempotency", r#"{"key":null}"#),
    ("deadline", r#"{"value":5.0,"unit":"minute"}"#),
    ("deadline", r#"{"value":6e1,"unit":"second"}"#),
    ("deadline", r#"{"value":0.5,"unit":"hour"}"#),
    ("deadline", r#"{"value":169,"unit":"hour"}"#),
    ("deadline", r#"{"value":5}"#),
    (
        "tracing",
        r#"{"trace_id":"t","span_id":"s","parent_span_id":null,"baggage":null}"#,
    ),
    ("retry", "null"),
    ("retry", "[]"),
];

fn cases() -> Vec<Case> {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let mut urls: Vec<String> = own(&URLS);
    urls.extend(own(accepted::PUBLIC));
    urls.extend(own(accepted::LOCAL));
    for length in [CALLER_URL_CHARS_MAX, CALLER_URL_CHARS_MAX + 1] {
        urls.push(format!("{:x<length$}", "https://example.com/"));
    }
    let mut cursors: Vec<String> = own(&["", " ", "a b", "AAAA=", "a+b", "a/b", "é", "\"\"", "."]);
    cursors.push(cursor());
    vec![
        Case {
            schema: "/components/schemas/Submission/properties/callback_url",
            texts: urls.clone(),
            accepts: is_url,
        },
        Case {
            schema: "/components/schemas/WebhookOptions/properties/options/properties/callback_url",
            texts: urls,
            accepts: is_url,
        },
        Case {
            schema: "/paths/~1operations/get/parameters/6/schema",
            texts: cursors,
            accepts: is_cursor,
        },
        Case {
            schema: "/components/schemas/Submission/properties/version",
            texts: own(&VERSIONS),
            accepts: |text| is_call(&json!({"function": "f", "version": text})),
        },
        Case {
            schema: "/components/schemas/ForrstProtocol/properties/version",
            texts: own(&VERSIONS),
            accepts: |text| {
                is_request(
                    &json!({"name": "forrst", "version": text}),
                    &json!({"function": "f"}),
                )
            },
        },
        Case {
            schema: "/components/schemas/Submission/properties/function",
            texts: own(&[
                "f",
                "9",
                "a.B_c:d-e",
                "",
                ".a",
                "-a",
                "_a",
                "a b",
                "é",
                "a/b",
                "a\n",
            ]),
            accepts: |text| is_call(&json!({"function": text})),
        },
        Case {
            schema: "/components/parameters/IdempotencyKey/schema",
            texts: own(&[
                "k",
                "a b",
                "a\"b",
                "\"k\"",
                r#""a\"b\\c""#,
                "",
                "\"\"",
                "\"k",
                "\"k\"x",
                r#""\k""#,
                "é",
                "\t",
            ]),
            accepts: |text| idempotency_key(text).is_ok(),
        },
    ]
}

/// Texts that are invalid whatever networks are allowed, and some that are valid. Without malformed
/// IPv6 addresses: a pattern for those would be longer than the rest of it, and unreadable.
const URLS: [&str; 42] = [
    "",
    " ",
    "example.com",
    "//example.com/",
    "https",
    "https:",
    "https://",
    "https:///example.com/",
    "https:/example.com/",
    "https:example.com",
    "ftp://example.com/",
    "javascript:alert(1)",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://example.com/#",
    "https://example.com/#fragment",
    "https://example.com/a b",
    "https://example.com/\t",
    "https://example.com\\a",
    "https://example.com/\\",
    "https://exämple.com/",
    "https://example.com/ä",
    "https://example.com:/",
    "https://example.com:0/",
    "https://example.com:080/",
    "https://example.com:65535/",
    "https://example.com:65536/",
    "https://example.com:port/",
    "https://.example.com/",
    "https://a..example.com/",
    "https://-a.example.com/",
    "https://a-.example.com/",
    "https://a_b.example.com/",
    "https://127.1/",
    "https://0x7f000001/",
    "https://256.1.1.1/",
    "https://[::]/",
    "https://[1::8]:443",
    "https://[1:2:3:4:5:6:7:8]/",
    "https://[fe80::1%25eth0]/",
    "https://::1/",
];

const VERSIONS: [&str; 20] = [
    "0.0.0",
    "0.1.0",
    "0.2.7",
    "1.0.0",
    "10.20.30",
    "0.1.0-rc.1",
    "0.1.0-0a.-",
    "0.1.0+build.01",
    "0.1.0-a+b",
    "",
    "0",
    "0.1",
    "0.1.0.0",
    "00.1.0",
    "0.01.0",
    "v0.1.0",
    "0.1.0-",
    "0.1.0-01",
    "0.1.0+",
    "0.1.99999999999999999999",
];

fn is_url(text: &str) -> bool {
    let everywhere = "0.0.0.0/0, ::/0".parse::<AllowedNetworks>().unwrap();
    CallerUrl::parse(text, &everywhere).is_ok()
}

fn owner() -> Owner {
    Owner::new("jwt", "alice").unwrap()
}

fn cursor() -> String {
    let (owner, filter) = (owner(), ListFilter::default());
    let cursor = Cursor {
        owner: &owner,
        filter: &filter,
    };
    cursor.encode(&Position {
        id: OperationId::from_bytes([7; 12]),
        created_at: Timestamp::from_millis(1_795_461_220_162),
    })
}

fn is_cursor(text: &str) -> bool {
    let mut url = reqwest::Url::parse("http://localhost").unwrap();
    url.query_pairs_mut().append_pair("cursor", text);
    list_request(url.query().unwrap(), &owner()).is_ok()
}

fn is_call(call: &Value) -> bool {
    is_request(&json!({"name": "forrst", "version": "0.1.0"}), call)
}

fn is_request(protocol: &Value, call: &Value) -> bool {
    let request = json!({"protocol": protocol, "id": "r", "call": call});
    ParsedBody::of(request.to_string().as_bytes())
        .request
        .is_ok()
}
