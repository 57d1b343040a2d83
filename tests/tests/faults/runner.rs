//! How a story is told.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use callback::Callback;
use serde_json::{Value, json};
use shared::clock::{Clock as _, ManualClock};
use shared::domain::fingerprint::operation_id;
use tests::queues::QueueKind;
use tests::receiver::{Receiver, SECRET};
use tests::secrets_manager::SecretsManager;
use tests::world::{Answer, World};
use worker::Worker;

use crate::checker::Checker;
use crate::paced::Works;
use crate::schedule::Schedule;
use crate::story::{Process, Story};

/// How long a process waits for a message at most: a backoff between attempts, never a visibility timeout.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a world may take to come to rest: past every age, backoff and schedule.
const REST_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How often a caller without an answer asks: more often than a schedule has faults.
const REQUESTS_MAX: usize = 12;

const KEY: &str = "k";

/// A world in which one story is told again and again, each time of another owner's operations.
pub(crate) struct Stage {
    story: &'static Story,
    world: World,
    works: Arc<Works>,
    told: usize,
    /// How the operations end when nothing goes wrong: status and attempt.
    undisturbed: Vec<(String, u32)>,
    _secrets: Option<SecretsManager>,
}

/// The calls of a runner.
pub(crate) struct Calls {
    /// All of them, by their names.
    pub(crate) names: Vec<String>,
    /// Those that the story is about.
    pub(crate) told_of: Range<usize>,
}

/// One runner.
struct Runner<'a> {
    story: &'static Story,
    world: &'a World,
    works: &'a Works,
    owner: String,
    operations: Vec<Told>,
    /// A sender that has started and not died since, where starting is part of the story.
    callback: Option<Callback>,
}

/// An operation that a story is about.
struct Told {
    id: String,
    key: String,
    body: String,
    receiver: Receiver,
    checker: Checker,
}

impl Stage {
    pub(crate) async fn set(story: &'static Story) -> Self {
        let (mut secrets, mut world) = (None, World::start().await);
        if story.has_stored_secrets {
            let stored = SecretsManager::start().await;
            let arn = stored.create("faults", SECRET).await;
            world = World::with([
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &stored.endpoint),
                ("WEBHOOK_SECRETS", ""),
                ("WEBHOOK_SECRETS_ARN", &arn),
            ])
            .await;
            secrets = Some(stored);
        }
        Self {
            story,
            works: Works::of(story.name, &world.wire),
            world,
            told: 0,
            undisturbed: Vec::new(),
            _secrets: secrets,
        }
    }

    /// Tells the story with these faults, and holds it to every promise; the calls that were made. First without any.
    pub(crate) async fn tell(&mut self, schedule: &Schedule) -> Calls {
        self.told += 1;
        let (story, world) = (self.story, &self.world);
        let owner = format!("teller-{}", self.told);
        let mut operations = Vec::new();
        for (n, body) in story.bodies.iter().enumerate() {
            let told = Told::new(world, story, schedule, &owner, n, body());
            operations.push(told.await);
        }
        let mut runner = Runner {
            story,
            world,
            works: &self.works,
            owner,
            operations,
            callback: None,
        };
        world.wire.reset();
        world.wire.plan(schedule.faults());
        let mut begun_at = Vec::new();
        for process in story.processes {
            begun_at.push(world.wire.calls().len());
            // On the heap: handlers of all functions are inside, and a test's thread has a small stack.
            Box::pin(runner.act(*process)).await;
        }
        Box::pin(runner.rest()).await;
        let calls = world.wire.calls();
        begun_at.push(calls.len());
        world.wire.plan([]);
        let (mut broken, mut ends) = (Vec::new(), Vec::new());
        if world.wire.unconditional_writes() > 0 {
            broken.push("a write without a condition".to_owned());
        }
        for told in runner.operations {
            match told
                .checker
                .verdict(world, &runner.owner, &told.receiver)
                .await
            {
                Ok(end) => ends.push(end),
                Err(promises) => broken.push(promises),
            }
        }
        if broken.is_empty() && schedule.len() == 0 {
            self.undisturbed = ends;
        } else if broken.is_empty() {
            broken.extend(self.neighbours(schedule, &ends));
        }
        if !broken.is_empty() {
            let calls: Vec<_> = calls
                .iter()
                .enumerate()
                .map(|(n, call)| format!("{n} {call}"))
                .collect();
            panic!(
                "{}/{schedule}: {}\ncalls: {}",
                story.name,
                broken.join("\n"),
                calls.join(", ")
            );
        }
        let told_of = story.told_of.clone().unwrap_or(0..story.processes.len());
        Calls {
            names: calls,
            told_of: begun_at[told_of.start]..begun_at[told_of.end],
        }
    }

    /// A fault that befalls one operation's call leaves those alone that are served in the same batch, unless the process dies,
    /// which is that of all of them.
    fn neighbours(&self, schedule: &Schedule, ends: &[(String, u32)]) -> Option<String> {
        let pairs = self.undisturbed.iter().zip(ends);
        let disturbed = pairs.filter(|(before, now)| before != now).count();
        let is_shared = schedule.faults().any(|(_, fault)| fault.is_crash());
        (!is_shared && disturbed > schedule.len())
            .then(|| format!("neighbours were disturbed: {ends:?}"))
    }
}

impl Told {
    async fn new(
        world: &World,
        story: &Story,
        schedule: &Schedule,
        owner: &str,
        n: usize,
        mut body: Value,
    ) -> Self {
        let receiver = Receiver::start().await;
        receiver.answer_next(story.answers.iter().copied());
        // One callback is enough for neighbours to be told apart by.
        if n == 0 {
            body["callback_url"] = json!(receiver.url);
        }
        let function = body["function"].as_str().unwrap();
        let key = format!("{KEY}{n}");
        let salt = world.environment.required("ID_SALT").unwrap();
        let id = operation_id(salt, &format!("local:{owner}"), function, None, &key);
        Self {
            id: id.to_string(),
            key,
            body: body.to_string(),
            receiver,
            checker: Checker::new(
                story.ends_after(schedule),
                story.spends + schedule.len(),
                &body,
                id,
            ),
        }
    }
}

