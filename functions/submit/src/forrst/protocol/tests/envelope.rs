//! Requests: the envelope, member by member.

use serde_json::{Value, json};

use super::super::{ExtensionName, ParsedBody};
use super::{assert_faults, codes_and_places, envelope, read};

/// The envelope with the value at `pointer` replaced, or left out.
fn altered(pointer: &str, value: Option<Value>) -> Value {
    let mut envelope = envelope();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = envelope.pointer_mut(parent).unwrap();
    match value {
        Some(value) => parent[member] = value,
        None => drop(parent.as_object_mut().unwrap().remove(member)),
    }
    envelope
}

#[test]
fn a_valid_request_is_read_whole() {
    let parsed = read(&envelope());
    let request = parsed.request.unwrap();
    assert_eq!(request.id, "req_1");
    assert_eq!(request.function, "demo.echo");
    assert_eq!(request.version.unwrap().to_string(), "1.0.0");
    assert_eq!(request.arguments.as_str(), r#"{"n":1}"#);
    assert!(request.extensions.prefers_async());
    assert_eq!(parsed.echo.tracing, request.extensions.tracing);
}

#[test]
fn optional_members_may_be_left_out() {
    let least = json!({
        "protocol": {"name": "forrst", "version": "0.9.7-beta.1"},
        "id": "x".repeat(255),
        "call": {"function": "demo.echo"},
    });
    let request = read(&least).request.unwrap();
    assert_eq!(request.version, None);
    assert!(request.arguments.is_empty_object());
    assert!(!request.extensions.prefers_async());
    assert_eq!(request.extensions.callback(), None);
}

#[test]
fn unknown_members_of_a_newer_version_are_ignored() {
    let mut newer = envelope();
    for parent in [
        "",
        "/protocol",
        "/call",
        "/extensions/0",
        "/extensions/0/options",
    ] {
        newer.pointer_mut(parent).unwrap()["new"] = json!([1]);
    }
    assert!(read(&newer).request.is_ok());
}

#[test]
fn arguments_are_kept_as_they_were_sent() {
    let sent = r#"{"protocol":{"name":"forrst","version":"0.1.0"},"id":"1",
        "call":{"function":"f","arguments":{"b":1.0e5,"a":9007199254740993}}}"#;
    let request = ParsedBody::of(sent.as_bytes()).request.unwrap();
    assert_eq!(
        request.arguments.as_str(),
        r#"{"b":1.0e5,"a":9007199254740993}"#
    );
}

#[test]
fn every_wrong_member_is_reported_with_its_place() {
    let long = "x".repeat(256);
    let wrong: &[(&str, Option<Value>, &str)] = &[
        ("/protocol", None, "INVALID_REQUEST"),
        ("/protocol", Some(Value::Null), "INVALID_REQUEST"),
        ("/protocol", Some(json!("forrst/0.1")), "INVALID_REQUEST"),
        ("/protocol/name", None, "INVALID_REQUEST"),
        ("/protocol/name", Some(json!("Forrst")), "INVALID_REQUEST"),
        ("/protocol/name", Some(json!(1)), "INVALID_REQUEST"),
        ("/protocol/version", None, "INVALID_REQUEST"),
        ("/protocol/version", Some(json!("0.1")), "INVALID_REQUEST"),
        ("/protocol/version", Some(json!(0.1)), "INVALID_REQUEST"),
        (
            "/protocol/version",
            Some(json!("99.0.0")),
            "INVALID_PROTOCOL_VERSION",
        ),
        ("/id", None, "INVALID_REQUEST"),
        ("/id", Some(Value::Null), "INVALID_REQUEST"),
        ("/id", Some(json!(7)), "INVALID_REQUEST"),
        ("/id", Some(json!("")), "INVALID_REQUEST"),
        ("/id", Some(json!(long)), "INVALID_REQUEST"),
        ("/call", None, "INVALID_REQUEST"),
        ("/call", Some(Value::Null), "INVALID_REQUEST"),
        ("/call", Some(json!([])), "INVALID_REQUEST"),
        ("/call/function", None, "INVALID_REQUEST"),
        ("/call/function", Some(json!(["f"])), "INVALID_REQUEST"),
        (
            "/call/function",
            Some(json!("two words")),
            "INVALID_REQUEST",
        ),
        ("/call/function", Some(json!(long)), "INVALID_REQUEST"),
        ("/call/version", Some(json!(1)), "INVALID_REQUEST"),
        ("/call/version", Some(json!("1")), "INVALID_REQUEST"),
        ("/call/arguments", Some(json!("{}")), "INVALID_ARGUMENTS"),
        ("/call/arguments", Some(json!([1])), "INVALID_ARGUMENTS"),
        (
            "/call/arguments",
            Some(json!({"a": "x".repeat(256 * 1024)})),
            "INVALID_ARGUMENTS",
        ),
        ("/context", Some(json!("a")), "INVALID_REQUEST"),
        ("/extensions", Some(json!({})), "INVALID_REQUEST"),
    ];
    for (pointer, value, code) in wrong {
        assert_faults(&altered(pointer, value.clone()), &[(code, pointer)]);
    }
}

