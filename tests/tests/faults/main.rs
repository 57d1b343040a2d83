//! Nothing is lost, whatever fails. Each story runs once for every fault of every AWS call that
//! its processes make, and for pairs of faults. Each run serves its queues until they are empty
//! and then checks every promise.
//!
//! A plain run covers every single fault, each [`SHARE`]-th pair, and a few longer schedules that
//! are drawn from a fixed seed. `FAULTS=all` runs every pair, and many schedules from a new seed.
//! `FAULTS=NAME` runs one schedule, by the name that a failure prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::large_futures,
    reason = "a test's futures live on its own thread"
)]

mod checker;
mod paced;
mod runner;
mod saving;
mod schedule;
mod story;

use std::time::Duration;

use shared::config::Environment;
use shared::random::{Random, SystemRandom};
use tests::wire::{ACKNOWLEDGEMENT, Fault};
use tokio::runtime::{Builder, Runtime};

use runner::Stage;
use schedule::Schedule;
use story::STORIES;

/// A plain run takes one pair in this many. A prime, so that the share covers all calls and all
/// kinds of faults.
const SHARE: usize = 389;

/// How many schedules of three to six faults `FAULTS=all` draws for each story.
const RANDOM_SCHEDULES: usize = 300;

/// How many a plain run draws, and from which seed.
const FEW_RANDOM_SCHEDULES: usize = 10;
const SEED: u64 = 1;

/// Which schedules of a story to run.
#[derive(Debug, PartialEq)]
enum Extent {
    Share,
    All,
    One(Schedule),
    Nothing,
}

fn extent(story: &str) -> Extent {
    let environment = Environment::from_process();
    match environment.optional("FAULTS") {
        None => Extent::Share,
        Some("all") => Extent::All,
        Some(name) => match name.split_once('/') {
            Some((named, faults)) if named == story => Extent::One(faults.parse().unwrap()),
            _ => Extent::Nothing,
        },
    }
}

/// The faults that a call can meet.
fn faults_of(call: &str) -> &'static [Fault] {
    match call {
        // Carried out or not: no process waits for its response.
        ACKNOWLEDGEMENT => &Fault::ALL[..1],
        // AWS may also deny it, for example when the role names another secret.
        "GetSecretValue" => &Fault::ALL,
        _ => &Fault::ALL[..Fault::ALL.len() - 1],
    }
}

async fn run(name: &str) {
    let story = STORIES.iter().find(|story| story.name == name).unwrap();
    let extent = extent(name);
    let mut stage = Stage::start(story).await;
    if let Extent::One(schedule) = &extent {
        stage.run(&Schedule::default()).await;
        let calls = stage.run(schedule).await;
        for (n, call) in calls.names.iter().enumerate() {
            println!(
                "{n:3} {call} {}",
                schedule.fault_at(n).map_or("", schedule::word)
            );
        }
    }
    if matches!(extent, Extent::One(_) | Extent::Nothing) {
        return;
    }
    let undisturbed = stage.run(&Schedule::default()).await;
    let (mut singles, mut pairs, mut pairs_run) = (0, 0, 0);
    for first in undisturbed.faulted.clone() {
        let call = &undisturbed.names[first];
        for fault in faults_of(call) {
            let single = Schedule::default().and(first, *fault);
            let calls = stage.run(&single).await;
            singles += 1;
            for (second, call) in calls.names.iter().enumerate().skip(first + 1) {
                for fault in faults_of(call) {
                    pairs += 1;
                    if extent == Extent::All || pairs % SHARE == 0 {
                        stage.run(&single.clone().and(second, *fault)).await;
                        pairs_run += 1;
                    }
                }
            }
        }
    }
    let (seed, drawn) = if extent == Extent::All {
        let random: &dyn Random = &SystemRandom;
        (u64::from_ne_bytes(random.bytes()), RANDOM_SCHEDULES)
    } else {
        (SEED, FEW_RANDOM_SCHEDULES)
    };
    println!("{name}: random schedules from seed {seed:#x}");
    for schedule in Schedule::draw(seed, undisturbed.names.len()).take(drawn) {
        stage.run(&schedule).await;
    }
    println!(
        "{name}: {} calls, {singles} single faults, {pairs_run} of {pairs} pairs, \
        {drawn} random schedules",
        undisturbed.names.len()
    );
    // A run without faults would prove nothing.
    assert!(singles > 5 * story.processes.len());
}

/// Ends each thread when its work ends: [`paced`] takes the end of the thread for the moment when
/// the worker has the outcome.
fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::ZERO)
        .build()
        .unwrap()
}

macro_rules! tests {
    ($($test:ident: $story:literal,)*) => {
        $(#[test]
        fn $test() {
            runtime().block_on(run($story));
        })*

        #[test]
        fn every_story_has_a_test() {
            assert_eq!(STORIES.each_ref().map(|story| story.name), [$($story),*]);
        }
    };
}

tests! {
    completing_survives_every_fault: "completes",
    large_payloads_survive_every_fault: "large",
    retries_survive_every_fault: "retried",
    failing_survives_every_fault: "fails",
    cancelling_survives_every_fault: "cancelled",
    redelivering_survives_every_fault: "redelivered",
    giving_up_survives_every_fault: "given-up",
    passing_the_deadline_survives_every_fault: "late",
    erasing_survives_every_fault: "erased",
    heartbeats_and_progress_survive_every_fault: "long",
    neighbours_in_a_batch_are_undisturbed_by_every_fault: "batch",
    reading_the_secrets_survives_every_fault: "stored-secrets",
    waiting_for_a_target_survives_every_fault: "registered",
    continuing_survives_every_fault: "continues",
    states_survive_every_fault: "continues-large",
    sleeping_survives_every_fault: "sleeps",
    cancelling_a_sleep_survives_every_fault: "cancelled-asleep",
    starting_later_survives_every_fault: "starts-later",
    redriving_survives_every_fault: "redriven",
}
