//! The operator tool: on the real handlers, store and queues in one process, and as a program
//! together with the whole bundle.

mod batches;
mod erase;
mod permissions;
#[cfg(unix)]
mod program;
mod redrive;
mod requeue;
mod show;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::clock::{BoxFuture, Clock, ManualClock};
use shared::domain::id::{ClaimId, CreateId, OperationId};
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::queue::Queue;
use shared::random::{Random, SeededRandom};
use shared::store::table::TABLE_KEYS;
use shared::store::{ClaimOutcome, CreateOutcome, Draft, Store};
use tests::queues::QueueKind;
use tests::samples::pending_operation;
use tests::world::World;

const LEASE: Duration = Duration::from_secs(60);

type Item = HashMap<String, AttributeValue>;

/// A clock that a sleep advances, so that nothing waits.
struct HastyClock(ManualClock);

impl Clock for HastyClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.advance(wake.since(self.0.now())) })
    }
}

fn hasty(world: &World) -> Arc<dyn Clock> {
    Arc::new(HastyClock(world.clock.clone()))
}

/// The tool's store, reached over the world's wire.
fn store(world: &World) -> Store {
    let table = world.environment.required("TABLE_NAME").unwrap();
    Store::new(aws(world).dynamodb(), table.to_owned())
}

/// A queue, reached over the world's wire.
fn queue(world: &World, kind: QueueKind) -> Queue {
    let url = world.environment.required(kind.setting()).unwrap();
    Queue::new(aws(world).sqs(), url.to_owned())
}

fn aws(world: &World) -> Aws {
    let aws = Aws::new(&world.environment, world.wire.connector());
    aws.unwrap().retrying_at_once()
}

async fn submit(world: &World, body: Value) -> OperationId {
    // Boxed, so that the compiler need not resolve the types of all futures inside.
    let response = Box::pin(world.submit(body)).await;
    response.json["id"]
        .as_str()
        .unwrap()
        .parse::<OperationId>()
        .unwrap()
}

async fn get(world: &World, id: &OperationId) -> Operation {
    let read = world.store.get(id, world.clock.now()).await;
    read.unwrap().unwrap()
}

/// Claims the operation as a worker that crashes at once.
async fn claim_and_vanish(world: &World, id: &OperationId) {
    let operation = get(world, id).await;
    let claim_id = ClaimId::from_bytes([9; 16]);
    let now = world.clock.now();
    let claimed = world
        .store
        .claim(id, &operation.create_id, claim_id, LEASE, now);
    assert!(matches!(claimed.await.unwrap(), ClaimOutcome::Held(_)));
}

/// An operation of `alice`'s without a message. Each `n` gives another id.
async fn created(world: &World, n: u8, with: impl FnOnce(&mut Operation)) -> Operation {
    let random: &dyn Random = &SeededRandom::new(u64::from(n));
    let mut operation = Operation {
        id: OperationId::from_bytes(random.bytes()),
        create_id: CreateId::from_bytes(random.bytes()),
        ..pending_operation(world.clock.now())
    };
    with(&mut operation);
    let draft = Draft::new(&operation);
    world.store.write_payloads(&draft).await.unwrap();
    let created = world.store.create(&draft, world.clock.now()).await;
    assert!(matches!(created.unwrap(), CreateOutcome::New));
    operation
}

/// All items of the table.
async fn stored(world: &World) -> Vec<Item> {
    let table = world.environment.required("TABLE_NAME").unwrap();
    let scanned = world.dynamodb.scan().table_name(table).send().await;
    scanned.unwrap().items().to_vec()
}

/// Overwrites an attribute of a head without any condition.
async fn tamper(world: &World, id: &OperationId, name: &str, value: AttributeValue) {
    let [pk, sk] = TABLE_KEYS;
    let table = world.environment.required("TABLE_NAME").unwrap();
    let update = world
        .dynamodb
        .update_item()
        .table_name(table)
        .key(pk, AttributeValue::S(id.to_string()))
        .key(sk, AttributeValue::S("head".to_owned()))
        .update_expression("SET #name = :value")
        .expression_attribute_names("#name", name)
        .expression_attribute_values(":value", value);
    update.send().await.unwrap();
}

fn echo() -> Value {
    json!({"function": "demo.echo"})
}
