//! Operations per second, by the number of processes of each function, and how long one operation
//! takes when it is alone.

use std::time::Duration;

use comfy_table::Table;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use shared::domain::id::OperationId;
use shared::domain::operation::State;
use shared::domain::time::Timestamp;
use tests::benchmark::{Watch, table};
use tests::metered::{Metered, MeteredBundle, MeteredServices};

use crate::times::{millis, quantile, rate};

const INSTANCES: [usize; 4] = [1, 2, 4, 8];
const AT_ONCE: usize = 64;
const ALONE: usize = 100;

pub(crate) async fn measure(operations: usize) -> Table {
    let mut table = table(
        [
            "processes of each function",
            "operations/s",
            "… in batches of 10",
            "submits/s",
            "alone, submit to completed, median ms",
            "99 of 100 below, ms",
        ],
        1,
    );
    for instances in INSTANCES {
        let (by_one, submits) = flood(operations, instances, 1).await;
        let (by_ten, _) = flood(operations, instances, 10).await;
        let mut alone = alone(instances).await;
        table.add_row([
            instances.to_string(),
            rate(operations, by_one),
            rate(operations, by_ten),
            rate(operations, submits),
            millis(quantile(&mut alone, 0.5)),
            millis(quantile(&mut alone, 0.99)),
        ]);
    }
    table
}

pub(crate) fn echo() -> Value {
    json!({"function": "demo.echo", "arguments": {"name": "Riga", "people": 600_000}})
}

/// How long it takes until all operations have ended, and until all are submitted.
async fn flood(operations: usize, instances: usize, batch_size: i32) -> (Duration, Duration) {
    let services = MeteredServices::start().await;
    let metered = Metered::new(Duration::ZERO);
    let running = services.bundle(metered, instances, batch_size).await;
    submit(&running, AT_ONCE).await;
    running.drain().await;
    let watch = Watch::start();
    submit(&running, operations).await;
    let submitted = watch.took();
    running.drain().await;
    let done = watch.took();
    running.bundle.stop().await;
    (done, submitted)
}

async fn submit(running: &MeteredBundle, operations: usize) {
    stream::iter(0..operations)
        .for_each_concurrent(AT_ONCE, async |_| {
            running.caller.submit(&echo()).await;
        })
        .await;
}

/// The times from creation to completion, from the records, of operations that run alone.
async fn alone(instances: usize) -> Vec<Duration> {
    let services = MeteredServices::start().await;
    let metered = Metered::new(Duration::ZERO);
    let running = services.bundle(metered, instances, 1).await;
    let mut times = Vec::new();
    for _ in 0..ALONE {
        let id = running.caller.submit(&echo()).await;
        running.drain().await;
        times.push(took(&running, &id).await);
    }
    running.bundle.stop().await;
    // Without the first ones, which started the processes.
    times.split_off(ALONE / 10)
}

pub(crate) async fn took(running: &MeteredBundle, id: &str) -> Duration {
    let id = id.parse::<OperationId>().unwrap();
    let store = &running.services().store;
    let operation = store.get(&id, Timestamp::from_secs(0)).await.unwrap();
    let operation = operation.unwrap();
    let State::Completed { at, .. } = operation.state else {
        panic!("{} has not completed", operation.id);
    };
    at.since(operation.created_at)
}
