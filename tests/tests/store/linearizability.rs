//! Many tasks call the store for one operation at once; whatever they are answered must agree with some order of their calls, one
//! after the other, in which none comes before a call that had been answered when it was made (Herlihy and Wing 1990).
//!
//! A call whose answer was lost for good may have been carried out or not, at any time from then on.

mod model;
mod task;

use std::collections::BTreeMap;

use shared::domain::operation::Operation;
use shared::domain::transition::Status;
use shared::random::{Random, SeededRandom};
use tests::wire::Fault;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};

use super::{Fixture, LEASE, NOW, secs};
use model::{Answer, Call, Fence, Model, Seen};
use task::{CALLS, Log, TASKS, race};

/// Histories, of the seeds from 0. The order of calls within one is the machine's choice all the same.
const HISTORIES: u64 = 40;
/// The deadline is passed in some histories.
const DEADLINE_SECS: u64 = 300;
/// Calls that are carried out and never answered, at most.
const LOST_MAX: usize = 4;

/// The history of one operation.
async fn history(seed: u64) -> Log {
    let fixture = Fixture::start().await;
    let operation = Operation {
        deadline_at: NOW + secs(DEADLINE_SECS),
        ..fixture.accepted()
    };
    let random: &dyn Random = &SeededRandom::new(seed);
    let calls = usize::from(TASKS) * CALLS;
    let lost = random.bytes::<LOST_MAX>();
    let lost = lost.map(|at| (usize::from(at) % calls, Fault::AlwaysLost));
    fixture.wire.plan(lost);
    race(fixture.store.clone(), operation, seed).await
}

/// Whether some order explains what was answered.
fn is_linearizable(log: &Log) -> bool {
    WGLChecker::<Model>::is_linearizable(History::from_actions(log.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_racing_callers_are_answered_agrees_with_some_order() {
    let mut answers = BTreeMap::<String, usize>::new();
    for seed in 0..HISTORIES {
        let log = history(seed).await;
        if !is_linearizable(&log) {
            let lines: Vec<_> = log.iter().map(|entry| format!("{entry:?}")).collect();
            panic!("no order explains seed {seed}:\n{}", lines.join("\n"));
        }
        for (_, action) in &log {
            if let Action::Response((_, answer)) = action {
                let name = answer
                    .as_ref()
                    .map_or("unknown".into(), |answer| format!("{answer:?}"));
                let name = name.split([' ', '(']).next().unwrap().to_owned();
                *answers.entry(name).or_default() += 1;
            }
        }
    }
    println!("answers in histories of the seeds 0 to {HISTORIES}: {answers:?}");
    // Races that never came to something would prove nothing.
    for answer in [
        "Busy",
        "Cancelled",
        "Claimed",
        "Ended",
        "Existing",
        "Lost",
        "OtherIncarnation",
        "Exhausted",
        "Written",
        "unknown",
    ] {
        assert!(answers.contains_key(answer), "nobody was answered {answer}");
    }
}

/// A history in which every call is answered before the next is made.
fn one_after_the_other(calls: impl IntoIterator<Item = (Call, Answer)>) -> Log {
    let answered = |(call, answer): (Call, Answer)| {
        let made = Action::Call((call.clone(), None));
        [(0, made), (0, Action::Response((call, Some(answer))))]
    };
    calls.into_iter().flat_map(answered).collect()
}

fn at(status: Status, lock_version: u64, attempt: u32) -> Seen {
    Seen {
        create_id: 1,
        status,
        lock_version,
        attempt,
    }
}

/// A history begun with a create and a claim, as they should be.
fn begun() -> Vec<(Call, Answer)> {
    vec![
        (Call::Create { create_id: 1 }, Answer::Created),
        (claim(2), Answer::Claimed(at(Status::Processing, 2, 1))),
    ]
}

const fn claim(claim_id: u8) -> Call {
    Call::Claim {
        create_id: 1,
        claim_id,
        now: NOW,
    }
}

const FENCE: Fence = Fence {
    claim_id: 2,
    lock_version: 2,
};

#[test]
fn a_right_history_is_explained() {
    let mut calls = begun();
    calls.push((claim(3), Answer::Busy { until: NOW + LEASE }));
    calls.push((
        Call::Complete { fence: FENCE },
        Answer::Written(at(Status::Completed, 3, 1)),
    ));
    calls.push((Call::Cancel, Answer::CannotCancel));
    assert!(is_linearizable(&one_after_the_other(calls)));
}

/// Two holders at once.
#[test]
fn a_claim_that_two_won_is_refused() {
    let both = |version, attempt| Answer::Claimed(at(Status::Processing, version, attempt));
    for second in [both(2, 1), both(3, 2)] {
        let mut calls = begun();
        calls.push((claim(3), second));
        assert!(!is_linearizable(&one_after_the_other(calls)));
    }
}

/// A zombie's outcome over a cancel.
#[test]
fn an_end_that_was_overwritten_is_refused() {
    let mut calls = begun();
    let seen = at(Status::Cancelled, 3, 1);
    calls.push((Call::Cancel, Answer::Cancelled { seen, by_us: true }));
    for (status, version) in [(Status::Completed, 3), (Status::Completed, 4)] {
        let mut calls = calls.clone();
        calls.push((
            Call::Complete { fence: FENCE },
            Answer::Written(at(status, version, 1)),
        ));
        assert!(!is_linearizable(&one_after_the_other(calls)));
    }
}

/// What was answered before a call was made must show in it.
#[test]
fn a_read_that_goes_back_is_refused() {
    let mut calls = begun();
    calls.push((Call::Get, Answer::Is(at(Status::Pending, 1, 0))));
    assert!(!is_linearizable(&one_after_the_other(calls)));
    // While the claim is under way, either is right.
    for seen in [at(Status::Pending, 1, 0), at(Status::Processing, 2, 1)] {
        let (create, claimed) = (begun().remove(0), begun().remove(1).1);
        let read = one_after_the_other([(Call::Get, Answer::Is(seen))]);
        let mut log = one_after_the_other([create]);
        log.push((7, Action::Call((claim(2), None))));
        log.extend(read);
        log.push((7, Action::Response((claim(2), Some(claimed)))));
        assert!(is_linearizable(&log));
    }
}
