//! Work that computes without ever awaiting. It runs on a separate thread, so its lease is renewed
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::id::{ClaimId, OperationId};
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::lambda::EndProcess;
use shared::store::ClaimOutcome;
use tests::queues::QueueKind;
use tests::samples::pending_operation;
use tests::world::World;

use super::messages::leave_submitted;
use super::work::{RunningWorker, lease_until};

/// Work that computes without awaiting, until the test stops it.
mod busy {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    use shared::catalogue::Function;
    use shared::catalogue::demo::Object;
    use shared::domain::backoff::RetryPolicy;
    use worker::{Context, Runner, Work, WorkError};

    pub(super) struct Busy<const N: usize>;

    pub(super) static STARTED: [AtomicU32; 5] = [const { AtomicU32::new(0) }; 5];
    pub(super) static STOPPED: [AtomicBool; 5] = [const { AtomicBool::new(false) }; 5];

    /// One for each test, because tests run in parallel.
    pub(super) static RUNNERS: [[Runner; 1]; 5] = [
        [Runner::of::<Busy<0>>()],
        [Runner::of::<Busy<1>>()],
        [Runner::of::<Busy<2>>()],
        [Runner::of::<Busy<3>>()],
        [Runner::of::<Busy<4>>()],
    ];

    impl<const N: usize> Function for Busy<N> {
        const NAME: &'static str = "test.busy";
        const VERSION: &'static str = "1.0.0";
        const DESCRIPTION: &'static str = "Computes without awaiting.";
        const ATTEMPTS_MAX: u32 = 3;
        const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
        const DEADLINE_SECS: u32 = 3600;
        const RETRY: RetryPolicy = RetryPolicy {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(1),
        };

        type Args = Object;
        type Output = Object;
    }

    impl<const N: usize> Work for Busy<N> {
        async fn run(args: Object, _context: Context) -> Result<Object, WorkError> {
            STARTED[N].fetch_add(1, Ordering::SeqCst);
            while !STOPPED[N].load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(args)
        }
    }
}

/// Creates an operation of the busy function, with its message.
async fn busy_operation(world: &World) -> String {
    busy_operation_until(world, pending_operation(world.clock.now()).deadline_at).await
}

async fn busy_operation_until(world: &World, deadline_at: Timestamp) -> String {
    let now = world.clock.now();
    let operation = Operation {
        deadline_at,
        function: "test.busy".into(),
        callback: None,
        ..pending_operation(now)
    };
    leave_submitted(world, &operation).await;
    operation.id.as_str().to_owned()
}

fn busy_worker(world: &World, index: usize) -> worker::Handler {
    let worker = world.worker_by(Arc::new(world.clock.clone()));
    worker.with_work(&busy::RUNNERS[index])
}

#[tokio::test]
async fn work_that_computes_for_three_leases_keeps_its_lease_and_runs_once() {
    let world = Arc::new(World::start().await);
    let id = busy_operation(&world).await;
    let start = world.clock.now().as_secs();
    let running = RunningWorker::start_with(&world, busy_worker(&world, 0)).await;
    running
        .until(&id, |operation| lease_until(operation) == start + 60)
        .await;
    for beat in 1..=9 {
        world.clock.advance(Duration::from_secs(20));
        running
            .until(&id, |operation| {
                lease_until(operation) == start + beat * 20 + 60
            })
            .await;
        assert!(
            world.queue(QueueKind::Dispatch).receive(1).await.is_empty(),
            "the message is invisible"
        );
    }
    busy::STOPPED[0].store(true, Ordering::SeqCst);
    assert!(!running.returned().await);
    assert_eq!(busy::STARTED[0].load(Ordering::SeqCst), 1);
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test]
async fn work_that_ignores_its_abort_ends_the_process_and_does_not_run_on_in_the_next_invocation() {
    let world = Arc::new(World::start().await);
    let id = busy_operation(&world).await;
    let cancel = async {
        let path = format!("/operations/{id}/cancel");
        assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    };
    let end = end_of_worker(&world, 1, cancel).await;
    assert!(end.is_caused_by_caller);
    world.drain().await;
    assert_eq!(world.show(&id).await["status"], "cancelled");
}

#[tokio::test]
async fn an_ignored_abort_is_attributed_to_the_caller_only_after_the_operations_deadline() {
    let world = Arc::new(World::start().await);
    let deadline_at = world.clock.now() + Duration::from_secs(30);
    busy_operation_until(&world, deadline_at).await;
    let end = end_of_worker(&world, 2, async {}).await;
    assert!(end.is_caused_by_caller, "the caller chose 30 s");

    let world = Arc::new(World::start().await);
    busy_operation(&world).await;
    let end = end_of_worker(&world, 3, async {}).await;
    assert!(!end.is_caused_by_caller, "the function's 600 s");
}

/// A release that blocks its heartbeats loses its leases, and must not appear healthy.
#[tokio::test]
async fn an_ignored_abort_after_a_lost_lease_is_not_attributed_to_the_caller() {
    let world = Arc::new(World::start().await);
    let id = busy_operation(&world).await.parse::<OperationId>().unwrap();
    let taken_over = async {
        // By the other worker's clock, the lease has expired.
        let now = world.clock.now() + Duration::from_secs(600);
        let operation = world.store.get(&id, now).await.unwrap().unwrap();
        let claim_id = ClaimId::from_bytes([7; 16]);
        let lease = Duration::from_secs(60);
        let claimed = world
            .store
            .claim(&id, &operation.create_id, claim_id, lease, now)
            .await;
        assert!(matches!(claimed, Ok(ClaimOutcome::Held(_))), "{claimed:?}");
    };
    let end = end_of_worker(&world, 4, taken_over).await;
    assert!(!end.is_caused_by_caller, "the lease was lost");
}

/// Runs work that never returns and awaits `event` once it has started. Returns how the worker
/// ends.
async fn end_of_worker(world: &World, index: usize, event: impl Future<Output = ()>) -> EndProcess {
    let worker = busy_worker(world, index);
    let queue = world.queue(QueueKind::Dispatch);
    let batch = serde_json::from_value(queue.event(&queue.receive(1).await)).unwrap();
    let deadline = world.clock.now() + Duration::from_secs(900);
    let served = tokio::spawn(async move { worker.handle(batch, deadline).await });
    while busy::STARTED[index].load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    event.await;
    while !served.is_finished() {
        queue.len().await;
        world.clock.advance(Duration::from_secs(1));
    }
    busy::STOPPED[index].store(true, Ordering::SeqCst);
    let Err(worker::BatchError::WorkStillRunning(end)) = served.await.unwrap() else {
        panic!("the work ended")
    };
    end
}
