//! What calls cost and how long they take, by the number of stored operations, of one owner and of
//! many.

use std::time::Duration;

use comfy_table::Table;
use local::bundle::TABLE_NAME;
use local::client::sdk_config;
use serde_json::json;
use shared::clock::{Clock as _, SystemClock};
use shared::domain::id::{ClaimId, OperationId};
use shared::random::{Random, SystemRandom};
use shared::store::{ClaimOutcome, Store};
use tests::benchmark::{Watch, number, table};
use tests::meter::Units;
use tests::metered::{Metered, MeteredBundle, MeteredServices};

use crate::stored::{fill, pending, put};
use crate::throughput;
use crate::times::{millis, quantile};

const STEPS: [usize; 3] = [100, 10_000, 100_000];
const EACH: usize = 30;
/// How many operations each of many owners has.
const OWNED: usize = 100;
/// The owner of a caller without a name.
const CALLER: &str = "local:anonymous";

/// Who owns the operations.
#[derive(Debug, Clone, Copy)]
enum Spread {
    OneOwner,
    ManyOwners,
}

pub(crate) async fn measure(stored_max: usize) -> Table {
    let mut table = table(
        [
            "stored",
            "of",
            "submit",
            "",
            "claim",
            "",
            "status",
            "",
            "list",
            "",
            "… filtered",
            "",
            "cancel",
            "",
        ],
        1,
    );
    for spread in [Spread::OneOwner, Spread::ManyOwners] {
        let running = MeteredServices::start()
            .await
            .bundle(Metered::new(Duration::ZERO), 2, 1)
            .await;
        let config = sdk_config(running.bundle.store_url());
        let store = Store::new(
            aws_sdk_dynamodb::Client::new(&config),
            TABLE_NAME.to_owned(),
        );
        let mut stored = 0;
        for step in STEPS.into_iter().filter(|step| *step <= stored_max) {
            let new = (stored..step).map(|number| {
                let owner = match spread {
                    Spread::ManyOwners if number >= OWNED => {
                        format!("local:owner-{}", number / OWNED)
                    }
                    _ => CALLER.to_owned(),
                };
                pending(&owner, &json!({"name": "Riga"}))
            });
            fill(&running.services().store, new).await;
            stored = step;
            let calls = Calls {
                running: &running,
                store: &store,
            };
            let mut row = vec![
                stored.to_string(),
                match spread {
                    Spread::OneOwner => "one owner".to_owned(),
                    Spread::ManyOwners => format!("owners with {OWNED} each"),
                },
            ];
            row.extend(calls.measure().await);
            table.add_row(row);
        }
        running.bundle.stop().await;
    }
    table
}

struct Calls<'a> {
    running: &'a MeteredBundle,
    /// Its requests are metered as well.
    store: &'a Store,
}

impl Calls<'_> {
    /// The units and milliseconds of each call.
    async fn measure(&self) -> Vec<String> {
        let caller = &self.running.caller;
        let mut cells = Vec::new();
        let ids: Vec<_> = (0..EACH).map(|_| pending(CALLER, &json!({}))).collect();
        for operation in &ids {
            put(&self.running.services().store, operation).await;
        }
        cells.extend(
            self.each("create", async |_| {
                caller.submit(&throughput::echo()).await;
            })
            .await,
        );
        self.running.drain().await;
        let claim = async |index: usize| {
            let random: &dyn Random = &SystemRandom;
            let operation = &ids[index];
            let claim_id = ClaimId::from_bytes(random.bytes());
            let lease = Duration::from_secs(60);
            let now = SystemClock.now();
            let claimed =
                self.store
                    .claim(&operation.id, &operation.create_id, claim_id, lease, now);
            assert!(matches!(claimed.await.unwrap(), ClaimOutcome::Held(_)));
        };
        cells.extend(self.each("claim", claim).await);
        let path = |id: &OperationId| format!("/operations/{id}");
        let read = async |index: usize| {
            caller.get(&path(&ids[index].id)).await;
        };
        cells.extend(self.each("read", read).await);
        let list = async |_| {
            let page = caller.get("/operations").await;
            assert_eq!(page["operations"].as_array().unwrap().len(), 50);
        };
        cells.extend(self.each("list", list).await);
        // No operation matches, so the request examines as many as it may.
        let filtered = async |_| {
            caller.get("/operations?status=failed").await;
        };
        cells.extend(self.each("filtered", filtered).await);
        let cancel = async |index: usize| caller.cancel(ids[index].id.as_str()).await;
        cells.extend(self.each("cancel", cancel).await);
        cells
    }

    async fn each(&self, what: &str, call: impl AsyncFn(usize)) -> [String; 2] {
        drop(self.running.metered.take());
        let mut times = Vec::new();
        for index in 0..EACH {
            let watch = Watch::start();
            call(index).await;
            times.push(watch.took());
        }
        // Only the call's request counts, and not the work that a submit starts.
        let charges = self.running.metered.take();
        let own = charges.iter().filter(|charge| match what {
            "list" | "filtered" => charge.step.contains("list"),
            what => charge.step == what,
        });
        let Units {
            writes,
            index_writes,
            reads,
            ..
        } = own.map(|charge| charge.units).sum();
        let units = (writes + index_writes + reads) / number(EACH);
        [
            format!("{units:.2}"),
            format!("{} ms", millis(quantile(&mut times, 0.5))),
        ]
    }
}
