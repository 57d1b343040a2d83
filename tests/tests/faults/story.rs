//! The stories, and how one is told.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::fingerprint::operation_id;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::world::{Answer, World};

use crate::schedule::Schedule;
use crate::witness::Witness;

/// What happens, each a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Submit,
    Cancel,
    Worker,
    /// A worker that dies at its work, if it came to claim any.
    LostWorker,
    Callback,
    Redeliver,
    Erase,
    /// Nobody does anything for this long, in seconds.
    Nobody(u64),
}

pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) processes: &'static [Process],
    body: fn() -> Value,
    /// What the receiver answers first.
    answers: &'static [(u16, Option<&'static str>)],
    /// How it ends: as the first says when nothing goes wrong, else as any of them, for a fault can keep a step from being taken.
    ends: &'static [&'static str],
    /// Attempts that come to nothing without a fault.
    spends: usize,
}

use Process::{Callback, Cancel, Erase, LostWorker, Nobody, Redeliver, Submit};

/// A worker that dies before its first request leaves the message hidden for the queue's own 15 minutes; with this deadline two
/// of them do not make an operation late.
const AN_HOUR_SECS: u32 = 3600;

pub(crate) const STORIES: [Story; 9] = [
    Story {
        name: "completes",
        processes: &[Submit, Process::Worker, Callback],
        body: || json!({"function": "demo.echo", "arguments": {"n": 1}}),
        answers: &[],
        ends: &["completed"],
        spends: 0,
    },
    Story {
        name: "large",
        processes: &[Submit, Process::Worker, Callback],
        body: || json!({"function": "demo.echo", "arguments": large(), "metadata": large()}),
        answers: &[],
        ends: &["completed"],
        spends: 0,
    },
    Story {
        name: "retried",
        processes: &[Submit, Process::Worker, Process::Worker, Callback, Callback],
        body: || {
            let arguments = json!({"retryable": true, "succeed_on_attempt": 2});
            json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 4 * AN_HOUR_SECS})
        },
        answers: &[(500, None)],
        ends: &["completed"],
        spends: 1,
    },
    Story {
        name: "fails",
        processes: &[Submit, Process::Worker, Callback],
        body: || json!({"function": "demo.fail", "deadline_seconds": 4 * AN_HOUR_SECS}),
        answers: &[],
        ends: &["failed"],
        spends: 0,
    },
    Story {
        name: "cancelled",
        processes: &[Submit, Cancel, Process::Worker, Callback],
        body: || json!({"function": "demo.echo", "arguments": {"n": 1}}),
        answers: &[],
        // The caller does not ask again, so a cancel that died first has no effect.
        ends: &["cancelled", "completed"],
        spends: 0,
    },
    Story {
        name: "redelivered",
        processes: &[Submit, Process::Worker, Callback, Redeliver, Callback],
        body: || json!({"function": "demo.echo", "arguments": large(), "ttl_seconds": 60}),
        answers: &[],
        ends: &["completed"],
        spends: 0,
    },
    Story {
        name: "given-up",
        // As many as there are attempts, each followed by its lease.
        processes: &[
            Submit,
            LostWorker,
            Nobody(61),
            LostWorker,
            Nobody(61),
            LostWorker,
            Nobody(61),
            Process::Worker,
            Callback,
        ],
        body: || {
            let arguments = json!({"retryable": true, "succeed_on_attempt": 1});
            json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 4 * AN_HOUR_SECS})
        },
        answers: &[],
        ends: &["failed", "completed"],
        spends: 3,
    },
    Story {
        name: "late",
        processes: &[Submit, Nobody(60), Process::Worker, Callback],
        body: || json!({"function": "demo.echo", "arguments": {"n": 1}, "deadline_seconds": 60}),
        answers: &[],
        ends: &["failed", "completed"],
        spends: 0,
    },
    Story {
        name: "erased",
        processes: &[Submit, Process::Worker, Callback, Erase],
        body: || json!({"function": "demo.echo", "arguments": large()}),
        answers: &[],
        ends: &["completed"],
        spends: 0,
    },
];

impl Story {
    fn ends_after(&self, schedule: &Schedule) -> &'static [&'static str] {
        if schedule.len() == 0 {
            &self.ends[..1]
        } else {
            self.ends
        }
    }
}

/// How long a process waits for a message at most: a backoff between attempts, never a visibility timeout.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a world may take to come to rest: past every age, backoff and schedule.
const REST_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How often a caller without an answer asks: more often than a schedule has faults.
const REQUESTS_MAX: usize = 12;

/// A payload that gets an item of its own, compressed or not.
fn large() -> Value {
    json!({ "text": incompressible(2000) })
}

/// A world in which one story after the other is told, each of another owner's operation.
pub(crate) struct Stage {
    world: World,
    told: usize,
}

