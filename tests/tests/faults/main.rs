//! Nothing is lost, whatever fails: each story is told again for every fault of every AWS call that its processes make, and for
//! pairs of faults, and when all queues have come to rest every promise is looked at.
//!
//! A plain run tells every single fault, each [`SHARE`]-th pair, and a few longer schedules drawn from a seed that stays the same. With
//! `FAULTS=all` it is every pair, and many schedules from a new seed; with `FAULTS=NAME`, the name of one schedule as a failure prints it, that one alone.

#![expect(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]
#![expect(
    clippy::large_futures,
    reason = "a test's futures live on its own thread"
)]

mod checker;
mod paced;
mod runner;
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

/// One pair in so many is part of a plain run. A prime, so that the share goes through all calls and kinds of faults.
const SHARE: usize = 389;

/// Schedules of three to six faults that are drawn for each story when everything is told.
const RANDOM_SCHEDULES: usize = 300;

/// The same, and their seed, in a plain run.
const FEW_RANDOM_SCHEDULES: usize = 10;
const SEED: u64 = 1;

/// What is to be told of a story.
#[derive(Debug, PartialEq)]
enum Extent {
    Share,
    All,
    One(Schedule),
    Nothing,
}

fn extent(story: &str) -> Extent {
    let environment = Environment::of_process();
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
        // Carried out or not: nobody waits for the answer.
        ACKNOWLEDGEMENT => &Fault::ALL[..1],
        // Refused as well, as by a role that names another secret.
        "GetSecretValue" => &Fault::ALL,
        _ => &Fault::ALL[..Fault::ALL.len() - 1],
    }
}

async fn tell(name: &str) {
    let story = STORIES.iter().find(|story| story.name == name).unwrap();
    let extent = extent(name);
    let mut stage = Stage::set(story).await;
    if let Extent::One(schedule) = &extent {
        stage.tell(&Schedule::default()).await;
        let calls = stage.tell(schedule).await;
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
    let undisturbed = stage.tell(&Schedule::default()).await;
    let (mut singles, mut pairs, mut told) = (0, 0, 0);
    for first in undisturbed.told_of.clone() {
        let call = &undisturbed.names[first];
        for fault in faults_of(call) {
            let single = Schedule::default().and(first, *fault);
            let calls = stage.tell(&single).await;
            singles += 1;
            for (second, call) in calls.names.iter().enumerate().skip(first + 1) {
                for fault in faults_of(call) {
                    pairs += 1;
                    if extent == Extent::All || pairs % SHARE == 0 {
                        stage.tell(&single.clone().and(second, *fault)).await;
                        told += 1;
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
        stage.tell(&schedule).await;
    }
    println!(
        "{name}: {} calls, {singles} single faults, {told} of {pairs} pairs, {drawn} random schedules",
        undisturbed.names.len()
    );
    // A plan that is never carried out would prove nothing.
    assert!(singles > 5 * story.processes.len());
}

/// One that keeps no thread that work has run on: from a thread's end [`paced`] knows that a worker has been told of its work's.
fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::ZERO)
        .build()
        .unwrap()
}

macro_rules! tell {
    ($($test:ident: $story:literal,)*) => {
        $(#[test]
        fn $test() {
            runtime().block_on(tell($story));
        })*

        #[test]
        fn every_story_is_told() {
            assert_eq!(STORIES.each_ref().map(|story| story.name), [$($story),*]);
        }
    };
}

tell! {
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
}
