//! What an erase leaves, and that it is final: readers do not see the operation again, whatever
//! their clocks say, and a retried create does not bring it back.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::clock::ManualClock;
use shared::domain::callback::DeliveryAttempt;
use shared::domain::delivery::DeliveryOutcome;
use shared::domain::id::{ClaimId, DeliveryAttemptId, OperationId};
use shared::domain::json::Json;
use shared::domain::limits::{GONE_RETENTION, PAYLOAD_MARGIN};
use shared::domain::operation::{Operation, OperationError, Payload};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::store::table::TABLE_KEYS;
use shared::store::{
    AttemptRecord, CancelOutcome, ClaimOutcome, CreateOutcome, Draft, EraseOutcome, FinishOutcome,
    ListFilter, RecordOutcome, StoreError,
};
use tests::samples::incompressible;
use tests::wire::Fault;

use super::{Fixture, LEASE, NOW, due, json, owner, secs};

/// Less than a second, so that two calls may fall into the same second.
const MOMENT: Duration = Duration::from_millis(1);

fn large() -> Payload {
    Payload::Inline(Json::of(&incompressible(2000)).unwrap())
}

/// Completes an operation as a worker does, and erases it.
async fn end_and_erase(fixture: &Fixture, operation: &Operation, now: Timestamp) {
    let held = fixture.hold(operation, now).await;
    let completed = fixture.store.complete(&held, &json("1"), now).await;
    assert!(matches!(completed.unwrap(), FinishOutcome::Written(_)));
    erase(fixture, operation, now).await;
}

async fn erase(fixture: &Fixture, operation: &Operation, now: Timestamp) {
    let erased = fixture
        .store
        .erase(&operation.id, &owner(), &Preconditions::NONE, now)
        .await;
    assert_eq!(erased.unwrap(), EraseOutcome::Erased);
}

/// A create that was applied and whose response was lost.
async fn create_with_lost_response(fixture: &Fixture, draft: &Draft) {
    fixture.wire.plan([(0, Fault::AlwaysLost)]);
    assert!(fixture.store.create(draft, NOW).await.is_err());
    fixture.wire.plan([]);
}

#[tokio::test]
async fn an_erase_leaves_only_a_tombstone() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        arguments: large(),
        metadata: large(),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let result = Json::of(&incompressible(2000)).unwrap();
    // The first attempt writes its result too late for the head to name it.
    let stale = fixture.hold(&operation, NOW - LEASE).await;
    let held = fixture.hold(&operation, NOW).await;
    let refused = fixture.store.complete(&stale, &result, NOW).await;
    assert!(matches!(refused.unwrap(), FinishOutcome::Lost));
    fixture.store.complete(&held, &result, NOW).await.unwrap();
    assert_eq!(fixture.items(&operation.id).await.len(), 5);
    erase(&fixture, &operation, NOW + MOMENT).await;

    let [tombstone] = fixture
        .items(&operation.id)
        .await
        .try_into()
        .expect("only the tombstone");
    let mut attributes: Vec<_> = tombstone.iter().collect();
    attributes.sort_by_key(|(name, _)| *name);
    let text = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.into());
    let number = |value: i64| aws_sdk_dynamodb::types::AttributeValue::N(value.to_string());
    let delete_at = (NOW + MOMENT + GONE_RETENTION).as_secs();
    for ((name, value), expected) in attributes.into_iter().zip([
        ("create_id", text(operation.create_id.as_str())),
        ("delete_at", number(delete_at)),
        ("erased_at", number((NOW + MOMENT).as_millis())),
        ("format", number(1)),
        ("pk", text(operation.id.as_str())),
        ("sk", text("head")),
    ]) {
        assert_eq!((name.as_str(), value), (expected.0, &expected.1));
    }
    assert_eq!(tombstone.len(), 6);
    let index = fixture.dynamodb.scan().table_name(&fixture.table);
    let index = index.index_name("by_owner").send().await.unwrap();
    assert_eq!(index.count(), 0);
}

