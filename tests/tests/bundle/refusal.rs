//! Requests that are refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::BUNDLE;

const ECHO: &str = r#"{"function":"demo.echo"}"#;

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_405_with_allow() {
    let api = BUNDLE.caller("method");
    for (method, path, allow) in [
        (Method::PUT, "/operations", "GET, HEAD, POST"),
        (Method::PATCH, "/operations/op_1", "DELETE, GET, HEAD"),
        (Method::GET, "/operations/op_1/cancel", "POST"),
        (Method::DELETE, "/operations/op_1/redeliver", "POST"),
        (Method::POST, "/functions", "GET, HEAD"),
        (Method::POST, "/health", "GET, HEAD"),
    ] {
        let response = api.send(method, path, &[], "").await;
        response.assert_problem(405, "INVALID_REQUEST");
        assert_eq!(response.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn a_body_must_be_json_of_at_most_one_mebibyte() {
    let api = BUNDLE.caller("body");
    for header in [
        ("content-type", "text/plain"),
        ("content-type", "application/json; charset=latin1"),
        ("content-encoding", "gzip"),
    ] {
        let response = api.send(Method::POST, "/operations", &[header], ECHO).await;
        response.assert_problem(415, "INVALID_REQUEST");
    }
    let padded = |bytes: usize| format!("{ECHO}{}", " ".repeat(bytes - ECHO.len()));
    let largest = api
        .send(Method::POST, "/operations", &[], padded(1024 * 1024))
        .await;
    assert_eq!(largest.status, 202, "{}", largest.text);
    let larger = api
        .send(Method::POST, "/operations", &[], padded(1024 * 1024 + 1))
        .await;
    larger.assert_problem(413, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_path_without_a_route_gets_the_gateways_404() {
    let api = BUNDLE.caller("route");
    for path in ["/", "/operation", "/operations/", "/operations/op_1/start"] {
        let response = api.get(path).await;
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.text, r#"{"message":"Not Found"}"#, "{path}");
    }
    let unauthorized = api
        .send(
            Method::GET,
            "/operations",
            &[("authorization", "Basic YTpi")],
            "",
        )
        .await;
    assert_eq!(unauthorized.status, 401);
    assert_eq!(unauthorized.text, r#"{"message":"Unauthorized"}"#);
}

#[tokio::test]
async fn the_functions_are_listed_with_their_limits_and_schemas() {
    let functions = BUNDLE.caller("functions").get("/functions").await.json();
    let functions = functions["functions"].as_array().unwrap();
    let summarize = functions
        .iter()
        .find(|function| function["name"] == "csv.summarize")
        .unwrap();
    assert_eq!(summarize["version"], "1.0.0");
    assert_eq!(summarize["limits"]["arguments_bytes_max"], 256 * 1024);
    assert_eq!(summarize["arguments_schema"]["required"], json!(["csv"]));
    assert!(functions.iter().all(|function| {
        let schema: &Value = &function["result_schema"];
        schema["type"] == "object"
    }));
}
