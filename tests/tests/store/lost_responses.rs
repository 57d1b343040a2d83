//! A lost response is not a lost race: the SDK retries the request, and the retry meets what the
//! first try wrote.

use shared::clock::ManualClock;
use shared::domain::callback::DeliveryAttempt;
use shared::domain::delivery::DeliveryOutcome;
use shared::domain::id::{ClaimId, DeliveryAttemptId};
use shared::domain::operation::{FailureCode, OperationError, Owner};
use shared::domain::precondition::{Preconditions, Version, Versions};
use shared::store::{
    AttemptRecord, CancelOutcome, ClaimOutcome, CreateOutcome, Draft, EraseOutcome, FinishOutcome,
    GiveUpOutcome, RecordOutcome, RenewOutcome,
};

use tests::wire::Fault;

use super::{Fixture, LEASE, NOW, continuation, due, json, owner, secs};

fn error() -> OperationError {
    OperationError::of(FailureCode::InternalError, "failed")
}

#[tokio::test]
async fn a_lost_response_is_not_a_lost_race() {
    let fixture = Fixture::start().await;
    let (store, lose) = (&fixture.store, || fixture.wire.plan([(0, Fault::Lost)]));

    let operation = fixture.accepted();
    lose();
    assert!(matches!(
        store.create(&Draft::new(&operation), NOW).await.unwrap(),
        CreateOutcome::New
    ));
    lose();
    let claim_id = ClaimId::from_bytes([1; 16]);
    let claimed = store
        .claim(&operation.id, &operation.create_id, claim_id, LEASE, NOW)
        .await
        .unwrap();
    let ClaimOutcome::Held(held) = claimed else {
        panic!("{claimed:?}")
    };
    assert_eq!(held.operation().attempt, 1, "claimed once");
    lose();
    assert_eq!(
        store.renew(&held, LEASE, None, NOW).await.unwrap(),
        RenewOutcome::Held
    );
    lose();
    assert!(matches!(
        store.retry(&held, &error(), NOW, NOW).await.unwrap(),
        FinishOutcome::Written(_)
    ));
    let held = fixture.hold(&operation, NOW).await;
    lose();
    assert!(matches!(
        store.complete(&held, &json("1"), NOW).await.unwrap(),
        FinishOutcome::Written(_)
    ));
    assert_eq!(fixture.get(&operation.id).await.lock_version, 5);

    let held = fixture.held().await;
    lose();
    let continuation = continuation(&held, "7", NOW);
    let continued = store.continue_from(&held, &continuation, NOW).await;
    assert!(matches!(continued.unwrap(), FinishOutcome::Written(_)));
    let held = fixture.hold(held.operation(), NOW).await;
    lose();
    assert!(matches!(
        store.fail(&held, &error().into(), NOW).await.unwrap(),
        FinishOutcome::Written(_)
    ));
    let exhausted = fixture.created().await;
    lose();
    assert!(matches!(
        store
            .give_up(&exhausted, &[error()], exhausted.deadline_at)
            .await
            .unwrap(),
        GiveUpOutcome::Ended { .. }
    ));
    let operation = fixture.created().await;
    lose();
    let cancelled = store
        .cancel(
            &operation.id,
            &owner(),
            &Preconditions {
                if_match: Some(Versions::Listed(vec![Version {
                    created_at: NOW,
                    lock_version: 1,
                    updated_at: NOW,
                }])),
                if_none_match: None,
            },
            NOW,
        )
        .await
        .unwrap();
    assert!(matches!(cancelled, CancelOutcome::Cancelled { .. }));
}

#[tokio::test]
async fn a_retried_large_result_is_written_once() {
    let fixture = Fixture::start().await;
    let held = fixture.held().await;
    let large = shared::domain::json::Json::of(&"x1y2".repeat(50_000)).unwrap();
    fixture.wire.plan([(0, Fault::Lost), (1, Fault::Lost)]);
    assert!(matches!(
        fixture.store.complete(&held, &large, NOW).await.unwrap(),
        FinishOutcome::Written(_)
    ));
    let completed = fixture.get(&held.operation().id).await;
    let payloads = fixture.store.payloads(&completed, NOW).await.unwrap();
    assert_eq!(payloads.unwrap().result, Some(large));
}

#[tokio::test]
async fn a_retried_record_of_an_attempt_recognises_only_its_own_write() {
    let fixture = Fixture::start().await;
    let read = fixture.completed().await;
    let record = |id: u8| AttemptRecord {
        id: DeliveryAttemptId::from_bytes([id; 16]),
        attempt: DeliveryAttempt {
            at: NOW,
            status_code: Some(500),
            error: None,
            duration_ms: 1,
        },
        outcome: DeliveryOutcome::RetryAt(NOW + secs(5)),
        kept_max: 6,
    };
    fixture.wire.plan([(0, Fault::Lost)]);
    assert_eq!(
        fixture
            .store
            .record_attempt(&due(&read), &record(1), NOW)
            .await
            .unwrap(),
        RecordOutcome::Written
    );
    assert_eq!(
        fixture
            .store
            .record_attempt(&due(&read), &record(2), NOW)
            .await
            .unwrap(),
        RecordOutcome::Refused
    );

    let delivered = AttemptRecord {
        outcome: DeliveryOutcome::Delivered,
        ..record(3)
    };
    let read = fixture.get(&read.id).await;
    let recorded = fixture
        .store
        .record_attempt(&due(&read), &delivered, NOW)
        .await;
    assert_eq!(recorded.unwrap(), RecordOutcome::Written);
    let ended = fixture.get(&read.id).await;
    fixture.wire.plan([(0, Fault::Lost)]);
    let started = fixture.store.start_round(&ended, NOW).await.unwrap();
    assert_eq!(started.unwrap().operation(), &fixture.get(&read.id).await);
}

#[tokio::test]
async fn the_next_erase_finishes_one_that_crashed() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    fixture.wire.plan([(1, Fault::Lost)]);
    let erased = fixture
        .store
        .erase(&operation.id, &owner(), &Preconditions::NONE, NOW)
        .await
        .unwrap();
    assert_eq!(erased, EraseOutcome::Erased);

    let operation = fixture.completed().await;
    let (alice, clock) = (owner(), ManualClock::new(NOW));
    let erase = fixture
        .store
        .erase(&operation.id, &alice, &Preconditions::NONE, NOW);
    fixture.wire.plan([(1, Fault::CrashAfter)]);
    assert!(fixture.wire.process(&clock, erase).await.is_none());
    assert_eq!(
        fixture.store.get(&operation.id, NOW).await.unwrap(),
        None,
        "no caller sees it"
    );
    let bob = Owner::new("jwt", "bob").unwrap();
    assert_eq!(
        fixture
            .store
            .erase(&operation.id, &bob, &Preconditions::NONE, NOW)
            .await
            .unwrap(),
        EraseOutcome::Absent
    );
    assert_eq!(
        fixture
            .store
            .erase(&operation.id, &owner(), &Preconditions::NONE, NOW)
            .await
            .unwrap(),
        EraseOutcome::Erased
    );
    assert_eq!(
        fixture
            .store
            .erase(&operation.id, &owner(), &Preconditions::NONE, NOW)
            .await
            .unwrap(),
        EraseOutcome::Absent
    );
}

#[tokio::test]
async fn an_unreachable_store_is_an_error_with_its_cause() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    fixture.wire.plan([(0, Fault::AlwaysLost)]);
    let error = fixture.store.get(&operation.id, NOW).await.unwrap_err();
    assert!(
        shared::telemetry::chain(&error).contains("the connection broke"),
        "{error}"
    );
}
