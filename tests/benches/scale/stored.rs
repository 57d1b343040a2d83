//! Operations that are stored without anybody having submitted them.

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

const AT_ONCE: usize = 16;

/// One that waits for a worker, without a callback.
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

/// Stores it.
pub(crate) async fn put(store: &Store, operation: &Operation) {
    let draft = Draft::new(operation);
    store.write_payloads(&draft).await.unwrap();
    store.create(&draft, SystemClock.now()).await.unwrap();
}

/// Stores many.
pub(crate) async fn fill(store: &Store, operations: impl Iterator<Item = Operation>) {
    stream::iter(operations)
        .for_each_concurrent(AT_ONCE, async |operation| put(store, &operation).await)
        .await;
}
