//! Operations that the benchmark writes to the store, without a submit.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use shared::clock::{Clock as _, SystemClock};
use shared::domain::id::{CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Payload};
use shared::random::{Random, SystemRandom};
use shared::store::{Draft, Store};
use tests::samples::pending_operation;

const CONCURRENCY: usize = 16;

/// A pending operation without a callback.
pub(crate) fn pending(owner: &str, arguments: &Value) -> Operation {
    let random: &dyn Random = &SystemRandom;
    Operation {
        id: OperationId::from_bytes(random.bytes()),
        create_id: CreateId::from_bytes(random.bytes()),
        owner: owner.parse().unwrap(),
        arguments: Payload::Inline(Json::of(arguments).unwrap()),
        callback: None,
        ..pending_operation(SystemClock.now())
    }
}

pub(crate) async fn put(store: &Store, operation: &Operation) {
    let draft = Draft::new(operation);
    store.write_payloads(&draft).await.unwrap();
    store.create(&draft, SystemClock.now()).await.unwrap();
}

pub(crate) async fn fill(store: &Store, operations: impl Iterator<Item = Operation>) {
    stream::iter(operations)
        .for_each_concurrent(CONCURRENCY, async |operation| put(store, &operation).await)
        .await;
}
