//! What each step returns, for each state that it meets.

use shared::domain::id::{ClaimId, CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{
    FailureCode, Operation, OperationError, Owner, Payload, Progress, State,
};
use shared::domain::precondition::{Preconditions, Version, Versions};
use shared::domain::transition::{Status, Step, Verdict, verdict};
use shared::store::{
    CancelOutcome, ClaimOutcome, CreateOutcome, Draft, EraseOutcome, FinishOutcome, GiveUpOutcome,
    Held, RenewOutcome,
};

use super::{Fixture, LEASE, NOW, continuation, json, owner, secs};

fn error() -> OperationError {
    OperationError::new("MINE", "failed", Some(json(r#"{"n":9007199254740993}"#)))
}

#[tokio::test]
async fn an_operation_is_read_as_it_was_created() {
    let fixture = Fixture::start().await;
    let mut operation = fixture.accepted();
    operation.request_hash = Some([7; 32]);
    fixture.create(&operation).await;
    assert_eq!(fixture.get(&operation.id).await, operation);
    operation = Operation {
        callback: None,
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    assert_eq!(fixture.get(&operation.id).await, operation);
}

#[tokio::test]
async fn large_payloads_are_external_and_read_on_demand() {
    let fixture = Fixture::start().await;
    let large = Json::of(&"x".repeat(200_000)).unwrap();
    let operation = Operation {
        arguments: Payload::Inline(json(&format!("{{\"n\":{}}}", "7".repeat(60_000)))),
        metadata: Payload::Inline(json(&format!("{{\"m\":{}}}", "9".repeat(60_000)))),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let read = fixture.get(&operation.id).await;
    assert_eq!(
        Some(&fixture.store.arguments(&read).await.unwrap()),
        operation.arguments.json()
    );
    let held = fixture.hold(&operation, NOW).await;
    fixture.store.complete(&held, &large, NOW).await.unwrap();
    let read = fixture.get(&operation.id).await;
    let payloads = fixture.store.payloads(&read, NOW).await.unwrap().unwrap();
    assert_eq!(Some(&payloads.metadata), operation.metadata.json());
    assert_eq!(payloads.result, Some(large));
}

#[tokio::test]
async fn the_largest_allowed_payloads_fit() {
    let fixture = Fixture::start().await;
    // Deflate cannot compress these digits below the limit for the text.
    let digits: String = (0..)
        .flat_map(|n: u64| (n * 7_919 % 999_983).to_string().into_bytes())
        .map(char::from)
        .take(262_000)
        .collect();
    let operation = Operation {
        arguments: Payload::Inline(json(&format!("[1{digits}]"))),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    let arguments = fixture.store.arguments(held.operation()).await.unwrap();
    assert!(matches!(
        fixture
            .store
            .complete(&held, &arguments, NOW)
            .await
            .unwrap(),
        FinishOutcome::Written(_)
    ));
}

#[tokio::test]
async fn a_claim_raises_version_and_attempt_and_starts_once() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let first = fixture
        .hold(&operation, NOW + secs(1))
        .await
        .operation()
        .clone();
    assert_eq!((first.lock_version, first.attempt), (2, 1));
    assert_eq!(
        (first.started_at, first.updated_at),
        (Some(NOW + secs(1)), NOW + secs(1))
    );
    let ClaimOutcome::Busy { until } = fixture.claim(&operation, NOW + secs(60)).await else {
        panic!("not busy")
    };
    assert_eq!(until, NOW + secs(61));
    let second = fixture
        .hold(&operation, NOW + secs(61))
        .await
        .operation()
        .clone();
    assert_eq!(
        (second.lock_version, second.attempt, second.started_at),
        (3, 2, Some(NOW + secs(1)))
    );
}

#[tokio::test]
async fn a_claim_returns_what_it_met() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let missing = fixture.accepted();
    assert!(matches!(
        fixture.claim(&missing, NOW).await,
        ClaimOutcome::Absent
    ));
    let other = Operation {
        create_id: CreateId::from_bytes([0; 16]),
        ..operation.clone()
    };
    assert!(matches!(
        fixture.claim(&other, NOW).await,
        ClaimOutcome::OtherIncarnation
    ));
    assert!(matches!(
        fixture.claim(&operation, operation.deadline_at).await,
        ClaimOutcome::Exhausted(_)
    ));
    for attempt in 0..3 {
        fixture.hold(&operation, NOW + secs(60 * attempt)).await;
    }
    let ClaimOutcome::Exhausted(exhausted) = fixture.claim(&operation, NOW + secs(180)).await
    else {
        panic!()
    };
    let codes: Vec<_> = exhausted
        .give_up_errors(NOW)
        .unwrap()
        .into_iter()
        .map(|error| error.code)
        .collect();
    assert_eq!(codes, [FailureCode::WorkerLost.as_str()]);
    fixture
        .store
        .cancel(&operation.id, &owner(), &Preconditions::NONE, NOW)
        .await
        .unwrap();
    assert!(matches!(
        fixture.claim(&operation, NOW).await,
        ClaimOutcome::Ended(_)
    ));
}

#[tokio::test]
async fn progress_changes_the_version_and_a_bare_heartbeat_does_not() {
    let fixture = Fixture::start().await;
    let held = fixture.held().await;
    let id = &held.operation().id;
    let before = fixture.get(id).await;
    assert_eq!(
        fixture
            .store
            .renew(&held, LEASE, None, NOW + secs(20))
            .await
            .unwrap(),
        RenewOutcome::Held
    );
    let after = fixture.get(id).await;
    assert_eq!(
        (after.lock_version, after.updated_at),
        (before.lock_version, before.updated_at)
    );
    let State::Processing { lease_until, .. } = after.state else {
        panic!()
    };
    assert_eq!(lease_until, NOW + secs(80));
    let progress = Progress {
        fraction: 0.1 + 0.2,
        message: Some("step 3".into()),
        at: NOW + secs(21),
    };
    fixture
        .store
        .renew(&held, LEASE, Some(&progress), NOW + secs(21))
        .await
        .unwrap();
    let after = fixture.get(id).await;
    assert_eq!(
        (after.progress, after.updated_at),
        (Some(progress), NOW + secs(21))
    );
    let without_message = Progress {
        fraction: 0.5,
        message: None,
        at: NOW + secs(22),
    };
    fixture
        .store
        .renew(&held, LEASE, Some(&without_message), NOW + secs(22))
        .await
        .unwrap();
    assert_eq!(fixture.get(id).await.progress, Some(without_message));
}

/// What no heartbeat has written is written with the outcome.
#[tokio::test]
async fn every_outcome_has_the_last_progress() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let last = Progress {
        fraction: 0.75,
        message: Some("three of four".to_owned()),
        at: NOW,
    };
    let end = NOW + secs(5);
    for step in [Step::Retry, Step::Continue, Step::Fail, Step::Complete] {
        let mut held = fixture.held().await;
        held.set_progress(last.clone());
        fixture.wire.reset();
        let written = match step {
            Step::Retry => store.retry(&held, &error(), end, end).await,
            Step::Continue => {
                let continuation = continuation(&held, "1", end);
                store.continue_from(&held, &continuation, end).await
            }
            Step::Fail => store.fail(&held, &error().into(), end).await,
            Step::Complete => store.complete(&held, &json("1"), end).await,
            other => panic!("{other:?} does not end an attempt"),
        };
        assert!(matches!(written, Ok(FinishOutcome::Written(_))), "{step:?}");
        let units = fixture.wire.units();
        assert_eq!((units.writes, units.reads), (1.0, 0.0), "{step:?}");
        let shown = fixture.get(&held.operation().id).await.progress.unwrap();
        let (fraction, at) = match step {
            Step::Complete => (1.0, end),
            _ => (0.75, NOW),
        };
        let expected = Progress {
            fraction,
            at,
            ..last.clone()
        };
        assert_eq!(shown, expected, "{step:?}");
    }
}

/// The first try of a heartbeat is slow. The SDK's second try is applied, and then the next
/// heartbeat, before the first try arrives.
#[tokio::test]
async fn a_late_heartbeat_moves_neither_lease_nor_progress_back() {
    let fixture = Fixture::start().await;
    let held = fixture.held().await;
    let renew = async |fraction, at| {
        let progress = Progress {
            fraction,
            message: None,
            at,
        };
        let renewed = fixture.store.renew(&held, LEASE, Some(&progress), at).await;
        // The late one as well: the holder loses nothing by it.
        assert_eq!(renewed.unwrap(), RenewOutcome::Held);
    };
    renew(0.3, NOW + secs(1)).await;
    renew(0.5, NOW + secs(2)).await;
    let before = fixture.record(&held.operation().id).await;
    renew(0.3, NOW + secs(1)).await;
    assert_eq!(fixture.record(&held.operation().id).await, before);
    let shown = fixture.get(&held.operation().id).await.progress.unwrap();
    assert!(shown.fraction > 0.4, "progress fell to {}", shown.fraction);

    // A heartbeat that finds another holder is not taken for a late one.
    let operation = held.operation();
    fixture.hold(operation, NOW + secs(2) + LEASE).await;
    let late = fixture.store.renew(&held, LEASE, None, NOW + secs(1)).await;
    assert_eq!(late.unwrap(), RenewOutcome::Lost);
}

/// A worker has to know whether its caller or another worker took its operation.
#[tokio::test]
async fn a_heartbeat_distinguishes_a_cancel_from_a_lost_lease() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let held = fixture.held().await;
    let Operation { id, owner, .. } = held.operation();
    let renewed = async |now| store.renew(&held, LEASE, None, now).await.unwrap();
    let cancelled = store.cancel(id, owner, &Preconditions::NONE, NOW).await;
    assert!(matches!(cancelled, Ok(CancelOutcome::Cancelled { .. })));
    assert_eq!(renewed(NOW).await, RenewOutcome::Cancelled);
    let expires_at = fixture.get(id).await.expires_at;
    assert_eq!(
        renewed(expires_at).await,
        RenewOutcome::Cancelled,
        "expired"
    );
    let erased = store.erase(id, owner, &Preconditions::NONE, NOW).await;
    assert_eq!(erased.unwrap(), EraseOutcome::Erased);
    assert_eq!(renewed(NOW).await, RenewOutcome::Cancelled, "erased");
    let again = Operation {
        create_id: CreateId::from_bytes([9; 16]),
        ..fixture.accepted()
    };
    let again = Operation {
        id: id.clone(),
        created_at: NOW + secs(1),
        ..again
    };
    fixture.create(&again).await;
    assert_eq!(
        renewed(NOW + secs(1)).await,
        RenewOutcome::Cancelled,
        "replaced"
    );

    let held = fixture.held().await;
    let now = NOW + LEASE;
    fixture.hold(held.operation(), now).await;
    let renewed = store.renew(&held, LEASE, None, now).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Lost, "another worker has it");
}

#[tokio::test]
async fn an_end_is_stamped_and_kept_for_its_retention() {
    let fixture = Fixture::start().await;
    let at = NOW + secs(5);
    let held = fixture.held().await;
    fixture
        .store
        .complete(&held, &json("[1]"), at)
        .await
        .unwrap();
    let completed = fixture.get(&held.operation().id).await;
    assert_eq!(completed.ended_at(), Some(at));
    assert_eq!(
        (completed.lock_version, completed.expires_at),
        (3, at + secs(86_400))
    );
    assert_eq!(
        completed
            .progress
            .as_ref()
            .map(|progress| progress.fraction),
        Some(1.0)
    );
    assert!(completed.callback_is_due());

    let held = fixture.held().await;
    fixture
        .store
        .fail(&held, &error().into(), at)
        .await
        .unwrap();
    let failed = fixture.get(&held.operation().id).await;
    let State::Failed { errors, .. } = &failed.state else {
        panic!()
    };
    assert_eq!(
        (errors.as_slice(), failed.progress),
        ([error()].as_slice(), None)
    );
}

#[tokio::test]
async fn a_retry_releases_the_operation_until_its_time_and_keeps_the_error() {
    let fixture = Fixture::start().await;
    let held = fixture.held().await;
    let operation = held.operation();
    fixture
        .store
        .retry(&held, &error(), NOW + secs(9), NOW)
        .await
        .unwrap();
    assert_eq!(
        fixture.store.renew(&held, LEASE, None, NOW).await.unwrap(),
        RenewOutcome::Lost
    );
    assert!(matches!(
        fixture.claim(operation, NOW + secs(8)).await,
        ClaimOutcome::Busy { .. }
    ));
    let again = fixture.hold(operation, NOW + secs(9)).await;
    assert_eq!(
        again.operation().last_error.as_ref().unwrap().error,
        error()
    );
    assert_eq!(again.operation().attempt, 2);
}

#[tokio::test]
async fn a_cancel_checks_the_owner_and_the_version() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let bob = Owner::new("jwt", "bob").unwrap();
    let cancel = async |owner: &Owner, preconditions: &Preconditions| {
        fixture
            .store
            .cancel(&operation.id, owner, preconditions, NOW)
            .await
            .unwrap()
    };
    let version = |lock_version, updated_at| Version {
        created_at: NOW,
        lock_version,
        updated_at,
    };
    let if_match = |versions: &[Version]| Preconditions {
        if_match: Some(Versions::Listed(versions.to_vec())),
        if_none_match: None,
    };
    let if_none_match = |versions: Versions| Preconditions {
        if_match: None,
        if_none_match: Some(versions),
    };
    assert!(matches!(
        cancel(&bob, &Preconditions::NONE).await,
        CancelOutcome::Absent
    ));
    let (stale, current) = (version(2, NOW), version(1, NOW));
    let both = Preconditions {
        if_none_match: Some(Versions::Any),
        ..if_match(&[current])
    };
    for refused in [
        if_match(&[]),
        if_match(&[stale]),
        if_match(&[stale, version(1, NOW + secs(1))]),
        if_none_match(Versions::Any),
        if_none_match(Versions::Listed(vec![stale, current])),
        both,
    ] {
        let outcome = cancel(&owner(), &refused).await;
        assert!(
            matches!(outcome, CancelOutcome::PreconditionFailed),
            "{refused:?}"
        );
    }
    let first = cancel(&owner(), &if_match(&[stale, current])).await;
    assert!(matches!(
        first,
        CancelOutcome::Cancelled { by_us: true, .. }
    ));
    // As if the response to the first cancel was lost.
    for repeated in [if_match(&[current]), Preconditions::NONE] {
        let again = cancel(&owner(), &repeated).await;
        assert!(matches!(
            again,
            CancelOutcome::Cancelled { by_us: false, .. }
        ));
    }
    for refused in [if_match(&[version(7, NOW)]), if_none_match(Versions::Any)] {
        let outcome = cancel(&owner(), &refused).await;
        assert!(
            matches!(outcome, CancelOutcome::PreconditionFailed),
            "{refused:?}"
        );
    }
    let completed = fixture.completed().await;
    let late = fixture
        .store
        .cancel(&completed.id, &owner(), &Preconditions::NONE, NOW)
        .await
        .unwrap();
    assert!(matches!(late, CancelOutcome::Ended(_)));
}

#[tokio::test]
async fn only_an_exhausted_and_unchanged_operation_is_given_up() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let errors = [OperationError::of(FailureCode::DeadlineExceeded, "late")];
    let give_up = async |exhausted: &Operation, now| {
        fixture
            .store
            .give_up(exhausted, &errors, now)
            .await
            .unwrap()
    };
    assert!(
        matches!(give_up(&operation, NOW).await, GiveUpOutcome::Changed),
        "time and attempts are left"
    );
    let late = operation.deadline_at;
    fixture.hold(&operation, NOW).await;
    assert!(
        matches!(give_up(&operation, late).await, GiveUpOutcome::Changed),
        "it has changed since it was read"
    );
    let current = fixture.get(&operation.id).await;
    assert!(
        matches!(
            give_up(&current, NOW + secs(59)).await,
            GiveUpOutcome::Changed
        ),
        "it is held"
    );
    let GiveUpOutcome::Ended {
        operation: ended,
        by_us: true,
    } = give_up(&current, late).await
    else {
        panic!()
    };
    assert_eq!(ended.status(), Status::Failed);
}

