//! What a start and an invocation of each function cost, compared with the minimum that could do
//! the job and with Python.
//!
//! One run measures everything in turns: each round starts a process of each kind, and each turn
//! invokes each process once, in another order each time. So other load on the machine, and the
//! effects of one kind on the next, affect all kinds alike. All use the same Runtime API and, over
//! TLS, the same store and queues. Medians and ratios count; the milliseconds are those of this
//! machine.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark has no caller to return an error to"
)]

mod job;
mod kind;
mod process;
mod python;
mod registered;
mod report;
mod tls;

use std::num::NonZeroUsize;
use std::path::Path;

use clap::Parser;
use shared::random::{Random, SeededRandom};
use tests::logs::Logs;

use crate::job::{JOBS, Stage};
use crate::kind::Kinds;
use crate::process::Process;
use crate::report::Report;

/// Measures what a start and an invocation cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often a process of each kind is started.
    #[arg(long, default_value = "15")]
    rounds: NonZeroUsize,
    /// How often each process is invoked after its first invocation.
    #[arg(long, default_value = "40")]
    warm: NonZeroUsize,
    /// Leave out Python, which needs Python 3.11 or later and PyPI, and takes most of the time.
    #[arg(long)]
    no_python: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let kinds = Kinds::build(!arguments.no_python).await;
    let random = SeededRandom::new(1);
    let stage = Stage::start().await;
    let mut report = Report::default();
    let logs = Logs::collect(Path::new("/dev/null"));
    for job in JOBS {
        for _ in 0..arguments.rounds.get() {
            let mut order = kinds.of(job);
            shuffle(&mut order, &random);
            let mut processes = Vec::new();
            for kind in order {
                let mut process = Process::start(kinds.settings(kind, job, &stage)).await;
                report.started(job, kind, &process);
                stage.measure(job, kind, &mut process).await;
                report.first(job, kind, &process);
                processes.push((kind, process));
            }
            for _ in 0..arguments.warm.get() {
                shuffle(&mut processes, &random);
                for (kind, process) in &mut processes {
                    stage.measure(job, *kind, process).await;
                    report.warm(job, *kind, process);
                }
            }
            for (kind, process) in processes {
                report.ended(job, kind, &process);
                process.stop().await;
            }
        }
    }
    logs.end();
    report.print(&kinds);
    println!("\n{}", registered::measure());
}

fn shuffle<T>(all: &mut [T], random: &SeededRandom) {
    let random: &dyn Random = random;
    for last in (1..all.len()).rev() {
        let other = usize::from(u16::from_ne_bytes(random.bytes())) % (last + 1);
        all.swap(last, other);
    }
}
