//! Secrets in Secrets Manager are read at the start, and again when they reach their maximum age.
//! So a secret can be replaced without a delivery that a receiver cannot verify.

use std::sync::Arc;

use serde_json::json;
use shared::aws::{Aws, http_connector};
use shared::clock::ManualClock;
use shared::config::Environment;
use shared::domain::limits::WEBHOOK_SECRETS_AGE_MAX;
use shared::domain::time::Timestamp;
use shared::random::SeededRandom;
use standardwebhooks::Webhook;
use tests::queues::QueueKind;
use tests::receiver::{Delivery, Receiver};
use tests::secrets_manager::SecretsManager;
use tests::world::World;

const OLD: &str = "whsec_dGhlIG9sZCBzZWNyZXQgb2YgdGhlIHJlY2VpdmVy";
const NEW: &str = "whsec_dGhlIG5ldyBzZWNyZXQgb2YgdGhlIHJlY2VpdmVy";

/// A world whose secrets are in Secrets Manager.
async fn world(secrets: &SecretsManager, arn: &str) -> World {
    World::with([
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint),
        ("WEBHOOK_SECRETS", ""),
        ("WEBHOOK_SECRETS_ARN", arn),
    ])
    .await
}

/// Runs one operation and delivers its callback.
async fn deliver(world: &World, receiver: &Receiver) -> Delivery {
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    world.submit(body).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    assert!(world.pump(QueueKind::Callback).await);
    receiver.received().pop().unwrap()
}

/// The secrets that signed a delivery, in order.
fn signed_with(delivery: &Delivery) -> Vec<&'static str> {
    let signature = delivery.header("webhook-signature");
    let timestamp = delivery.header("webhook-timestamp").parse().unwrap();
    let secret = |signature: &str| {
        let found = [OLD, NEW].into_iter().find(|secret| {
            let webhook = Webhook::new(secret).unwrap();
            let expected = webhook.sign(&delivery.header("webhook-id"), timestamp, &delivery.body);
            expected.unwrap() == signature
        });
        found.unwrap_or_else(|| panic!("{signature} is of neither secret"))
    };
    signature.split(' ').map(secret).collect()
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_delivery_that_cannot_be_verified() {
    let secrets = SecretsManager::start().await;
    let arn = secrets.create("replaced", OLD).await;
    let world = world(&secrets, &arn).await;
    let receiver = Receiver::start().await;
    assert_eq!(signed_with(&deliver(&world, &receiver).await), [OLD]);

    // Signs with both, so that receivers can switch to the new one in their own time.
    secrets.put(&arn, &format!("{NEW} {OLD}")).await;
    world.clock.advance(WEBHOOK_SECRETS_AGE_MAX / 2);
    assert_eq!(signed_with(&deliver(&world, &receiver).await), [OLD]);
    world.clock.advance(WEBHOOK_SECRETS_AGE_MAX / 2);
    assert_eq!(signed_with(&deliver(&world, &receiver).await), [NEW, OLD]);

    secrets.put(&arn, NEW).await;
    world.clock.advance(WEBHOOK_SECRETS_AGE_MAX);
    assert_eq!(signed_with(&deliver(&world, &receiver).await), [NEW]);
}

#[tokio::test]
async fn a_retry_is_signed_with_the_secrets_that_are_current_then() {
    let secrets = SecretsManager::start().await;
    let arn = secrets.create("retried", OLD).await;
    let world = world(&secrets, &arn).await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(503, Some("3600"))]);
    let first = deliver(&world, &receiver).await;
    secrets.put(&arn, NEW).await;
    world.drain().await;
    let [_, second] = receiver.received().try_into().unwrap();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!([signed_with(&first), signed_with(&second)], [[OLD], [NEW]]);
}

