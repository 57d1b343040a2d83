//! Records of format 2, which the next release writes: operations that start later, and operations
//! that continue from a state. This release leaves their work alone and does everything else.

use shared::clock::ManualClock;
use shared::domain::operation::{Operation, OperationError};
use shared::domain::precondition::Preconditions;
use shared::domain::transition::Status;
use shared::store::{CancelOutcome, EraseOutcome, GiveUpOutcome, ListFilter, StoreError};

use super::upkeep::tamper;
use super::*;

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl Fixture {
    async fn starting_later(&self) -> Operation {
        let operation = self.created().await;
        let start = (NOW + secs(600)).as_millis();
        for (name, value) in [("format", 2), ("lease_until", start), ("starts_at", start)] {
            tamper(self, &operation.id, name, Some(number(value))).await;
        }
        operation
    }

    /// Its second leg may be claimed at [`NOW`].
    async fn continued(&self) -> Operation {
        let operation = self.held().await.operation().clone();
        let state = AttributeValue::S(r#"{"row":7}"#.to_owned());
        tamper(self, &operation.id, "state", Some(state)).await;
        for (name, value) in [
            ("format", 2),
            ("state_attempt", 1),
            ("attempts_max", 4),
            ("lease_until", NOW.as_millis()),
        ] {
            tamper(self, &operation.id, name, Some(number(value))).await;
        }
        operation
    }

    async fn refused_claim(&self, operation: &Operation, now: Timestamp) -> StoreError {
        let claim_id = ClaimId::from_bytes(self.bytes());
        let claimed = self
            .store
            .claim(&operation.id, &operation.create_id, claim_id, LEASE, now);
        claimed.await.unwrap_err()
    }

    async fn cancelled(&self, operation: &Operation) -> Operation {
        let cancel = self
            .store
            .cancel(&operation.id, &operation.owner, &Preconditions::NONE, NOW);
        match cancel.await.unwrap() {
            CancelOutcome::Cancelled {
                operation,
                by_us: true,
            } => *operation,
            other => panic!("not cancelled: {other:?}"),
        }
    }
}

#[tokio::test]
async fn its_work_is_left_to_the_next_release() {
    let fixture = Fixture::start().await;
    for operation in [fixture.starting_later().await, fixture.continued().await] {
        let before = fixture.record(&operation.id).await;
        for now in [NOW, NOW + secs(601)] {
            let error = fixture.refused_claim(&operation, now).await;
            assert!(
                matches!(error, StoreError::NewerFormat { format: 2, .. }),
                "{error}"
            );
        }
        assert_eq!(fixture.record(&operation.id).await, before);
    }
    let busy = fixture.continued().await;
    let lease_until = NOW + secs(60);
    let stored = number(lease_until.as_millis());
    tamper(&fixture, &busy.id, "lease_until", Some(stored)).await;
    let claimed = fixture.claim(&busy, NOW).await;
    assert!(matches!(claimed, ClaimOutcome::Busy { until } if until == lease_until));
}

#[tokio::test]
async fn it_is_read_listed_and_cancelled() {
    let fixture = Fixture::start().await;
    let (later, continued) = (fixture.starting_later().await, fixture.continued().await);
    let (owner, clock) = (owner(), ManualClock::new(NOW));
    let filter = ListFilter::default();
    let page = fixture
        .store
        .list(&owner, &filter, 50, None, &clock, &fixture.random);
    assert_eq!(page.await.unwrap().operations.len(), 2);
    for (operation, status) in [(later, Status::Pending), (continued, Status::Processing)] {
        assert_eq!(fixture.get(&operation.id).await.status(), status);
        let cancelled = fixture.cancelled(&operation).await;
        assert_eq!(fixture.get(&operation.id).await, cancelled);
        let record = fixture.record(&operation.id).await.unwrap();
        for dropped in ["state", "state_attempt", "lease_until", "claim_id"] {
            assert!(!record.contains_key(dropped), "{dropped}");
        }
        let claimed = fixture.claim(&operation, NOW).await;
        assert!(matches!(claimed, ClaimOutcome::Ended(_)));
    }
}

#[tokio::test]
async fn it_is_given_up_with_its_state_and_its_callback_is_due() {
    let fixture = Fixture::start().await;
    for operation in [fixture.starting_later().await, fixture.continued().await] {
        let now = operation.deadline_at;
        let ClaimOutcome::Exhausted(exhausted) = fixture.claim(&operation, now).await else {
            panic!("not exhausted");
        };
        let errors = [OperationError::new("DEADLINE_EXCEEDED", "too late", None)];
        let given_up = fixture.store.give_up(&exhausted, &errors, now).await;
        let GiveUpOutcome::Ended {
            operation: ended,
            by_us: true,
        } = given_up.unwrap()
        else {
            panic!("not given up");
        };
        assert_eq!(ended.status(), Status::Failed);
        assert_eq!(ended.callback_is_due(), ended.callback.is_some());
        // A redrive may continue from it.
        let record = fixture.record(&operation.id).await.unwrap();
        let has_state = operation.attempt > 0;
        assert_eq!(record.contains_key("state"), has_state);
    }
}

#[tokio::test]
async fn an_erase_deletes_its_state_as_well() {
    let fixture = Fixture::start().await;
    let operation = fixture.continued().await;
    let sort_key = format!("state#{}#1", operation.create_id.as_str());
    let [pk, sk] = TABLE_KEYS;
    let put = fixture
        .dynamodb
        .put_item()
        .table_name(&fixture.table)
        .item(pk, AttributeValue::S(operation.id.to_string()))
        .item(sk, AttributeValue::S(sort_key))
        .item("body", AttributeValue::S("{}".to_owned()));
    put.send().await.unwrap();
    fixture.cancelled(&operation).await;
    let erase = fixture
        .store
        .erase(&operation.id, &operation.owner, &Preconditions::NONE, NOW);
    assert_eq!(erase.await.unwrap(), EraseOutcome::Erased);
    let items = fixture.items(&operation.id).await;
    assert_eq!(items.len(), 1, "the tombstone");
    assert!(!items[0].contains_key("state"));
}
