//! What the store records about callbacks.

use shared::domain::callback::{CallbackStatus, DeliveryAttempt};
use shared::domain::delivery::{DeliveryOutcome, DueCallback};
use shared::domain::id::DeliveryAttemptId;
use shared::domain::json::Json;
use shared::domain::limits::CALLBACK_RETENTION_SECS;
use shared::domain::operation::{Operation, Payload};
use shared::domain::precondition::Preconditions;
use shared::store::{AttemptRecord, EraseOutcome, RecordOutcome};
use tests::samples::incompressible;

use super::{Fixture, NOW, due, owner, secs};

fn record(number: u8, outcome: DeliveryOutcome) -> AttemptRecord {
    let attempt = DeliveryAttempt {
        at: NOW + secs(u64::from(number)),
        status_code: None,
        error: Some("timed out".into()),
        duration_ms: 5000,
    };
    AttemptRecord {
        id: DeliveryAttemptId::from_bytes([number; 16]),
        attempt,
        outcome,
        kept_max: 3,
    }
}

async fn record_next(
    fixture: &Fixture,
    operation: &Operation,
    number: u8,
    outcome: DeliveryOutcome,
) -> Operation {
    let written = fixture
        .store
        .record_attempt(&due(operation), &record(number, outcome), NOW)
        .await
        .unwrap();
    assert_eq!(written, RecordOutcome::Written);
    fixture.get(&operation.id).await
}

#[tokio::test]
async fn the_record_keeps_the_last_attempts_only() {
    let fixture = Fixture::start().await;
    let mut operation = fixture.completed().await;
    let before = operation.clone();
    for number in 1..=4 {
        operation = record_next(
            &fixture,
            &operation,
            number,
            DeliveryOutcome::RetryAt(NOW + secs(100)),
        )
        .await;
        assert_eq!(operation.callback_status(), Some(CallbackStatus::Due));
    }
    operation = record_next(&fixture, &operation, 5, DeliveryOutcome::Exhausted).await;
    let callback = operation.callback.clone().unwrap();
    assert_eq!(
        (
            callback.attempts_made,
            callback.round_attempts,
            callback.next_attempt_at
        ),
        (5, 5, None)
    );
    let kept: Vec<_> = callback
        .attempts
        .iter()
        .map(|attempt| attempt.at.since(NOW).as_secs())
        .collect();
    assert_eq!(kept, [3, 4, 5]);
    assert_eq!(operation.callback_status(), Some(CallbackStatus::Exhausted));
    // A delivery never changes the operation's own state.
    assert_eq!(
        (operation.lock_version, operation.updated_at),
        (before.lock_version, before.updated_at)
    );
}

#[tokio::test]
async fn a_new_round_extends_the_record_for_its_longest_duration() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let operation = record_next(&fixture, &operation, 1, DeliveryOutcome::Delivered).await;
    let late = operation.expires_at - secs(1);
    let started = fixture.store.start_round(&operation, late).await.unwrap();
    let operation = fixture.store.get(&operation.id, late).await.unwrap();
    assert_eq!(
        started.as_ref().map(DueCallback::operation),
        operation.as_ref()
    );
    let operation = operation.unwrap();
    assert_eq!(
        operation.expires_at,
        late + secs(u64::from(CALLBACK_RETENTION_SECS))
    );
    let callback = operation.callback.clone().unwrap();
    assert_eq!(
        (
            callback.attempts_made,
            callback.round_attempts,
            callback.attempts.len()
        ),
        (1, 0, 1)
    );
    assert!(operation.callback_is_due());
}

/// The owner erases the operation between the sender's read and the start of the round, which first
/// extends the payloads' expiry.
#[tokio::test]
async fn a_round_does_not_bring_back_payloads_of_an_erased_operation() {
    let fixture = Fixture::start().await;
    let large = Json::of(&incompressible(2000)).unwrap();
    let operation = Operation {
        metadata: Payload::Inline(large.clone()),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    fixture.store.complete(&held, &large, NOW).await.unwrap();
    let completed = fixture.get(&operation.id).await;
    let read = record_next(&fixture, &completed, 1, DeliveryOutcome::Delivered).await;
    assert_eq!(fixture.items(&read.id).await.len(), 3);
    let erased = fixture
        .store
        .erase(&read.id, &owner(), &Preconditions::NONE, NOW)
        .await;
    assert_eq!(erased.unwrap(), EraseOutcome::Erased);

    let late = read.expires_at - secs(1);
    assert_eq!(fixture.store.start_round(&read, late).await.unwrap(), None);
    assert_eq!(fixture.items(&read.id).await.len(), 1, "only the tombstone");
}

#[tokio::test]
async fn a_round_starts_only_after_the_last_ended_with_the_attempts_that_were_read() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    // Due, before its first attempt and between two.
    let completed = fixture.completed().await;
    let started = store.start_round(&completed, NOW).await.unwrap().unwrap();
    assert_eq!(started.operation(), &completed);
    let outcome = DeliveryOutcome::RetryAt(NOW + secs(100));
    let waiting = record_next(&fixture, &completed, 1, outcome).await;
    let started = store.start_round(&waiting, NOW).await.unwrap().unwrap();
    assert_eq!(started.operation(), &waiting);
    let id = &completed.id;
    assert_eq!(fixture.get(id).await, waiting, "nothing is written");

    for (number, outcome) in [
        (2, DeliveryOutcome::Delivered),
        (3, DeliveryOutcome::Gone),
        (4, DeliveryOutcome::Exhausted),
    ] {
        let read_early = fixture.get(id).await;
        let ended = record_next(&fixture, &read_early, number, outcome).await;
        assert_eq!(
            store.start_round(&read_early, NOW).await.unwrap(),
            None,
            "read before the last attempt"
        );
        let started = store.start_round(&ended, NOW).await.unwrap().unwrap();
        assert_eq!(started.operation(), &fixture.get(id).await);
        assert_eq!(started.callback().round_attempts, 0);
    }
}

/// One redelivery is received twice, and both receivers have read that its round has not begun. One
/// starts it, records a failed attempt and crashes before it sends the next wake-up. The other must
/// not acknowledge the message, or no process continues the round.
#[tokio::test]
async fn a_sender_that_finds_its_round_started_gets_the_current_operation() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let completed = fixture.completed().await;
    let delivered = DeliveryOutcome::Delivered;
    let ended = record_next(&fixture, &completed, 1, delivered).await;
    let started = store.start_round(&ended, NOW).await.unwrap().unwrap();
    let failed = DeliveryOutcome::RetryAt(NOW + secs(5));
    let waiting = record_next(&fixture, started.operation(), 2, failed).await;
    let current = store.start_round(&ended, NOW).await.unwrap().unwrap();
    assert_eq!(current.operation(), &waiting);
    let callback = waiting.callback.unwrap();
    assert_eq!((callback.attempts_made, callback.round_attempts), (2, 1));
}

#[tokio::test]
async fn an_attempt_of_a_live_or_absent_operation_is_refused() {
    let fixture = Fixture::start().await;
    let live = fixture.created().await;
    let outcome = DeliveryOutcome::Delivered;
    let refused = fixture
        .store
        .record_attempt(&due(&live), &record(1, outcome), NOW)
        .await
        .unwrap();
    assert_eq!(refused, RecordOutcome::Refused);
    let missing = fixture.accepted();
    let refused = fixture
        .store
        .record_attempt(&due(&missing), &record(1, outcome), NOW)
        .await
        .unwrap();
    assert_eq!(refused, RecordOutcome::Refused);
}
