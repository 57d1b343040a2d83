//! Simulates how one owner's load delays another owner on AWS, at the template's defaults.
//!
//! The queues are the local ones, which deliver by the rule that AWS publishes for fair queues, on
//! the simulation's clock. Of invocations, only their number and durations are simulated. The
//! columns "before" have no message groups, and ten senders that make every delivery at once.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark has no caller to return an error to"
)]

mod consumers;

use std::time::Duration;

use tests::benchmark::table;

use crate::consumers::{Load, Outcome, Rules, Work, simulate};

/// The template's `CallbackMaximumConcurrency`, now and before, and its
/// `WorkerMaximumConcurrency`.
const SENDERS: usize = 50;
const SENDERS_BEFORE: usize = 10;
const WORKERS: usize = 20;

const TEN_MINUTES: Duration = Duration::from_secs(600);
const TWO_HOURS: Duration = Duration::from_secs(7200);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let unanswered = |queued, each_second| Load {
        work: Work::NoValidResponse,
        queued,
        each_second,
    };
    let operations = Load {
        work: Work::Takes(Duration::from_secs(1)),
        queued: 1000,
        each_second: 0.0,
    };
    let callbacks = [
        (
            "150 callbacks that are not answered",
            unanswered(150, 0.0),
            TEN_MINUTES,
        ),
        ("300 of them", unanswered(300, 0.0), TEN_MINUTES),
        ("34 more a second", unanswered(0, 34.0), TEN_MINUTES),
        // Long enough for an attempt to use up its deferrals.
        ("3.4 a second for two hours", unanswered(0, 3.4), TWO_HOURS),
    ];
    let mut table = table(
        [
            "one owner's load",
            "another's, median s",
            "longest s",
            "busy %",
            "before: median s",
            "longest s",
            "busy %",
        ],
        1,
    );
    for (name, load, time) in callbacks {
        let now = simulate(load, Rules::senders(SENDERS), time).await;
        let before = simulate(load, Rules::unfair_senders(SENDERS_BEFORE), time).await;
        let [now, before] = [now, before].map(Outcome::cells);
        table.add_row([vec![name.to_owned()], now.into(), before.into()].concat());
    }
    let minute = Duration::from_secs(60);
    let now = simulate(operations, Rules::workers(WORKERS), minute).await;
    let before = simulate(operations, Rules::unfair_workers(WORKERS), minute).await;
    let [now, before] = [now, before].map(Outcome::cells);
    let name = "1,000 operations of 1 s wait for a worker".to_owned();
    table.add_row([vec![name], now.into(), before.into()].concat());
    println!("{table}");
}
