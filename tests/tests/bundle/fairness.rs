//! One owner's load and another owner's single request, on the program with its default settings.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::benchmark::Watch;
use tests::receiver::Receiver;
use tests::wait::until;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::TIMED;
use crate::local_program::{LocalProgram, answer};

/// Concurrent submits.
const AT_ONCE: usize = 20;

/// Submits `count` times as `owner`, and returns the ids.
async fn submit(local: &LocalProgram, owner: &str, body: &Value, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let submits = (ids.len()..count).take(AT_ONCE).map(|_| {
            let request = local.post("/operations", body);
            answer(request.bearer_auth(owner))
        });
        for (status, operation) in join_all(submits).await {
            assert_eq!(status, 202, "{operation}");
            ids.push(operation["id"].as_str().unwrap().to_owned());
        }
    }
    ids
}

async fn status(local: &LocalProgram, owner: &str, id: &str) -> Value {
    let request = local.get(&format!("/operations/{id}"));
    answer(request.bearer_auth(owner)).await.1["status"].clone()
}

/// A receiver that accepts connections and never answers.
async fn silent_receiver() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = Vec::new();
        loop {
            connections.push(listener.accept().await.unwrap());
        }
    });
    (url, tasks)
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_delays_no_other_owners_callback() {
    let _timed = TIMED.lock().await;
    let local = LocalProgram::start(&[], &[("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8")]).await;
    let (silent_url, _silent) = silent_receiver().await;
    let stuck = json!({"function": "demo.echo", "callback_url": silent_url});
    let ids = submit(&local, "alice", &stuck, 150).await;
    for id in &ids {
        until("the end of an operation", async || {
            (status(&local, "alice", id).await == "completed").then_some(())
        })
        .await;
    }

    let receiver = Receiver::start().await;
    let callback = json!({"function": "demo.echo", "callback_url": receiver.url});
    let watch = Watch::start();
    submit(&local, "bob", &callback, 1).await;
    until("bob's callback", async || {
        (!receiver.received().is_empty()).then_some(())
    })
    .await;
    let took = watch.took();
    println!("bob's callback after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(local.stop().await, "");
}

#[tokio::test]
async fn an_owners_thousand_operations_delay_another_owners_one_by_less_than_three_seconds() {
    let _timed = TIMED.lock().await;
    let local = LocalProgram::start(&[], &[]).await;
    let half_a_second =
        json!({"function": "demo.countdown", "arguments": {"steps": 1, "step_ms": 500}});
    let ids = submit(&local, "alice", &half_a_second, 1000).await;
    let watch = Watch::start();
    let bob = submit(&local, "bob", &json!({"function": "demo.echo"}), 1).await;
    until("bob's operation", async || {
        (status(&local, "bob", &bob[0]).await == "completed").then_some(())
    })
    .await;
    let took = watch.took();
    println!("bob's operation after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let last = status(&local, "alice", &ids[999]).await;
    assert_eq!(last, "pending", "the backlog outlasts bob's operation");
    assert_eq!(local.stop().await, "");
}
