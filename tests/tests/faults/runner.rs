//! Runs a story.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::{Clock as _, ManualClock};
use shared::domain::fingerprint::operation_id;
use tests::queues::QueueKind;
use tests::receiver::{Receiver, SECRET};
use tests::secrets_manager::SecretsManager;
use tests::target::{FunctionsFile, Reply, Targets, resize};
use tests::world::{Response, World};

use crate::checker::Checker;
use crate::paced::RunningWork;
use crate::schedule::Schedule;
use crate::story::{Process, Story};

/// How long a process waits for a message at most: long enough for a backoff between attempts, too
/// short for a visibility timeout.
const MESSAGE_WAIT_MAX: Duration = Duration::from_secs(20);

/// How long the queues may take to empty: longer than every maximum age, backoff and schedule.
const DRAIN_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How often a caller without a response repeats its request: more often than a schedule has
/// faults.
const REQUESTS_MAX: usize = 12;

const KEY: &str = "k";

/// The body of a redrive. With the failed operation's own deadline, a worker that dies would make
/// the redrive late.
const REDRIVE: &str = r#"{"deadline_seconds":14400}"#;

/// A world in which one story runs many times, each time with another owner's operations.
pub(crate) struct Stage {
    story: &'static Story,
    world: World,
    works: Arc<RunningWork>,
    runs: usize,
    /// The status and the attempt that each operation ends with when nothing goes wrong.
    undisturbed: Vec<(String, u32)>,
    _secrets: Option<SecretsManager>,
    _target: Option<(Targets, FunctionsFile)>,
}

/// The AWS calls of one run.
pub(crate) struct Calls {
    pub(crate) names: Vec<String>,
    /// Those that are given faults.
    pub(crate) faulted: Range<usize>,
}

/// One run of a story.
struct Runner<'a> {
    story: &'static Story,
    world: &'a World,
    works: &'a RunningWork,
    owner: String,
    /// Those that are submitted, and then the redrive of the first, if the story has one.
    operations: Vec<Subject>,
    /// A sender that has started and not died, in a story where its start can fail.
    callback: Option<callback::Handler>,
}

/// An operation in a run.
struct Subject {
    id: String,
    key: String,
    body: String,
    receiver: Arc<Receiver>,
    checker: Checker,
}

/// A target that fails at the first attempt.
fn reply(data: &Value) -> Reply {
    if data["attempt"] == 1 {
        Reply::Raised(json!({"errorType": "KeyError", "errorMessage": "not yet"}))
    } else {
        Reply::Returned(data["arguments"].to_string())
    }
}

impl Stage {
    pub(crate) async fn start(story: &'static Story) -> Self {
        let (mut secrets, mut target, mut world) = (None, None, World::start().await);
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
        if story.has_target {
            let targets = Targets::start(reply).await;
            let file = FunctionsFile::new(&[resize()]);
            world = World::with([
                ("FUNCTIONS_FILE", file.path()),
                ("AWS_ENDPOINT_URL_LAMBDA", &targets.url),
            ])
            .await;
            target = Some((targets, file));
        }
        Self {
            story,
            works: RunningWork::of(story.name, &world.wire),
            world,
            runs: 0,
            undisturbed: Vec::new(),
            _secrets: secrets,
            _target: target,
        }
    }

