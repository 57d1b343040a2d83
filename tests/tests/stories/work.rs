//! Work: leases, heartbeats, progress, cancellation, panics, and work that does not end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::{ClaimId, OperationId};
use shared::domain::operation::{Operation, State};
use shared::store::ClaimOutcome;
use tests::queues::QueueKind;
use tests::world::World;
use tokio::task::JoinHandle;

/// How long a test waits in real time for an event that must happen.
pub(super) const REAL_TIME_MAX: Duration = Duration::from_secs(20);

/// A worker that serves one message, in the background.
pub(super) struct RunningWorker {
    world: Arc<World>,
    served: JoinHandle<Value>,
}

impl RunningWorker {
    pub(super) async fn start(world: &Arc<World>) -> Self {
        Self::start_with(world, world.another_worker()).await
    }

    pub(super) async fn start_with(
        world: &Arc<World>,
        worker: impl Into<Arc<worker::Handler>>,
    ) -> Self {
        let worker = worker.into();
        let queue = world.queue(QueueKind::Dispatch);
        let messages = queue.receive(1).await;
        assert_eq!(messages.len(), 1);
        let event = queue.event(&messages);
        let for_task = Arc::clone(world);
        let served =
            tokio::spawn(async move { for_task.serve(&worker, QueueKind::Dispatch, event).await });
        Self {
            world: Arc::clone(world),
            served,
        }
    }

    /// Waits until `done` holds of the operation. The clock does not move.
    pub(super) async fn until(&self, id: &str, done: impl Fn(&Operation) -> bool) -> Operation {
        self.while_time_passes(id, Duration::ZERO, done).await
    }

    /// Waits until `done` holds of the operation, and advances the clock by a step at each read.
    /// Work runs on a separate thread, so the test cannot know when it waits for the clock.
    pub(super) async fn while_time_passes(
        &self,
        id: &str,
        step: Duration,
        done: impl Fn(&Operation) -> bool,
    ) -> Operation {
        let id = id.parse::<OperationId>().unwrap();
        let reached = tokio::time::timeout(REAL_TIME_MAX, async {
            loop {
                let now = self.world.clock.now();
                let operation = self.world.store.get(&id, now).await.unwrap().unwrap();
                if done(&operation) {
                    return operation;
                }
                self.world.clock.advance(step);
            }
        });
        reached
            .await
            .expect("the operation never reaches that state")
    }

    /// Ends the worker without a response, as when its process is killed.
    pub(super) async fn kill(self) {
        self.served.abort();
        assert!(self.served.await.unwrap_err().is_cancelled());
    }

    /// Advances the clock until the worker has answered, and returns whether it returned the
    /// message.
    pub(super) async fn returned(self) -> bool {
        self.returned_as_time_passes(Duration::from_millis(500))
            .await
    }

    /// As [`RunningWorker::returned`], without waiting for a later time.
    pub(super) async fn returned_now(self) -> bool {
        self.returned_as_time_passes(Duration::ZERO).await
    }

    async fn returned_as_time_passes(self, step: Duration) -> bool {
        let answered = tokio::time::timeout(REAL_TIME_MAX, async {
            while !self.served.is_finished() {
                // This takes some real time, in which the work's thread can run.
                self.world.queue(QueueKind::Dispatch).len().await;
                self.world.clock.advance(step);
            }
            self.served.await.unwrap()
        });
        let response = answered.await.expect("the worker never answers");
        !response["batchItemFailures"].as_array().unwrap().is_empty()
    }
}

pub(super) fn lease_until(operation: &Operation) -> i64 {
    match operation.state {
        State::Processing { lease_until, .. } => lease_until.as_secs(),
        _ => 0,
    }
}