#[test]
fn an_optional_member_that_is_null_counts_as_left_out() {
    for pointer in [
        "/call/version",
        "/call/arguments",
        "/context",
        "/extensions",
    ] {
        assert_eq!(
            read(&altered(pointer, Some(Value::Null))),
            read(&altered(pointer, None)),
            "{pointer}"
        );
    }
}

#[test]
fn an_element_of_extensions_is_an_object_with_a_urn() {
    for (element, code, place) in [
        (
            json!("urn:forrst:ext:async"),
            "INVALID_REQUEST",
            "/extensions/0",
        ),
        (json!({}), "INVALID_REQUEST", "/extensions/0/urn"),
        (json!({"urn": 1}), "INVALID_REQUEST", "/extensions/0/urn"),
        (json!({"urn": null}), "INVALID_REQUEST", "/extensions/0/urn"),
        (
            json!({"urn": "async"}),
            "INVALID_REQUEST",
            "/extensions/0/urn",
        ),
        (
            json!({"urn": "urn:forrst:ext:retry", "options": []}),
            "INVALID_REQUEST",
            "/extensions/0/options",
        ),
    ] {
        let envelope = altered("/extensions", Some(json!([element])));
        assert_faults(&envelope, &[(code, place)]);
    }
}

#[test]
fn every_error_is_reported_at_once_and_a_valid_id_is_echoed() {
    let wrong = json!({
        "protocol": {"name": "other", "version": "1.0.0"},
        "id": "req_1",
        "call": {"function": "", "version": 1, "arguments": 2},
        "context": 3,
        "extensions": [
            {"urn": "urn:forrst:ext:async", "options": {"preferred": 1}},
            {"urn": "urn:forrst:ext:tracing", "options": {"trace_id": "trace", "span_id": "span"}},
            {"urn": "urn:other:ext", "options": []},
        ],
    });
    assert_faults(
        &wrong,
        &[
            ("INVALID_REQUEST", "/context"),
            ("INVALID_REQUEST", "/protocol/name"),
            ("INVALID_PROTOCOL_VERSION", "/protocol/version"),
            ("INVALID_REQUEST", "/call/function"),
            ("INVALID_REQUEST", "/call/version"),
            ("INVALID_ARGUMENTS", "/call/arguments"),
            ("INVALID_ARGUMENTS", "/extensions/0/options/preferred"),
            ("INVALID_REQUEST", "/extensions/2/options"),
            ("EXTENSION_NOT_SUPPORTED", "/extensions/2/urn"),
        ],
    );
    let parsed = read(&wrong);
    assert_eq!(parsed.request.unwrap_err().status(), 400);
    assert_eq!(parsed.echo.id.as_deref(), Some("req_1"));
    assert_eq!(
        parsed.echo.tracing.as_ref().unwrap().options.trace_id,
        "trace"
    );
    assert_eq!(
        parsed.echo.spellings.urn(ExtensionName::Retry),
        "urn:forrst:ext:retry"
    );
}