    /// Runs the story with these faults and checks every promise. Returns the calls that were made.
    /// The first run must be without faults: the others are compared with it.
    pub(crate) async fn run(&mut self, schedule: &Schedule) -> Calls {
        self.runs += 1;
        let (story, world) = (self.story, &self.world);
        let owner = format!("owner-{}", self.runs);
        let mut operations = Vec::new();
        for (n, body) in story.bodies.iter().enumerate() {
            let subject = Subject::new(world, story, schedule, &owner, n, body());
            operations.push(subject.await);
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
        let mut starts = Vec::new();
        for process in story.processes {
            starts.push(world.wire.calls().len());
            // On the heap: the future holds the handlers of all functions, and a test's thread has
            // a small stack.
            Box::pin(runner.act(*process)).await;
        }
        Box::pin(runner.drain()).await;
        let calls = world.wire.calls();
        starts.push(calls.len());
        world.wire.plan([]);
        let (mut violations, mut ends) = (Vec::new(), Vec::new());
        if world.wire.unconditional_writes() > 0 {
            violations.push("a write without a condition".to_owned());
        }
        for subject in runner.operations {
            match subject
                .checker
                .verdict(world, &runner.owner, &subject.receiver)
                .await
            {
                Ok(end) => ends.push(end),
                Err(broken) => violations.push(broken),
            }
        }
        if violations.is_empty() && schedule.len() == 0 {
            self.undisturbed = ends;
        } else if violations.is_empty() {
            violations.extend(self.disturbed_neighbours(schedule, &ends));
        }
        if !violations.is_empty() {
            let calls: Vec<_> = calls
                .iter()
                .enumerate()
                .map(|(n, call)| format!("{n} {call}"))
                .collect();
            panic!(
                "{}/{schedule}: {}\ncalls: {}",
                story.name,
                violations.join("\n"),
                calls.join(", ")
            );
        }
        let faulted = story.faulted.clone().unwrap_or(0..story.processes.len());
        Calls {
            names: calls,
            faulted: starts[faulted.start]..starts[faulted.end],
        }
    }

    /// A fault in one operation's call does not change how the other operations of the same batch
    /// end, unless it ends the process that serves all of them.
    fn disturbed_neighbours(&self, schedule: &Schedule, ends: &[(String, u32)]) -> Option<String> {
        let pairs = self.undisturbed.iter().zip(ends);
        let disturbed = pairs.filter(|(before, now)| before != now).count();
        let is_shared = schedule.faults().any(|(_, fault)| fault.is_crash());
        (!is_shared && disturbed > schedule.len())
            .then(|| format!("neighbours were disturbed: {ends:?}"))
    }
}

impl Subject {
    async fn new(
        world: &World,
        story: &Story,
        schedule: &Schedule,
        owner: &str,
        n: usize,
        mut body: Value,
    ) -> Self {
        let receiver = Receiver::start().await;
        receiver.answer_next(story.responses.iter().copied());
        // One callback distinguishes the neighbours well enough.
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
            receiver: Arc::new(receiver),
            checker: Checker::new(
                story.ends_after(schedule),
                story.lost_attempts + schedule.len(),
                &body,
                id,
            ),
        }
    }

