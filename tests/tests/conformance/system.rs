//! The protocol's system functions: ping, health, capabilities and describe.

use serde_json::{Value, json};
use tests::shape::assert_shape;

use super::server::{CANCEL, CAPABILITIES, DESCRIBE, HEALTH, LIST, PING, STATUS, Server, request};

const STATUSES: [&str; 3] = ["healthy", "degraded", "unhealthy"];

#[tokio::test]
async fn ping_reports_a_healthy_server() {
    let server = Server::start();
    let exchange = server.system(PING, &json!({})).await;
    exchange
        .has_result(&json!({"status": "healthy", "timestamp": "<time>", "details?": "<object>"}));
}

#[tokio::test]
async fn health_is_that_of_the_worst_component() {
    let server = Server::start();
    let exchange = server.system(HEALTH, &json!({})).await;
    exchange.has_result(&json!({
        "status": "<text>", "components": "<object>", "timestamp": "<time>",
        "functions?": "<object>",
    }));
    let rank = |status: &Value| {
        STATUSES
            .iter()
            .position(|known| status == known)
            .unwrap_or_else(|| panic!("{status} is not a health status\n{exchange}"))
    };
    let result = exchange.result();
    let mut worst = 0;
    for component in result["components"].as_object().unwrap().values() {
        let shape = json!({
            "status": "<text>", "latency?": {"value": "<count>", "unit": "<text>"},
            "message?": "<text>", "last_check?": "<time>",
        });
        assert_shape(&shape, component, &exchange);
        worst = worst.max(rank(&component["status"]));
    }
    // If a server reports the health of functions, they count as well.
    if result.get("functions").is_none() {
        assert_eq!(rank(&result["status"]), worst, "{exchange}");
    }
    let expected = if result["status"] == "unhealthy" {
        503
    } else {
        200
    };
    assert_eq!(exchange.status, expected, "{exchange}");
}

#[tokio::test]
async fn health_can_be_limited_to_one_component_and_omit_details() {
    let server = Server::start();
    let arguments = json!({"component": "self", "include_details": false});
    let exchange = server.system(HEALTH, &arguments).await;
    exchange.has_result(&json!({"status": "healthy", "timestamp": "<time>"}));
    assert!(exchange.result().get("components").is_none(), "{exchange}");

    let all = server.system(HEALTH, &json!({})).await;
    let components = all.result()["components"].as_object().unwrap();
    for name in components.keys().filter(|name| *name != "self") {
        let one = server.system(HEALTH, &json!({"component": name})).await;
        let reported = one.result()["components"].as_object().unwrap();
        assert!(reported.keys().eq([name]), "{one}");
    }
}

#[tokio::test]
async fn capabilities_list_versions_functions_and_extensions() {
    let server = Server::start();
    let exchange = server.system(CAPABILITIES, &json!({})).await;
    exchange.has_result(&json!({
        "service": "<text>", "protocol_versions": "<array>", "extensions": "<array>",
        "functions": "<array>", "limits?": "<object>",
    }));
    let result = exchange.result();
    let versions = result["protocol_versions"].as_array().unwrap();
    assert!(versions.contains(&json!("0.1.0")), "{exchange}");
    let functions = result["functions"].as_array().unwrap();
    assert!(
        functions.contains(&json!(server.quick.function)),
        "{exchange}"
    );
    let mut urns = Vec::new();
    for extension in result["extensions"].as_array().unwrap() {
        assert_shape(&json!({"urn": "<text>"}), extension, &exchange);
        urns.push(extension["urn"].as_str().unwrap());
    }
    for name in [
        "async",
        "webhook",
        "idempotency",
        "deadline",
        "tracing",
        "retry",
    ] {
        let known = urns.iter().any(|urn| urn.rsplit(':').next() == Some(name));
        assert!(known, "{name}\n{exchange}");
    }
}

#[tokio::test]
async fn describe_lists_a_functions_versions() {
    let server = Server::start();
    for name in [
        server.quick.function.as_str(),
        server.slow.function.as_str(),
        PING,
        STATUS,
        CANCEL,
        LIST,
    ] {
        let exchange = server.system(DESCRIBE, &json!({"function": name})).await;
        exchange.has_result(&json!({
            "function": name, "description": "<text>", "side_effects": "<array>",
            "versions": "<array>", "recommended_version": "<text>",
        }));
        let result = exchange.result();
        for effect in result["side_effects"].as_array().unwrap() {
            let known = ["create", "update", "delete"];
            assert!(known.contains(&effect.as_str().unwrap()), "{exchange}");
        }
        let versions = result["versions"].as_array().unwrap();
        let recommended = &result["recommended_version"];
        assert!(
            versions
                .iter()
                .any(|version| version["version"] == *recommended),
            "{exchange}"
        );
        for version in versions {
            let shape = json!({
                "version": "<text>", "stability": "<text>", "description?": "<text>",
                "schema?": {"arguments": "<object>", "returns": "<anything>"},
            });
            assert_shape(&shape, version, &exchange);
        }
    }
}

#[tokio::test]
async fn describe_can_be_limited_to_one_version_and_omit_schemas() {
    let server = Server::start();
    let name = &server.quick.function;
    let all = server.system(DESCRIBE, &json!({"function": name})).await;
    let version = &all.result()["recommended_version"];
    let arguments = json!({"function": name, "version": version, "include_schema": false});
    let one = server.system(DESCRIBE, &arguments).await;
    let versions = one.result()["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1, "{one}");
    assert_eq!(&versions[0]["version"], version, "{one}");
    assert!(versions[0].get("schema").is_none(), "{one}");

    let unknown = json!({"function": name, "version": "999.0.0"});
    let exchange = server.system(DESCRIBE, &unknown).await;
    exchange.error("VERSION_NOT_FOUND");
    let unknown = json!({"function": "conformance.no_such_function"});
    let exchange = server.system(DESCRIBE, &unknown).await;
    exchange.error("FUNCTION_NOT_FOUND");
}

#[tokio::test]
async fn system_functions_can_be_called_with_their_version() {
    let server = Server::start();
    for name in [PING, HEALTH, CAPABILITIES, LIST] {
        let mut request = request(name, &json!({}));
        request["call"]["version"] = json!("1.0.0");
        server.send(&request).await.result();
    }
}
