//! An expired operation is absent, on reads and on writes: DynamoDB deletes up to days late, and
//! the stores in these tests do not delete at all.

use std::time::Duration;

use shared::clock::ManualClock;
use shared::domain::callback::DeliveryAttempt;
use shared::domain::delivery::DeliveryOutcome;
use shared::domain::id::{DeliveryAttemptId, OperationId};
use shared::domain::json::Json;
use shared::domain::limits::{EXPIRY_MARGIN, GONE_RETENTION, LEASE_SECS_MAX, RETENTION_SECS_MIN};
use shared::domain::operation::{FailureCode, Operation, OperationError, Payload, Progress, State};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::store::{
    AttemptRecord, CancelOutcome, ClaimOutcome, CreateOutcome, Draft, EraseOutcome, FinishOutcome,
    GiveUpOutcome, ListFilter, ListPage, RecordOutcome, RenewOutcome,
};

use shared::store::table::TTL_ATTRIBUTE;
use tests::samples::incompressible;

use super::{Fixture, LEASE, NOW, due, json, owner, secs};

fn error() -> OperationError {
    OperationError::of(FailureCode::InternalError, "failed")
}

/// The first moment at which a record is absent, and a moment at which DynamoDB should have deleted
/// it long ago.
fn after_expiry(expires_at: Timestamp) -> [Timestamp; 2] {
    [expires_at, expires_at + secs(30 * 86_400)]
}

async fn list(fixture: &Fixture, limit: usize, now: Timestamp) -> ListPage {
    fixture
        .store
        .list(
            &owner(),
            &ListFilter::default(),
            limit,
            None,
            &ManualClock::new(now),
            &fixture.random,
        )
        .await
        .unwrap()
}

async fn cancel(fixture: &Fixture, id: &OperationId, now: Timestamp) -> CancelOutcome {
    fixture
        .store
        .cancel(id, &owner(), &Preconditions::NONE, now)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_expired_operation_is_absent_to_its_owner_until_the_store_deletes_it() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let record = fixture.record(&operation.id).await;
    let (id, expired) = (&operation.id, operation.expires_at);

    let last = expired - Duration::from_millis(1);
    let read = fixture.store.get(id, last).await.unwrap();
    assert_eq!(read.as_ref(), Some(&operation));
    let listed = list(&fixture, 10, last).await.operations;
    assert_eq!(listed.first(), Some(&operation));
    assert!(matches!(
        cancel(&fixture, id, last).await,
        CancelOutcome::Ended(_)
    ));

    for late in after_expiry(expired) {
        assert_eq!(fixture.store.get(id, late).await.unwrap(), None);
        let page = list(&fixture, 10, late).await;
        assert!(page.operations.is_empty() && page.next.is_none());
        assert!(matches!(
            cancel(&fixture, id, late).await,
            CancelOutcome::Absent
        ));
        let erased = fixture
            .store
            .erase(id, &owner(), &Preconditions::NONE, late)
            .await
            .unwrap();
        assert_eq!(erased, EraseOutcome::Absent);
    }
    assert!(record.is_some());
    assert_eq!(fixture.record(id).await, record, "the record is unchanged");
}

#[tokio::test]
async fn a_live_operation_whose_record_expired_is_absent_to_workers() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let held = fixture.held().await;
    let operation = held.operation();
    let record = fixture.record(&operation.id).await;

    for late in after_expiry(operation.expires_at) {
        assert!(matches!(
            fixture.claim(operation, late).await,
            ClaimOutcome::Gone
        ));
        let renewed = store.renew(&held, LEASE, None, late).await;
        assert_eq!(renewed.unwrap(), RenewOutcome::Lost);
        for finished in [
            store.complete(&held, &json("1"), late).await,
            store.fail(&held, &error().into(), late).await,
            store.retry(&held, &error(), late, late).await,
        ] {
            assert!(matches!(finished.unwrap(), FinishOutcome::Lost));
        }
        let given_up = store.give_up(operation, &[error()], late).await;
        assert!(matches!(given_up.unwrap(), GiveUpOutcome::Changed));
        assert!(matches!(
            cancel(&fixture, &operation.id, late).await,
            CancelOutcome::Absent
        ));
    }
    assert!(record.is_some());
    assert_eq!(fixture.record(&operation.id).await, record);
}