/// Tries every step on an operation in every state: a step that the transition table refuses
/// changes nothing.
#[tokio::test]
async fn the_store_refuses_exactly_what_the_table_refuses() {
    let fixture = Fixture::start().await;
    for from in Status::ALL {
        for step in Step::ALL {
            let held = fixture.held().await;
            let operation = match from {
                Status::Pending => fixture.created().await,
                Status::Processing => held.operation().clone(),
                Status::Completed => fixture.completed().await,
                Status::Failed => {
                    fixture
                        .store
                        .fail(&held, &error().into(), NOW)
                        .await
                        .unwrap();
                    held.operation().clone()
                }
                Status::Cancelled => {
                    fixture
                        .store
                        .cancel(&held.operation().id, &owner(), &Preconditions::NONE, NOW)
                        .await
                        .unwrap();
                    held.operation().clone()
                }
            };
            let before = fixture.get(&operation.id).await;
            let applied = take(&fixture, step, &operation, &held).await;
            let expected = match verdict(Some(from), step) {
                // The leases have not passed, so a step that waits for one is refused. A pending
                // operation has none.
                Verdict::ToAfterLease(_) => from == Status::Pending,
                Verdict::Refused => false,
                // Only an exhausted operation is given up, and these are not exhausted.
                Verdict::To(_) => step != Step::GiveUp,
            };
            assert_eq!(applied, expected, "{step:?} from {from}");
            if !applied {
                assert_eq!(
                    fixture.get(&operation.id).await,
                    before,
                    "{step:?} from {from}"
                );
            }
        }
    }
}