#[tokio::test]
async fn an_unusable_secret_leaves_the_previous_one_in_use() {
    let secrets = SecretsManager::start().await;
    let arn = secrets.create("unusable", OLD).await;
    let world = world(&secrets, &arn).await;
    let receiver = Receiver::start().await;
    for unusable in ["not a secret", "whsec_c2hvcnQ="] {
        secrets.put(&arn, unusable).await;
        world.clock.advance(WEBHOOK_SECRETS_AGE_MAX);
        world.wire.reset();
        for _ in 0..2 {
            assert_eq!(signed_with(&deliver(&world, &receiver).await), [OLD]);
        }
        // Reading again at once would cost a request for every callback.
        assert_eq!(world.wire.counts()["GetSecretValue"], 1);
    }
    secrets.put(&arn, NEW).await;
    world.clock.advance(WEBHOOK_SECRETS_AGE_MAX);
    assert_eq!(signed_with(&deliver(&world, &receiver).await), [NEW]);
    secrets.delete(&arn).await;
    world.clock.advance(WEBHOOK_SECRETS_AGE_MAX);
    assert_eq!(signed_with(&deliver(&world, &receiver).await), [NEW]);
}

#[tokio::test]
async fn concurrent_deliveries_share_one_read() {
    let secrets = SecretsManager::start().await;
    let arn = secrets.create("once", OLD).await;
    let world = world(&secrets, &arn).await;
    let receiver = Receiver::start().await;
    assert_eq!(world.wire.counts()["GetSecretValue"], 1);
    world.clock.advance(WEBHOOK_SECRETS_AGE_MAX);
    world.wire.reset();
    for _ in 0..10 {
        let body = json!({"function": "demo.echo", "callback_url": receiver.url});
        world.submit(body).await;
        assert!(world.pump(QueueKind::Dispatch).await);
    }
    let worker = world.another_worker();
    assert!(world.pump_by(&worker, QueueKind::Callback, 10).await);
    assert_eq!(receiver.received().len(), 10);
    assert_eq!(world.wire.counts()["GetSecretValue"], 1);
}

#[tokio::test]
async fn a_missing_or_unusable_secret_fails_the_start_without_showing_its_text() {
    let secrets = SecretsManager::start().await;
    let unusable = secrets.create("at start", &format!("{OLD} s3cret")).await;
    let world = World::start().await;
    let start = async |settings: &[(&str, &str)]| {
        let endpoint = (
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            secrets.endpoint.as_str(),
        );
        let environment: Environment = world.environment.clone().with([endpoint]);
        let environment = environment.with(settings.iter().copied());
        let aws = Aws::new(&environment, http_connector(&environment).unwrap()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let random = Arc::new(SeededRandom::new(7));
        let started = callback::Handler::new(&environment, &aws, clock, random);
        started.await.err().unwrap().to_string()
    };
    let error = start(&[("WEBHOOK_SECRETS", "")]).await;
    assert_eq!(
        error,
        "WEBHOOK_SECRETS_ARN is not set, and neither is WEBHOOK_SECRETS"
    );
    let error = start(&[("WEBHOOK_SECRETS_ARN", &unusable)]).await;
    assert_eq!(
        error,
        "WEBHOOK_SECRETS_ARN and WEBHOOK_SECRETS are both set; remove one of them"
    );
    let in_secrets_manager =
        async |arn| start(&[("WEBHOOK_SECRETS", ""), ("WEBHOOK_SECRETS_ARN", arn)]).await;
    let error = in_secrets_manager(&unusable).await;
    let known = "WEBHOOK_SECRETS_ARN refers to a secret that is malformed: secret 2 must be";
    assert!(
        error.starts_with(known) && !error.contains("s3cret"),
        "{error}"
    );
    let error = in_secrets_manager("no-such-secret").await;
    let known = "WEBHOOK_SECRETS_ARN refers to a secret that cannot be read: GetSecretValue failed";
    assert!(
        error.starts_with(known) && error.contains("ResourceNotFoundException"),
        "{error}"
    );
}
