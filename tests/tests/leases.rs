//! Leases of real workers: one that is killed in the middle of its work, and one that stands still past its lease and wakes up.

use std::sync::Arc;
use std::time::Duration;

use local::bundle::Settings;
use serde_json::json;
use shared::clock::{Clock as _, SystemClock};
use tests::api::Api;
use tests::bundle::{RunningBundle, linked_functions, settings};
use tests::processes::Process;
use tests::receiver::{Receiver, SECRET};
use tests::wait::until;

const LEASE: Duration = Duration::from_secs(5);

/// The name of the directory that the bundle's functions are started from.
const FUNCTIONS: &str = "leases";

fn bundle() -> RunningBundle {
    let environment = [
        // A worker that lost its lease says so.
        ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("LEASE_SECONDS", "5"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    let environment = environment.map(|(name, value)| (name, value.to_owned()));
    RunningBundle::start(Settings {
        functions_directory: linked_functions(FUNCTIONS),
        ..settings(environment.into())
    })
}

/// One after the other: each has the only worker that runs.
#[tokio::test]
async fn a_lease_is_lost_with_its_worker_and_a_worker_with_its_lease() {
    let api = Api::new(Arc::new(bundle()), "leases");
    a_killed_workers_operation_is_taken_up_within_about_a_lease(&api).await;
    a_zombie_changes_nothing_and_acknowledges_nothing(&api).await;
}

async fn a_killed_workers_operation_is_taken_up_within_about_a_lease(api: &Api) {
    let long =
        json!({"function": "demo.countdown", "arguments": {"steps": 10_000, "step_ms": 100}});
    let id = api.submit(&long).await.id();
    let [worker] = at_work(api, &id, 1).await.try_into().unwrap();
    assert!(worker.signal("KILL").await);
    let killed_at = SystemClock.now();
    at_work(api, &id, 2).await;
    let took = SystemClock.now().since(killed_at);
    // The lease was renewed a third of it ago at the most, and a queue is not looked at all the time.
    assert!(LEASE / 3 < took && took < LEASE * 3, "{took:?}");
    let cancelled = api.post(&format!("/operations/{id}/cancel")).await;
    assert_eq!(cancelled.status, 200);
}

async fn a_zombie_changes_nothing_and_acknowledges_nothing(api: &Api) {
    // Nobody is at work any more.
    until("an idle worker", async || {
        let list = api.get("/operations?status=processing").await.json();
        list["operations"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    let receiver = Receiver::start().await;
    let body = json!({
        "function": "demo.countdown", "arguments": {"steps": 40, "step_ms": 100}, "callback_url": receiver.url,
    });
    let id = api.submit(&body).await.id();
    let stopped = at_work(api, &id, 1).await;
    for worker in &stopped {
        assert!(worker.signal("STOP").await);
    }
    let mut successors = at_work(api, &id, 2).await;
    successors.retain(|worker| !stopped.contains(worker));
    assert!(!successors.is_empty());

    // It wakes while its successor holds the operation, with a heartbeat that is long due.
    for worker in &stopped {
        assert!(worker.signal("CONT").await);
    }
    // Time for it to answer for its message: work that the other workers do meanwhile, and it as well once it is free.
    let others = futures_util::future::join_all((0..8).map(|_| async {
        let sleeper =
            json!({"function": "demo.countdown", "arguments": {"steps": 5, "step_ms": 100}});
        let id = api.submit(&sleeper).await.id();
        api.reaches(&id, "completed").await.json()["attempt"].clone()
    }));
    assert!(others.await.iter().all(|attempt| *attempt == 1));
    let held = api.get(&format!("/operations/{id}")).await.json();
    let seen = (&held["status"], &held["attempt"]);
    assert_eq!(seen, (&json!("processing"), &json!(2)));

    // Were the message acknowledged by the zombie, nobody would take up what its successor leaves.
    for worker in &successors {
        assert!(worker.signal("KILL").await);
    }
    let ended = api.reaches(&id, "completed").await.json();
    assert_eq!(ended["attempt"], 3, "{ended}");
    api.callback_reaches(&id, "delivered").await;
    assert_eq!(receiver.received().len(), 1);
}

/// The workers that live once an attempt has begun and come some way.
async fn at_work(api: &Api, id: &str, attempt: u64) -> Vec<Process> {
    until(&format!("attempt {attempt}"), async || {
        let operation = api.get(&format!("/operations/{id}")).await.json();
        let is_at_work = operation["attempt"] == attempt && operation["progress"].is_number();
        is_at_work.then_some(())
    })
    .await;
    let functions = linked_functions(FUNCTIONS);
    let children = Process::children_of(std::process::id()).await;
    children
        .into_iter()
        .filter(|process| process.name == "worker" && process.directory == functions)
        .collect()
}