#[tokio::test]
async fn an_attempt_of_an_expired_operation_is_refused() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let record = fixture.record(&operation.id).await;
    let attempt = AttemptRecord {
        id: DeliveryAttemptId::from_bytes([1; 16]),
        attempt: DeliveryAttempt {
            at: NOW,
            status_code: Some(200),
            error: None,
            duration_ms: 1,
        },
        outcome: DeliveryOutcome::Delivered,
        kept_max: 6,
    };
    for late in after_expiry(operation.expires_at) {
        let recorded = fixture
            .store
            .record_attempt(&due(&operation), &attempt, late)
            .await;
        assert_eq!(recorded.unwrap(), RecordOutcome::Refused);
        let started = fixture.store.start_round(&operation, late).await;
        assert_eq!(started.unwrap(), None);
    }
    assert!(record.is_some());
    assert_eq!(fixture.record(&operation.id).await, record);
}

#[tokio::test]
async fn a_replay_does_not_find_an_expired_operation() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let expired = operation.expires_at;
    let next = Operation {
        id: operation.id.clone(),
        ..fixture.accepted()
    };
    let draft = Draft::new(&next);
    let early = expired - Duration::from_millis(1);
    assert!(matches!(
        fixture.store.create(&draft, early).await.unwrap(),
        CreateOutcome::Existing(_)
    ));
    assert!(matches!(
        fixture.store.create(&draft, expired).await.unwrap(),
        CreateOutcome::New
    ));
    // The earlier incarnation's message does not claim the new one.
    assert!(matches!(
        fixture.claim(&operation, NOW).await,
        ClaimOutcome::OtherIncarnation
    ));
    assert_eq!(fixture.get(&next.id).await, next);
}

#[tokio::test]
async fn a_list_skips_expired_operations() {
    let fixture = Fixture::start().await;
    let mut live = Vec::new();
    for number in 0..6 {
        let at = NOW + secs(number);
        let operation = Operation {
            created_at: at,
            updated_at: at,
            // Every second one expires first.
            expires_at: NOW + secs(100 + 100 * (number % 2)),
            ..fixture.accepted()
        };
        fixture.create(&operation).await;
        if number % 2 == 1 {
            live.insert(0, operation);
        }
    }
    assert_eq!(list(&fixture, 10, NOW + secs(99)).await.operations.len(), 6);
    let first = list(&fixture, 2, NOW + secs(100)).await;
    assert_eq!(first.operations, live[..2]);
    let rest = fixture
        .store
        .list(
            &owner(),
            &ListFilter::default(),
            2,
            first.next,
            &ManualClock::new(NOW + secs(100)),
            &fixture.random,
        )
        .await
        .unwrap();
    assert_eq!(rest.operations, live[2..]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn a_live_operation_does_not_expire() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    // Its retention is a minute, and its deadline nearly a day away.
    let operation = Operation {
        retention_secs: 60,
        deadline_at: NOW + secs(80_000),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let read_at = async |after_secs| {
        let now = NOW + secs(after_secs);
        let read = store.get(&operation.id, now).await.unwrap().unwrap();
        let listed = list(&fixture, 1, now).await.operations;
        assert_eq!(listed.first(), Some(&read));
        assert_eq!(read.expires_at, operation.expires_at);
        read
    };
    assert_eq!(read_at(20_000).await.state, State::Pending);

    let held = fixture.hold(&operation, NOW + secs(20_000)).await;
    read_at(30_000).await;
    let progress = Progress {
        fraction: 0.5,
        message: None,
        at: NOW + secs(40_000),
    };
    let renewed = store
        .renew(&held, LEASE, Some(&progress), progress.at)
        .await;
    assert_eq!(renewed.unwrap(), RenewOutcome::Held);
    read_at(50_000).await;
    let again_at = NOW + secs(60_000);
    let retried = store
        .retry(&held, &error(), again_at, NOW + secs(50_000))
        .await;
    assert!(matches!(retried.unwrap(), FinishOutcome::Written(_)));
    read_at(60_000).await;
    let held = fixture.hold(&operation, again_at).await;
    read_at(70_000).await;

    let end = NOW + secs(79_999);
    let completed = store.complete(&held, &json("1"), end).await.unwrap();
    let FinishOutcome::Written(completed) = completed else {
        panic!("{completed:?}")
    };
    assert_eq!(completed.expires_at, end + secs(60));
    assert_eq!(
        store.get(&operation.id, end + secs(60)).await.unwrap(),
        None
    );
}

/// A create is applied and its response lost. The operation ends and expires as early as possible,
/// all before the network delivers a try of the create that was in flight all the time.
#[tokio::test]
async fn a_late_create_does_not_bring_back_an_expired_operation() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        retention_secs: RETENTION_SECS_MIN,
        ..fixture.accepted()
    };
    let draft = Draft::new(&operation);
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    let completed = fixture.store.complete(&held, &json("1"), NOW).await;
    assert!(matches!(completed.unwrap(), FinishOutcome::Written(_)));
    let expired = NOW + secs(u64::from(RETENTION_SECS_MIN));
    assert_eq!(
        fixture.store.get(&operation.id, expired).await.unwrap(),
        None
    );

    // Until then DynamoDB does not delete the record, and afterwards no create that had begun can
    // still be in flight.
    fixture
        .delete_expired(expired + GONE_RETENTION - secs(1))
        .await;
    let again = fixture.store.create(&draft, NOW).await.unwrap();
    assert!(matches!(again, CreateOutcome::New), "{again:?}");
    let read = fixture.store.get(&operation.id, expired).await;
    assert_eq!(read.unwrap(), None);
    let next = Operation {
        id: operation.id.clone(),
        ..fixture.accepted()
    };
    // Nevertheless the id is free.
    let created = fixture.store.create(&Draft::new(&next), expired).await;
    assert!(matches!(created.unwrap(), CreateOutcome::New));
    let read = fixture.store.get(&operation.id, expired).await;
    assert_eq!(read.unwrap(), Some(next.clone()));

    fixture
        .delete_expired(next.expires_at + GONE_RETENTION)
        .await;
    assert_eq!(fixture.record(&next.id).await, None);
}

