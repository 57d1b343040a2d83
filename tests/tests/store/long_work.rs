//! Operations that start later, and operations that continue from a state: records of format 2.

use shared::clock::ManualClock;
use shared::domain::attempt::Continuation;
use shared::domain::history::{AttemptEnd, AttemptEntry};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, OperationError, Payload, SavedState};
use shared::domain::precondition::Preconditions;
use shared::domain::transition::Status;
use shared::store::{
    CancelOutcome, EraseOutcome, FinishOutcome, GiveUpOutcome, ListFilter, StoreError,
};
use tests::samples::incompressible;

use super::*;

const FORMAT_LONG_WORK: &str = "2";

fn error(code: &str) -> OperationError {
    OperationError::new(code, "failed", None)
}

/// A state that no head has room for.
fn large_state() -> Json {
    Json::of(&incompressible(2_000)).unwrap()
}

impl Fixture {
    async fn starting_at(&self, starts_at: Timestamp) -> Operation {
        let operation = Operation {
            starts_at: Some(starts_at),
            deadline_at: starts_at + secs(3600),
            ..self.accepted()
        };
        self.create(&operation).await;
        operation
    }

    /// Its second leg may be claimed at [`NOW`].
    async fn continued(&self) -> Operation {
        let held = self.held().await;
        self.continue_from(&held, &continuation(&held, r#"{"row":7}"#, NOW))
            .await
    }

    async fn continue_from(&self, held: &Held, continuation: &Continuation) -> Operation {
        let continued = self.store.continue_from(held, continuation, NOW).await;
        match continued.unwrap() {
            FinishOutcome::Written(operation) => *operation,
            FinishOutcome::Lost => panic!("lost"),
        }
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

    async fn erase(&self, operation: &Operation) {
        let erase = self
            .store
            .erase(&operation.id, &operation.owner, &Preconditions::NONE, NOW);
        assert_eq!(erase.await.unwrap(), EraseOutcome::Erased);
    }

    async fn format(&self, operation: &Operation) -> String {
        let record = self.record(&operation.id).await.unwrap();
        record["format"].as_n().unwrap().clone()
    }

    /// The sort keys of an operation's items, without its head.
    async fn payload_keys(&self, operation: &Operation) -> Vec<String> {
        let items = self.items(&operation.id).await;
        let keys = items.iter().map(|item| item["sk"].as_s().unwrap().clone());
        keys.filter(|sk| sk != "head").collect()
    }
}

#[tokio::test]
async fn it_is_not_claimed_before_its_start() {
    let fixture = Fixture::start().await;
    let starts_at = NOW + secs(600);
    let operation = fixture.starting_at(starts_at).await;
    assert_eq!(fixture.format(&operation).await, FORMAT_LONG_WORK);
    assert_eq!(fixture.get(&operation.id).await, operation);
    let early = fixture.claim(&operation, starts_at - secs(1)).await;
    assert!(matches!(early, ClaimOutcome::Busy { until } if until == starts_at));
    let held = fixture.hold(&operation, starts_at).await;
    let claimed = held.operation();
    assert_eq!((claimed.attempt, claimed.starts_at), (1, Some(starts_at)));
    assert_eq!(claimed.lease_until(), Some(starts_at + LEASE));
    assert_eq!(fixture.format(&operation).await, FORMAT_LONG_WORK);
}

#[tokio::test]
async fn it_is_read_listed_and_cancelled() {
    let fixture = Fixture::start().await;
    let later = fixture.starting_at(NOW + secs(600)).await;
    let continued = fixture.continued().await;
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
    let later = fixture.starting_at(NOW + secs(600)).await;
    for operation in [later, fixture.continued().await] {
        let now = operation.deadline_at;
        let ClaimOutcome::Exhausted(exhausted) = fixture.claim(&operation, now).await else {
            panic!("not exhausted");
        };
        let errors = [error("DEADLINE_EXCEEDED")];
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
        assert_eq!(ended.saved_state, operation.saved_state);
    }
}

#[tokio::test]
async fn the_next_attempt_gets_the_state_and_all_attempts_again() {
    let fixture = Fixture::start().await;
    let first = fixture.held().await;
    assert_eq!(fixture.format(first.operation()).await, "1");
    let retried = fixture.store.retry(&first, &error("OURS"), NOW, NOW).await;
    assert!(matches!(retried.unwrap(), FinishOutcome::Written(_)));
    let second = fixture.hold(first.operation(), NOW).await;
    let resumes_at = NOW + secs(30);
    let continuation = continuation(&second, r#"{"row":7}"#, resumes_at);
    let continued = fixture.continue_from(&second, &continuation).await;
    assert_eq!(fixture.format(&continued).await, FORMAT_LONG_WORK);
    assert_eq!(continued.status(), Status::Processing);
    assert_eq!((continued.attempt, continued.attempts_max), (2, 5));
    assert_eq!(continued.lock_version, second.operation().lock_version + 1);
    assert_eq!(continued.last_error, None);
    assert_eq!(continued.resumes_at(), Some(resumes_at));

    let early = fixture.claim(&continued, resumes_at - secs(1)).await;
    assert!(matches!(early, ClaimOutcome::Busy { until } if until == resumes_at));
    let third = fixture.hold(&continued, resumes_at).await;
    let operation = third.operation();
    assert_eq!((operation.attempt, operation.leg_attempt()), (3, 1));
    let state = fixture.store.saved_state(operation).await.unwrap();
    assert_eq!(state, Some(continuation.state));

    let completed = fixture.store.complete(&third, &json("1"), resumes_at).await;
    let FinishOutcome::Written(completed) = completed.unwrap() else {
        panic!("not written");
    };
    assert_eq!(completed.saved_state, None);
    let record = fixture.record(&operation.id).await.unwrap();
    assert!(!record.contains_key("state"));
}

#[tokio::test]
async fn a_holder_that_was_replaced_does_not_continue() {
    let fixture = Fixture::start().await;
    let stale = fixture.held().await;
    let lease_until = NOW + LEASE;
    let held = fixture.hold(stale.operation(), lease_until).await;
    let continuation = continuation(&stale, "1", NOW);
    let continued = fixture
        .store
        .continue_from(&stale, &continuation, NOW)
        .await;
    assert!(matches!(continued.unwrap(), FinishOutcome::Lost));
    assert_eq!(fixture.get(&held.operation().id).await, *held.operation());
}

#[tokio::test]
async fn a_large_state_is_an_item_that_no_later_one_replaces() {
    let fixture = Fixture::start().await;
    let (mut held, state) = (fixture.held().await, large_state());
    for leg in 1..=2 {
        let continuation = Continuation {
            state: state.clone(),
            ..continuation(&held, "1", NOW)
        };
        let continued = fixture.continue_from(&held, &continuation).await;
        let saved = SavedState {
            attempt: leg,
            value: Payload::External,
        };
        assert_eq!(continued.saved_state, Some(saved));
        held = fixture.hold(&continued, NOW).await;
        let read = fixture.store.saved_state(held.operation()).await.unwrap();
        assert_eq!(read.as_ref(), Some(&state));
    }
    let create_id = held.operation().create_id.as_str();
    let keys = [1, 2].map(|attempt| format!("state#{create_id}#{attempt}"));
    assert_eq!(fixture.payload_keys(held.operation()).await, keys);

    fixture.cancelled(held.operation()).await;
    fixture.erase(held.operation()).await;
    let items = fixture.items(&held.operation().id).await;
    assert_eq!(items.len(), 1, "the tombstone");
    assert!(!items[0].contains_key("state"));
}

#[tokio::test]
async fn a_state_is_found_after_an_attempt_was_lost() {
    let fixture = Fixture::start().await;
    let (held, state) = (fixture.held().await, large_state());
    let continuation = Continuation {
        state: state.clone(),
        ..continuation(&held, "1", NOW)
    };
    let continued = fixture.continue_from(&held, &continuation).await;
    fixture.hold(&continued, NOW).await;
    let third = fixture.hold(&continued, NOW + LEASE).await;
    let operation = third.operation();
    assert_eq!((operation.attempt, operation.leg_attempt()), (3, 2));
    assert_eq!(
        fixture.store.saved_state(operation).await.unwrap(),
        Some(state)
    );
}

#[tokio::test]
async fn a_missing_state_is_an_error_and_never_no_state() {
    let fixture = Fixture::start().await;
    let held = fixture.held().await;
    let continuation = Continuation {
        state: large_state(),
        ..continuation(&held, "1", NOW)
    };
    let continued = fixture.continue_from(&held, &continuation).await;
    let [sk] = <[String; 1]>::try_from(fixture.payload_keys(&continued).await).unwrap();
    let delete = fixture.dynamodb.delete_item().table_name(&fixture.table);
    let delete = delete.key("pk", AttributeValue::S(continued.id.to_string()));
    delete
        .key("sk", AttributeValue::S(sk))
        .send()
        .await
        .unwrap();
    let read = fixture.store.saved_state(&continued).await.unwrap_err();
    assert!(
        matches!(
            read,
            StoreError::Corrupt {
                attribute: "state",
                ..
            }
        ),
        "{read}"
    );
    // The same for half of what names it.
    for name in ["state", "state_attempt"] {
        let operation = fixture.continued().await;
        super::upkeep::tamper(&fixture, &operation.id, name, None).await;
        let read = fixture.store.get(&operation.id, NOW).await.unwrap_err();
        assert!(
            matches!(
                read,
                StoreError::Corrupt {
                    attribute: "state",
                    ..
                }
            ),
            "{read}"
        );
    }
}

#[tokio::test]
async fn a_state_item_is_deleted_when_its_operation_is_gone() {
    for is_reused in [false, true] {
        let fixture = Fixture::start().await;
        let held = fixture.held().await;
        let operation = held.operation();
        let continuation = Continuation {
            state: large_state(),
            ..continuation(&held, "1", NOW)
        };
        fixture.cancelled(operation).await;
        // The record still exists, so this may be an own write whose response was lost.
        let refused = fixture.store.continue_from(&held, &continuation, NOW).await;
        assert!(matches!(refused.unwrap(), FinishOutcome::Lost));
        assert_eq!(fixture.payload_keys(operation).await.len(), 1);
        fixture.erase(operation).await;
        if is_reused {
            let second = Operation {
                id: operation.id.clone(),
                ..fixture.accepted()
            };
            fixture.create(&second).await;
        }
        let refused = fixture.store.continue_from(&held, &continuation, NOW).await;
        assert!(matches!(refused.unwrap(), FinishOutcome::Lost));
        assert!(fixture.payload_keys(operation).await.is_empty());
    }
}

#[tokio::test]
async fn an_operation_can_be_created_with_a_state() {
    let fixture = Fixture::start().await;
    for (state, items) in [(json("{}"), 0), (large_state(), 1)] {
        let operation = Operation {
            saved_state: Some(SavedState {
                attempt: 0,
                value: Payload::Inline(state.clone()),
            }),
            ..fixture.accepted()
        };
        fixture.create(&operation).await;
        assert_eq!(fixture.format(&operation).await, FORMAT_LONG_WORK);
        assert_eq!(fixture.payload_keys(&operation).await.len(), items);
        let held = fixture.hold(&operation, NOW).await;
        assert_eq!(held.operation().leg_attempt(), 1);
        let read = fixture.store.saved_state(held.operation()).await.unwrap();
        assert_eq!(read, Some(state));
    }
}

#[tokio::test]
async fn each_outcome_adds_its_attempt_to_the_history() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let mut now = NOW;
    let mut claim_next = async || {
        now = now + LEASE;
        fixture.hold(&operation, now).await
    };
    let store = &fixture.store;
    claim_next().await;
    let held = claim_next().await;
    let started_at = held.operation().attempt_started_at.unwrap();
    let ended_at = started_at + secs(2);
    store
        .retry(&held, &error("BUSY"), ended_at, ended_at)
        .await
        .unwrap();
    let held = claim_next().await;
    let resumes_at = started_at + LEASE + secs(5);
    let continuation = continuation(&held, "1", resumes_at);
    store
        .continue_from(&held, &continuation, resumes_at)
        .await
        .unwrap();
    let held = claim_next().await;
    let running = held.operation().history();
    assert_eq!(running.last().unwrap().end, None);
    let failed_at = started_at + LEASE * 2 + secs(1);
    store
        .fail(&held, &error("BAD").into(), failed_at)
        .await
        .unwrap();

    let entry = |number, after: u64, secs_taken, end, code: Option<&str>| {
        let start = NOW + LEASE + secs(after);
        AttemptEntry {
            number,
            started_at: Some(start),
            ended_at: Some(start + secs(secs_taken)),
            end: Some(end),
            code: code.map(str::to_owned),
        }
    };
    let failed = fixture.get(&operation.id).await;
    assert_eq!(
        failed.history(),
        [
            AttemptEntry::lost(1),
            entry(2, 60, 2, AttemptEnd::Retried, Some("BUSY")),
            entry(3, 120, 5, AttemptEnd::Continued, None),
            entry(4, 180, 1, AttemptEnd::Failed, Some("BAD")),
        ]
    );
    assert_eq!(failed.attempt_started_at, None);
}

#[tokio::test]
async fn a_cancelled_attempt_and_its_start_stay_in_the_history() {
    let fixture = Fixture::start().await;
    let held = fixture.held().await;
    let cancelled = fixture.cancelled(held.operation()).await;
    let expected = AttemptEntry {
        number: 1,
        started_at: Some(NOW),
        ended_at: Some(NOW),
        end: Some(AttemptEnd::Cancelled),
        code: None,
    };
    assert_eq!(cancelled.history(), [expected]);
}

/// AWS bills the whole head for each update. The attempts are retried twice in each leg, and take
/// minutes.
#[tokio::test]
async fn a_head_with_ten_attempts_stays_within_a_write_unit() {
    let fixture = Fixture::start().await;
    let mut operation = Operation {
        callback: None,
        deadline_at: NOW + secs(86_400),
        attempts_max: 3,
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let mut now = NOW;
    for attempt in 1..=12 {
        let held = fixture.hold(&operation, now).await;
        now = now + secs(789);
        fixture.wire.reset();
        let finished = if attempt % 3 == 0 {
            let continuation = continuation(&held, r#"{"row":700}"#, now);
            fixture.store.continue_from(&held, &continuation, now).await
        } else {
            let error = OperationError::new("NOT_YET", "try again", None);
            fixture.store.retry(&held, &error, now, now).await
        };
        let units = fixture.wire.units();
        assert_eq!((units.writes, units.reads), (1.0, 0.0), "attempt {attempt}");
        let FinishOutcome::Written(written) = finished.unwrap() else {
            panic!("lost");
        };
        operation = *written;
    }
    assert!(matches!(
        operation.saved_state,
        Some(SavedState {
            value: Payload::Inline(_),
            ..
        })
    ));
    assert_eq!(operation.history().len(), 10);
    assert_eq!(operation.history()[0].number, 3);
}

/// Both outcomes remove the last error.
#[tokio::test]
async fn a_state_or_result_that_fits_without_the_last_error_is_inline() {
    let fixture = Fixture::start().await;
    for continues in [true, false] {
        let held = fixture.held().await;
        let error = OperationError::new("BAD", &"x".repeat(900), None);
        let retried = fixture.store.retry(&held, &error, NOW, NOW).await;
        let FinishOutcome::Written(retried) = retried.unwrap() else {
            panic!("lost");
        };
        let held = fixture.hold(&retried, NOW).await;
        let small = r#"{"row":7}"#;
        let written = if continues {
            let continuation = continuation(&held, small, NOW);
            fixture.store.continue_from(&held, &continuation, NOW).await
        } else {
            fixture.store.complete(&held, &json(small), NOW).await
        };
        assert!(matches!(written, Ok(FinishOutcome::Written(_))));
        assert_eq!(fixture.payload_keys(&retried).await, [""; 0]);
    }
}

/// The oldest attempts give way first, and a state that the head has room for stays inline.
#[tokio::test]
async fn the_history_never_costs_a_write_unit() {
    let fixture = Fixture::start().await;
    for room in 0..250 {
        let held = fixture.held().await;
        let mut operation = held.operation().clone();
        let mut held = Some(held);
        for _ in 0..3 {
            let holder = match held.take() {
                Some(held) => held,
                None => fixture.hold(&operation, NOW).await,
            };
            fixture.wire.reset();
            let state = Json::of(&incompressible(room)).unwrap();
            let continuation = Continuation {
                state,
                ..continuation(&holder, "1", NOW)
            };
            operation = fixture.continue_from(&holder, &continuation).await;
            let is_inline = matches!(
                operation.saved_state,
                Some(SavedState {
                    value: Payload::Inline(_),
                    ..
                })
            );
            let writes = if is_inline { 1.0 } else { 2.0 };
            let units = fixture.wire.units();
            assert_eq!((units.writes, units.reads), (writes, 0.0), "{room}");
            assert_eq!(operation.attempts.last().unwrap().number, operation.attempt);
        }
    }
}
