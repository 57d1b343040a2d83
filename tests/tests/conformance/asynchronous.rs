//! `async`: a call that goes on after its answer, and the functions that look after it.

use serde_json::{Value, json};
use tests::shape::assert_shape;

use super::exchange::Exchange;
use super::server::{CANCEL, STATUS, Server, extension};

/// Expects that the call goes on, and where to ask for it.
#[track_caller]
fn goes_on(exchange: &Exchange) {
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
    // The table of states begins with `pending`; the examples are of work that has begun.
    let status = exchange.data("async")["status"].as_str().unwrap();
    assert!(["pending", "processing"].contains(&status), "{exchange}");
}

#[tokio::test]
async fn a_call_goes_on_and_is_followed_to_its_result() {
    let server = Server::start();
    let begun = server.begin(&server.slow).await;
    goes_on(&begun);
    let polled = server.poll(&begun).await;
    let id = &begun.data("async")["operation_id"];
    let shape = json!({
        "operation_id": id, "function": server.slow.function, "version": "<text>", "status": "<text>",
        "progress?": "<anything>", "started_at?": "<time>",
    });
    polled.has_result(&shape);

    let completed = server.reaches(&begun, "completed").await;
    // The examples have the result as `output`, the table of the function's members as `result`.
    let shape = json!({
        "operation_id": id, "status": "completed", "result": "<anything>",
        "started_at": "<time>", "completed_at": "<time>",
    });
    completed.has_result(&shape);
    let again = server.poll(&begun).await;
    assert_eq!(
        again.result(),
        completed.result(),
        "an end that changed\n{again}"
    );

    let refused = server.cancel(&begun).await;
    let error = refused.error("ASYNC_CANNOT_CANCEL");
    let details = json!({"operation_id": id, "status": "completed"});
    assert_shape(&json!({ "details": details }), error, &refused);
}

/// The page of `webhook` has another word for it than the page of `async`.
#[tokio::test]
async fn accept_is_another_word_for_preferred() {
    let server = Server::start();
    let extensions = json!([extension("async", &json!({"accept": true}))]);
    let begun = server.call(&server.slow, extensions).await;
    goes_on(&begun);
    server.cancel(&begun).await.result();
}

#[tokio::test]
async fn a_call_is_cancelled() {
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

    // What has ended cannot be cancelled, whatever its end.
    let again = server.cancel(&begun).await;
    let details = json!({"operation_id": id, "status": "cancelled"});
    let error = again.error("ASYNC_CANNOT_CANCEL");
    assert_shape(&json!({ "details": details }), error, &again);
}

/// One example answers a poll with the operation's errors; the table of the function's members has them in its result. A read that
/// found what it looked for has not failed.
#[tokio::test]
async fn a_failed_call_is_read_with_its_errors() {
    let server = Server::start();
    let begun = server.begin(&server.failing).await;
    // A server that is quick may have told already.
    if begun.json.get("errors").is_some() {
        return begun.is_the_functions_own_failure();
    }
    let failed = server.reaches(&begun, "failed").await;
    failed.has_result(&json!({"status": "failed", "errors": "<array>"}));
    let errors = failed.result()["errors"].as_array().unwrap();
    let shape = json!({"code": "<text>", "message": "<text>"});
    assert_shape(&shape, &errors[0], &failed);
}

#[tokio::test]
async fn a_failure_is_told_to_whoever_waits_for_it() {
    let server = Server::start();
    let exchange = server.call(&server.failing, json!([])).await;
    // Whether it is waited for is the server's choice.
    match exchange.data_of("async") {
        Some(_) if exchange.json.get("errors").is_none() => goes_on(&exchange),
        _ => exchange.is_the_functions_own_failure(),
    }
}

#[tokio::test]
async fn a_call_that_completes_at_once_has_its_result() {
    let server = Server::start();
    for extensions in [
        json!([]),
        json!([extension("async", &json!({"preferred": false}))]),
    ] {
        let exchange = server.call(&server.quick, extensions).await;
        if exchange.result().is_null() {
            goes_on(&exchange);
            server.reaches(&exchange, "completed").await;
        }
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
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
            // What is missing lies in its object as well.
            assert!(pointer.starts_with("/call/arguments"), "{exchange}");
        }
    }
}
