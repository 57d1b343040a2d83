//! The store in isolation: every step's outcomes, races, lost responses, expiry and costs.
//!
//! The tests run on the embedded store, and on the store that `DYNAMODB_ENDPOINT` names, which
//! shares no code with it. What passes on both is less likely to depend on the embedded store's own
//! reading of DynamoDB.

mod callbacks;
mod capacity;
mod erasure;
mod expiry;
mod linearizability;
mod lists;
mod long_work;
mod lost_responses;
mod outcomes;
mod races;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::bundle::Services;
use shared::aws::Aws;
use shared::clock::ManualClock;
use shared::config::Environment;
use shared::domain::attempt::Continuation;
use shared::domain::callback::{Callback, CallbackStatus};
use shared::domain::delivery::DueCallback;
use shared::domain::id::{ClaimId, CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Owner, State};
use shared::domain::time::Timestamp;
use shared::random::{Random, SeededRandom};
use shared::store::table::{TABLE_KEYS, TTL_ATTRIBUTE};
use shared::store::{ClaimOutcome, CreateOutcome, Draft, Held, Store};
use tests::dynamodb::{OtherStore, other_store};
use tests::samples::pending_operation;
use tests::wire::Wire;

const LEASE: Duration = Duration::from_secs(60);
/// In 2100, so that a store that deletes by the machine's clock never finds a record of these tests
/// expired.
const NOW: Timestamp = Timestamp::from_secs(4_102_444_800);

/// An empty store, behind a [`Wire`].
struct Fixture {
    store: Store,
    dynamodb: Client,
    table: String,
    wire: Wire,
    random: SeededRandom,
    _services: Services,
}

impl Fixture {
    async fn start() -> Self {
        let services = Services::start(Arc::new(ManualClock::new(NOW)))
            .await
            .unwrap();
        let mut environment = Environment::from_iter(services.environment.clone());
        if let Some(OtherStore { endpoint, table }) = other_store().await {
            environment = environment.with([
                ("AWS_ENDPOINT_URL_DYNAMODB", endpoint.as_str()),
                ("TABLE_NAME", table.as_str()),
            ]);
        }
        let wire = Wire::default();
        let aws = Aws::new(&environment, wire.connector())
            .unwrap()
            .retrying_at_once();
        let table = environment.required("TABLE_NAME").unwrap().to_owned();
        Self {
            store: Store::new(aws.dynamodb(), table.clone()),
            dynamodb: aws.dynamodb(),
            table,
            wire,
            random: SeededRandom::new(5),
            _services: services,
        }
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let random: &dyn Random = &self.random;
        random.bytes()
    }

    /// A newly submitted operation that is not yet created.
    fn accepted(&self) -> Operation {
        Operation {
            id: OperationId::from_bytes(self.bytes()),
            create_id: CreateId::from_bytes(self.bytes()),
            owner: owner(),
            ..pending_operation(NOW)
        }
    }

    async fn create(&self, operation: &Operation) {
        let draft = Draft::new(operation);
        self.store.write_payloads(&draft).await.unwrap();
        assert!(matches!(
            self.store.create(&draft, NOW).await.unwrap(),
            CreateOutcome::New
        ));
    }

    async fn created(&self) -> Operation {
        let operation = self.accepted();
        self.create(&operation).await;
        operation
    }

    async fn claim(&self, operation: &Operation, now: Timestamp) -> ClaimOutcome {
        let claim_id = ClaimId::from_bytes(self.bytes());
        self.store
            .claim(&operation.id, &operation.create_id, claim_id, LEASE, now)
            .await
            .unwrap()
    }

    async fn held(&self) -> Held {
        let operation = self.created().await;
        self.hold(&operation, NOW).await
    }

    async fn hold(&self, operation: &Operation, now: Timestamp) -> Held {
        match self.claim(operation, now).await {
            ClaimOutcome::Held(held) => *held,
            other => panic!("not held: {other:?}"),
        }
    }

    async fn get(&self, id: &OperationId) -> Operation {
        self.store.get(id, NOW).await.unwrap().unwrap()
    }

    /// The stored head, whatever the store under test reads from it.
    async fn record(&self, id: &OperationId) -> Option<HashMap<String, AttributeValue>> {
        let [pk, sk] = TABLE_KEYS;
        let record = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key(pk, AttributeValue::S(id.to_string()))
            .key(sk, AttributeValue::S("head".to_owned()))
            .consistent_read(true);
        record.send().await.unwrap().item
    }

    /// All items of an operation.
    async fn items(&self, id: &OperationId) -> Vec<HashMap<String, AttributeValue>> {
        let [pk, _] = TABLE_KEYS;
        let items = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression(format!("{pk} = :id"))
            .expression_attribute_values(":id", AttributeValue::S(id.to_string()))
            .consistent_read(true);
        items.send().await.unwrap().items.unwrap()
    }

    /// Deletes every item that DynamoDB's TTL may have deleted at that time.
    async fn delete_expired(&self, now: Timestamp) {
        let scanned = self.dynamodb.scan().table_name(&self.table);
        for item in scanned.send().await.unwrap().items() {
            let delete_at: i64 = item[TTL_ATTRIBUTE].as_n().unwrap().parse().unwrap();
            if Timestamp::from_secs(delete_at) <= now {
                let key = TABLE_KEYS.map(|name| (name.to_owned(), item[name].clone()));
                let deleted = self.dynamodb.delete_item().table_name(&self.table);
                deleted.set_key(Some(key.into())).send().await.unwrap();
            }
        }
    }

    /// A completed operation whose callback is due.
    async fn completed(&self) -> Operation {
        let held = self.held().await;
        self.store.complete(&held, &json("1"), NOW).await.unwrap();
        self.get(&held.operation().id).await
    }
}

/// What a sender would hold that had read the operation while its callback was due.
fn due(operation: &Operation) -> DueCallback {
    let callback = operation.callback.clone().unwrap();
    let due = DueCallback::of(Operation {
        state: State::Cancelled { at: NOW },
        callback: Some(Callback {
            recorded: Some(CallbackStatus::Due),
            ..callback
        }),
        ..operation.clone()
    });
    due.unwrap()
}

/// A continue from this state, after which the next leg has three attempts.
fn continuation(held: &Held, state: &str, resumes_at: Timestamp) -> Continuation {
    Continuation {
        state: json(state),
        resumes_at,
        attempts_max: held.operation().attempt + 3,
    }
}

fn owner() -> Owner {
    Owner::new("jwt", "alice").unwrap()
}

fn json(text: &str) -> Json {
    text.parse::<Json>().unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
