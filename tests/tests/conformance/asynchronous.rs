//! `async`: a call that continues after its response, and the functions that manage it.

use serde_json::{Value, json};
use tests::shape::assert_shape;

use super::exchange::Exchange;
use super::server::{CANCEL, STATUS, Server, extension};

/// Expects that the call continues, and that the response says how to poll it.
#[track_caller]
fn expect_deferred(exchange: &Exchange) {
    assert_eq!(exchange.status, 200, "{exchange}");
    assert_eq!(exchange.result(), &Value::Null, "{exchange}");
    let id = &exchange.data("async")["operation_id"];
    let shape = json!({
        "operation_id": "<text>",
        "status": "<text>",
        "poll": {"function": STATUS, "version": "1.0.0", "arguments": {"operation_id": id}},
        "retry_after?": {"value": "<count>", "unit": "<text>"},
        "progress?": "<number>",
        "started_at?": "<time>",
    });
    exchange.has_data("async", &shape);
    // The table of states starts with `pending`; the examples show work that has started.
    let status = exchange.data("async")["status"].as_str().unwrap();
    assert!(["pending", "processing"].contains(&status), "{exchange}");
}

#[tokio::test]
async fn a_deferred_call_is_polled_to_its_result() {
    let server = Server::start();
    let begun = server.begin(&server.slow).await;
    expect_deferred(&begun);
    let polled = server.poll(&begun).await;
    let id = &begun.data("async")["operation_id"];
    let shape = json!({
    "operation_id": id, "function": server.slow.function, "version": "<text>",
    "status": "<text>", "progress?": "<anything>", "started_at?": "<time>",
    });
    polled.has_result(&shape);

    let completed = server.wait_for_status(&begun, "completed").await;
    // The examples call the result `output`, the table of the function's members `result`.
    let shape = json!({
        "operation_id": id, "status": "completed", "result": "<anything>",
        "started_at": "<time>", "completed_at": "<time>",
    });
    completed.has_result(&shape);
    let again = server.poll(&begun).await;
    assert_eq!(
        again.result(),
        completed.result(),
        "a terminal state changed\n{again}"
    );

    let refused = server.cancel(&begun).await;
    let error = refused.error("ASYNC_CANNOT_CANCEL");
    let details = json!({"operation_id": id, "status": "completed"});
    assert_shape(&json!({ "details": details }), error, &refused);
}

/// The page of `async` says `preferred`, the page of `webhook` says `accept`.
#[tokio::test]
async fn accept_means_the_same_as_preferred() {
    let server = Server::start();
    let extensions = json!([extension("async", &json!({"accept": true}))]);
    let begun = server.call(&server.slow, extensions).await;
    expect_deferred(&begun);
    server.cancel(&begun).await.result();
}

#[tokio::test]
async fn a_deferred_call_can_be_cancelled() {
    let server = Server::start();
    let begun = server.begin(&server.slow).await;
    let id = &begun.data("async")["operation_id"];
    let cancelled = server.cancel(&begun).await;
    let shape = json!({"operation_id": id, "status": "cancelled", "cancelled_at": "<time>"});
    cancelled.has_result(&shape);
    server
        .poll(&begun)
        .await
        .has_result(&json!({"operation_id": id, "status": "cancelled"}));

    // A call in any terminal state cannot be cancelled.
    let again = server.cancel(&begun).await;
    let details = json!({"operation_id": id, "status": "cancelled"});
    let error = again.error("ASYNC_CANNOT_CANCEL");
    assert_shape(&json!({ "details": details }), error, &again);
}

/// One example answers a poll with the operation's errors as errors of the poll; the table of the
/// function's members has them in its result. The suite follows the table: the poll itself did not
/// fail.
#[tokio::test]
async fn a_poll_of_a_failed_call_returns_its_errors() {
    let server = Server::start();
    let begun = server.begin(&server.failing).await;
    // A quick server may already have answered with the failure.
    if begun.json.get("errors").is_some() {
        return begun.is_functions_failure();
    }
    let failed = server.wait_for_status(&begun, "failed").await;
    failed.has_result(&json!({"status": "failed", "errors": "<array>"}));
    let errors = failed.result()["errors"].as_array().unwrap();
    let shape = json!({"code": "<text>", "message": "<text>"});
    assert_shape(&shape, &errors[0], &failed);
}

#[tokio::test]
async fn a_call_that_is_not_deferred_returns_its_failure() {
    let server = Server::start();
    let exchange = server.call(&server.failing, json!([])).await;
    // The server may choose to defer it.
    match exchange.data_of("async") {
        Some(_) if exchange.json.get("errors").is_none() => expect_deferred(&exchange),
        _ => exchange.is_functions_failure(),
    }
}

#[tokio::test]
async fn a_call_that_completes_at_once_returns_its_result() {
    let server = Server::start();
    for extensions in [
        json!([]),
        json!([extension("async", &json!({"preferred": false}))]),
    ] {
        let exchange = server.call(&server.quick, extensions).await;
        if exchange.result().is_null() {
            expect_deferred(&exchange);
            server.wait_for_status(&exchange, "completed").await;
        }
    }
}

#[tokio::test]
async fn an_unknown_operation_is_not_found() {
    let server = Server::start();
    for function in [STATUS, CANCEL] {
        for id in ["op_000000000000000000000000", "no operation's id"] {
            let exchange = server.system(function, &json!({"operation_id": id})).await;
            exchange.error("ASYNC_OPERATION_NOT_FOUND");
        }
        for arguments in [json!({}), json!({"operation_id": 1})] {
            let exchange = server.system(function, &arguments).await;
            let error = exchange.error("INVALID_ARGUMENTS");
            let pointer = error["source"]["pointer"].as_str().unwrap_or_default();
            // The pointer to a missing member may be its object's.
            assert!(pointer.starts_with("/call/arguments"), "{exchange}");
        }
    }
}
