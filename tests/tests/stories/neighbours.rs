//! Operations of one batch whose work calls AWS. Each runs on a separate runtime, and they share
//! connections.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::operation::{Operation, State};
use shared::domain::time::Timestamp;
use tests::queues::QueueKind;
use tests::samples::pending_operation;
use tests::world::World;

use super::messages::leave_submitted;

/// The most messages in one event.
const NEIGHBOURS: u8 = 10;

/// Several, because the worker keeps its connections between batches.
const BATCHES: u8 = 8;

/// Work that reads from the store. The number of reads depends on the start order, so that each of
/// ten ends at another time.
mod reading {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use aws_sdk_dynamodb::error::DisplayErrorContext;
    use aws_sdk_dynamodb::types::AttributeValue;
    use local::bundle::TABLE_NAME;
    use shared::catalogue::Function;
    use shared::catalogue::demo::Object;
    use shared::domain::backoff::RetryPolicy;
    use worker::{Context, Runner, Work, WorkError};

    pub(super) struct Reading;

    pub(super) static RUNNERS: [Runner; 1] = [Runner::of::<Reading>()];

    static STARTED: AtomicU32 = AtomicU32::new(0);

    impl Function for Reading {
        const NAME: &'static str = "test.reading";
        const VERSION: &'static str = "1.0.0";
        const DESCRIPTION: &'static str = "Reads from the store.";
        const ATTEMPTS_MAX: u32 = 1;
        const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
        const DEADLINE_SECS: u32 = 3600;
        const RETRY: RetryPolicy = RetryPolicy {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(1),
        };

        type Args = Object;
        type Output = Object;
    }

    impl Work for Reading {
        async fn run(args: Object, context: Context) -> Result<Object, WorkError> {
            let failed = |problem: String| WorkError::permanent("NOT_READ", &problem);
            let aws = context.clients().aws();
            let dynamodb = aws.map_err(|error| failed(error.to_string()))?.dynamodb();
            let turn = STARTED.fetch_add(1, Ordering::Relaxed) % 10;
            for _ in 0..=turn {
                dynamodb
                    .get_item()
                    .table_name(TABLE_NAME)
                    .key("pk", AttributeValue::S("nothing".to_owned()))
                    .key("sk", AttributeValue::S("head".to_owned()))
                    .send()
                    .await
                    .map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
            }
            Ok(args)
        }
    }
}

async fn operation(world: &World, number: u8) -> OperationId {
    let now = world.clock.now();
    let operation = Operation {
        id: OperationId::from_bytes([number; 12]),
        function: "test.reading".into(),
        callback: None,
        ..pending_operation(now)
    };
    leave_submitted(world, &operation).await;
    operation.id
}

/// The others, and later batches, use a connection that one of them opened. It must outlive the
/// runtime that opened it.
#[tokio::test]
async fn neighbours_that_call_aws_do_not_disturb_each_other() {
    let world = World::start().await;
    let worker = world.worker_by(Arc::new(world.clock.clone()));
    let worker = worker.with_work(&reading::RUNNERS);
    for batch in 0..BATCHES {
        let mut ids = Vec::new();
        for neighbour in 0..NEIGHBOURS {
            ids.push(operation(&world, batch * NEIGHBOURS + neighbour).await);
        }
        let queue = world.queue(QueueKind::Dispatch);
        let messages = queue.receive(10).await;
        assert_eq!(messages.len(), usize::from(NEIGHBOURS));
        let event: SqsEvent = serde_json::from_value(queue.event(&messages)).unwrap();
        let deadline = world.clock.now() + Duration::from_secs(900);
        let served = worker.handle(event, deadline).await.unwrap();
        assert!(served.batch_item_failures.is_empty());
        queue.purge().await;
        for id in &ids {
            let done = world.store.get(id, Timestamp::from_secs(0)).await.unwrap();
            let state = done.unwrap().state;
            assert!(
                matches!(state, State::Completed { .. }),
                "{batch}: {state:?}"
            );
        }
    }
}