/// When DynamoDB may delete an operation's item, found by the start of its sort key.
async fn delete_at(fixture: &Fixture, operation: &Operation, kind: &str) -> Timestamp {
    let items = fixture.items(&operation.id).await;
    let item = items
        .iter()
        .find(|item| item["sk"].as_s().unwrap().starts_with(kind))
        .unwrap_or_else(|| panic!("no {kind}"));
    Timestamp::from_secs(item[TTL_ATTRIBUTE].as_n().unwrap().parse().unwrap())
}

#[tokio::test]
async fn payload_items_expire_after_the_head_that_names_them() {
    let fixture = Fixture::start().await;
    let large = || Payload::Inline(Json::of(&incompressible(2000)).unwrap());
    let operation = Operation {
        arguments: large(),
        metadata: large(),
        deadline_at: NOW + secs(300),
        expires_at: NOW + EXPIRY_MARGIN,
        retention_secs: RETENTION_SECS_MIN,
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    let result = Json::of(&incompressible(2000)).unwrap();
    let ended_at = NOW + secs(1);
    fixture
        .store
        .complete(&held, &result, ended_at)
        .await
        .unwrap();

    let head_until = delete_at(&fixture, &operation, "head").await;
    assert_eq!(head_until, ended_at + secs(60) + GONE_RETENTION);
    for submitted in ["arguments#", "metadata#"] {
        let at = delete_at(&fixture, &operation, submitted).await;
        let a_day_late = operation.deadline_at + secs(60 + 86_400);
        assert_eq!(at, a_day_late, "{submitted}");
    }
    // The head's write may follow the result's by as long as it is retried.
    let result_until = delete_at(&fixture, &operation, "result#").await;
    assert_eq!(result_until, head_until + secs(LEASE_SECS_MAX.into()));
}

/// No worker was running for three days.
#[tokio::test]
async fn an_operation_given_up_late_keeps_its_metadata_unless_they_have_expired() {
    let large = || Payload::Inline(Json::of(&incompressible(2000)).unwrap());
    for have_expired in [false, true] {
        let fixture = Fixture::start().await;
        let operation = Operation {
            metadata: large(),
            expires_at: NOW + EXPIRY_MARGIN,
            ..fixture.accepted()
        };
        fixture.create(&operation).await;
        let late = operation.deadline_at + secs(3 * 86_400);
        if have_expired {
            fixture.delete_expired(late).await;
        }
        let exhausted = fixture.get(&operation.id).await;
        let errors = exhausted.give_up_errors(late).unwrap();
        let given_up = fixture.store.give_up(&exhausted, &errors, late).await;
        let GiveUpOutcome::Ended {
            operation: ended, ..
        } = given_up.unwrap()
        else {
            panic!("not given up")
        };
        let last = ended.expires_at - Duration::from_millis(1);
        fixture.delete_expired(last).await;
        let payloads = fixture.store.payloads(&ended, last).await;
        let metadata = payloads.unwrap().unwrap().metadata;
        if have_expired {
            assert!(metadata.is_empty_object());
        } else {
            assert_eq!(Some(&metadata), operation.metadata.json());
        }
    }
}
