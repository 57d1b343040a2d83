//! What is recorded of callbacks.

use shared::domain::callback::{Attempt, CallbackStatus};
use shared::domain::delivery::{DeliveryOutcome, DueCallback};
use shared::domain::id::AttemptId;
use shared::domain::json::Json;
use shared::domain::limits::CALLBACK_RETENTION_SECS;
use shared::domain::operation::{Operation, Payload};
use shared::domain::precondition::Preconditions;
use shared::store::{AttemptRecord, Erased, Recorded};
use tests::samples::incompressible;

use super::{Fixture, NOW, due, owner, secs};

fn record(number: u8, outcome: DeliveryOutcome) -> AttemptRecord {
    let attempt = Attempt {
        at: NOW + secs(u64::from(number)),
        status_code: None,
        error: Some("timed out".into()),
        duration_ms: 5000,
    };
    AttemptRecord {
        id: AttemptId::from_bytes([number; 16]),
        attempt,
        outcome,
        kept_max: 3,
    }
}

async fn again(
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
    assert_eq!(written, Recorded::Written);
    fixture.get(&operation.id).await
}

#[tokio::test]
async fn as_many_attempts_are_kept_as_a_round_has() {
    let fixture = Fixture::start().await;
    let mut operation = fixture.completed().await;
    let before = operation.clone();
    for number in 1..=4 {
        operation = again(
            &fixture,
            &operation,
            number,
            DeliveryOutcome::RetryAt(NOW + secs(100)),
        )
        .await;
        assert_eq!(operation.callback_status(), Some(CallbackStatus::Due));
    }
    operation = again(&fixture, &operation, 5, DeliveryOutcome::Exhausted).await;
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
async fn a_round_keeps_the_record_for_as_long_as_it_can_take() {
    let fixture = Fixture::start().await;
    let operation = fixture.completed().await;
    let operation = again(&fixture, &operation, 1, DeliveryOutcome::Delivered).await;
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

/// Its owner erases it between the sender's read and the start of the round, which first keeps the payloads for longer.
#[tokio::test]
async fn a_round_of_an_erased_operation_brings_no_payload_back() {
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
    let read = again(&fixture, &completed, 1, DeliveryOutcome::Delivered).await;
    assert_eq!(fixture.items(&read.id).await.len(), 3);
    let erased = fixture
        .store
        .erase(&read.id, &owner(), &Preconditions::NONE, NOW)
        .await;
    assert_eq!(erased.unwrap(), Erased::Erased);

    let late = read.expires_at - secs(1);
    assert_eq!(fixture.store.start_round(&read, late).await.unwrap(), None);
    assert_eq!(fixture.items(&read.id).await.len(), 1, "the mark alone");
}

#[tokio::test]
async fn a_round_starts_only_from_an_ended_callback_with_the_attempts_that_were_read() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    // Due, before its first attempt and between two.
    let completed = fixture.completed().await;
    let started = store.start_round(&completed, NOW).await.unwrap().unwrap();
    assert_eq!(started.operation(), &completed);
    let outcome = DeliveryOutcome::RetryAt(NOW + secs(100));
    let waiting = again(&fixture, &completed, 1, outcome).await;
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
        let ended = again(&fixture, &read_early, number, outcome).await;
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

/// One redelivery, received twice, and both senders have read that its round has not begun. One starts
/// it, records a failed attempt and crashes before it sends the next wake-up. The other must not
/// acknowledge the message, since no other would continue the round.
#[tokio::test]
async fn a_round_that_another_sender_started_is_returned_as_it_is_now() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let completed = fixture.completed().await;
    let delivered = DeliveryOutcome::Delivered;
    let ended = again(&fixture, &completed, 1, delivered).await;
    let started = store.start_round(&ended, NOW).await.unwrap().unwrap();
    let failed = DeliveryOutcome::RetryAt(NOW + secs(5));
    let waiting = again(&fixture, started.operation(), 2, failed).await;
    let found = store.start_round(&ended, NOW).await.unwrap().unwrap();
    assert_eq!(found.operation(), &waiting);
    let callback = waiting.callback.unwrap();
    assert_eq!((callback.attempts_made, callback.round_attempts), (2, 1));
}

#[tokio::test]
async fn no_attempt_is_recorded_on_an_operation_that_has_not_ended_or_is_absent() {
    let fixture = Fixture::start().await;
    let live = fixture.created().await;
    let outcome = DeliveryOutcome::Delivered;
    let refused = fixture
        .store
        .record_attempt(&due(&live), &record(1, outcome), NOW)
        .await
        .unwrap();
    assert_eq!(refused, Recorded::Refused);
    let missing = fixture.accepted();
    let refused = fixture
        .store
        .record_attempt(&due(&missing), &record(1, outcome), NOW)
        .await
        .unwrap();
    assert_eq!(refused, Recorded::Refused);
}
