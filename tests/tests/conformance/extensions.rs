//! Extensions in general: their names, and which of them apply to which functions.

use serde_json::json;
use tests::shape::assert_shape;

use super::server::{CANONICAL, PING, SHORT, Server, extension, request, unique};

/// The specification spells the names in two ways. A server accepts both, and answers in the
/// caller's spelling so that the caller finds it.
#[tokio::test]
async fn a_response_spells_a_name_as_the_request_did() {
    let server = Server::start();
    for prefix in [CANONICAL, SHORT] {
        let urn = format!("{prefix}tracing");
        let options = json!({"trace_id": "trace", "span_id": "span"});
        let extensions = json!([{"urn": urn, "options": options}]);
        let exchange = server.call(&server.quick, extensions).await;
        exchange.result();
        let spelled = exchange
            .extensions()
            .iter()
            .any(|extension| extension["urn"] == urn.as_str());
        assert!(spelled, "the response has no data for {urn}\n{exchange}");
    }
}

/// The same page says that servers ignore unknown extensions and that they refuse them. The suite
/// expects a refusal, so that no caller relies on an extension that the server ignored.
#[tokio::test]
async fn unknown_extensions_are_refused_with_a_list_of_the_supported_ones() {
    let server = Server::start();
    let unknown = ["urn:forrst:ext:no-such-extension", "urn:example:ext:audit"];
    let extensions = json!([
        extension("retry", &json!({})),
        {"urn": unknown[0]},
        {"urn": unknown[1], "options": {"actor": "a"}},
    ]);
    let exchange = server.call(&server.quick, extensions).await;
    let error = exchange.error("EXTENSION_NOT_SUPPORTED");
    let shape = json!({
        "source?": {"pointer": "/extensions/1/urn"},
        "details": {"unsupported": unknown, "supported": "<array>"},
    });
    assert_shape(&shape, error, &exchange);
    assert_ne!(error["details"]["supported"], json!([]), "{exchange}");
}

#[tokio::test]
async fn a_repeated_extension_is_refused() {
    let server = Server::start();
    let options = json!({"trace_id": "trace", "span_id": "span"});
    for second in [CANONICAL, SHORT] {
        let extensions = json!([
            extension("tracing", &options),
            {"urn": format!("{second}tracing"), "options": options},
        ]);
        let exchange = server.call(&server.quick, extensions).await;
        exchange.is_refused(&["INVALID_REQUEST"], "/extensions/1/urn");
    }
}

/// The protocol's system functions answer at once and create no operation.
#[tokio::test]
async fn extensions_for_operations_do_not_apply_to_system_functions() {
    let server = Server::start();
    let callbacks = server.callbacks().await;
    for (name, options) in [
        ("idempotency", json!({"key": unique("key")})),
        ("webhook", json!({"callback_url": callbacks.url})),
        ("deadline", json!({"value": 5, "unit": "second"})),
    ] {
        let mut request = request(PING, &json!({}));
        request["extensions"] = json!([
            extension("tracing", &json!({"trace_id": "trace", "span_id": "span"})),
            extension(name, &options),
        ]);
        let exchange = server.send(&request).await;
        let error = exchange.error("EXTENSION_NOT_APPLICABLE");
        let shape = json!({
            "source": {"pointer": "/extensions/1"},
            "details": {"extension": format!("{CANONICAL}{name}"), "function": PING},
        });
        assert_shape(&shape, error, &exchange);
    }
    // A system function has nothing to defer, so the preference is ignored.
    let mut request = request(PING, &json!({}));
    request["extensions"] = json!([extension("async", &json!({"preferred": true}))]);
    let exchange = server.send(&request).await;
    exchange.has_result(&json!({"status": "<text>"}));
}

#[tokio::test]
async fn an_error_points_to_the_wrong_option() {
    let server = Server::start();
    let rows = [
        ("async", json!({"preferred": "yes"}), "preferred"),
        ("async", json!({"callback_url": 1}), "callback_url"),
        ("webhook", json!({}), "callback_url"),
        ("idempotency", json!({}), "key"),
        ("idempotency", json!({"key": ""}), "key"),
        ("idempotency", json!({"key": 17}), "key"),
        ("deadline", json!({"unit": "second"}), "value"),
        ("deadline", json!({"value": 5}), "unit"),
        ("deadline", json!({"value": 5, "unit": "fortnight"}), "unit"),
        ("deadline", json!({"value": -5, "unit": "second"}), "value"),
        (
            "deadline",
            json!({"value": "soon", "unit": "iso8601"}),
            "value",
        ),
        ("tracing", json!({"span_id": "span"}), "trace_id"),
        ("tracing", json!({"trace_id": "trace"}), "span_id"),
        (
            "tracing",
            json!({"trace_id": "t", "span_id": "s", "baggage": "b"}),
            "baggage",
        ),
    ];
    for (name, options, member) in rows {
        let exchange = server
            .call(&server.quick, json!([extension(name, &options)]))
            .await;
        let pointer = format!("/extensions/0/options/{member}");
        // No page says which of the two codes applies.
        exchange.is_refused(&["INVALID_ARGUMENTS", "INVALID_REQUEST"], &pointer);
    }
}
