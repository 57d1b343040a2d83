//! The envelope: required members, errors and their pointers, and what a response repeats.

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{PING, Server, extension, pong, request, unique};

/// Sets the member at a pointer, or removes it.
fn set(request: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match (request.pointer_mut(parent).unwrap(), value) {
        (Value::Object(members), Some(value)) => {
            members.insert(name.to_owned(), value);
        }
        (Value::Object(members), None) => {
            members.remove(name).unwrap();
        }
        (Value::Array(elements), Some(value)) => elements[name.parse::<usize>().unwrap()] = value,
        _ => panic!("nothing to set at {pointer}"),
    }
}

/// A request with every member.
fn full_request(server: &Server) -> Value {
    let mut request = request(&server.quick.function, &server.quick.arguments);
    request["context"] = json!({"caller": "conformance"});
    request["extensions"] = json!([
        extension("tracing", &json!({"trace_id": "trace", "span_id": "span"})),
        extension("async", &json!({"preferred": false})),
    ]);
    request
}

#[tokio::test]
async fn an_error_points_to_the_wrong_member() {
    const STRUCTURE: &[&str] = &["INVALID_REQUEST"];
    // A malformed version is a malformed request, or a version that does not exist.
    const VERSION: &[&str] = &["INVALID_REQUEST", "VERSION_NOT_FOUND"];
    // The pages have the first for a request's structure and the second for a function's arguments.
    const ARGUMENTS: &[&str] = &["INVALID_REQUEST", "INVALID_ARGUMENTS"];
    let server = Server::start();
    let rows = [
        // One page's table says string; its examples and all other pages say object.
        ("/protocol", Some(json!("forrst/0.1")), STRUCTURE),
        ("/protocol", None, STRUCTURE),
        ("/protocol/name", Some(json!("json-rpc")), STRUCTURE),
        ("/protocol/name", None, STRUCTURE),
        ("/protocol/version", Some(json!(0.1)), STRUCTURE),
        ("/protocol/version", None, STRUCTURE),
        ("/id", None, STRUCTURE),
        ("/id", Some(json!(null)), STRUCTURE),
        ("/id", Some(json!("")), STRUCTURE),
        ("/id", Some(json!(17)), STRUCTURE),
        ("/id", Some(json!({"id": "a"})), STRUCTURE),
        ("/id", Some(json!(["a"])), STRUCTURE),
        ("/call", None, STRUCTURE),
        ("/call", Some(json!([])), STRUCTURE),
        ("/call/function", None, STRUCTURE),
        ("/call/function", Some(json!(null)), STRUCTURE),
        ("/call/function", Some(json!("")), STRUCTURE),
        ("/call/version", Some(json!(1)), VERSION),
        ("/call/version", Some(json!("first")), VERSION),
        ("/call/arguments", Some(json!([1])), ARGUMENTS),
        ("/call/arguments", Some(json!("a=1")), ARGUMENTS),
        ("/context", Some(json!("a")), STRUCTURE),
        ("/extensions", Some(json!({})), STRUCTURE),
        ("/extensions/1", Some(json!("async")), STRUCTURE),
        ("/extensions/1/urn", None, STRUCTURE),
        ("/extensions/1/urn", Some(json!(1)), STRUCTURE),
        ("/extensions/1/urn", Some(json!("async")), STRUCTURE),
        ("/extensions/1/options", Some(json!(true)), ARGUMENTS),
    ];
    for (pointer, value, codes) in rows {
        let mut request = full_request(&server);
        set(&mut request, pointer, value);
        let exchange = server.send(&request).await;
        exchange.is_refused(codes, pointer);
    }
}

#[tokio::test]
async fn several_errors_are_a_bad_request() {
    let server = Server::start();
    let mut request = full_request(&server);
    set(&mut request, "/call/function", None);
    set(&mut request, "/context", Some(json!(1)));
    set(&mut request, "/extensions/1/urn", None);
    let exchange = server.send(&request).await;
    assert_eq!(exchange.status, 400, "{exchange}");
    // The server may report one of them or more.
    let wrong = ["/call/function", "/context", "/extensions/1/urn"];
    for (code, pointer) in exchange.errors() {
        assert_eq!(code, "INVALID_REQUEST", "{exchange}");
        assert!(wrong.contains(&pointer), "{pointer}\n{exchange}");
    }
}

#[tokio::test]
async fn a_parse_error_has_the_position_of_its_byte() {
    let server = Server::start();
    let bodies: [(&[u8], usize); 6] = [
        (b"", 0),
        (b"?", 0),
        (br#"{"id": "a""#, 10),
        (br#"{"id": "a", }"#, 12),
        // Bytes, not characters.
        ("{\"id\": \"\u{e9}\", x}".as_bytes(), 13),
        (b"{\"id\": \"a\xff\"}", 9),
    ];
    for (body, position) in bodies {
        let exchange = server
            .send_raw(Method::POST, "application/json", body)
            .await;
        exchange.is_response();
        exchange.is_for(None);
        let error = exchange.error("PARSE_ERROR");
        assert_eq!(error["source"], json!({"position": position}), "{exchange}");
    }
}

#[tokio::test]
async fn a_request_must_be_an_object() {
    let server = Server::start();
    for body in ["[]", "null", "\"forrst\"", "17"] {
        let exchange = server
            .send_raw(Method::POST, "application/json", body)
            .await;
        exchange.is_response();
        exchange.is_for(None);
        // The root's pointer is empty, so a server may leave it out.
        exchange.is_refused(&["INVALID_REQUEST"], "");
    }
}

#[tokio::test]
async fn a_response_repeats_the_id_of_its_request() {
    let server = Server::start();
    let ids = [
        unique("req"),
        "0197b6a0-7c1e-7d3a-9d55-1f0a3c6b2e11".to_owned(),
        "with space".to_owned(),
        "gr\u{fc}n \u{1f96d}".to_owned(),
        "line\nfeed".to_owned(),
        "x".repeat(200),
    ];
    for id in ids {
        let mut good = request(PING, &json!({}));
        good["id"] = json!(id);
        // `send` checks the id of every response.
        server.send(&good).await.result();
        let mut bad = good;
        bad["call"] = json!(null);
        server
            .send(&bad)
            .await
            .is_refused(&["INVALID_REQUEST"], "/call");
    }
}

#[tokio::test]
async fn the_order_of_members_does_not_matter() {
    let server = Server::start();
    let call = format!(r#"{{"arguments":{{}},"version":"1.0.0","function":"{PING}"}}"#);
    let protocol = r#"{"version":"0.1.0","name":"forrst"}"#;
    let body = format!(
        r#"{{"extensions":[],"context":{{}},"call":{call},"id":"req_order","protocol":{protocol}}}"#
    );
    let exchange = server
        .send_raw(Method::POST, "application/json", body)
        .await;
    exchange.is_response();
    exchange.is_for(Some("req_order"));
    exchange.has_result(&pong());
}

/// A minor version may add optional members, and a server accepts requests of every minor version.
#[tokio::test]
async fn members_of_a_later_minor_version_are_ignored() {
    let server = Server::start();
    let mut request = full_request(&server);
    request["protocol"]["version"] = json!("0.99.0");
    for pointer in [
        "/later",
        "/protocol/later",
        "/call/later",
        "/extensions/0/later",
    ] {
        set(&mut request, pointer, Some(json!([1])));
    }
    server.send(&request).await.result();
}
