//! HTTP: methods, content types and sizes.

use reqwest::Method;
use serde_json::json;

use super::server::{CAPABILITIES, PING, Server, pong, request};

/// The limit that the specification recommends to servers.
const RECOMMENDED_BYTES_MAX: u64 = 1024 * 1024;
/// The largest limit that the suite tests.
const BYTES_MAX: u64 = 5 * 1024 * 1024;

#[tokio::test]
async fn a_result_has_the_status_200_and_is_json() {
    let server = Server::start();
    let exchange = server.system(PING, &json!({})).await;
    assert_eq!(exchange.status, 200, "{exchange}");
    exchange.has_result(&pong());
}

#[tokio::test]
async fn only_post_is_allowed() {
    let server = Server::start();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let body = request(PING, &json!({})).to_string();
        let exchange = server.send_raw(method, "application/json", body).await;
        // The specification says nothing more about this response.
        assert_eq!(exchange.status, 405, "{exchange}");
    }
}

#[tokio::test]
async fn only_json_is_accepted() {
    let server = Server::start();
    let body = || request(PING, &json!({})).to_string();
    for content_type in ["text/plain", "application/xml"] {
        let exchange = server.send_raw(Method::POST, content_type, body()).await;
        assert_eq!(exchange.status, 415, "{exchange}");
        exchange.is_response();
        exchange.error("INVALID_REQUEST");
    }
    let with_charset = "application/json; charset=utf-8";
    let exchange = server.send_raw(Method::POST, with_charset, body()).await;
    exchange.is_response();
    exchange.result();
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::start();
    let capabilities = server.system(CAPABILITIES, &json!({})).await;
    let stated = capabilities.result()["limits"]["max_request_bytes"].as_u64();
    let limit = stated.unwrap_or(RECOMMENDED_BYTES_MAX);
    if limit > BYTES_MAX {
        return;
    }
    let padding = "x".repeat(usize::try_from(limit).unwrap());
    let mut request = request(PING, &json!({}));
    request["context"] = json!({ "padding": padding });
    let exchange = server
        .send_raw(Method::POST, "application/json", request.to_string())
        .await;
    // A gateway may answer instead of the server, so the body is not checked.
    assert_eq!(exchange.status, 413, "{exchange}");
}
