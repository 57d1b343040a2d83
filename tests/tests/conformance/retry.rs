//! `retry`: whether a caller should retry.

use serde_json::json;
use tests::shape::assert_shape;

use super::server::{Server, extension};

#[tokio::test]
async fn a_transient_error_says_how_to_retry() {
    let server = Server::start();
    let passed = json!({"value": 1, "unit": "millisecond"});
    let asked_for = extension("retry", &json!({}));
    // The response has it even if the request does not ask for it.
    for extensions in [
        json!([extension("deadline", &passed)]),
        json!([asked_for, extension("deadline", &passed)]),
    ] {
        let exchange = server.call(&server.slow, extensions).await;
        exchange.error("DEADLINE_EXCEEDED");
        let retry = json!({
            "allowed": true, "strategy?": "<text>",
            "after?": {"value": "<count>", "unit": "<text>"}, "max_attempts?": "<count>",
        });
        exchange.has_data("retry", &retry);
        if let Some(strategy) = exchange.data("retry")["strategy"].as_str() {
            let known = ["immediate", "fixed", "exponential"];
            assert!(known.contains(&strategy), "{exchange}");
        }
    }
}

/// One part of the page omits the extension's data for such errors, another shows it with `allowed:
/// false`. The suite accepts both, and never `allowed: true`.
#[tokio::test]
async fn a_permanent_error_does_not_allow_a_retry() {
    let server = Server::start();
    let asked_for = json!([extension("retry", &json!({}))]);
    let mut wrong = server.quick.clone();
    wrong.function = "conformance.no_such_function".to_owned();
    let refused = server.call(&wrong, asked_for.clone()).await;
    refused.error("FUNCTION_NOT_FOUND");
    if let Some(data) = refused.data_of("retry") {
        assert_shape(&json!({"allowed": false}), data, &refused);
    }

    let done = server.call(&server.quick, asked_for).await;
    done.result();
    assert!(done.data_of("retry").is_none(), "after a success\n{done}");
}
