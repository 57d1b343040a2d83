//! The runtime for Node handlers, with the `node` in `PATH`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(dead_code, reason = "the tests of targets use what these do not")]

mod invoke_api;
mod wait;

use std::time::Duration;

use local::targets::TargetSettings;
use serde_json::json;

use crate::invoke_api::{Api, command, directory, target};

const MODULE: &str = r#"
export const handler = async (event, context) => {
  if (event.fail) throw new RangeError(event.fail);
  if (event.text) throw event.text;
  if (event.crash) setTimeout(() => { throw new Error(event.crash); }, 1);
  if (event.crash) return new Promise(() => {});
  if (event.exit) process.exit(event.exit);
  if (event.cycle) return { get cycle() { return this; } };
  if (event.context) {
    const { awsRequestId, functionName } = context;
    return { awsRequestId, functionName, remaining: context.getRemainingTimeInMillis() };
  }
  return event.nothing ? undefined : event;
};
export const plain = (event) => event;
export const callback = (event, context, done) => setTimeout(() => done(null, event), 1);
export const refusing = (event, context, done) => done(new TypeError("no"));
export const nested = { handler: async () => "nested" };
"#;

const COMMON: &str = "const x = { handler: async () => 'common' }; module.exports = x;";

/// One target for each handler, which is named like it.
async fn api(test: &str, handlers: &[&str]) -> Api {
    let directory = directory(test);
    for (file, text) in [
        ("app.mjs", MODULE),
        ("old.cjs", COMMON),
        ("plain.js", COMMON),
        ("broken.mjs", "export const handler = ;"),
        ("dies.mjs", "throw new RangeError('no settings');"),
    ] {
        std::fs::write(directory.join(file), text).unwrap();
    }
    let targets = handlers.iter().map(|handler| TargetSettings {
        timeout: Duration::from_secs(20),
        ..target(
            &lambda_function(handler),
            command(&["node", "$FERRY_RUNTIMES/node.mjs", handler]),
        )
    });
    Api::open(directory, targets.collect()).await
}

/// A name for the Lambda function of a handler.
fn lambda_function(handler: &str) -> String {
    handler.replace('.', "-")
}

#[tokio::test]
async fn a_handler_gets_the_event_and_returns_its_response() {
    let api = api("node_response", &["app.handler"]).await;
    for event in [json!({"key": ["ä", 1.5, null]}), json!({}), json!([])] {
        assert_eq!(api.invoke("app-handler", &event).await.body, event);
    }
    let nothing = api.invoke("app-handler", &json!({"nothing": true})).await;
    assert_eq!((nothing.status, nothing.body), (200, json!(null)));
    let context = api.invoke("app-handler", &json!({"context": true})).await;
    assert_eq!(context.body["functionName"], "app-handler");
    assert_eq!(context.body["awsRequestId"].as_str().unwrap().len(), 36);
    let remaining = context.body["remaining"].as_i64().unwrap();
    assert!((1..=20_000).contains(&remaining), "{remaining}");
    api.targets.stop().await;
}

#[tokio::test]
async fn handlers_are_exports_of_modules_of_either_kind_and_styles_are_lambdas() {
    let expected = [
        ("old.handler", json!("common")),
        ("plain.handler", json!("common")),
        ("app.nested.handler", json!("nested")),
        ("app.callback", json!({"n": 1})),
        // On Lambda, only a promise and the callback return something.
        ("app.plain", json!(null)),
    ];
    let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    let api = api("node_kinds", &names).await;
    for (name, response) in expected {
        for _ in 0..2 {
            let invoked = api.invoke(&lambda_function(name), &json!({"n": 1})).await;
            assert_eq!((invoked.status, invoked.failed), (200, None), "{name}");
            assert_eq!(invoked.body, response, "{name}");
        }
    }
    api.targets.stop().await;
}

#[tokio::test]
async fn an_error_has_its_type_its_message_and_its_stack() {
    let api = api("node_errors", &["app.handler", "app.refusing"]).await;
    let failed = api
        .invoke("app-handler", &json!({"fail": "too wide"}))
        .await;
    assert_eq!(failed.function_error(), "RangeError");
    assert_eq!(failed.error_message(), "too wide");
    let first = failed.body["stackTrace"][0].as_str().unwrap();
    assert!(
        first.starts_with("at ") && first.contains("app.mjs"),
        "{first}"
    );
    for (handler, event, error_type, message) in [
        (
            "app.handler",
            json!({"text": "no error"}),
            "string",
            "no error",
        ),
        ("app.handler", json!({"crash": "later"}), "Error", "later"),
        (
            "app.handler",
            json!({"cycle": true}),
            "TypeError",
            "circular",
        ),
        (
            "app.handler",
            json!({"exit": 3}),
            "Runtime.ExitError",
            "exit status: 3",
        ),
        ("app.refusing", json!({}), "TypeError", "no"),
    ] {
        let failed = api.invoke(&lambda_function(handler), &event).await;
        assert_eq!(failed.function_error(), error_type, "{event}");
        assert!(failed.error_message().contains(message), "{failed:?}");
        assert_eq!(api.invoke("app-handler", &json!(1)).await.body, 1);
    }
    api.targets.stop().await;
}

#[tokio::test]
async fn a_handler_that_cannot_be_loaded_fails_each_invocation_with_the_reason() {
    let expected = [
        ("missing.handler", "Runtime.ImportModuleError", "'missing'"),
        ("app.missing", "Runtime.HandlerNotFound", "app.missing"),
        ("broken.handler", "SyntaxError", "Unexpected token"),
        ("dies.handler", "RangeError", "no settings"),
    ];
    let api = api("node_init", &expected.map(|(name, ..)| name)).await;
    for (name, error_type, message) in expected {
        let failed = api.invoke(&lambda_function(name), &json!({})).await;
        assert_eq!(failed.function_error(), error_type, "{failed:?}");
        assert!(failed.error_message().contains(message), "{failed:?}");
    }
    api.targets.stop().await;
}

#[tokio::test]
async fn a_command_without_a_handler_says_what_is_missing() {
    let nameless = target("nameless", command(&["node", "$FERRY_RUNTIMES/node.mjs"]));
    let api = Api::open(directory("node_nameless"), vec![nameless]).await;
    let failed = api.invoke("nameless", &json!({})).await;
    assert_eq!(failed.function_error(), "Runtime.MalformedHandlerName");
    assert_eq!(
        failed.error_message(),
        "name a handler: node node.mjs app.handler"
    );
    api.targets.stop().await;
}