    fn redrive(&self) -> Self {
        let checker = self.checker.of_redrive();
        Self {
            id: checker.id().to_string(),
            key: self.key.clone(),
            body: self.body.clone(),
            receiver: Arc::clone(&self.receiver),
            checker,
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
                    let response = self
                        .request_until_answered("POST", "/operations", &headers, &body)
                        .await;
                    self.operations[n].checker.submit_answered(response.status);
                }
            }
            Process::Cancel => {
                for n in 0..self.operations.len() {
                    let path = format!("/operations/{}/cancel", self.operations[n].id);
                    if let Some(response) = self.request("POST", &path, &[], "").await {
                        self.operations[n].checker.cancel_answered(response.status);
                    }
                }
            }
            Process::Redeliver => {
                for n in 0..self.operations.len() {
                    let path = format!("/operations/{}/redeliver", self.operations[n].id);
                    self.request("POST", &path, &[], "").await;
                    self.operations[n].checker.redelivery_requested();
                }
            }
            Process::Redrive => {
                if self.operations.len() == self.story.bodies.len() {
                    // Only an operation that has failed can be redriven.
                    self.drain().await;
                    self.operations.push(self.operations[0].redrive());
                }
                let failed = self.operations[0].id.clone();
                let path = format!("/operations/{failed}/redrive");
                let response = self
                    .request_until_answered("POST", &path, &[], REDRIVE)
                    .await;
                let redrive = self.operations.last_mut().unwrap();
                redrive.checker.redrive_answered(&failed, &response);
            }
            Process::Erase => {
                // Only an operation that has ended can be erased.
                self.drain().await;
                for n in 0..self.operations.len() {
                    let path = format!("/operations/{}", self.operations[n].id);
                    self.operations[n].checker.erase_requested();
                    self.request_until_answered("DELETE", &path, &[], "").await;
                    self.operations[n].checker.erase_answered();
                }
            }
            Process::Worker => self.serve_soon(QueueKind::Dispatch).await,
            Process::LostWorker => {
                // It changes the visibility, claims, and dies before it writes the outcome.
                self.world.wire.crash_before(2);
                self.serve_soon(QueueKind::Dispatch).await;
            }
            Process::LostWorkerAgain => {
                self.world.wire.crash_before(3);
                self.serve_soon(QueueKind::Dispatch).await;
            }
            Process::Callback => self.serve_soon(QueueKind::Callback).await,
            Process::Wait(secs) => self.world.clock.advance(Duration::from_secs(secs)),
        }
        self.inspect().await;
    }

    async fn inspect(&mut self) {
        for subject in &mut self.operations {
            subject.checker.inspect(self.world, &subject.receiver).await;
        }
    }

    /// Sends a request. `None` when the process that serves it dies.
    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Response> {
        let world = self.world;
        let request = world.request_of(&self.owner, method, path, headers, body.as_bytes());
        Box::pin(world.wire.process(&world.clock, request)).await
    }

    /// Sends a request until it is answered, and not with a server error.
    async fn request_until_answered(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        for _ in 0..REQUESTS_MAX {
            let response = self.request(method, path, headers, body).await;
            self.inspect().await;
            match response {
                Some(response) if response.status < 500 => return response,
                _ => self.world.clock.advance(Duration::from_secs(1)),
            }
        }
        panic!("{method} {path} is never answered, after {REQUESTS_MAX} requests");
    }

    /// Serves one batch of a queue, if a message becomes visible within [`MESSAGE_WAIT_MAX`].
    async fn serve_soon(&mut self, kind: QueueKind) {
        let clock = &self.world.clock;
        if let Some(at) = self.world.next_message_at(kind)
            && at.since(clock.now()) <= MESSAGE_WAIT_MAX
        {
            clock.advance(at.since(clock.now()));
            self.serve(kind).await;
        }
    }

    /// Serves one batch of a queue in a new process.
    async fn serve(&mut self, kind: QueueKind) {
        let queue = self.world.queue(kind);
        let is_for_worker = matches!(kind, QueueKind::Dispatch | QueueKind::DispatchDeadLetter);
        // The test does not control the order of a sender's POSTs, so a sender gets one at a time.
        let most = if is_for_worker { self.story.batch } else { 1 };
        let messages = queue.receive(most).await;
        if messages.is_empty() {
            return;
        }
        let event = queue.event(&messages);
        let response = if is_for_worker {
            Box::pin(self.serve_by_worker(kind, event)).await
        } else {
            Box::pin(self.serve_by_sender(kind, event)).await
        };
        if let Some(response) = response
            && response["batchItemFailures"].as_array().unwrap().len() < messages.len()
            && self.world.wire.acknowledges()
        {
            queue.delete_acknowledged(&messages, &response).await;
        }
    }

    async fn serve_by_worker(&self, kind: QueueKind, event: Value) -> Option<Value> {
        let (world, works) = (self.world, self.works);
        let clock = Arc::new(world.clock.clone());
        let mut worker = world.worker_by(clock.clone());
        if let Some(runners) = self.story.work {
            worker = worker.with_work(runners);
        }
        // The worker holds two references to this clock and this function one; every other one
        // belongs to the context of running work.
        let started = |clock: &Arc<ManualClock>| Arc::strong_count(clock) - 3;
        let served = serve(world, worker, kind, event);
        let advance = || works.advance(&world.clock, started(&clock));
        let response = world
            .wire
            .process_at_work(&world.clock, served, advance)
            .await;
        // The work ends with the process that started it.
        while Arc::strong_count(&clock) > 1 || !works.is_empty() {
            tokio::task::yield_now().await;
        }
        response
    }

    /// Serves by the world's sender. In a story with stored secrets, by a sender that may have to
    /// start first, and whose start can fail.
    async fn serve_by_sender(&mut self, kind: QueueKind, event: Value) -> Option<Value> {
        let world = self.world;
        if !self.story.has_stored_secrets {
            let worker = world.another_worker();
            let served = world.serve(&worker, kind, event);
            return world.wire.process(&world.clock, served).await;
        }
        let running = self.callback.take();
        let served = async {
            let callback = match running {
                Some(callback) => callback,
                None => world.another_callback().await.ok()?,
            };
            let response = callback
                .handle(serde_json::from_value(event).unwrap())
                .await
                .unwrap();
            Some((callback, serde_json::to_value(response).unwrap()))
        };
        // A sender that cannot start answers nothing, like one that dies.
        let (callback, response) = world.wire.process(&world.clock, served).await??;
        self.callback = Some(callback);
        Some(response)
    }

    /// Serves every message when it becomes visible, until the queues are empty.
    async fn drain(&mut self) {
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
            assert!(took < DRAIN_MAX, "the queues do not empty");
            self.serve(kind).await;
            self.inspect().await;
        }
    }
}

/// Drops the worker once it has served.
async fn serve(world: &World, worker: worker::Handler, kind: QueueKind, event: Value) -> Value {
    world.serve(&worker, kind, event).await
}