/// Tests an erase that crashed after its first write, and one that finished.
#[tokio::test]
async fn an_erased_operation_is_absent_even_by_a_clock_that_is_behind() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let clock = ManualClock::new(NOW);
    let operation = fixture.accepted();
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    store.complete(&held, &json("1"), NOW).await.unwrap();
    let record = AttemptRecord {
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
    let completed = fixture.get(&operation.id).await;
    store
        .record_attempt(&due(&completed), &record, NOW)
        .await
        .unwrap();
    let ended = fixture.get(&operation.id).await;

    let alice = owner();
    fixture.wire.plan([(1, Fault::CrashAfter)]);
    let crashed = store.erase(&operation.id, &alice, &Preconditions::NONE, NOW);
    assert!(fixture.wire.process(&clock, crashed).await.is_none());
    for has_crashed in [true, false] {
        let stored = fixture.record(&operation.id).await.unwrap();
        assert_eq!(stored.contains_key("owner"), has_crashed);
        for now in [NOW - secs(600), NOW - secs(1), NOW, NOW + secs(600)] {
            assert_eq!(store.get(&operation.id, now).await.unwrap(), None);
            let read = store.get_for(&operation.id, &alice, now).await;
            assert_eq!(read.unwrap(), None);
            let filter = ListFilter::default();
            let clock = ManualClock::new(now);
            let list = store.list(&alice, &filter, 10, None, &clock, &fixture.random);
            assert_eq!(list.await.unwrap().operations, []);
            let claim_id = ClaimId::from_bytes([1; 16]);
            let claimed = store.claim(&operation.id, &operation.create_id, claim_id, LEASE, now);
            assert!(matches!(claimed.await.unwrap(), ClaimOutcome::Gone));
            let completed = store.complete(&held, &json("2"), now).await;
            assert!(matches!(completed.unwrap(), FinishOutcome::Lost));
            let cancelled = store
                .cancel(&operation.id, &alice, &Preconditions::NONE, now)
                .await;
            assert!(matches!(cancelled.unwrap(), CancelOutcome::Absent));
            let recorded = store.record_attempt(&due(&ended), &record, now).await;
            assert_eq!(recorded.unwrap(), RecordOutcome::Refused);
            assert_eq!(store.start_round(&ended, now).await.unwrap(), None);
        }
        assert_eq!(fixture.record(&operation.id).await, Some(stored));
        let again = store
            .erase(&operation.id, &alice, &Preconditions::NONE, NOW)
            .await
            .unwrap();
        let expected = if has_crashed {
            EraseOutcome::Erased
        } else {
            EraseOutcome::Absent
        };
        assert_eq!(again, expected);
    }
}

