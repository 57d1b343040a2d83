//! `idempotency`: calls with the same key run once.

use serde_json::{Value, json};
use tests::shape::assert_shape;

use super::exchange::Exchange;
use super::server::{Call, Server, extension, prefer_async, request, unique};

async fn call(server: &Server, call: &Call, key: &str, deferred: bool) -> Exchange {
    let mut request = request(&call.function, &call.arguments);
    let mut extensions = vec![extension("idempotency", &json!({"key": key}))];
    if deferred {
        extensions.push(prefer_async());
    }
    request["extensions"] = json!(extensions);
    server.send(&request).await
}

fn id_of(exchange: &Exchange) -> &Value {
    &exchange.json["id"]
}

#[tokio::test]
async fn a_second_call_gets_the_result_of_the_first() {
    let server = Server::start();
    let key = unique("key");
    let first = call(&server, &server.quick, &key, false).await;
    let processed = json!({
        "key": key, "status": "processed", "original_request_id": id_of(&first),
        "expires_at": "<time>",
    });
    first.has_data("idempotency", &processed);
    let result = server.result_of(&first).await;

    for deferred in [false, true] {
        let second = call(&server, &server.quick, &key, deferred).await;
        assert_eq!(second.result(), &result, "another result\n{second}");
        assert_ne!(id_of(&second), id_of(&first));
        let cached = json!({
            "key": key, "status": "cached", "original_request_id": id_of(&first),
            "cached_at": "<time>", "expires_at": "<time>",
        });
        second.has_data("idempotency", &cached);
    }
}

#[tokio::test]
async fn a_key_with_other_arguments_is_a_conflict() {
    let server = Server::start();
    let key = unique("key");
    let first = call(&server, &server.quick, &key, false).await;
    first.result();
    let second = call(&server, &server.other, &key, false).await;
    let error = second.error("IDEMPOTENCY_CONFLICT");
    let details = json!({"key": key, "original_arguments_hash?": "<text>"});
    assert_shape(&json!({ "details": details }), error, &second);
    if let Some(hash) = error["details"]["original_arguments_hash"].as_str() {
        assert!(hash.starts_with("sha256:"), "{second}");
    }
    let conflict = json!({"key": key, "status": "conflict", "original_request_id": id_of(&first)});
    second.has_data("idempotency", &conflict);
}

/// One page refuses such a call with a separate error, the page of `async` answers it with the
/// existing operation. The suite follows the second, which spares the caller a retry.
#[tokio::test]
async fn a_second_call_while_the_first_runs_returns_its_operation() {
    let server = Server::start();
    let key = unique("key");
    let first = call(&server, &server.slow, &key, true).await;
    first.has_data("idempotency", &json!({"key": key, "status": "processed"}));
    let second = call(&server, &server.slow, &key, true).await;
    assert_eq!(
        second.data("async")["operation_id"],
        first.data("async")["operation_id"],
        "another operation\n{second}"
    );
    assert_eq!(second.result(), &Value::Null, "{second}");
    let processing =
        json!({"key": key, "status": "processing", "original_request_id": id_of(&first)});
    second.has_data("idempotency", &processing);
    server.cancel(&first).await.result();
}

#[tokio::test]
async fn sixteen_concurrent_calls_make_one_operation() {
    let server = Server::start();
    let key = unique("key");
    let calls = (0..16).map(|_| call(&server, &server.slow, &key, true));
    let exchanges = futures_util::future::join_all(calls).await;
    let mut first = 0;
    for exchange in &exchanges {
        assert_eq!(
            exchange.data("async")["operation_id"],
            exchanges[0].data("async")["operation_id"],
            "another operation\n{exchange}"
        );
        first += usize::from(exchange.data("idempotency")["status"] == "processed");
    }
    assert_eq!(first, 1, "one of them is the first");
    server.cancel(&exchanges[0]).await.result();
}

#[tokio::test]
async fn a_key_may_have_a_ttl() {
    let server = Server::start();
    let key = unique("key");
    let ttl = json!({"value": 1, "unit": "hour"});
    let extensions = json!([extension("idempotency", &json!({"key": key, "ttl": ttl}))]);
    let exchange = server.call(&server.quick, extensions).await;
    // The server may grant another one; the response says when the key expires.
    exchange.has_data("idempotency", &json!({"key": key, "expires_at": "<time>"}));
}

/// The specification hashes a key with the function and the version.
#[tokio::test]
async fn a_key_belongs_to_one_function() {
    let server = Server::start();
    let key = unique("key");
    call(&server, &server.quick, &key, false).await.result();
    let other = call(&server, &server.slow, &key, true).await;
    other.has_data("idempotency", &json!({"key": key, "status": "processed"}));
    server.cancel(&other).await.result();
}
