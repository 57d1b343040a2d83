//! `tracing`: the trace that a call belongs to.

use serde_json::json;

use super::server::{PING, Server, extension, request, unique};

#[tokio::test]
async fn a_response_has_the_callers_trace_and_a_new_span() {
    let server = Server::start();
    let trace_id = unique("trace");
    let mut spans = Vec::new();
    for options in [
        json!({"trace_id": trace_id, "span_id": "span_of_the_caller"}),
        json!({
            "trace_id": trace_id, "span_id": "span_of_the_caller",
            "parent_span_id": "span_of_its_caller", "baggage": {"season": "autumn"},
        }),
    ] {
        for (function, arguments) in [
            (server.quick.function.as_str(), &server.quick.arguments),
            (PING, &json!({})),
        ] {
            let mut request = request(function, arguments);
            request["extensions"] = json!([extension("tracing", &options)]);
            let exchange = server.send(&request).await;
            exchange.result();
            let expected = json!({
                "trace_id": trace_id, "span_id": "<text>",
                "duration": {"value": "<count>", "unit": "<text>"},
            });
            exchange.has_data("tracing", &expected);
            spans.push(exchange.data("tracing")["span_id"].to_string());
        }
    }
    let calls = spans.len();
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), calls, "two calls have the same span id");
    assert!(!spans.contains(&"\"span_of_the_caller\"".to_owned()));
}
