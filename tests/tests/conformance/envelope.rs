//! The envelope: what has to be in it, what is told of what is wrong, and what is repeated.

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{PING, Server, extension, pong, request, unique};

/// Sets the member at a pointer, or takes it away.
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

/// Everything that may be in a request.
fn whole(server: &Server) -> Value {
    let mut request = request(&server.quick.function, &server.quick.arguments);
    request["context"] = json!({"caller": "conformance"});
    request["extensions"] = json!([
        extension("tracing", &json!({"trace_id": "trace", "span_id": "span"})),
        extension("async", &json!({"preferred": false})),
    ]);
    request
}

#[tokio::test]
async fn every_wrong_member_is_told_with_its_place() {
    const STRUCTURE: &[&str] = &["INVALID_REQUEST"];
    // A version that is none is no request, or one of a version that nobody has.
    const VERSION: &[&str] = &["INVALID_REQUEST", "VERSION_NOT_FOUND"];
    // The pages have the first for a request's structure and the second for what a function is called with.
    const ARGUMENTS: &[&str] = &["INVALID_REQUEST", "INVALID_ARGUMENTS"];
    let server = Server::start();
    let rows = [
        // One page's table says a string, its examples and all other pages an object.
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
        let mut request = whole(&server);
        set(&mut request, pointer, value);
        let exchange = server.send(&request).await;
        exchange.is_refused(codes, pointer);
    }
}

#[tokio::test]
async fn what_is_wrong_in_several_places_is_a_bad_request() {
    let server = Server::start();
    let mut request = whole(&server);
    set(&mut request, "/call/function", None);
    set(&mut request, "/context", Some(json!(1)));
    set(&mut request, "/extensions/1/urn", None);
    let exchange = server.send(&request).await;
    assert_eq!(exchange.status, 400, "{exchange}");
    // How many of them are told is the server's own choice.
    let wrong = ["/call/function", "/context", "/extensions/1/urn"];
    for (code, pointer) in exchange.errors() {
        assert_eq!(code, "INVALID_REQUEST", "{exchange}");
        assert!(wrong.contains(&pointer), "{pointer}\n{exchange}");
    }
}

#[tokio::test]
async fn what_is_no_json_is_told_with_its_byte() {
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
async fn what_is_no_object_is_no_request() {
    let server = Server::start();
    for body in ["[]", "null", "\"forrst\"", "17"] {
        let exchange = server
            .send_raw(Method::POST, "application/json", body)
            .await;
        exchange.is_response();
        exchange.is_for(None);
        // The root's pointer is empty, so it may as well be left out.
        exchange.is_refused(&["INVALID_REQUEST"], "");
    }
}

#[tokio::test]
async fn the_id_is_repeated_as_it_was_sent() {
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
        // What it is for is asked of every exchange.
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
    let body = format!(
        r#"{{"extensions":[],"context":{{}},"call":{{"arguments":{{}},"version":"1.0.0","function":"{PING}"}},"id":"req_order","protocol":{{"version":"0.1.0","name":"forrst"}}}}"#
    );
    let exchange = server
        .send_raw(Method::POST, "application/json", body)
        .await;
    exchange.is_response();
    exchange.is_for(Some("req_order"));
    exchange.has_result(&pong());
}

/// A minor version may add optional members, and requests of any minor version are accepted.
#[tokio::test]
async fn members_of_a_later_minor_version_are_passed_over() {
    let server = Server::start();
    let mut request = whole(&server);
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
