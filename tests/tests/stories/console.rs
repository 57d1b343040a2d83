//! The console's requests to AWS: what a poll costs, and what an action calls, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferry_console::{Api, Console, Place, ProcessesView, QueueView};
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, Owner};
use shared::random::SystemRandom;
use shared::store::{CreateOutcome, Draft};
use tests::logs::Logged;
use tests::receiver::Receiver;
use tests::samples::{incompressible, pending_operation};
use tests::wire::Fault;
use tests::world::World;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::messages::claim_and_vanish;

struct Nowhere(Vec<Owner>);

impl Place for Nowhere {
    fn name(&self) -> String {
        "nowhere".to_owned()
    }

    fn owners(&self) -> Vec<Owner> {
        self.0.clone()
    }

    fn queues(&self) -> BoxFuture<'_, Vec<QueueView>> {
        Box::pin(async { Vec::new() })
    }

    fn processes(&self) -> Vec<ProcessesView> {
        Vec::new()
    }

    fn api(&self) -> Option<Api> {
        None
    }
}

/// A console of a world, on a real listener.
struct Served {
    url: String,
    client: reqwest::Client,
    _serving: JoinSet<()>,
}

impl Served {
    async fn of(world: &World) -> Self {
        Self::to_owners(world, &["alice", "bob"]).await
    }

    /// A console that knows these owners.
    async fn to_owners(world: &World, names: &[&str]) -> Self {
        let aws = Aws::new(&world.environment, world.wire.connector()).unwrap();
        let owners = names.iter().map(|name| Owner::new("local", name).unwrap());
        let console = Console::new(
            &world.environment,
            &aws.retrying_at_once(),
            Arc::new(Nowhere(owners.collect())),
            Arc::new(world.clock.clone()),
            Arc::new(SystemRandom),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { console.serve(listener).await.unwrap() });
        Self {
            url,
            client: local::client::http_client(),
            _serving: serving,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.header("x-ferry-console", "1").send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.client.get(format!("{}{path}", self.url)))
            .await
    }

    async fn act(&self, id: &str, action: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/operation/{id}/{action}", self.url);
        self.send(self.client.post(url).body(body.to_string()))
            .await
    }
}

async fn submit(world: &World, body: Value) -> String {
    let response = world.submit(body).await;
    response.json["id"].as_str().unwrap().to_owned()
}

fn charges(world: &World) -> Vec<String> {
    let charges = world.wire.charges();
    world.wire.reset();
    charges.iter().map(ToString::to_string).collect()
}

/// What the page last showed of an operation.
fn shown(operation: &Value) -> Value {
    let (created_at, lock_version) = (&operation["created_at"], &operation["lock_version"]);
    json!({"shown": {"created_at": created_at, "lock_version": lock_version}})
}

#[tokio::test]
async fn a_poll_of_a_list_costs_a_list_and_one_of_an_operation_one_read() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    let id = submit(&world, json!({"function": "demo.echo"})).await;
    let text = incompressible(2000);
    let large = json!({"function": "demo.echo", "arguments": {"t": text}});
    let large = submit(&world, large).await;
    world.pump_all().await;
    world.wire.reset();

    let (status, page) = console.get("/api/list?owner=local:alice").await;
    assert_eq!((status, &page["examined"]), (200, &json!(2)), "{page}");
    assert_eq!(charges(&world), ["list: 0.5 read", "read listed: 2 read"]);
    // Bob has none.
    let (_, page) = console.get("/api/list").await;
    assert_eq!(page["operations"].as_array().unwrap().len(), 2);
    let mut both = charges(&world);
    both.sort();
    assert_eq!(
        both,
        ["list: 0.5 read", "list: 0.5 read", "read listed: 2 read"]
    );

    let (_, operation) = console.get(&format!("/api/operation/{id}")).await;
    assert_eq!(operation["owner"], "local:alice");
    assert_eq!(operation["availability"], "ended");
    assert_eq!(charges(&world), ["read: 1 read"]);
    console.get(&format!("/api/operation/{id}/stored")).await;
    assert_eq!(charges(&world), ["read: 1 read"]);
    let (_, stored) = console.get(&format!("/api/operation/{large}/stored")).await;
    assert_eq!(stored["arguments"], stored["result"]);
    // Arguments and result.
    let stored = charges(&world);
    assert_eq!(stored.len(), 3, "{stored:?}");
    assert!(
        stored[1..]
            .iter()
            .all(|charge| charge.starts_with("read payload"))
    );
}

/// An operation of a list: the number of its owner, how many milliseconds ago it was created, and
/// whether the filter shows it.
type Listed = (usize, u64, bool);