impl Fixture {
    /// Deletes an operation's payload items whose sort key begins with this.
    async fn lose_payloads(&self, id: &OperationId, prefix: &str) {
        let [pk, sk] = TABLE_KEYS;
        for item in self.items(id).await {
            if item[sk].as_s().unwrap().starts_with(prefix) {
                let deleted = self.dynamodb.delete_item().table_name(&self.table);
                let deleted = deleted.key(pk, item[pk].clone()).key(sk, item[sk].clone());
                deleted.send().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn missing_payloads_are_corrupt_unless_their_operation_is_gone() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        metadata: large(),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    let result = Json::of(&incompressible(2000)).unwrap();
    fixture.store.complete(&held, &result, NOW).await.unwrap();
    let read = fixture.get(&operation.id).await;
    let payloads = async || fixture.store.payloads(&read, NOW).await;
    let found = payloads().await.unwrap().unwrap();
    assert_eq!(Some(&found.metadata), operation.metadata.json());
    assert_eq!(found.result, Some(result));

    fixture.lose_payloads(&operation.id, "metadata#").await;
    let corrupt = payloads().await.unwrap_err();
    assert!(matches!(corrupt, StoreError::Corrupt { .. }), "{corrupt}");

    erase(&fixture, &operation, NOW).await;
    assert_eq!(payloads().await.unwrap(), None);
    let second = Operation {
        id: operation.id.clone(),
        ..fixture.accepted()
    };
    fixture.create(&second).await;
    assert_eq!(payloads().await.unwrap(), None);
}

#[tokio::test]
async fn missing_arguments_are_corrupt_until_they_may_have_expired() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        arguments: large(),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let read = fixture.get(&operation.id).await;
    let arguments = async |now| {
        let payloads = fixture.store.payloads_with_arguments(&read, now).await;
        payloads.map(|payloads| payloads.unwrap().arguments)
    };
    assert_eq!(
        arguments(NOW).await.unwrap().as_ref(),
        operation.arguments.json()
    );
    fixture.lose_payloads(&operation.id, "arguments#").await;
    let corrupt = arguments(NOW).await.unwrap_err();
    assert!(matches!(corrupt, StoreError::Corrupt { .. }), "{corrupt}");
    let retention = Duration::from_secs(operation.retention_secs.into());
    let expired = operation.deadline_at + retention + PAYLOAD_MARGIN;
    assert_eq!(arguments(expired).await.unwrap(), None);
}

/// The mark is applied and its response lost. Before the SDK retries it, a second operation with
/// the same id is created, and may have ended.
#[tokio::test]
async fn a_retried_erase_does_not_erase_a_successor() {
    for has_ended in [false, true] {
        let fixture = Fixture::start().await;
        let large = || Operation {
            arguments: large(),
            metadata: large(),
            ..fixture.accepted()
        };
        let first = large();
        fixture.create(&first).await;
        let held = fixture.hold(&first, NOW).await;
        let completed = fixture.store.complete(&held, &json("1"), NOW).await;
        assert!(matches!(completed.unwrap(), FinishOutcome::Written(_)));
        let second = Operation {
            id: first.id.clone(),
            ..large()
        };
        let alice = owner();
        let erase = fixture
            .store
            .erase(&first.id, &alice, &Preconditions::NONE, NOW);
        let replace = async {
            fixture.create(&second).await;
            if has_ended {
                let held = fixture.hold(&second, NOW).await;
                let failure = OperationError::new("FAILED", "", None).into();
                let failed = fixture.store.fail(&held, &failure, NOW).await;
                assert!(matches!(failed.unwrap(), FinishOutcome::Written(_)));
            }
            fixture.get(&second.id).await
        };
        fixture.wire.plan([(1, Fault::Lost)]);
        let (erased, successor) = fixture.wire.delay(2, erase, replace).await;
        assert_eq!(erased.unwrap(), EraseOutcome::Erased);
        assert_eq!(fixture.get(&second.id).await, successor);
        assert_eq!(fixture.items(&second.id).await.len(), 3, "its own items");
    }
}

/// A create's response is lost, its operation ends, and its owner erases it, all before the SDK
/// retries the create.
#[tokio::test]
async fn a_retried_create_does_not_bring_back_an_erased_operation() {
    let fixture = Fixture::start().await;
    // At once, within the same second, later, and by a clock that is behind.
    for erased_at in [NOW, NOW + MOMENT, NOW + secs(4), NOW - secs(2)] {
        let operation = fixture.accepted();
        let draft = Draft::new(&operation);
        create_with_lost_response(&fixture, &draft).await;
        end_and_erase(&fixture, &operation, erased_at).await;
        let tombstone = fixture.record(&operation.id).await;

        let again = fixture.store.create(&draft, NOW).await.unwrap();
        assert!(matches!(again, CreateOutcome::New), "{again:?}");
        assert_eq!(fixture.record(&operation.id).await, tombstone);
        assert_eq!(fixture.store.get(&operation.id, NOW).await.unwrap(), None);
    }
}

/// The same, and a second operation with the same id is created and erased as well, before the SDK
/// retries the first create.
#[tokio::test]
async fn a_retried_create_does_not_replace_a_later_tombstone() {
    let fixture = Fixture::start().await;
    let first = fixture.accepted();
    let draft = Draft::new(&first);
    create_with_lost_response(&fixture, &draft).await;
    end_and_erase(&fixture, &first, NOW + MOMENT).await;
    let second = Operation {
        id: first.id.clone(),
        created_at: NOW + 2 * MOMENT,
        ..fixture.accepted()
    };
    let created = fixture
        .store
        .create(&Draft::new(&second), NOW + 2 * MOMENT)
        .await;
    assert!(matches!(created.unwrap(), CreateOutcome::New));
    end_and_erase(&fixture, &second, NOW + 3 * MOMENT).await;

    let again = fixture.store.create(&draft, NOW).await.unwrap();
    assert!(matches!(again, CreateOutcome::Erased), "{again:?}");
    let (id, later) = (&first.id, NOW + 4 * MOMENT);
    assert_eq!(fixture.store.get(id, later).await.unwrap(), None);
    // The successor does not come back either.
    let again = fixture.store.create(&Draft::new(&second), later).await;
    assert!(matches!(again.unwrap(), CreateOutcome::New));
    assert_eq!(fixture.store.get(id, later).await.unwrap(), None);
    // A new submit finds the id free.
    let third = Operation {
        id: first.id.clone(),
        created_at: later,
        ..fixture.accepted()
    };
    let created = fixture.store.create(&Draft::new(&third), later).await;
    assert!(matches!(created.unwrap(), CreateOutcome::New));
    assert_eq!(fixture.store.get(id, later).await.unwrap(), Some(third));
}

/// Copies that other submits under the same key have left: one that was refused and crashed before
/// it deleted them, and one of a release whose payload items have no time.
#[tokio::test]
async fn an_erase_deletes_the_payload_items_of_other_submits() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        arguments: large(),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let other = || Operation {
        id: operation.id.clone(),
        arguments: large(),
        metadata: large(),
        ..fixture.accepted()
    };
    for _ in 0..60 {
        let draft = Draft::new(&other());
        fixture.store.write_payloads(&draft).await.unwrap();
    }
    let [pk, sk] = TABLE_KEYS;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let undated = fixture.dynamodb.put_item().table_name(&fixture.table);
    let undated = undated.item(pk, text(operation.id.as_str()));
    let undated = undated.item(sk, text("arguments#CQkJCQkJCQkJCQkJCQkJCQ"));
    undated.send().await.unwrap();
    assert_eq!(fixture.items(&operation.id).await.len(), 2 + 120 + 1);
    end_and_erase(&fixture, &operation, NOW + MOMENT).await;
    let left = fixture.items(&operation.id).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].contains_key("erased_at"));
}

