//! Crashes between every two calls: whichever process dies wherever, the operation reaches its end, once, and its callback is
//! delivered.

use serde_json::{Value, json};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::Crash;
use tests::world::World;

/// What happens, each a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Submit,
    Cancel,
    Worker,
    Callback,
    Redeliver,
}

/// Where a process dies: at a request, or with everything done but the acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    At(Crash),
    Unacknowledged,
}

struct Story {
    name: &'static str,
    processes: &'static [Process],
    body: fn() -> Value,
    /// What the receiver answers first.
    answers: &'static [(u16, Option<&'static str>)],
    ends: &'static [&'static str],
}

const STORIES: [Story; 6] = [
    Story {
        name: "completes",
        processes: &[Process::Submit, Process::Worker, Process::Callback],
        body: || json!({"function": "demo.echo", "arguments": {"n": 1}}),
        answers: &[],
        ends: &["completed"],
    },
    Story {
        name: "completes with large payloads",
        processes: &[Process::Submit, Process::Worker, Process::Callback],
        body: || {
            let large = json!({"text": incompressible(2000)});
            json!({"function": "demo.echo", "arguments": large, "metadata": large})
        },
        answers: &[],
        ends: &["completed"],
    },
    Story {
        name: "is tried again, and so is its callback",
        processes: &[
            Process::Submit,
            Process::Worker,
            Process::Worker,
            Process::Callback,
            Process::Callback,
        ],
        body: || {
            // A worker that dies before its first request leaves the message hidden for the queue's own 15 minutes.
            let arguments = json!({"retryable": true, "succeed_on_attempt": 2});
            json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 3600})
        },
        answers: &[(500, None)],
        ends: &["completed"],
    },
    Story {
        name: "fails",
        processes: &[Process::Submit, Process::Worker, Process::Callback],
        body: || json!({"function": "demo.fail"}),
        answers: &[],
        ends: &["failed"],
    },
    Story {
        name: "is cancelled",
        processes: &[
            Process::Submit,
            Process::Cancel,
            Process::Worker,
            Process::Callback,
        ],
        body: || json!({"function": "demo.echo"}),
        answers: &[],
        // The caller does not ask again, so a cancel that died first has no effect.
        ends: &["cancelled", "completed"],
    },
    Story {
        name: "is delivered again",
        processes: &[
            Process::Submit,
            Process::Worker,
            Process::Callback,
            Process::Redeliver,
            Process::Callback,
        ],
        body: || {
            let large = json!({"text": incompressible(2000)});
            json!({"function": "demo.echo", "arguments": large, "ttl_seconds": 60})
        },
        answers: &[],
        ends: &["completed"],
    },
];

const KEY: [(&str, &str); 1] = [("idempotency-key", "k")];

impl Story {
    /// Tells it, with the process at `index` dying at `death`; whether that came to pass.
    async fn tell(&self, index: usize, death: Death) -> bool {
        let world = World::start().await;
        let receiver = Receiver::start().await;
        receiver.answer_next(self.answers.iter().copied());
        let mut body = (self.body)();
        body["callback_url"] = json!(receiver.url);
        let body = body.to_string();
        let mut died = false;
        for (at, process) in self.processes.iter().enumerate() {
            let death = (at == index).then_some(death);
            died |= act(&world, *process, death, &body).await;
        }
        // The caller, who has no answer, asks again; everybody else is asked again by the queues.
        let retried = world.request("POST", "/operations", &KEY, &body).await;
        assert!(matches!(retried.status, 200 | 202), "{}", retried.text);
        world.rest().await;

        let id = retried.json["id"].as_str().unwrap();
        let operation = world.show(id).await;
        let what = format!(
            "{} with {:?} {death:?}: {operation}",
            self.name, self.processes[index]
        );
        assert!(
            self.ends.contains(&operation["status"].as_str().unwrap()),
            "{what}"
        );
        assert_eq!(operation["callback"]["status"], "delivered", "{what}");
        let deliveries = receiver.received();
        assert!(deliveries.len() > self.answers.len(), "{what}");
        for delivery in &deliveries {
            let told = delivery.verified();
            assert_eq!(
                delivery.header("webhook-id"),
                deliveries[0].header("webhook-id"),
                "{what}"
            );
            assert_eq!(told["data"]["status"], operation["status"], "{what}");
            assert_eq!(told["data"]["result"], operation["result"], "{what}");
        }
        died
    }
}

