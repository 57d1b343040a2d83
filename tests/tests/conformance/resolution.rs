//! Versions of the protocol and of functions, and how a server finds the called function.

use serde_json::{Value, json};
use tests::shape::assert_shape;

use super::server::{DESCRIBE, PING, Server, pong, request};

#[tokio::test]
async fn every_minor_version_is_accepted() {
    let server = Server::start();
    for version in ["0.1.0", "0.1.9", "0.2.0", "0.99.1"] {
        let mut request = request(PING, &json!({}));
        request["protocol"]["version"] = json!(version);
        server.send(&request).await.has_result(&pong());
    }
}

#[tokio::test]
async fn another_major_version_is_refused_with_a_list_of_the_supported_ones() {
    let server = Server::start();
    let mut request = request(PING, &json!({}));
    request["protocol"]["version"] = json!("99.0.0");
    let exchange = server.send(&request).await;
    let error = exchange.error("INVALID_PROTOCOL_VERSION");
    let details = json!({"requested": "99.0.0", "supported": "<array>"});
    assert_shape(&json!({ "details": details }), error, &exchange);
    let supported = error["details"]["supported"].as_array().unwrap();
    assert!(supported.contains(&json!("0.1.0")), "{exchange}");
}

#[tokio::test]
async fn a_call_without_a_version_runs_the_recommended_stable_one() {
    let server = Server::start();
    let without = server.call(&server.quick, json!([])).await;
    let name = &server.quick.function;
    let described = server.system(DESCRIBE, &json!({"function": name})).await;
    described.has_result(&json!({"recommended_version": "<text>", "versions": "<array>"}));
    let version = &described.result()["recommended_version"];
    let versions = described.result()["versions"].as_array().unwrap();
    let is_recommended = |known: &&Value| known["version"] == *version;
    let recommended = versions.iter().find(is_recommended);
    assert_eq!(recommended.unwrap()["stability"], "stable", "{described}");
    let mut request = request(name, &server.quick.arguments);
    request["call"]["version"] = version.clone();
    let with = server.send(&request).await;
    let results = (
        server.result_of(&with).await,
        server.result_of(&without).await,
    );
    assert_eq!(results.0, results.1, "{with}");
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_a_list_of_the_available_ones() {
    let server = Server::start();
    for name in [server.quick.function.as_str(), PING] {
        let mut request = request(name, &server.quick.arguments);
        if name == PING {
            request["call"]["arguments"] = json!({});
        }
        request["call"]["version"] = json!("999.0.0");
        let exchange = server.send(&request).await;
        let error = exchange.error("VERSION_NOT_FOUND");
        let shape = json!({"details": {
            "function": name, "requested_version": "999.0.0", "available_versions": "<array>",
        }});
        assert_shape(&shape, error, &exchange);
        let available = error["details"]["available_versions"].as_array().unwrap();
        assert!(!available.is_empty(), "{exchange}");
        assert!(available.iter().all(Value::is_string), "{exchange}");
    }
}

#[tokio::test]
async fn an_unknown_function_is_not_found() {
    let server = Server::start();
    for name in [
        "conformance.no_such_function",
        "urn:cline:forrst:fn:no_such_function",
        // Names are case-sensitive.
        &server.quick.function.to_uppercase(),
    ] {
        let exchange = server.send(&request(name, &json!({}))).await;
        let error = exchange.error("FUNCTION_NOT_FOUND");
        let shape = json!({"source?": {"pointer": "/call/function"}});
        assert_shape(&shape, error, &exchange);
    }
}

#[tokio::test]
async fn arguments_are_optional() {
    let server = Server::start();
    let mut request = request(PING, &json!({}));
    request["call"].as_object_mut().unwrap().remove("arguments");
    server.send(&request).await.has_result(&pong());
}