async fn countdown(world: &World, steps: u32, step_ms: u32) -> String {
    let arguments = json!({"steps": steps, "step_ms": step_ms});
    let response = world
        .submit(json!({"function": "demo.countdown", "arguments": arguments}))
        .await;
    response.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lease_and_message_are_renewed_together_while_the_work_runs() {
    let world = Arc::new(World::start().await);
    let id = countdown(&world, 1, 50_000).await;
    let start = world.clock.now().as_secs();
    let running = RunningWorker::start(&world).await;
    running
        .until(&id, |operation| lease_until(operation) == start + 60)
        .await;
    let updated_at = world.show(&id).await["updated_at"].clone();
    for beat in 1..=2 {
        world.clock.advance(Duration::from_secs(20));
        running
            .until(&id, |operation| {
                lease_until(operation) == start + beat * 20 + 60
            })
            .await;
    }
    assert_eq!(
        world.show(&id).await["updated_at"],
        updated_at,
        "a heartbeat without progress changes updated_at"
    );
    assert!(!running.returned().await);
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test]
async fn progress_is_written_at_most_once_a_second_and_never_falls() {
    let world = Arc::new(World::start().await);
    let id = countdown(&world, 100, 100).await;
    let running = RunningWorker::start(&world).await;
    running
        .until(&id, |operation| lease_until(operation) > 0)
        .await;
    world.wire.reset();
    let start = world.clock.now();
    let far = |operation: &Operation| {
        operation
            .progress
            .as_ref()
            .is_some_and(|p| p.fraction >= 0.4)
    };
    running
        .while_time_passes(&id, Duration::from_millis(100), far)
        .await;
    let seconds = usize::try_from(world.clock.now().since(start).as_secs()).unwrap();
    let writes = world.wire.counts()["UpdateItem"];
    assert!(
        (2..=seconds).contains(&writes),
        "{writes} writes in {seconds} s"
    );
    let shown = world.show(&id).await;
    assert!(
        shown["progress_message"]
            .as_str()
            .unwrap()
            .starts_with("step ")
    );

    // The worker learns of a cancel at its next write. It drops the work and leaves the message.
    let path = format!("/operations/{id}/cancel");
    let cancelled = world.request("POST", &path, &[], "").await.json;
    assert_eq!(cancelled["status"], "cancelled");
    assert!(running.returned().await);
    world.drain().await;
    assert_eq!(world.show(&id).await, cancelled, "the progress changed");
}

#[tokio::test]
async fn a_later_attempts_smaller_progress_is_not_written() {
    let world = Arc::new(World::start().await);
    let id = countdown(&world, 10, 2_000).await;
    let first = RunningWorker::start(&world).await;
    first
        .until(&id, |operation| lease_until(operation) > 0)
        .await;
    let far = |operation: &Operation| {
        operation
            .progress
            .as_ref()
            .is_some_and(|p| p.fraction >= 0.3)
    };
    first
        .while_time_passes(&id, Duration::from_millis(200), far)
        .await;
    first.served.abort();
    world.clock.advance(Duration::from_secs(80));
    let second = RunningWorker::start(&world).await;
    second.until(&id, |operation| operation.attempt == 2).await;
    let last = std::cell::Cell::new(0.3);
    let never_falls = |operation: &Operation| {
        let fraction = operation.progress.as_ref().unwrap().fraction;
        assert!(
            fraction >= last.replace(fraction),
            "progress fell to {fraction}"
        );
        operation.status().is_terminal()
    };
    second
        .while_time_passes(&id, Duration::from_millis(200), never_falls)
        .await;
    assert!(!second.returned().await);
    assert_eq!(world.show(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_stale_holder_changes_nothing_and_acknowledges_nothing() {
    let world = Arc::new(World::start().await);
    let id = countdown(&world, 1, 10_000).await;
    let stale = RunningWorker::start(&world).await;
    stale
        .until(&id, |operation| lease_until(operation) > 0)
        .await;
    // Another worker claims the operation after the lease, as when the first one was frozen.
    let parsed = id.parse::<OperationId>().unwrap();
    let operation = world
        .store
        .get(&parsed, world.clock.now())
        .await
        .unwrap()
        .unwrap();
    let later = world.clock.now() + Duration::from_secs(61);
    let claim_id = ClaimId::from_bytes([5; 16]);
    let lease = Duration::from_secs(600);
    let claimed = world
        .store
        .claim(&parsed, &operation.create_id, claim_id, lease, later)
        .await
        .unwrap();
    assert!(matches!(claimed, ClaimOutcome::Held(_)));
    let before = world.show(&id).await;
    world.wire.reset();
    assert!(stale.returned().await);
    assert_eq!(
        world.wire.counts().get("ChangeMessageVisibility"),
        None,
        "a stale holder must not touch the message"
    );
    let after = world.show(&id).await;
    assert_eq!(
        (&after["lock_version"], &after["updated_at"]),
        (&before["lock_version"], &before["updated_at"])
    );
}

#[tokio::test]
async fn a_holder_whose_heartbeat_is_refused_acknowledges_nothing() {
    let world = Arc::new(World::start().await);
    // Longer than the first heartbeat, so that the work does not end before it.
    let id = countdown(&world, 1, 50_000).await;
    let fenced_off = RunningWorker::start(&world).await;
    fenced_off
        .until(&id, |operation| lease_until(operation) > 0)
        .await;
    let started_at = world.clock.now();
    let path = format!("/operations/{id}/cancel");
    let cancelled = world.request("POST", &path, &[], "").await;
    assert_eq!(cancelled.status, 200);
    world.wire.reset();
    assert!(fenced_off.returned().await);
    assert!(world.clock.now().since(started_at) < Duration::from_secs(50));
    assert_eq!(
        world.wire.calls(),
        ["UpdateItem"],
        "only the heartbeat: it holds neither the message nor the operation any more"
    );
    assert_eq!(world.queue(QueueKind::Dispatch).len().await, 1);
    world.drain().await;
    assert_eq!(world.show(&id).await, cancelled.json);
}

#[tokio::test]
async fn an_attempt_that_exceeds_its_timeout_has_failed() {
    let world = Arc::new(World::start().await);
    let arguments = json!({"mode": "hang", "succeed_on_attempt": 2});
    let id = world
        .submit(json!({"function": "demo.fail", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    let id = id.as_str().unwrap();
    let running = RunningWorker::start(&world).await;
    running
        .until(id, |operation| lease_until(operation) > 0)
        .await;
    assert!(running.returned().await);
    world.drain().await;
    let done = world.show(id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(2))
    );
}

#[tokio::test]
async fn work_past_the_deadline_fails_with_deadline_exceeded() {
    let world = Arc::new(World::start().await);
    let body = json!({
        "function": "demo.countdown", "arguments": {"steps": 1, "step_ms": 60_000},
        "deadline_seconds": 3,
    });
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    let running = RunningWorker::start(&world).await;
    running
        .until(id, |operation| lease_until(operation) > 0)
        .await;
    assert!(!running.returned().await);
    let failed = world.show(id).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["errors"][0]["code"], "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_process_continues() {
    let world = World::start().await;
    let arguments = json!({"mode": "panic"});
    let id = world
        .submit(json!({"function": "demo.fail", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    world.drain().await;
    let failed = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(3))
    );
    assert_eq!(
        failed["errors"][0],
        json!({"code": "INTERNAL_ERROR", "message": "the function panicked"})
    );
    assert_eq!(failed["errors"][1]["code"], "ATTEMPTS_EXHAUSTED");
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_without_a_retry() {
    let world = World::start().await;
    // Arguments and results have the same limit, so the test needs a function whose result is
    // larger than its arguments.
    let row = "x".repeat(120_000);
    let arguments = json!({"csv": format!("{row},{row}y\n1,2\n")});
    let id = world
        .submit(json!({"function": "csv.summarize", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    world.pump_all().await;
    let done = world.show(id.as_str().unwrap()).await;
    assert_eq!(done["status"], "completed");
    let row = "x".repeat(131_000);
    let arguments = json!({"csv": format!("{row},{row}\n1,2\n")});
    let id = world
        .submit(json!({"function": "csv.summarize", "arguments": arguments}))
        .await
        .json["id"]
        .clone();
    world.pump_all().await;
    let failed = world.show(id.as_str().unwrap()).await;
    assert_eq!(
        (&failed["status"], &failed["attempt"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(failed["errors"][0]["code"], "RESULT_TOO_LARGE");
}

#[tokio::test]
async fn an_invocation_without_time_left_starts_nothing() {
    let world = World::start().await;
    let id = world.submit(json!({"function": "demo.echo"})).await.json["id"].clone();
    let queue = world.queue(QueueKind::Dispatch);
    let event = serde_json::from_value(queue.event(&queue.receive(1).await)).unwrap();
    let response = world
        .another_worker()
        .handle(event, world.clock.now())
        .await
        .unwrap();
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_eq!(world.show(id.as_str().unwrap()).await["attempt"], 0);
}
