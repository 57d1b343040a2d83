//! Sixty-four concurrent writers for every step: one wins, and every other learns what happened.

use std::sync::Arc;

use futures_util::future::join_all;
use shared::domain::callback::{CallbackStatus, DeliveryAttempt};
use shared::domain::delivery::DeliveryOutcome;
use shared::domain::id::{ClaimId, CreateId, DeliveryAttemptId};
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::precondition::Preconditions;
use shared::domain::transition::Status;
use shared::store::{
    AttemptRecord, CancelOutcome, ClaimOutcome, CreateOutcome, Draft, EraseOutcome, FinishOutcome,
    GiveUpOutcome, RecordOutcome, RenewOutcome,
};

use super::{Fixture, LEASE, NOW, due, json, owner, secs};

const WRITERS: u8 = 64;

/// Runs one writer for each number, concurrently, on several threads.
async fn race<T, F>(writer: impl Fn(u8) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(writer(number)))
        .collect();
    join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn count<T>(outcomes: &[T], is: impl Fn(&T) -> bool) -> usize {
    outcomes.iter().filter(|outcome| is(outcome)).count()
}

fn error() -> OperationError {
    OperationError::of(FailureCode::InternalError, "failed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_create_wins_and_the_others_meet_it() {
    let fixture = Fixture::start().await;
    let operation = fixture.accepted();
    let store = fixture.store.clone();
    let outcomes = race(|number| {
        let (store, create_id) = (store.clone(), CreateId::from_bytes([number; 16]));
        let draft = Draft::new(&Operation {
            create_id: create_id.clone(),
            ..operation.clone()
        });
        async move { (create_id, store.create(&draft, NOW).await.unwrap()) }
    })
    .await;
    let winner = fixture.get(&operation.id).await.create_id;
    for (create_id, outcome) in &outcomes {
        match outcome {
            CreateOutcome::New => assert_eq!(*create_id, winner),
            CreateOutcome::Existing(existing) => assert_eq!(existing.create_id, winner),
            CreateOutcome::Erased => panic!("this test erases nothing"),
        }
    }
    assert_eq!(
        count(&outcomes, |(_, outcome)| matches!(
            outcome,
            CreateOutcome::New
        )),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_claim_wins_and_the_others_wait_for_it() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let store = fixture.store.clone();
    let outcomes = race(|number| {
        let (store, operation) = (store.clone(), operation.clone());
        let claim_id = ClaimId::from_bytes([number; 16]);
        async move {
            store
                .claim(&operation.id, &operation.create_id, claim_id, LEASE, NOW)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(
        count(&outcomes, |outcome| matches!(
            outcome,
            ClaimOutcome::Held(_)
        )),
        1
    );
    assert_eq!(
        count(
            &outcomes,
            |outcome| matches!(outcome, ClaimOutcome::Busy { until } if *until == NOW + LEASE)
        ),
        63
    );
    let claimed = fixture.get(&operation.id).await;
    assert_eq!((claimed.lock_version, claimed.attempt), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_never_undo_an_end() {
    let fixture = Fixture::start().await;
    let held = Arc::new(fixture.held().await);
    let store = fixture.store.clone();
    let outcomes = race(|number| {
        let (store, held) = (store.clone(), Arc::clone(&held));
        async move {
            if number == 32 {
                store.complete(&held, &json("1"), NOW).await.unwrap();
                return None;
            }
            Some(store.renew(&held, LEASE, None, NOW).await.unwrap())
        }
    })
    .await;
    assert_eq!(
        fixture.get(&held.operation().id).await.status(),
        Status::Completed
    );
    let answered = count(&outcomes, |outcome| {
        matches!(outcome, Some(RenewOutcome::Held | RenewOutcome::Lost))
    });
    assert_eq!(answered, 63);
    assert_eq!(
        store.renew(&held, LEASE, None, NOW).await.unwrap(),
        RenewOutcome::Lost
    );
}

/// The same holder's outcome, many times: it is written once, and every call recognises it as its
/// own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_fail_and_retry_are_written_once() {
    for step in 0..3 {
        let fixture = Fixture::start().await;
        let held = Arc::new(fixture.held().await);
        let store = fixture.store.clone();
        let outcomes = race(|_| {
            let (store, held) = (store.clone(), Arc::clone(&held));
            async move {
                match step {
                    0 => store.complete(&held, &json("1"), NOW).await.unwrap(),
                    1 => store.fail(&held, &error().into(), NOW).await.unwrap(),
                    _ => store
                        .retry(&held, &error(), NOW + secs(9), NOW)
                        .await
                        .unwrap(),
                }
            }
        })
        .await;
        assert_eq!(
            count(&outcomes, |outcome| matches!(
                outcome,
                FinishOutcome::Written(_)
            )),
            64
        );
        assert_eq!(fixture.get(&held.operation().id).await.lock_version, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn give_up_is_written_once() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let store = fixture.store.clone();
    let outcomes = race(|_| {
        let (store, operation) = (store.clone(), operation.clone());
        async move {
            store
                .give_up(&operation, &[error()], operation.deadline_at)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(
        count(&outcomes, |outcome| matches!(
            outcome,
            GiveUpOutcome::Ended { .. }
        )),
        64
    );
    assert_eq!(fixture.get(&operation.id).await.lock_version, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cancel_is_written_and_the_others_find_it() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let store = fixture.store.clone();
    let outcomes = race(|_| {
        let (store, id) = (store.clone(), operation.id.clone());
        async move {
            store
                .cancel(&id, &owner(), &Preconditions::NONE, NOW)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(
        count(&outcomes, |outcome| matches!(
            outcome,
            CancelOutcome::Cancelled { .. }
        )),
        64
    );
    assert_eq!(fixture.get(&operation.id).await.lock_version, 2);
}

/// Complete, fail, retry, cancel and claim against each other. The version shows that exactly one
/// of the writes that end or release the operation was applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_end_wins_and_every_lost_race_is_an_outcome() {
    let fixture = Fixture::start().await;
    let held = Arc::new(fixture.held().await);
    let store = fixture.store.clone();
    let wrote = race(|number| {
        let (store, held) = (store.clone(), Arc::clone(&held));
        async move {
            let operation = held.operation();
            match number % 4 {
                0 => matches!(
                    store.complete(&held, &json("1"), NOW).await.unwrap(),
                    FinishOutcome::Written(_)
                ),
                1 => matches!(
                    store.fail(&held, &error().into(), NOW).await.unwrap(),
                    FinishOutcome::Written(_)
                ),
                2 => {
                    let cancelled = store
                        .cancel(&operation.id, &owner(), &Preconditions::NONE, NOW)
                        .await
                        .unwrap();
                    matches!(cancelled, CancelOutcome::Cancelled { .. })
                }
                _ => {
                    let claim_id = ClaimId::from_bytes([number; 16]);
                    let claimed = store
                        .claim(&operation.id, &operation.create_id, claim_id, LEASE, NOW)
                        .await
                        .unwrap();
                    assert!(
                        !matches!(claimed, ClaimOutcome::Held(_)),
                        "it is held or has ended"
                    );
                    false
                }
            }
        }
    })
    .await;
    let ended = fixture.get(&held.operation().id).await;
    assert_eq!(ended.lock_version, 3);
    // All sixteen writers of the winning kind report a success, and no other writer does.
    assert_eq!(count(&wrote, |wrote| *wrote), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_erases_leave_no_operation() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let store = fixture.store.clone();
    let outcomes = race(|_| {
        let (store, id) = (store.clone(), operation.id.clone());
        async move {
            store
                .erase(&id, &owner(), &Preconditions::NONE, NOW)
                .await
                .unwrap()
        }
    })
    .await;
    assert!(count(&outcomes, |outcome| *outcome == EraseOutcome::Erased) >= 1);
    assert_eq!(
        count(&outcomes, |outcome| *outcome == EraseOutcome::Live),
        0
    );
    assert_eq!(store.get(&operation.id, NOW).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_of_a_callback_is_recorded_once() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let store = fixture.store.clone();
    let outcomes = race(|number| {
        let (store, operation) = (store.clone(), operation.clone());
        let record = record(number, DeliveryOutcome::RetryAt(NOW + secs(5)));
        async move {
            store
                .record_attempt(&due(&operation), &record, NOW)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(
        count(&outcomes, |outcome| *outcome == RecordOutcome::Written),
        1
    );
    assert_eq!(
        fixture
            .get(&operation.id)
            .await
            .callback
            .unwrap()
            .attempts_made,
        1
    );
}

/// As if all of them received one message: each starts the round that the message asks for, and
/// then makes the attempt that is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivery_starts_one_round() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let store = fixture.store.clone();
    let delivered = DeliveryOutcome::Delivered;
    let first = record(WRITERS, delivered);
    store
        .record_attempt(&due(&operation), &first, NOW)
        .await
        .unwrap();
    let ended = fixture.get(&operation.id).await;
    let outcomes = race(|number| {
        let (store, ended) = (store.clone(), ended.clone());
        let record = record(number, delivered);
        async move {
            let Some(due) = store.start_round(&ended, NOW).await.unwrap() else {
                return RecordOutcome::Refused;
            };
            store.record_attempt(&due, &record, NOW).await.unwrap()
        }
    })
    .await;
    assert_eq!(
        count(&outcomes, |outcome| *outcome == RecordOutcome::Written),
        1
    );
    let callback = fixture.get(&operation.id).await.callback.unwrap();
    assert_eq!(
        (callback.recorded, callback.attempts_made),
        (Some(CallbackStatus::Delivered), 2)
    );
}

fn record(number: u8, outcome: DeliveryOutcome) -> AttemptRecord {
    AttemptRecord {
        id: DeliveryAttemptId::from_bytes([number; 16]),
        attempt: DeliveryAttempt {
            at: NOW,
            status_code: Some(500),
            error: None,
            duration_ms: 1,
        },
        outcome,
        kept_max: 6,
    }
}
