//! `deadline`: the time that a call may take.

use serde_json::json;
use tests::shape::assert_shape;

use super::server::{Server, extension};

#[tokio::test]
async fn the_response_says_how_much_of_the_deadline_is_left() {
    let server = Server::start();
    for specified in [
        json!({"value": 3_600_000, "unit": "millisecond"}),
        json!({"value": 3600, "unit": "second"}),
        json!({"value": 60, "unit": "minute"}),
        json!({"value": 1, "unit": "hour"}),
    ] {
        let extensions = json!([extension("deadline", &specified)]);
        let exchange = server.call(&server.quick, extensions).await;
        exchange.result();
        let expected = json!({
            "specified": specified,
            "elapsed": {"value": "<count>", "unit": "millisecond"},
            "remaining": {"value": "<count>", "unit": "millisecond"},
            "utilization": "<number>",
        });
        exchange.has_data("deadline", &expected);
        let data = exchange.data("deadline");
        let millis = |name: &str| data[name]["value"].as_u64().unwrap();
        // Each may have been rounded.
        let total = millis("elapsed") + millis("remaining");
        assert!((3_599_998..=3_600_002).contains(&total), "{exchange}");
        let utilization = data["utilization"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&utilization), "{exchange}");
    }
}

#[tokio::test]
async fn a_deadline_may_be_a_point_in_time() {
    use shared::clock::{Clock as _, SystemClock};
    let server = Server::start();
    let at = SystemClock.now() + std::time::Duration::from_secs(3600);
    let specified = json!({"value": at.to_string(), "unit": "iso8601"});
    let extensions = json!([extension("deadline", &specified)]);
    let exchange = server.call(&server.quick, extensions).await;
    exchange.result();
    exchange.has_data(
        "deadline",
        &json!({"specified": specified, "utilization": "<number>"}),
    );
}

/// One rule says that servers do not answer after the deadline, another that they answer with this
/// error. The examples show the error.
#[tokio::test]
async fn a_deadline_that_has_passed_is_an_error() {
    let server = Server::start();
    for (call, specified) in [
        (
            &server.quick,
            json!({"value": "2001-01-01T00:00:00Z", "unit": "iso8601"}),
        ),
        (&server.slow, json!({"value": 300, "unit": "millisecond"})),
    ] {
        let extensions = json!([extension("deadline", &specified)]);
        let exchange = server.call(call, extensions).await;
        // A server that defers the call has the error in the operation.
        if exchange.json.get("errors").is_none() {
            let failed = server.wait_for_status(&exchange, "failed").await;
            let errors = &failed.result()["errors"];
            assert_eq!(errors[0]["code"], "DEADLINE_EXCEEDED", "{failed}");
            continue;
        }
        let error = exchange.error("DEADLINE_EXCEEDED");
        let details =
            json!({"deadline": specified, "elapsed": {"value": "<count>", "unit": "millisecond"}});
        assert_shape(&json!({ "details": details }), error, &exchange);
        // A server that has not started the call may have measured nothing.
        let Some(data) = exchange.data_of("deadline") else {
            continue;
        };
        let expected = json!({
            "specified": specified, "remaining": {"value": 0, "unit": "millisecond"},
        });
        assert_shape(&expected, data, &exchange);
    }
}