const OWNERS: [&str; 3] = ["alice", "bob", "carol"];

/// Stores these operations and follows the list of all owners to its end.
async fn assert_lists(listed: &[Listed], limit: usize) {
    let world = World::start().await;
    let console = Served::to_owners(&world, &OWNERS).await;
    let now = world.clock.now();
    let mut expected = BTreeMap::new();
    for (number, (owner, age_ms, is_shown)) in (0_u8..).zip(listed) {
        let operation = Operation {
            id: OperationId::from_bytes([number; 12]),
            owner: Owner::new("local", OWNERS[*owner]).unwrap(),
            function: if *is_shown { "shown" } else { "other" }.to_owned(),
            ..pending_operation(now - Duration::from_millis(*age_ms))
        };
        let created = world.store.create(&Draft::new(&operation), now).await;
        assert!(matches!(created, Ok(CreateOutcome::New)));
        if *is_shown {
            expected.insert(operation.id.to_string(), operation.created_at.to_string());
        }
    }
    let path = format!("/api/list?function=shown&limit={limit}");
    let (mut found, mut cursor) = (Vec::new(), String::new());
    // Each page shows an operation, or skips what the filter excludes, but the last.
    for _ in 0..=listed.len() {
        let (status, page) = console.get(&format!("{path}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let operations = page["operations"].as_array().unwrap();
        assert!(operations.len() <= limit);
        let text = |operation: &Value, name: &str| operation[name].as_str().unwrap().to_owned();
        found.extend(
            operations
                .iter()
                .map(|one| (text(one, "id"), text(one, "created_at"))),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            assert!(
                found.is_sorted_by(|before, next| before.1 >= next.1),
                "{found:?}"
            );
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert_eq!(BTreeMap::from_iter(found), expected);
            return;
        };
        cursor = format!("&cursor={next}");
    }
    panic!("the list does not end: {found:?}");
}

#[test]
fn all_owners_operations_are_listed_once_each_and_the_newest_first() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listed = prop::collection::vec(
        (0..OWNERS.len(), 0..4_u64, prop::bool::weighted(0.8)),
        0..12,
    );
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(24)
    };
    proptest!(config, |(listed in listed, limit in 1..4_usize)| {
        runtime.block_on(assert_lists(&listed, limit));
    });
}

#[tokio::test]
async fn each_action_calls_what_its_owners_request_would_after_one_read() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    let receiver = Receiver::start().await;
    let echo = json!({"function": "demo.echo", "callback_url": receiver.url});
    let pending = submit(&world, echo.clone()).await;
    let delivered = submit(&world, echo).await;
    let failed = submit(&world, json!({"function": "demo.fail"})).await;
    world.wire.reset();
    let (status, done) = console.act(&pending, "wake", &json!({})).await;
    assert_eq!((status, &done["done"]), (200, &json!("message sent")));
    assert_eq!(
        charges(&world),
        ["read: 1 read", "dispatch: 1 message request"]
    );
    let (status, _) = console.act(&pending, "cancel", &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(
        charges(&world),
        [
            "read: 1 read",
            "cancel: 1 write",
            "wake callback: 1 message request"
        ]
    );
    world.pump_all().await;
    world.wire.reset();
    let (status, _) = console.act(&delivered, "redeliver", &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(
        charges(&world),
        [
            "read: 1 read",
            "read: 1 read",
            "wake callback: 1 message request"
        ]
    );
    let (status, redriven) = console
        .act(&failed, "redrive", &json!({"from": "start"}))
        .await;
    assert_eq!(status, 200, "{redriven}");
    assert_eq!(charges(&world)[0], "read: 1 read");
    let (_, again) = console.act(&failed, "redrive", &json!({})).await;
    assert_eq!(again["id"], redriven["id"]);
    assert_eq!(again["done"], "it was redriven before");
    world.wire.reset();
    let (status, _) = console.act(&failed, "erase", &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(console.act(&failed, "erase", &json!({})).await.0, 404);
}

#[tokio::test]
async fn an_action_on_what_has_changed_does_nothing_but_progress_is_no_change() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    let id = submit(&world, json!({"function": "demo.echo"})).await;
    let before = console.get(&format!("/api/operation/{id}")).await.1;
    world.pump_all().await;
    let now = console.get(&format!("/api/operation/{id}")).await.1;
    world.wire.reset();
    let (status, refused) = console.act(&id, "erase", &shown(&before)).await;
    let sentence = "it is completed now, and changed since the page showed it";
    assert_eq!((status, &refused["error"]), (409, &json!(sentence)));
    assert_eq!(charges(&world), ["read: 1 read"]);
    assert_eq!(console.act(&id, "cancel", &shown(&now)).await.0, 409);
    assert_eq!(console.act(&id, "erase", &shown(&now)).await.0, 200);
}

#[tokio::test]
async fn an_operation_that_starts_later_is_shown_with_its_start() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    let body = json!({"function": "demo.echo", "start_after_seconds": 60});
    let id = submit(&world, body).await;
    let (_, shown) = console.get(&format!("/api/operation/{id}")).await;
    assert_eq!(shown["availability"], "busy");
    assert!(shown["starts_at"].is_string(), "{shown}");
    assert_eq!(shown["lease_until"], shown["starts_at"]);
}

