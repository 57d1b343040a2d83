//! HTTP around the envelope.

use reqwest::Method;
use serde_json::json;

use super::server::{CAPABILITIES, PING, Server, pong, request};

/// What servers are advised to take.
const RECOMMENDED_BYTES_MAX: u64 = 1024 * 1024;
/// A server that takes more than this is not sent as much.
const BYTES_MAX: u64 = 5 * 1024 * 1024;

#[tokio::test]
async fn a_result_is_200_and_json() {
    let server = Server::start();
    let exchange = server.system(PING, &json!({})).await;
    assert_eq!(exchange.status, 200, "{exchange}");
    exchange.has_result(&pong());
}

#[tokio::test]
async fn only_posts_are_calls() {
    let server = Server::start();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let body = request(PING, &json!({})).to_string();
        let exchange = server.send_raw(method, "application/json", body).await;
        // What else is in it is HTTP's business.
        assert_eq!(exchange.status, 405, "{exchange}");
    }
}

#[tokio::test]
async fn only_json_is_read() {
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
async fn too_large_a_body_is_refused() {
    let server = Server::start();
    let capabilities = server.system(CAPABILITIES, &json!({})).await;
    let told = capabilities.result()["limits"]["max_request_bytes"].as_u64();
    let most = told.unwrap_or(RECOMMENDED_BYTES_MAX);
    if most > BYTES_MAX {
        return;
    }
    let padding = "x".repeat(usize::try_from(most).unwrap());
    let mut request = request(PING, &json!({}));
    request["context"] = json!({ "padding": padding });
    let exchange = server
        .send_raw(Method::POST, "application/json", request.to_string())
        .await;
    // A gateway may answer in front of the server, so nothing is asked of the body.
    assert_eq!(exchange.status, 413, "{exchange}");
}