/// The erase has marked the head when a submit under the same key begins, and deletes the payload
/// items only after that submit has written its own.
#[tokio::test]
async fn an_erase_keeps_the_payload_items_of_a_later_submit() {
    let fixture = Fixture::start().await;
    let first = Operation {
        arguments: large(),
        ..fixture.accepted()
    };
    fixture.create(&first).await;
    let held = fixture.hold(&first, NOW).await;
    let completed = fixture.store.complete(&held, &json("1"), NOW).await;
    assert!(matches!(completed.unwrap(), FinishOutcome::Written(_)));
    let second = |created_at| Operation {
        id: first.id.clone(),
        arguments: large(),
        created_at,
        ..fixture.accepted()
    };
    let (early, late) = (second(NOW), second(NOW + 2 * MOMENT));
    let alice = owner();
    let erased_at = NOW + MOMENT;
    let erase = fixture
        .store
        .erase(&first.id, &alice, &Preconditions::NONE, erased_at);
    fixture.wire.plan([]);
    // After the read and the mark.
    let write = async {
        for submitted in [&early, &late] {
            let draft = Draft::new(submitted);
            fixture.store.write_payloads(&draft).await.unwrap();
        }
    };
    let (erased, ()) = fixture.wire.delay(2, erase, write).await;
    assert_eq!(erased.unwrap(), EraseOutcome::Erased);
    let create = async |operation| {
        let draft = Draft::new(operation);
        fixture
            .store
            .create(&draft, NOW + 3 * MOMENT)
            .await
            .unwrap()
    };
    // Its arguments may have been deleted by now, so the submit has to begin again.
    assert!(matches!(create(&early).await, CreateOutcome::Erased));
    assert!(matches!(create(&late).await, CreateOutcome::New));
    let created = fixture.get(&late.id).await;
    let arguments = fixture.store.arguments(&created).await.unwrap();
    assert_eq!(Some(&arguments), late.arguments.json());
    assert_eq!(fixture.items(&late.id).await.len(), 2, "its own items");
}

/// A holder writes its result after its operation was cancelled and erased, or erased and its id
/// taken by another operation.
#[tokio::test]
async fn a_result_item_is_deleted_when_its_operation_is_gone() {
    let result = Json::of(&incompressible(2000)).unwrap();
    for is_reused in [false, true] {
        let fixture = Fixture::start().await;
        let operation = fixture.accepted();
        fixture.create(&operation).await;
        let held = fixture.hold(&operation, NOW).await;
        let cancelled = fixture
            .store
            .cancel(&operation.id, &owner(), &Preconditions::NONE, NOW)
            .await;
        assert!(matches!(
            cancelled.unwrap(),
            CancelOutcome::Cancelled { .. }
        ));
        // The record still exists, so this may be an own write whose response was lost.
        let refused = fixture.store.complete(&held, &result, NOW).await;
        assert!(matches!(refused.unwrap(), FinishOutcome::Lost));
        assert_eq!(fixture.items(&operation.id).await.len(), 2);
        erase(&fixture, &operation, NOW).await;
        assert_eq!(fixture.items(&operation.id).await.len(), 1);
        if is_reused {
            let second = Operation {
                id: operation.id.clone(),
                ..fixture.accepted()
            };
            fixture.create(&second).await;
        }
        let refused = fixture.store.complete(&held, &result, NOW).await;
        assert!(matches!(refused.unwrap(), FinishOutcome::Lost));
        assert_eq!(fixture.items(&operation.id).await.len(), 1);
    }
}
