//! How many targets a worker waits for at once, and in how much memory.

use std::time::Duration;

use comfy_table::Table;
use serde_json::json;
use shared::clock::{Clock as _, SystemClock};
use shared::domain::operation::Operation;
use shared::domain::transition::Status;
use shared::queue::Dispatch;
use tests::benchmark::table;
use tests::bundle::binaries;
use tests::metered::{Metered, MeteredServices};
use tests::processes::Process;
use tests::target::{FunctionsFile, Reply, Targets, resize};

use crate::stored::{pending, put};
use crate::times::millis;

/// How long each target works.
const WORK: Duration = Duration::from_secs(5);
/// Waits at once, and the worker's processes.
const LOADS: [(usize, usize); 2] = [(10, 1), (100, 10)];
const BATCH_SIZE: i32 = 10;

pub(crate) async fn measure() -> Table {
    let mut table = table(
        [
            "targets of 5 s at once",
            "worker processes",
            "all completed within, ms",
            "attempts",
            "largest worker, MB",
        ],
        2,
    );
    for (waits, instances) in LOADS {
        let (took, attempts, peak_kb) = wait(waits, instances).await;
        table.add_row([
            waits.to_string(),
            instances.to_string(),
            millis(took),
            attempts.to_string(),
            format!("{:.1}", f64::from(peak_kb) / 1024.0),
        ]);
    }
    table
}

/// How long it takes from the first start of an attempt until all operations have ended, how many
/// attempts they took together, and the peak memory of the largest worker, in KB.
async fn wait(waits: usize, instances: usize) -> (Duration, u32, u32) {
    let targets =
        Targets::start(|_| Reply::After(WORK, Box::new(Reply::Returned("1".to_owned())))).await;
    let mut function = resize();
    function["target"]["local"] = json!({"endpoint": targets.url});
    let file = FunctionsFile::new(&[function]);
    let services = MeteredServices::start().await;
    let store = services.store.clone();
    // Before the workers start, so that their batches are full.
    let mut waiting = Vec::new();
    for _ in 0..waits {
        let operation = Operation {
            function: "image.resize".to_owned(),
            function_version: "1.2.0".to_owned(),
            ..pending("local:anonymous", &json!({"key": "a.png"}))
        };
        put(&store, &operation).await;
        let message = Dispatch::of(&operation);
        services.dispatch.send(&message, 0).await.unwrap();
        waiting.push(operation.id);
    }
    let metered = Metered::new(Duration::ZERO);
    let running = services
        .bundle_with(Some(&file), metered, instances, BATCH_SIZE)
        .await;
    running.drain().await;
    let mut ended = Vec::new();
    for id in &waiting {
        let operation = store.get(id, SystemClock.now()).await.unwrap().unwrap();
        assert_eq!(operation.status(), Status::Completed, "{operation:?}");
        ended.push(operation);
    }
    let first = ended.iter().filter_map(|ended| ended.started_at).min();
    let last = ended.iter().filter_map(Operation::ended_at).max();
    let took = last.unwrap().since(first.unwrap());
    let attempts = ended.iter().map(|ended| ended.attempt).sum();
    let peak_kb = largest_worker_kb().await;
    running.bundle.stop().await;
    (took, attempts, peak_kb)
}

async fn largest_worker_kb() -> u32 {
    let processes = Process::all().await;
    let workers = processes
        .iter()
        .filter(|process| process.name == "worker" && process.directory == binaries());
    let peaks = workers.map(|worker| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.unwrap().split_whitespace().next().unwrap();
        kb.parse().unwrap()
    });
    peaks.max().unwrap()
}
