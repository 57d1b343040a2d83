//! The functions' permissions. Every story checks that they need no others, because the world
//! enforces the template's roles; this one checks that they need all of them.

use std::time::Duration;

use serde_json::{Value, json};
use tests::permissions::granted;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::secrets_manager::SecretsManager;
use tests::world::World;

use super::forrst::{CANCEL, HEALTH, LIST, STATUS, call};
use super::messages::{MINUTE, claim_and_vanish, create_id, message};

#[tokio::test]
async fn every_permission_is_needed() {
    let secrets = SecretsManager::start().await;
    let arn = secrets
        .create("permissions", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .await;
    let world = World::with([
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint),
        ("WEBHOOK_SECRETS", ""),
        ("WEBHOOK_SECRETS_ARN", &arn),
    ])
    .await;
    let receiver = Receiver::start().await;
    rest(&world, &receiver).await;
    forrst(&world, &receiver).await;
    dead_letters(&world).await;
    lost_races(&world).await;
    // Last: until their retention is over, these messages are received again whenever the world
    // is brought to rest.
    newer_messages(&world).await;
    let unneeded: Vec<_> = granted()
        .difference(&world.permissions.used())
        .cloned()
        .collect();
    assert_eq!(unneeded, []);
}

/// An operation with payload items that is read, listed, redelivered and erased, and one that is
/// cancelled.
async fn rest(world: &World, receiver: &Receiver) {
    // The first attempt of the callback fails, so there is a second.
    receiver.answer_next([(503, None)]);
    // Text that compresses badly.
    let text: String = (1..600_u64).map(|n| n.pow(5).to_string()).collect();
    let large = json!({ "text": text });
    let body = json!({"function": "demo.echo", "arguments": large, "callback_url": receiver.url});
    let id = id(&world.submit(body).await.json);
    world.drain().await;
    world.show(&id).await;
    let path = format!("/operations/{id}");
    let redeliver = format!("{path}/redeliver");
    assert_eq!(request(world, "POST", &redeliver).await, 202);
    world.drain().await;
    assert_eq!(request(world, "GET", "/operations").await, 200);
    assert_eq!(request(world, "DELETE", &path).await, 204);
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let cancel = format!(
        "/operations/{}/cancel",
        self::id(&world.submit(body).await.json)
    );
    assert_eq!(request(world, "POST", &cancel).await, 200);
    world.drain().await;
}

/// The protocol's system functions.
async fn forrst(world: &World, receiver: &Receiver) {
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let arguments = json!({"operation_id": id(&world.submit(body).await.json)});
    for (function, arguments) in [
        (STATUS, &arguments),
        (CANCEL, &arguments),
        (LIST, &json!({})),
        (HEALTH, &json!({})),
    ] {
        let response = call(world, function, arguments, &json!([])).await;
        assert_eq!(response.status, 200, "{}", response.text);
    }
    world.drain().await;
}

/// A dead letter that waits for a lease and is then dispatched again.
async fn dead_letters(world: &World) {
    let id = id(&world.submit(json!({"function": "demo.echo"})).await.json);
    let body = message(&id, create_id(world, &id).await);
    claim_and_vanish(world, &id).await;
    world.queue(QueueKind::DispatchDeadLetter).send(&body).await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    world.clock.advance(MINUTE);
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    world.drain().await;
}

/// A submit that finds its key in use only at its create, and a result whose operation is erased
/// before it is recorded. Each deletes the payload items that it wrote.
async fn lost_races(world: &World) {
    let body = json!({"function": "demo.echo", "arguments": {"text": incompressible(2000)}});
    let body = body.to_string();
    let key = [("idempotency-key", "k")];
    let submit = || world.request("POST", "/operations", &key, &body);
    world.wire.plan([]);
    // Read, message and payload item come before the create.
    let (replay, accepted) = world.wire.delay(3, submit(), submit()).await;
    assert_eq!(replay.headers["idempotent-replayed"], "true");

    assert!(accepted.headers["idempotent-replayed"].is_null());
    world.drain().await;

    let accepted = world.request("POST", "/operations", &[], &body).await;
    let path = format!("/operations/{}", id(&accepted.json));
    let end = async {
        assert_eq!(request(world, "POST", &format!("{path}/cancel")).await, 200);
        assert_eq!(request(world, "DELETE", &path).await, 204);
    };
    world.wire.plan([]);
    // Visibility, claim, arguments and result come before the outcome.
    let (served, ()) = world
        .wire
        .delay(4, world.pump(QueueKind::Dispatch), end)
        .await;
    assert!(served);
    world.drain().await;
}

/// Messages of a newer format, which are returned for a newer release.
async fn newer_messages(world: &World) {
    for kind in [QueueKind::Callback, QueueKind::CallbackDeadLetter] {
        world.queue(kind).send(r#"{"format":1000}"#).await;
        assert!(world.pump(kind).await);
    }
    world.clock.advance(Duration::from_secs(1));
}

async fn request(world: &World, method: &str, path: &str) -> u16 {
    world.request(method, path, &[], "").await.status
}

fn id(operation: &Value) -> String {
    operation["id"].as_str().unwrap().to_owned()
}
