//! How the local bundle scales with the number of processes, with stored operations, with the size
//! of payloads, with the backlog in the queue, and with targets that are waited for.
//!
//! Requests and units are the same as on AWS. Times and throughput are those of this machine, where
//! store, queues and functions share the processors: they show what time grows with and what it
//! does not grow with.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark has no caller to return an error to"
)]

mod backlog;
mod growth;
mod payloads;
mod stored;
mod throughput;
mod times;
mod waits;

use std::path::Path;

use clap::Parser;
use tests::benchmark::build_functions_and;
use tests::logs::Logs;

/// Measures how the local bundle scales.
#[derive(Debug, Parser)]
struct Arguments {
    /// Operations in each measurement of throughput.
    #[arg(long, default_value_t = 1000)]
    operations: usize,
    /// The most operations that are stored.
    #[arg(long, default_value_t = 100_000)]
    stored_max: usize,
    /// Operations that wait in the queue.
    #[arg(long, default_value_t = 10_000)]
    waiting: usize,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments = Arguments::parse();
    build_functions_and(&[]).await;
    let logs = Logs::collect(Path::new("/dev/null"));
    let tables = [
        throughput::measure(arguments.operations).await,
        payloads::measure().await,
        growth::measure(arguments.stored_max).await,
        backlog::measure(arguments.waiting).await,
        waits::measure().await,
    ];
    logs.end();
    for table in tables {
        println!("{table}\n");
    }
}