#[test]
fn at_most_twenty_errors_are_reported() {
    let elements: Vec<_> = (0..32).map(Value::from).collect();
    let errors = read(&altered("/extensions", Some(json!(elements)))).request;
    assert_eq!(errors.unwrap_err().as_slice().len(), 20);
}

#[test]
fn a_body_that_is_not_json_is_refused_at_its_byte() {
    for (bytes, position) in [
        (&b""[..], "0"),
        (b"{\"id\":x}", "6"),
        (b"{\"id\":\"1\"", "9"),
        (b"{\n\"id\":\"\xff\"}", "8"),
    ] {
        let parsed = ParsedBody::of(bytes);
        let errors = parsed.request.unwrap_err();
        assert_eq!(
            codes_and_places(&errors),
            [("PARSE_ERROR".to_owned(), position.to_owned())]
        );
        assert_eq!(errors.status(), 400);
        assert_eq!(parsed.echo.id, None);
    }
}

#[test]
fn a_body_that_is_not_an_object_is_an_invalid_request() {
    for value in [json!([envelope()]), json!("x"), json!(1), Value::Null] {
        assert_faults(&value, &[("INVALID_REQUEST", "")]);
    }
}

/// As text, since no value can have these errors.
#[test]
fn errors_that_the_grammar_allows_are_refused_at_their_place() {
    let right = envelope().to_string();
    let deep = format!("{}{}", "[".repeat(62), "]".repeat(62));
    for (from, to, code, place) in [
        (
            r#""n":1"#,
            r#""n":1,"n":1"#.to_owned(),
            "INVALID_ARGUMENTS",
            "/call/arguments/n",
        ),
        (
            r#""n":1"#,
            r#""n":"\udc00""#.to_owned(),
            "INVALID_ARGUMENTS",
            "/call/arguments/n",
        ),
        (
            r#""n":1"#,
            r#""\ud800":1"#.to_owned(),
            "INVALID_ARGUMENTS",
            "/call/arguments",
        ),
        (
            r#""n":1"#,
            format!(r#""n":{deep}"#),
            "INVALID_ARGUMENTS",
            &format!("/call/arguments/n{}", "/0".repeat(61)),
        ),
        (
            r#""name":"forrst""#,
            r#""name":"forrst","name":"forrst""#.to_owned(),
            "INVALID_REQUEST",
            "/protocol/name",
        ),
        (
            r#""caller":"a test""#,
            r#""caller":"\ud800""#.to_owned(),
            "INVALID_REQUEST",
            "/context/caller",
        ),
        (
            r#""preferred":true"#,
            r#""preferred":true,"preferred":true"#.to_owned(),
            "INVALID_ARGUMENTS",
            "/extensions/0/options/preferred",
        ),
    ] {
        assert!(right.contains(from), "{right}");
        let parsed = ParsedBody::of(right.replace(from, &to).as_bytes());
        let errors = codes_and_places(&parsed.request.unwrap_err());
        assert_eq!(errors, [(code.to_owned(), place.to_owned())]);
        assert_eq!(parsed.echo.id.as_deref(), Some("req_1"), "{place}");
    }
}

#[test]
fn an_invalid_id_is_not_echoed() {
    let right = envelope().to_string();
    let id = r#""id":"req_1""#;
    for to in [
        r#""id":"req_1","id":"req_2""#,
        r#""id":"req_1","a":1,"a":1,"id":"req_1""#,
        r#""id":"\ud800""#,
    ] {
        let parsed = ParsedBody::of(right.replace(id, to).as_bytes());
        assert_eq!(parsed.echo.id, None);
        let errors = codes_and_places(&parsed.request.unwrap_err());
        assert!(errors.contains(&("INVALID_REQUEST".to_owned(), "/id".to_owned())));
    }
}
