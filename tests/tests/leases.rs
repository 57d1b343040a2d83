//! Leases of real workers: one is killed in the middle of its work, and one is stopped past its
//! lease and continues.

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
        // A worker that lost its lease logs a warning.
        ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("LEASE_SECONDS", "5"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    let environment = environment.map(|(name, value)| (name, value.to_owned()));
    RunningBundle::start(Settings {
        functions_directory: linked_functions(FUNCTIONS),
        functions_file: None,
        ..settings(environment.into())
    })
}

/// One test, because each part needs to know the workers that run.
#[tokio::test]
async fn a_lease_is_lost_with_its_worker_and_a_worker_with_its_lease() {
    let api = Api::new(Arc::new(bundle()), "leases");
    a_killed_workers_operation_is_claimed_again_after_its_lease(&api).await;
    a_fenced_off_worker_changes_nothing_and_acknowledges_nothing(&api).await;
}

async fn a_killed_workers_operation_is_claimed_again_after_its_lease(api: &Api) {
    let long =
        json!({"function": "demo.countdown", "arguments": {"steps": 10_000, "step_ms": 100}});
    let id = api.submit(&long).await.id();
    let [worker] = at_work(api, &id, 1).await.try_into().unwrap();
    assert!(worker.signal("KILL").await);
    let killed_at = SystemClock.now();
    at_work(api, &id, 2).await;
    let took = SystemClock.now().since(killed_at);
    // The lease is renewed every third of it, and the queue is not received from at every moment.
    assert!(LEASE / 3 < took && took < LEASE * 3, "{took:?}");
    let cancelled = api.post(&format!("/operations/{id}/cancel")).await;
    assert_eq!(cancelled.status, 200);
}

async fn a_fenced_off_worker_changes_nothing_and_acknowledges_nothing(api: &Api) {
    until("the end of all other work", async || {
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
        "function": "demo.countdown",
        "arguments": {"steps": 40, "step_ms": 100},
        "callback_url": receiver.url,
    });
    let id = api.submit(&body).await.id();
    let stopped = at_work(api, &id, 1).await;
    for worker in &stopped {
        assert!(worker.signal("STOP").await);
    }
    let mut successors = at_work(api, &id, 2).await;
    successors.retain(|worker| !stopped.contains(worker));
    assert!(!successors.is_empty());

    // It continues while its successor holds the operation, and its heartbeat is long due.
    for worker in &stopped {
        assert!(worker.signal("CONT").await);
    }
    // Time for it to answer for its message, filled with work for all workers.
    let others = futures_util::future::join_all((0..8).map(|_| async {
        let short =
            json!({"function": "demo.countdown", "arguments": {"steps": 5, "step_ms": 100}});
        let id = api.submit(&short).await.id();
        api.wait_for_status(&id, "completed").await.json()["attempt"].clone()
    }));
    assert!(others.await.iter().all(|attempt| *attempt == 1));
    let held = api.get(&format!("/operations/{id}")).await.json();
    let seen = (&held["status"], &held["attempt"]);
    assert_eq!(seen, (&json!("processing"), &json!(2)));

    // If the fenced-off worker had acknowledged the message, no worker would receive it again.
    for worker in &successors {
        assert!(worker.signal("KILL").await);
    }
    let ended = api.wait_for_status(&id, "completed").await.json();
    assert_eq!(ended["attempt"], 3, "{ended}");
    api.wait_for_callback_status(&id, "delivered").await;
    assert_eq!(receiver.received().len(), 1);
}

/// The live workers once an attempt has made progress.
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
