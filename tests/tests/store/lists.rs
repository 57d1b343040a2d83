//! Lists: how much one request examines, where its page ends, and what happens to keys that the
//! store leaves unprocessed.

use std::sync::Mutex;
use std::time::Duration;

use shared::clock::{BoxFuture, Clock};
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::store::{ListFilter, ListPage, Position, StoreError};

use super::{Fixture, NOW, owner};

/// More batch reads than a request makes.
const ALWAYS: usize = 1000;

/// A clock that skips every pause and records its length.
#[derive(Default)]
struct Pauses(Mutex<Vec<Duration>>);

impl Clock for Pauses {
    fn now(&self) -> Timestamp {
        NOW + self.0.lock().unwrap().iter().sum::<Duration>()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        let pause = wake.since(self.now());
        self.0.lock().unwrap().push(pause);
        Box::pin(std::future::ready(()))
    }
}

impl Fixture {
    /// Creates `count` operations, and returns them newest first. Only the oldest is of the
    /// function `oldest`.
    async fn listed(&self, count: u64) -> Vec<Operation> {
        let mut operations = Vec::new();
        for number in 0..count {
            let operation = Operation {
                created_at: NOW + Duration::from_millis(number),
                updated_at: NOW + Duration::from_millis(number),
                function: if number == 0 { "oldest" } else { "other" }.to_owned(),
                ..self.accepted()
            };
            self.create(&operation).await;
            operations.insert(0, operation);
        }
        operations
    }

    async fn page(
        &self,
        filter: &ListFilter,
        from: Option<Position>,
        pauses: &Pauses,
    ) -> Result<ListPage, StoreError> {
        let owner = owner();
        self.store
            .list(&owner, filter, 50, from, pauses, &self.random)
            .await
    }
}

fn of_function(name: &str) -> ListFilter {
    ListFilter {
        function: Some(name.to_owned()),
        ..ListFilter::default()
    }
}

fn position(operation: &Operation) -> Position {
    Position {
        id: operation.id.clone(),
        created_at: operation.created_at,
    }
}

#[tokio::test]
async fn a_page_ends_at_the_hundredth_operation_that_it_examines() {
    let (filter, pauses) = (of_function("oldest"), Pauses::default());
    for count in [99, 100] {
        let fixture = Fixture::start().await;
        let operations = fixture.listed(count).await;
        let page = fixture.page(&filter, None, &pauses).await.unwrap();
        assert_eq!(page.operations, operations[operations.len() - 1..]);
        // A query that ends at its own limit does not know whether more keys follow.
        let last = (count == 100).then(|| position(operations.last().unwrap()));
        assert_eq!(page.next, last, "{count}");
        if page.next.is_some() {
            let rest = fixture.page(&filter, page.next, &pauses).await.unwrap();
            assert_eq!((rest.operations, rest.next), (vec![], None));
        }
    }
    let fixture = Fixture::start().await;
    let operations = fixture.listed(101).await;
    let first = fixture.page(&filter, None, &pauses).await.unwrap();
    assert_eq!(first.operations, []);
    assert_eq!(first.next, Some(position(&operations[99])));
    let rest = fixture.page(&filter, first.next, &pauses).await.unwrap();
    assert_eq!(rest.operations, operations[100..]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn unprocessed_keys_are_retried_after_growing_random_pauses() {
    let fixture = Fixture::start().await;
    let operations = fixture.listed(3).await;
    let mut rounds = Vec::new();
    for _ in 0..2 {
        fixture.wire.reset();
        for operation in &operations {
            fixture.wire.leave_unprocessed(operation.id.as_str(), 3);
        }
        let pauses = Pauses::default();
        let page = fixture.page(&ListFilter::default(), None, &pauses).await;
        assert_eq!(page.unwrap().operations, operations);
        assert_eq!(fixture.wire.counts()["BatchGetItem"], 4);
        let pauses = pauses.0.into_inner().unwrap();
        let full = [100, 200, 400].map(Duration::from_millis);
        assert_eq!(pauses.len(), full.len());
        for (pause, full) in pauses.iter().zip(full) {
            assert!((full / 2..=full).contains(pause), "{pause:?} of {full:?}");
        }
        rounds.push(pauses);
    }
    assert_ne!(rounds[0], rounds[1], "the pauses are random");
}

#[tokio::test]
async fn a_key_that_stays_unprocessed_ends_the_page_before_it() {
    let fixture = Fixture::start().await;
    let operations = fixture.listed(5).await;
    let everything = ListFilter::default();
    let pauses = Pauses::default();
    fixture
        .wire
        .leave_unprocessed(operations[2].id.as_str(), ALWAYS);
    let first = fixture.page(&everything, None, &pauses).await.unwrap();
    assert_eq!(first.operations, operations[..2]);
    assert_eq!(first.next, Some(position(&operations[1])));
    assert_eq!(fixture.wire.counts()["BatchGetItem"], 4);

    // A page that would be empty and end where it began is an error, which its caller may retry.
    let retried = fixture.page(&everything, first.next.clone(), &pauses).await;
    assert!(matches!(retried, Err(StoreError::Throttled)), "{retried:?}");

    fixture.wire.leave_unprocessed(operations[2].id.as_str(), 0);
    let rest = fixture.page(&everything, first.next, &pauses).await;
    let rest = rest.unwrap();
    assert_eq!(rest.operations, operations[2..]);
    assert_eq!(rest.next, None);
}