/// One telling.
struct Telling<'a> {
    world: &'a World,
    owner: String,
    id: String,
    body: String,
    receiver: Receiver,
    witness: Witness,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self {
            world: World::start().await,
            told: 0,
        }
    }

    /// Tells a story with these faults, and holds it to every promise; the calls that were made.
    pub(crate) async fn tell(&mut self, story: &Story, schedule: &Schedule) -> Vec<String> {
        self.told += 1;
        let world = &self.world;
        let owner = format!("teller-{}", self.told);
        let receiver = Receiver::start().await;
        receiver.answer_next(story.answers.iter().copied());
        let mut body = (story.body)();
        body["callback_url"] = json!(receiver.url);
        let function = body["function"].as_str().unwrap();
        let id = operation_id(&format!("local:{owner}"), function, None, KEY);
        let mut telling = Telling {
            world,
            witness: Witness::new(
                story.ends_after(schedule),
                story.spends + schedule.len(),
                &body,
                id.clone(),
            ),
            owner,
            id: id.to_string(),
            body: body.to_string(),
            receiver,
        };
        world.wire.reset();
        world.wire.plan(schedule.faults());
        for process in story.processes {
            telling.act(*process).await;
        }
        telling.rest().await;
        let calls = world.wire.calls();
        world.wire.plan([]);
        let told = telling
            .witness
            .verdict(world, &telling.owner, &telling.receiver)
            .await;
        if let Err(broken) = told {
            let calls: Vec<_> = calls
                .iter()
                .enumerate()
                .map(|(n, call)| format!("{n} {call}"))
                .collect();
            panic!(
                "{}/{schedule}: {broken}\ncalls: {}",
                story.name,
                calls.join(", ")
            );
        }
        calls
    }
}

const KEY: &str = "k";

impl Telling<'_> {
    async fn act(&mut self, process: Process) {
        match process {
            Submit => {
                let headers = [("idempotency-key", KEY)];
                let body = self.body.clone();
                let answer = self
                    .ask_until_answered("POST", "/operations", &headers, &body)
                    .await;
                self.witness.accepted(answer.status);
            }
            Cancel => {
                let path = format!("/operations/{}/cancel", self.id);
                if let Some(answer) = self.ask("POST", &path, &[], "").await {
                    self.witness.cancelled(answer.status);
                }
            }
            Redeliver => {
                let path = format!("/operations/{}/redeliver", self.id);
                self.ask("POST", &path, &[], "").await;
                self.witness.redelivered();
            }
            Erase => {
                // An operation that has not ended is not erased.
                self.rest().await;
                let path = format!("/operations/{}", self.id);
                self.witness.erasing();
                self.ask_until_answered("DELETE", &path, &[], "").await;
                self.witness.erased();
            }
            Process::Worker => self.serve_soon(QueueKind::Dispatch).await,
            LostWorker => {
                // Hide, claim, and the outcome that is never written.
                self.world.wire.doom(2);
                self.serve_soon(QueueKind::Dispatch).await;
            }
            Callback => self.serve_soon(QueueKind::Callback).await,
            Nobody(secs) => self.world.clock.advance(Duration::from_secs(secs)),
        }
        self.look().await;
    }

    async fn look(&mut self) {
        self.witness.look(self.world, &self.receiver).await;
    }

    /// A request; `None` when whoever serves it dies.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let world = self.world;
        let request = world.request_of(&self.owner, method, path, headers, body.as_bytes());
        world.wire.process(&world.clock, request).await
    }

    /// A request that a caller repeats until it is answered, and not by an apology.
    async fn ask_until_answered(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        for _ in 0..REQUESTS_MAX {
            let answer = self.ask(method, path, headers, body).await;
            self.look().await;
            match answer {
                Some(answer) if answer.status < 500 => return answer,
                _ => self.world.clock.advance(Duration::from_secs(1)),
            }
        }
        panic!("{method} {path} is never answered");
    }

    /// Has one message of a queue served, if there is one soon.
    async fn serve_soon(&self, kind: QueueKind) {
        let clock = &self.world.clock;
        if let Some(at) = self.world.next_message_at(kind)
            && at.since(clock.now()) <= PATIENCE
        {
            clock.advance(at.since(clock.now()));
            self.serve(kind).await;
        }
    }

    /// Has one message of a queue served, by a process of its own.
    async fn serve(&self, kind: QueueKind) {
        let world = self.world;
        let queue = world.queue(kind);
        let messages = queue.receive(1).await;
        if messages.is_empty() {
            return;
        }
        let worker = world.another_worker();
        let served = world.serve(&worker, kind, queue.event(&messages));
        if let Some(answer) = world.wire.process(&world.clock, served).await
            && answer["batchItemFailures"] == json!([])
            && world.wire.acknowledges()
        {
            queue.delete_acknowledged(&messages, &answer).await;
        }
    }

    /// Has every message served when its time has come, until there are none.
    async fn rest(&mut self) {
        let (world, start) = (self.world, self.world.clock.now());
        loop {
            let waiting = QueueKind::ALL
                .into_iter()
                .filter_map(|kind| Some((world.next_message_at(kind)?, kind)));
            let Some((at, kind)) = waiting.min_by_key(|(at, _)| *at) else {
                return;
            };
            world.clock.advance(at.since(world.clock.now()));
            let took = world.clock.now().since(start);
            assert!(took < REST_MAX, "messages never come to rest");
            self.serve(kind).await;
            self.look().await;
        }
    }
}
