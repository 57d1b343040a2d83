//! Callers as AWS's authorizer for IAM names them: who shares operations and who does not.

use serde_json::{Value, json};
use tests::events;
use tests::world::{Answer, World, event};

/// The authorizer's part of a sample event, with another value at each pointer.
fn caller(sample: &str, changes: &[(&str, &str)]) -> Value {
    let mut authorizer = events::event(sample)["requestContext"]["authorizer"].take();
    for (pointer, value) in changes {
        *authorizer.pointer_mut(pointer).unwrap() = json!(value);
    }
    authorizer
}

async fn request(world: &World, caller: &Value, method: &str, path: &str, body: &str) -> Answer {
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
async fn distinct_callers_by_iam_do_not_see_each_others_operations() {
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
        // The role of the pool, assumed by something else.
        caller(
            role,
            &[(user_id, "AROAI44QH8DHBEXAMPLE:CognitoIdentityCredentials")],
        ),
        caller(federated, &[]),
        caller(federated, &[(user_id, "123456789012:bob")]),
        // A name that reads like the role's unique id.
        caller(federated, &[(user_id, "123456789012:AROAIOSFODNN7EXAMPLE")]),
        caller(role, &[]),
        caller("submit/iam_user", &[]),
        caller("submit/iam_user", &[(user_id, "AIDAI44QH8DHBEXAMPLE")]),
        caller("submit/iam_root", &[]),
    ];
    let mut ids = Vec::new();
    for caller in &callers {
        // The key is everybody's, and names each caller's own operation.
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

/// Whoever knows owner, function and key could otherwise ask for the operation by its id.
#[tokio::test]
async fn the_id_that_a_key_names_is_of_its_deployment() {
    let caller = caller("submit/iam_user", &[]);
    let mut ids = Vec::new();
    for salt in ["one", "one", "another"] {
        let world = World::with([("ID_SALT", salt)]).await;
        ids.push(submit(&world, &caller).await);
    }
    assert_eq!(ids[0], ids[1], "as after a restart");
    assert_ne!(ids[0], ids[2]);
}
