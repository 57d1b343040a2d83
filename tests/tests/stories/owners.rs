//! Callers as AWS's IAM authorizer names them, and which of them are one owner. Another owner's
//! record gets the same response, at the same cost, as a missing one.

use std::fmt::Debug;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::events;
use tests::logs::Logged;
use tests::metrics::Counted;
use tests::queues::QueueKind;
use tests::world::{Response, World, event};

use super::forrst::{CANCEL, STATUS, envelope};

/// The `authorizer` member of a sample event, with another value at each pointer.
fn caller(sample: &str, changes: &[(&str, &str)]) -> Value {
    let mut authorizer = events::event(sample)["requestContext"]["authorizer"].take();
    for (pointer, value) in changes {
        *authorizer.pointer_mut(pointer).unwrap() = json!(value);
    }
    authorizer
}

async fn request(world: &World, caller: &Value, method: &str, path: &str, body: &str) -> Response {
    let mut event = event(
        "",
        method,
        path,
        &[("idempotency-key", "k")],
        body.as_bytes(),
    );
    event["requestContext"]["authorizer"] = caller.clone();
    world.answer(event).await
}

async fn submit(world: &World, caller: &Value) -> String {
    let body = r#"{"function":"demo.echo"}"#;
    let accepted = request(world, caller, "POST", "/operations", body).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    accepted.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn different_iam_callers_do_not_see_each_others_operations() {
    let world = World::start().await;
    let user_id = "/iam/userId";
    let role = "submit/iam_authorizer";
    let federated = "submit/iam_federated_user";
    let cognito = "submit/cognito_identity";
    let callers = [
        caller(cognito, &[]),
        caller(
            cognito,
            &[("/iam/cognitoIdentity/identityId", "eu-central-1:another")],
        ),
        // The pool's role, assumed by another caller.
        caller(
            role,
            &[(user_id, "AROAI44QH8DHBEXAMPLE:CognitoIdentityCredentials")],
        ),
        caller(federated, &[]),
        caller(federated, &[(user_id, "123456789012:bob")]),
        // A name that looks like the role's unique id.
        caller(federated, &[(user_id, "123456789012:AROAIOSFODNN7EXAMPLE")]),
        caller(role, &[]),
        caller("submit/iam_user", &[]),
        caller("submit/iam_user", &[(user_id, "AIDAI44QH8DHBEXAMPLE")]),
        caller("submit/iam_root", &[]),
    ];
    let mut ids = Vec::new();
    for caller in &callers {
        // All callers use the same key, and it names a different operation for each.
        let id = submit(&world, caller).await;
        assert!(!ids.contains(&id), "{caller}");
        ids.push(id);
    }
    for (index, caller) in callers.iter().enumerate() {
        for (of, id) in ids.iter().enumerate() {
            let path = format!("/operations/{id}");
            let status = request(&world, caller, "GET", &path, "").await.status;
            assert_eq!(status, if of == index { 200 } else { 404 }, "{caller}");
        }
        let others = format!("/operations/{}", ids[(index + 1) % ids.len()]);
        let cancel = format!("{others}/cancel");
        let cancelled = request(&world, caller, "POST", &cancel, "").await;
        assert_eq!(cancelled.status, 404, "{caller}");
        let erased = request(&world, caller, "DELETE", &others, "").await;
        assert_eq!(erased.status, 404, "{caller}");
        let list = request(&world, caller, "GET", "/operations", "").await.json;
        let listed: Vec<_> = list["operations"].as_array().unwrap().iter().collect();
        assert_eq!(listed.len(), 1, "{caller}");
        assert_eq!(listed[0]["id"], json!(ids[index]));
    }
}

#[tokio::test]
async fn sessions_of_a_role_are_one_owner() {
    let world = World::start().await;
    let nightly = caller("submit/iam_authorizer", &[]);
    let hourly = caller(
        "submit/iam_authorizer",
        &[("/iam/userId", "AROAIOSFODNN7EXAMPLE:hourly")],
    );
    let id = submit(&world, &nightly).await;
    assert_eq!(submit(&world, &hourly).await, id);
}

/// Without the salt, a caller who knows owner, function and key could compute the operation's id.
#[tokio::test]
async fn the_id_of_a_key_depends_on_the_deployments_salt() {
    let caller = caller("submit/iam_user", &[]);
    let mut ids = Vec::new();
    for salt in ["one", "one", "another"] {
        let world = World::with([("ID_SALT", salt)]).await;
        ids.push(submit(&world, &caller).await);
    }
    assert_eq!(ids[0], ids[1], "a restart keeps the id");
    assert_ne!(ids[0], ids[2]);
}

const MISSING: &str = "op_000000000000000000000000";

/// A request that names an operation: method, path after the id, headers, and the Forrst function
/// for a body.
type Named = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

const NAMED: [Named; 12] = [
    ("GET", "", &[], None),
    ("GET", "", &[("prefer", "wait=10")], None),
    ("GET", "", &[("if-none-match", "*")], None),
    ("DELETE", "", &[], None),
    ("DELETE", "", &[("if-match", "\"1.1.1\"")], None),
    ("POST", "/cancel", &[], None),
    ("POST", "/cancel", &[("if-match", "\"1.1.1\"")], None),
    ("POST", "/redeliver", &[], None),
    ("POST", "/redrive", &[], None),
    ("POST", "/redrive", &[("if-match", "\"1.1.1\"")], None),
    ("POST", "/forrst", &[], Some(STATUS)),
    ("POST", "/forrst", &[], Some(CANCEL)),
];

/// Everything that a request of `bob` reveals: the response, its AWS requests and charges, logs and
/// metrics, without the id.
async fn observe(
    world: &World,
    logged: &Logged,
    counted: &Counted,
    named: Named,
    id: &str,
) -> String {
    let (method, suffix, headers, function) = named;
    let (path, body) = match function {
        None => (format!("/operations/{id}{suffix}"), String::new()),
        Some(function) => {
            let arguments = json!({ "operation_id": id });
            (
                suffix.to_owned(),
                envelope(function, &arguments, &json!([])),
            )
        }
    };
    world.wire.reset();
    let _ = (logged.take(), counted.take());
    let request = world.request_of("bob", method, &path, headers, body.as_bytes());
    let response = world.while_waiting(None, request).await;
    assert_eq!(response.status, 404, "{named:?} {}", response.text);
    let parts: [&dyn Debug; 5] = [
        &(response.headers, response.text),
        &world.wire.calls(),
        &world.wire.charges(),
        &logged.take(),
        &counted.take(),
    ];
    format!("{parts:#?}").replace(id, "ID")
}

/// Of another owner's record, every route reads only the owner: even a corrupt record gets the
/// response of a missing one.
#[tokio::test]
async fn another_owners_record_is_rejected_by_its_owner_attribute_alone() {
    let world = World::start().await;
    let (logged, counted) = (Logged::start(), Counted::start());
    let mut missing = Vec::new();
    for named in NAMED {
        missing.push(observe(&world, &logged, &counted, named, MISSING).await);
    }
    let garbage = || AttributeValue::B(Blob::new([0xff, 0xff]));
    for (attribute, value) in [
        ("format", AttributeValue::N("3".into())),
        ("format", garbage()),
        ("status", AttributeValue::S("unheard-of".into())),
        ("lock_version", garbage()),
        ("create_id", garbage()),
        ("delete_at", garbage()),
        ("arguments", garbage()),
        ("metadata", garbage()),
        ("result", garbage()),
        ("errors", AttributeValue::S("{".into())),
        ("callback_url", garbage()),
    ] {
        for ended in [false, true] {
            let accepted = world.submit(json!({"function": "demo.echo"})).await;
            let id = accepted.json["id"].as_str().unwrap();
            if ended {
                world.pump_all().await;
            }
            world.queue(QueueKind::Dispatch).purge().await;
            set(&world, id, attribute, value.clone()).await;
            let path = format!("/operations/{id}");
            let own = world.request("GET", &path, &[], "").await;
            assert!(own.status >= 500, "{attribute}: {}", own.text);
            for (named, missing) in NAMED.into_iter().zip(&missing) {
                let foreign = observe(&world, &logged, &counted, named, id).await;
                assert_eq!(&foreign, missing, "{attribute}, {named:?}");
            }
        }
    }
}

async fn set(world: &World, id: &str, attribute: &str, value: AttributeValue) {
    let update = world.dynamodb.update_item().table_name("ferry");
    let update = update
        .key("pk", AttributeValue::S(id.to_owned()))
        .key("sk", AttributeValue::S("head".to_owned()))
        .update_expression("SET #attribute = :value")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", value);
    update.send().await.unwrap();
}