/// Has a process act; whether it died. A function is woken by whatever message is there, after the wait that it takes.
async fn act(world: &World, process: Process, death: Option<Death>, body: &str) -> bool {
    let crash = match death {
        Some(Death::At(crash)) => crash,
        // No process makes so many requests.
        Some(Death::Unacknowledged) | None => Crash::Before(usize::MAX),
    };
    let unacknowledged = death == Some(Death::Unacknowledged);
    match process {
        Process::Submit => {
            let request = world.request("POST", "/operations", &KEY, body);
            world.wire.crashing(crash, request).await.is_none()
        }
        Process::Cancel => {
            let Some(id) = only_operation(world).await else {
                return false;
            };
            let path = format!("/operations/{id}/cancel");
            let request = world.request("POST", &path, &[], "");
            world.wire.crashing(crash, request).await.is_none()
        }
        Process::Redeliver => {
            let Some(id) = only_operation(world).await else {
                return false;
            };
            let path = format!("/operations/{id}/redeliver");
            let request = world.request("POST", &path, &[], "");
            world.wire.crashing(crash, request).await.is_none()
        }
        Process::Worker => serve(world, QueueKind::Dispatch, crash, unacknowledged).await,
        Process::Callback => serve(world, QueueKind::Callback, crash, unacknowledged).await,
    }
}

async fn serve(world: &World, kind: QueueKind, crash: Crash, unacknowledged: bool) -> bool {
    let queue = world.queue(kind);
    let mut messages = queue.receive(1).await;
    // Its message may be backing off.
    for _ in 0..20 {
        if !messages.is_empty() || queue.is_empty().await {
            break;
        }
        world.clock.advance(std::time::Duration::from_secs(1));
        messages = queue.receive(1).await;
    }
    if messages.is_empty() {
        return false;
    }
    let worker = world.another_worker();
    let served = world.serve(&worker, kind, queue.event(&messages));
    match world.wire.crashing(crash, served).await {
        Some(_) if unacknowledged => true,
        Some(answer) => {
            queue.delete_acknowledged(&messages, &answer).await;
            false
        }
        None => true,
    }
}

async fn only_operation(world: &World) -> Option<String> {
    let list = world.request("GET", "/operations", &[], "").await.json;
    Some(list["operations"][0]["id"].as_str()?.to_owned())
}

/// Every process of a story dies at every request that it makes, before it and after it.
async fn every_crash(story: &Story) {
    let mut crashes = 0;
    for index in 0..story.processes.len() {
        for crash in [Crash::Before, Crash::After] {
            let mut at = 0;
            while story.tell(index, Death::At(crash(at))).await {
                crashes += 1;
                at += 1;
            }
        }
        story.tell(index, Death::Unacknowledged).await;
    }
    assert!(
        crashes >= 2 * (2 + story.processes.len()),
        "{crashes} crashes are fewer than there are calls"
    );
}

#[tokio::test]
async fn completing_survives_every_crash() {
    every_crash(&STORIES[0]).await;
}

#[tokio::test]
async fn large_payloads_survive_every_crash() {
    every_crash(&STORIES[1]).await;
}

#[tokio::test]
async fn retries_survive_every_crash() {
    every_crash(&STORIES[2]).await;
}

#[tokio::test]
async fn failing_survives_every_crash() {
    every_crash(&STORIES[3]).await;
}

#[tokio::test]
async fn cancelling_survives_every_crash() {
    every_crash(&STORIES[4]).await;
}

#[tokio::test]
async fn redelivering_survives_every_crash() {
    every_crash(&STORIES[5]).await;
}

#[tokio::test]
async fn a_submit_that_dies_and_is_not_repeated_leaves_nothing_or_an_operation() {
    for crash in [
        Crash::Before(0),
        Crash::After(0),
        Crash::Before(1),
        Crash::After(1),
    ] {
        let world = World::start().await;
        let body = json!({"function": "demo.echo"}).to_string();
        let request = world.request("POST", "/operations", &[], &body);
        assert!(world.wire.crashing(crash, request).await.is_none());
        world.rest().await;
        match only_operation(&world).await {
            None => assert_ne!(crash, Crash::After(1)),
            Some(id) => {
                assert_eq!(crash, Crash::After(1));
                assert_eq!(world.show(&id).await["status"], "completed");
            }
        }
    }
}