/// Takes a step on an operation, and returns whether it was applied.
async fn take(fixture: &Fixture, step: Step, operation: &Operation, held: &Held) -> bool {
    let store = &fixture.store;
    match step {
        Step::Create => {
            let draft = Draft::new(&Operation {
                id: operation.id.clone(),
                ..fixture.accepted()
            });
            matches!(store.create(&draft, NOW).await.unwrap(), CreateOutcome::New)
        }
        Step::Claim => matches!(fixture.claim(operation, NOW).await, ClaimOutcome::Held(_)),
        Step::Heartbeat => {
            held.operation().id == operation.id
                && store.renew(held, LEASE, None, NOW).await.unwrap() == RenewOutcome::Held
        }
        Step::Complete => changes(fixture, operation, store.complete(held, &json("2"), NOW)).await,
        Step::Fail => changes(fixture, operation, store.fail(held, &error().into(), NOW)).await,
        Step::Retry => changes(fixture, operation, store.retry(held, &error(), NOW, NOW)).await,
        Step::Continue => {
            let continuation = continuation(held, "2", NOW);
            let continued = store.continue_from(held, &continuation, NOW);
            changes(fixture, operation, continued).await
        }
        Step::GiveUp => {
            changes(
                fixture,
                operation,
                store.give_up(operation, &[error()], NOW),
            )
            .await
        }
        Step::Cancel => {
            changes(
                fixture,
                operation,
                store.cancel(&operation.id, &owner(), &Preconditions::NONE, NOW),
            )
            .await
        }
    }
}

/// Whether a write raised the operation's version. Where the operation has no holder, the write is
/// another operation's holder's.
async fn changes<T: std::fmt::Debug>(
    fixture: &Fixture,
    operation: &Operation,
    write: impl Future<Output = Result<T, shared::store::StoreError>>,
) -> bool {
    let before = fixture.get(&operation.id).await.lock_version;
    write.await.unwrap();
    fixture.get(&operation.id).await.lock_version > before
}

#[tokio::test]
async fn an_unknown_id_is_absent() {
    let fixture = Fixture::start().await;
    let id = OperationId::from_bytes([0; 12]);
    assert_eq!(fixture.store.get(&id, NOW).await.unwrap(), None);
    let claim_id = ClaimId::from_bytes([0; 16]);
    let create_id = CreateId::from_bytes([0; 16]);
    let claimed = fixture
        .store
        .claim(&id, &create_id, claim_id, LEASE, NOW)
        .await
        .unwrap();
    assert!(matches!(claimed, ClaimOutcome::Absent));
    assert_eq!(
        fixture
            .store
            .erase(&id, &owner(), &Preconditions::NONE, NOW)
            .await
            .unwrap(),
        EraseOutcome::Absent
    );
}