/// A claim begins an attempt between the console's read and its write.
#[tokio::test]
async fn only_a_cancel_is_tried_again_when_the_operation_changes_meanwhile() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    for (action, status, outcomes) in [
        ("cancel", 200, &["ASYNC_VERSION_CONFLICT", "done"][..]),
        ("erase", 412, &["ASYNC_VERSION_CONFLICT"]),
        ("redeliver", 412, &["ASYNC_VERSION_CONFLICT"]),
        ("redrive", 412, &["ASYNC_VERSION_CONFLICT"]),
    ] {
        let id = submit(&world, json!({"function": "demo.echo"})).await;
        let logged = Logged::start();
        world.wire.plan([]);
        let (empty, claim) = (json!({}), claim_and_vanish(&world, &id));
        let acted = console.act(&id, action, &empty);
        let ((found, body), _) = world.wire.delay(1, acted, claim).await;
        assert_eq!(found, status, "{action}: {body}");
        let lines = logged.take();
        let audited: Vec<_> = lines
            .iter()
            .filter_map(|line| {
                line.split_once("outcome=")
                    .filter(|_| line.contains("audit="))
            })
            .map(|(_, outcome)| outcome.trim_matches('"'))
            .collect();
        assert_eq!(audited, outcomes, "{action}");
    }
}

#[tokio::test]
async fn a_redrive_that_is_erased_meanwhile_is_refused_once() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    let failed = submit(&world, json!({"function": "demo.fail"})).await;
    world.pump_all().await;
    let redrive = async || {
        world.clock.advance(Duration::from_secs(1));
        let path = format!("/operations/{failed}/redrive");
        let redriven = world.request("POST", &path, &[], "").await;
        world.pump_all().await;
        let path = format!("/operations/{}", redriven.json["id"].as_str().unwrap());
        world.request("DELETE", &path, &[], "").await.status
    };
    world.wire.plan([]);
    // After its last read, and before its message and its record.
    let empty = json!({});
    let acted = console.act(&failed, "redrive", &empty);
    let ((status, refused), erased) = world.wire.delay(3, acted, redrive()).await;
    assert_eq!(erased, 204);
    let sentence = "its redrive was erased meanwhile; try again";
    assert_eq!((status, &refused["error"]), (503, &json!(sentence)));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(console.act(&failed, "redrive", &empty).await.0, 200);
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_sentence_and_cost_nothing() {
    let world = World::start().await;
    let console = Served::of(&world).await;
    let id = submit(&world, json!({"function": "demo.echo"})).await;
    world.wire.reset();
    for (path, status, error) in [
        ("/api/list?owner=", 400, "owner is not an owner's name"),
        (
            "/api/list?limit=101",
            400,
            "limit must be a whole number from 1 to 100",
        ),
        (
            "/api/list?cursor=x",
            400,
            "cursor is not a cursor of this list",
        ),
        (
            "/api/list?owner=local:alice&cursor=x",
            400,
            "cursor is not a cursor of this list",
        ),
        (
            "/api/operation/op_1",
            404,
            "there is no such operation; it may have expired or been erased",
        ),
        ("/api/functions", 404, "this console does not submit"),
    ] {
        let (found, body) = console.get(path).await;
        assert_eq!((found, &body["error"]), (status, &json!(error)), "{path}");
    }
    let wrong = json!({"shown": 1});
    assert_eq!(console.act(&id, "cancel", &wrong).await.0, 400);
    assert_eq!(charges(&world), Vec::<String>::new());
    assert_eq!(console.act(&id, "explode", &json!({})).await.0, 404);
    assert_eq!(
        console
            .act(&id, "redrive", &json!({"from": "middle"}))
            .await
            .0,
        400
    );
    world.wire.plan([(0, Fault::AccessDenied)]);
    let (status, body) = console.get(&format!("/api/operation/{id}")).await;
    assert_eq!(status, 502, "{body}");
}
