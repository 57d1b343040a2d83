//! Many tasks call the store for one operation concurrently. Their responses must be consistent
//! with some sequential order of the calls, in which no call precedes another that had been
//! answered before it was made (Herlihy and Wing 1990).
//!
//! A call whose response was lost may have been applied or not, at any time after it was made.

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
use model::{Call, Fence, Model, Observed, Response};
use task::{CALLS, Log, TASKS, race};

/// Histories, one for each seed from 0. The order of calls within a history still depends on the
/// machine.
const HISTORIES: u64 = 40;
/// Some histories pass the deadline.
const DEADLINE_SECS: u64 = 300;
/// The most calls in a history that are applied and never answered.
const LOST_MAX: usize = 4;

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

/// Whether some order explains the responses.
fn is_linearizable(log: &Log) -> bool {
    WGLChecker::<Model>::is_linearizable(History::from_actions(log.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_responses_agree_with_some_sequential_order() {
    let mut responses = BTreeMap::<String, usize>::new();
    for seed in 0..HISTORIES {
        let log = history(seed).await;
        if !is_linearizable(&log) {
            let lines: Vec<_> = log.iter().map(|entry| format!("{entry:?}")).collect();
            panic!("no order explains seed {seed}:\n{}", lines.join("\n"));
        }
        for (_, action) in &log {
            if let Action::Response((_, response)) = action {
                let name = response
                    .as_ref()
                    .map_or("unknown".into(), |response| format!("{response:?}"));
                let name = name.split([' ', '(']).next().unwrap().to_owned();
                *responses.entry(name).or_default() += 1;
            }
        }
    }
    println!("responses in histories of the seeds 0 to {HISTORIES}: {responses:?}");
    // Races without these outcomes would prove nothing.
    for response in [
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
        assert!(
            responses.contains_key(response),
            "no call returned {response}"
        );
    }
}

/// A history in which every call is answered before the next is made.
fn sequential(calls: impl IntoIterator<Item = (Call, Response)>) -> Log {
    let answered = |(call, response): (Call, Response)| {
        let made = Action::Call((call.clone(), None));
        [(0, made), (0, Action::Response((call, Some(response))))]
    };
    calls.into_iter().flat_map(answered).collect()
}

fn at(status: Status, lock_version: u64, attempt: u32) -> Observed {
    Observed {
        create_id: 1,
        status,
        lock_version,
        attempt,
    }
}

/// A history that begins with a create and a claim, both correct.
fn begun() -> Vec<(Call, Response)> {
    vec![
        (Call::Create { create_id: 1 }, Response::Created),
        (claim(2), Response::Claimed(at(Status::Processing, 2, 1))),
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
fn a_correct_history_is_accepted() {
    let mut calls = begun();
    calls.push((claim(3), Response::Busy { until: NOW + LEASE }));
    calls.push((
        Call::Complete { fence: FENCE },
        Response::Written(at(Status::Completed, 3, 1)),
    ));
    calls.push((Call::Cancel, Response::CannotCancel));
    assert!(is_linearizable(&sequential(calls)));
}

/// Two holders at once.
#[test]
fn a_claim_with_two_winners_is_rejected() {
    let both = |version, attempt| Response::Claimed(at(Status::Processing, version, attempt));
    for second in [both(2, 1), both(3, 2)] {
        let mut calls = begun();
        calls.push((claim(3), second));
        assert!(!is_linearizable(&sequential(calls)));
    }
}

/// A fenced-off holder's outcome over a cancel.
#[test]
fn an_overwritten_end_is_rejected() {
    let mut calls = begun();
    let observed = at(Status::Cancelled, 3, 1);
    calls.push((
        Call::Cancel,
        Response::Cancelled {
            observed,
            by_us: true,
        },
    ));
    for (status, version) in [(Status::Completed, 3), (Status::Completed, 4)] {
        let mut calls = calls.clone();
        calls.push((
            Call::Complete { fence: FENCE },
            Response::Written(at(status, version, 1)),
        ));
        assert!(!is_linearizable(&sequential(calls)));
    }
}

/// A response must reflect every call that was answered before.
#[test]
fn a_stale_read_is_rejected() {
    let mut calls = begun();
    calls.push((Call::Get, Response::Is(at(Status::Pending, 1, 0))));
    assert!(!is_linearizable(&sequential(calls)));
    // While the claim is in progress, either response is correct.
    for observed in [at(Status::Pending, 1, 0), at(Status::Processing, 2, 1)] {
        let (create, claimed) = (begun().remove(0), begun().remove(1).1);
        let read = sequential([(Call::Get, Response::Is(observed))]);
        let mut log = sequential([create]);
        log.push((7, Action::Call((claim(2), None))));
        log.extend(read);
        log.push((7, Action::Response((claim(2), Some(claimed)))));
        assert!(is_linearizable(&log));
    }
}
