//! Work that computes without ever awaiting: it has a thread of its own, so that its lease is kept meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use shared::clock::Clock as _;
use shared::domain::id::{ClaimId, OperationId};
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::lambda::EndProcess;
use shared::store::Claimed;
use tests::queues::QueueKind;
use tests::samples::pending_operation;
use tests::world::World;
use worker::Worker;

use super::messages::leave_submitted;
use super::work::{AtWork, lease_until};

/// Work that computes without awaiting, until it is let go.
mod busy {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    use shared::catalogue::Function;
    use shared::catalogue::demo::Object;
    use shared::domain::backoff::RetryPolicy;
    use worker::{Context, Runner, Work, WorkError};

    pub(super) struct Busy<const N: usize>;

    pub(super) static STARTED: [AtomicU32; 5] = [const { AtomicU32::new(0) }; 5];
    pub(super) static LET_GO: [AtomicBool; 5] = [const { AtomicBool::new(false) }; 5];

    /// One for each test, since tests run side by side.
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
            first: Duration::from_secs(1),
            longest: Duration::from_secs(1),
        };

        type Args = Object;
        type Output = Object;
    }

    impl<const N: usize> Work for Busy<N> {
        async fn run(args: Object, _context: Context) -> Result<Object, WorkError> {
            STARTED[N].fetch_add(1, Ordering::SeqCst);
            while !LET_GO[N].load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(args)
        }
    }
}

/// An operation that calls the busy function, with its message.
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

fn busy_worker(world: &World, index: usize) -> Worker {
    let worker = world.worker_by(Arc::new(world.clock.clone()));
    worker.with_work(&busy::RUNNERS[index])
}

#[tokio::test]
async fn work_that_computes_for_three_leases_keeps_its_lease_and_runs_once() {
    let world = Arc::new(World::start().await);
    let id = busy_operation(&world).await;
    let start = world.clock.now().as_secs();
    let at_work = AtWork::begin_with(&world, busy_worker(&world, 0)).await;
    at_work
        .until(&id, |operation| lease_until(operation) == start + 60)
        .await;
    for beat in 1..=9 {
        world.clock.advance(Duration::from_secs(20));
        at_work
            .until(&id, |operation| {
                lease_until(operation) == start + beat * 20 + 60
            })
            .await;
        assert!(
            world.queue(QueueKind::Dispatch).receive(1).await.is_empty(),
            "the message is still hidden"
        );
    }
    busy::LET_GO[0].store(true, Ordering::SeqCst);
    assert!(!at_work.returned().await);
    assert_eq!(busy::STARTED[0].load(Ordering::SeqCst), 1);
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["attempt"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test]
async fn work_that_ignores_its_abort_ends_the_process_instead_of_leaking_into_the_next_invocation()
{
    let world = Arc::new(World::start().await);
    let id = busy_operation(&world).await;
    let cancel = async {
        let path = format!("/operations/{id}/cancel");
        assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    };
    let end = abandoned_by(&world, 1, cancel).await;
    assert!(end.is_caused_by_caller);
    world.rest().await;
    assert_eq!(world.show(&id).await["status"], "cancelled");
}

#[tokio::test]
async fn work_that_ignores_its_callers_deadline_is_told_from_work_that_ignores_its_own() {
    let world = Arc::new(World::start().await);
    let deadline_at = world.clock.now() + Duration::from_secs(30);
    busy_operation_until(&world, deadline_at).await;
    let end = abandoned_by(&world, 2, async {}).await;
    assert!(end.is_caused_by_caller, "the caller chose 30 s");

    let world = Arc::new(World::start().await);
    busy_operation(&world).await;
    let end = abandoned_by(&world, 3, async {}).await;
    assert!(!end.is_caused_by_caller, "the function's 600 s");
}

/// A version that keeps its own heartbeats from running loses its leases, and must not pass for well.
#[tokio::test]
async fn work_that_another_worker_took_over_is_no_callers_doing() {
    let world = Arc::new(World::start().await);
    let id = busy_operation(&world).await.parse::<OperationId>().unwrap();
    let taken_over = async {
        // The other worker's clock is past the lease: what this one's heartbeats have not renewed.
        let now = world.clock.now() + Duration::from_secs(600);
        let operation = world.store.get(&id, now).await.unwrap().unwrap();
        let claim_id = ClaimId::from_bytes([7; 16]);
        let lease = Duration::from_secs(60);
        let claimed = world
            .store
            .claim(&id, &operation.create_id, claim_id, lease, now)
            .await;
        assert!(matches!(claimed, Ok(Claimed::Held(_))), "{claimed:?}");
    };
    let end = abandoned_by(&world, 4, taken_over).await;
    assert!(!end.is_caused_by_caller, "the lease was lost");
}

/// How a worker ends whose work goes on, whatever happens once it has started.
async fn abandoned_by(
    world: &World,
    index: usize,
    happens: impl Future<Output = ()>,
) -> EndProcess {
    let worker = busy_worker(world, index);
    let queue = world.queue(QueueKind::Dispatch);
    let event = serde_json::from_value(queue.event(&queue.receive(1).await)).unwrap();
    let deadline = world.clock.now() + Duration::from_secs(900);
    let served = tokio::spawn(async move { worker.handle(event, deadline).await });
    while busy::STARTED[index].load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    happens.await;
    while !served.is_finished() {
        queue.len().await;
        world.clock.advance(Duration::from_secs(1));
    }
    busy::LET_GO[index].store(true, Ordering::SeqCst);
    let Err(worker::Unserved::Leaked(end)) = served.await.unwrap() else {
        panic!("the work ended")
    };
    end
}
