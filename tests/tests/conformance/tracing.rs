//! `tracing`: what a call belongs to.

use serde_json::json;

use super::server::{PING, Server, extension, request, unique};

#[tokio::test]
async fn a_trace_is_repeated_with_a_span_of_the_servers_own() {
    let server = Server::start();
    let trace_id = unique("trace");
    let mut spans = Vec::new();
    for options in [
        json!({"trace_id": trace_id, "span_id": "span_of_the_caller"}),
        json!({
            "trace_id": trace_id, "span_id": "span_of_the_caller", "parent_span_id": "span_of_its_caller",
            "baggage": {"season": "autumn"},
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
            let told = json!({
                "trace_id": trace_id, "span_id": "<text>",
                "duration": {"value": "<count>", "unit": "<text>"},
            });
            exchange.has_data("tracing", &told);
            spans.push(exchange.data("tracing")["span_id"].to_string());
        }
    }
    let named = spans.len();
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), named, "a span for each call");
    assert!(!spans.contains(&"\"span_of_the_caller\"".to_owned()));
}
