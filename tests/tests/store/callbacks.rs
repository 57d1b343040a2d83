//! What is recorded of callbacks.

use shared::domain::callback::{Attempt, CallbackStatus};
use shared::domain::id::{AttemptId, RedeliveryId};
use shared::domain::limits::CALLBACK_RETENTION_SECS;
use shared::domain::operation::Operation;
use shared::store::{AttemptRecord, Recorded, Settlement};

use super::{Fixture, NOW, secs};

fn record(number: u8, settlement: Settlement) -> AttemptRecord {
    let attempt = Attempt {
        at: NOW + secs(u64::from(number)),
        status_code: None,
        error: Some("timed out".into()),
        duration_ms: 5000,
    };
    AttemptRecord {
        id: AttemptId::from_bytes([number; 16]),
        attempt,
        settlement,
        kept_max: 3,
    }
}

async fn again(
    fixture: &Fixture,
    operation: &Operation,
    number: u8,
    settlement: Settlement,
) -> Operation {
    let written = fixture
        .store
        .record_attempt(operation, &record(number, settlement), NOW)
        .await
        .unwrap();
    assert_eq!(written, Recorded::Written);
    fixture.get(&operation.id).await
}

#[tokio::test]
async fn tries_are_kept_as_many_as_a_round_has() {
    let fixture = Fixture::start().await;
    let mut operation = fixture.completed().await;
    let before = operation.clone();
    for number in 1..=4 {
        operation = again(
            &fixture,
            &operation,
            number,
            Settlement::Again(NOW + secs(100)),
        )
        .await;
        assert_eq!(operation.callback_status(), Some(CallbackStatus::Due));
    }
    operation = again(
        &fixture,
        &operation,
        5,
        Settlement::Settled(CallbackStatus::Exhausted),
    )
    .await;
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
    let operation = again(
        &fixture,
        &operation,
        1,
        Settlement::Settled(CallbackStatus::Delivered),
    )
    .await;
    let late = operation.expires_at - secs(1);
    let redelivery_id = RedeliveryId::from_bytes([1; 16]);
    let started = fixture
        .store
        .start_round(&operation, &redelivery_id, late)
        .await
        .unwrap();
    assert_eq!(started, Recorded::Written);
    let operation = fixture
        .store
        .get(&operation.id, late)
        .await
        .unwrap()
        .unwrap();
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
    assert_eq!(callback.redelivery_id, Some(redelivery_id));
    assert!(operation.callback_is_due());
}

#[tokio::test]
async fn nothing_is_recorded_on_what_lives_or_is_gone() {
    let fixture = Fixture::start().await;
    let live = fixture.created().await;
    let settlement = Settlement::Settled(CallbackStatus::Delivered);
    let refused = fixture
        .store
        .record_attempt(&live, &record(1, settlement), NOW)
        .await
        .unwrap();
    assert_eq!(refused, Recorded::Refused);
    let missing = fixture.accepted();
    let refused = fixture
        .store
        .record_attempt(&missing, &record(1, settlement), NOW)
        .await
        .unwrap();
    assert_eq!(refused, Recorded::Refused);
}
