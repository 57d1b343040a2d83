//! How many targets a worker waits for at once, and in how much memory.

use std::time::Duration;

use comfy_table::Table;
use futures_util::future::join_all;
use serde_json::json;
use tests::benchmark::{Watch, table};
use tests::bundle::binaries;
use tests::metered::{Metered, MeteredServices};
use tests::processes::Process;
use tests::target::{FunctionsFile, Reply, Targets, resize};

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
            "all completed after, ms",
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

/// How long it takes from the first submit until all operations have ended, how many attempts they
/// took together, and the peak memory of the largest worker, in KB.
async fn wait(waits: usize, instances: usize) -> (Duration, u64, u32) {
    let targets =
        Targets::start(|_| Reply::After(WORK, Box::new(Reply::Returned("1".to_owned())))).await;
    let mut function = resize();
    function["target"]["local"] = json!({"endpoint": targets.url});
    let file = FunctionsFile::new(&[function]);
    let services = MeteredServices::start().await;
    let metered = Metered::new(Duration::ZERO);
    let running = services
        .bundle_with(Some(&file), metered, instances, BATCH_SIZE)
        .await;
    let body = json!({"function": "image.resize", "arguments": {"key": "a.png"}});
    let watch = Watch::start();
    let ids = join_all((0..waits).map(|_| running.caller.submit(&body))).await;
    running.drain().await;
    let took = watch.took();
    let mut attempts = 0;
    for id in ids {
        let operation = running.caller.get(&format!("/operations/{id}")).await;
        assert_eq!(operation["status"], "completed", "{operation}");
        attempts += operation["attempt"].as_u64().unwrap();
    }
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