impl Runner<'_> {
    async fn act(&mut self, process: Process) {
        match process {
            Process::Submit => {
                for n in 0..self.operations.len() {
                    let (key, body) = (
                        self.operations[n].key.clone(),
                        self.operations[n].body.clone(),
                    );
                    let headers = [("idempotency-key", key.as_str())];
                    let answer = self
                        .ask_until_answered("POST", "/operations", &headers, &body)
                        .await;
                    self.operations[n].checker.accepted(answer.status);
                }
            }
            Process::Cancel => {
                for n in 0..self.operations.len() {
                    let path = format!("/operations/{}/cancel", self.operations[n].id);
                    if let Some(answer) = self.ask("POST", &path, &[], "").await {
                        self.operations[n].checker.cancelled(answer.status);
                    }
                }
            }
            Process::Redeliver => {
                for n in 0..self.operations.len() {
                    let path = format!("/operations/{}/redeliver", self.operations[n].id);
                    self.ask("POST", &path, &[], "").await;
                    self.operations[n].checker.redelivered();
                }
            }
            Process::Erase => {
                // An operation that has not ended is not erased.
                self.rest().await;
                for n in 0..self.operations.len() {
                    let path = format!("/operations/{}", self.operations[n].id);
                    self.operations[n].checker.erasing();
                    self.ask_until_answered("DELETE", &path, &[], "").await;
                    self.operations[n].checker.erased();
                }
            }
            Process::Worker => self.serve_soon(QueueKind::Dispatch).await,
            Process::LostWorker => {
                // Hide, claim, and the outcome that is never written.
                self.world.wire.crash_before(2);
                self.serve_soon(QueueKind::Dispatch).await;
            }
            Process::Callback => self.serve_soon(QueueKind::Callback).await,
            Process::Nobody(secs) => self.world.clock.advance(Duration::from_secs(secs)),
        }
        self.look().await;
    }

    async fn look(&mut self) {
        for told in &mut self.operations {
            told.checker.look(self.world, &told.receiver).await;
        }
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
        Box::pin(world.wire.process(&world.clock, request)).await
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

    /// Has one batch of a queue served, if there is one soon.
    async fn serve_soon(&mut self, kind: QueueKind) {
        let clock = &self.world.clock;
        if let Some(at) = self.world.next_message_at(kind)
            && at.since(clock.now()) <= PATIENCE
        {
            clock.advance(at.since(clock.now()));
            self.serve(kind).await;
        }
    }

    /// Has one batch of a queue served, by a process of its own.
    async fn serve(&mut self, kind: QueueKind) {
        let queue = self.world.queue(kind);
        let is_for_worker = matches!(kind, QueueKind::Dispatch | QueueKind::DispatchDeadLetter);
        // The POSTs of a sender are not in the tests' hands, so it has one at a time.
        let most = if is_for_worker { self.story.batch } else { 1 };
        let messages = queue.receive(most).await;
        if messages.is_empty() {
            return;
        }
        let event = queue.event(&messages);
        let answer = if is_for_worker {
            Box::pin(self.serve_by_worker(kind, event)).await
        } else {
            Box::pin(self.serve_by_sender(kind, event)).await
        };
        if let Some(answer) = answer
            && answer["batchItemFailures"].as_array().unwrap().len() < messages.len()
            && self.world.wire.acknowledges()
        {
            queue.delete_acknowledged(&messages, &answer).await;
        }
    }

    async fn serve_by_worker(&self, kind: QueueKind, event: Value) -> Option<Value> {
        let (world, works) = (self.world, self.works);
        let clock = Arc::new(world.clock.clone());
        let mut worker = world.worker_by(clock.clone());
        if let Some(runners) = self.story.work {
            worker = worker.with_work(runners);
        }
        // Of those who know this very clock, two are the worker and this function; the others are works' contexts.
        let begun = |clock: &Arc<ManualClock>| Arc::strong_count(clock) - 2;
        let served = serve(world, worker, kind, event);
        let look = || works.look(&world.clock, begun(&clock));
        let answer = world.wire.process_at_work(&world.clock, served, look).await;
        // What the process began ends with it.
        while Arc::strong_count(&clock) > 1 || !works.is_empty() {
            tokio::task::yield_now().await;
        }
        answer
    }

    /// By the world's own sender, or by one that starts when there is none: then a start is part of the story, as its failure is.
    async fn serve_by_sender(&mut self, kind: QueueKind, event: Value) -> Option<Value> {
        let world = self.world;
        if !self.story.has_stored_secrets {
            let worker = world.another_worker();
            let served = world.serve(&worker, kind, event);
            return world.wire.process(&world.clock, served).await;
        }
        let standing = self.callback.take();
        let served = async {
            let callback = match standing {
                Some(callback) => callback,
                None => world.another_callback().await.ok()?,
            };
            let answer = callback
                .handle(serde_json::from_value(event).unwrap())
                .await
                .unwrap();
            Some((callback, serde_json::to_value(answer).unwrap()))
        };
        // One that cannot start answers nothing, as one that dies.
        let (callback, answer) = world.wire.process(&world.clock, served).await??;
        self.callback = Some(callback);
        Some(answer)
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

/// A worker that is gone once it has served.
async fn serve(world: &World, worker: Worker, kind: QueueKind, event: Value) -> Value {
    world.serve(&worker, kind, event).await
}
