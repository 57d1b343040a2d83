//! Extensions in general: their names, and which of them go with what.

use serde_json::json;
use tests::shape::assert_shape;

use super::server::{CANONICAL, PING, SHORT, Server, extension, request, unique};

/// The specification spells the names in two ways, so both are to be known, and a caller who looks for theirs must find it.
#[tokio::test]
async fn a_name_is_answered_as_it_was_spelled() {
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
            .any(|answer| answer["urn"] == urn.as_str());
        assert!(spelled, "{urn} is not answered\n{exchange}");
    }
}

/// One page has servers pass over what they do not know, and the same page has them refuse it. Nobody who asks for something must
/// believe that they have got it, so it is to be refused.
#[tokio::test]
async fn unknown_ones_are_refused_with_those_that_are_known() {
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
async fn one_that_is_given_twice_is_refused() {
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

/// The protocol's own functions answer at once and make no operation.
#[tokio::test]
async fn those_of_operations_do_not_go_with_functions_that_make_none() {
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
    // There is nothing to defer, so it is not deferred.
    let mut request = request(PING, &json!({}));
    request["extensions"] = json!([extension("async", &json!({"preferred": true}))]);
    let exchange = server.send(&request).await;
    exchange.has_result(&json!({"status": "<text>"}));
}

#[tokio::test]
async fn wrong_options_are_told_with_their_place() {
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
        // No page says which of the two it is.
        exchange.is_refused(&["INVALID_ARGUMENTS", "INVALID_REQUEST"], &pointer);
    }
}
