//! Work in legs, waits between them, and operations that start later.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::history::AttemptEnd;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Payload, State};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::metrics::Metric;
use shared::store::CancelOutcome;
use tests::metrics::{Counted, key};
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::pending_operation;
use tests::world::World;

use super::messages::{MINUTE, claim_and_vanish, create_id, leave_submitted, message};

const QUARTER: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(86_400);

/// Work whose legs are as its arguments say: `legs` (3), `wait_secs` (0), the size of a state's
/// text `state_chars` (0), and the attempts of each leg that fail, `failures` (0).
mod legs {
    use std::time::Duration;

    use serde_json::{Value, json};
    use shared::catalogue::Function;
    use shared::catalogue::demo::Object;
    use shared::domain::backoff::RetryPolicy;
    use shared::domain::json::Json;
    use tests::samples::incompressible;
    use worker::{Context, LongWork, Next, Runner, WorkError};

    pub(super) struct Legs;

    pub(super) static RUNNERS: [Runner; 1] = [Runner::of::<Legs>()];

    impl Function for Legs {
        const NAME: &'static str = "test.legs";
        const VERSION: &'static str = "1.0.0";
        const DESCRIPTION: &'static str = "Works in legs.";
        const ATTEMPTS_MAX: u32 = 3;
        const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
        const DEADLINE_SECS: u32 = 3600;
        const RETRY: RetryPolicy = RetryPolicy {
            initial: Duration::from_secs(10),
            max: Duration::from_secs(1000),
        };

        type Args = Object;
        type Output = Object;
    }

    impl LongWork for Legs {
        type State = Value;

        async fn run(
            Object(args): Object,
            state: Option<Value>,
            context: Context,
        ) -> Result<Next<Object, Value>, WorkError> {
            let args: Value = serde_json::from_str(args.as_str()).unwrap();
            let argument = |name: &str| args[name].as_u64().unwrap_or(0);
            if u64::from(context.attempt()) <= argument("failures") {
                return Err(WorkError::retryable("NOT_YET", "another attempt succeeds"));
            }
            let state = state.unwrap_or_else(|| json!({"legs": 0, "text": ""}));
            let legs = state["legs"].as_u64().unwrap() + 1;
            if legs == args["legs"].as_u64().unwrap_or(3) {
                let output = json!({
                    "legs": legs,
                    "state_chars": state["text"].as_str().unwrap().len(),
                    "time_left_secs": context.time_left().as_secs(),
                });
                return Ok(Next::Done(Object(Json::of(&output).unwrap())));
            }
            let state_chars = usize::try_from(argument("state_chars")).unwrap();
            Ok(Next::Continue {
                state: json!({"legs": legs, "text": incompressible(state_chars)}),
                after: Duration::from_secs(argument("wait_secs")),
            })
        }
    }
}

/// A world with `test.legs`, and the handler that has its work.
struct Legs {
    world: World,
    worker: worker::Handler,
}

impl Legs {
    async fn start() -> Self {
        Self::of(World::start().await)
    }

    fn of(world: World) -> Self {
        let worker = world.worker_by(Arc::new(world.clock.clone()));
        Self {
            worker: worker.with_work(&legs::RUNNERS),
            world,
        }
    }

    /// Leaves an operation as a submit does.
    async fn submit(&self, arguments: &Value) -> OperationId {
        let operation = Operation {
            function: "test.legs".into(),
            arguments: Payload::Inline(Json::of(arguments).unwrap()),
            callback: None,
            ..pending_operation(self.world.clock.now())
        };
        leave_submitted(&self.world, &operation).await;
        operation.id
    }

    async fn pump(&self) -> bool {
        self.world
            .pump_by(&self.worker, QueueKind::Dispatch, 1)
            .await
    }

    /// Serves each message when it becomes visible, until there is none.
    async fn drain(&self) {
        while let Some(at) = self.world.next_message_at(QueueKind::Dispatch) {
            let clock = &self.world.clock;
            clock.advance(at.since(clock.now()));
            self.pump().await;
        }
    }

    async fn operation(&self, id: &OperationId) -> Operation {
        read(&self.world, id.as_str()).await
    }

    /// The sort keys of the state items, in their order.
    async fn state_items(&self, id: &OperationId) -> Vec<String> {
        let items = self.world.store.inspect(id).await.unwrap().payloads;
        let keys = items.into_iter().map(|item| item.key);
        keys.filter(|key| key.starts_with("state#")).collect()
    }
}

async fn read(world: &World, id: &str) -> Operation {
    let (id, now) = (id.parse().unwrap(), world.clock.now());
    world.store.get(&id, now).await.unwrap().unwrap()
}

async fn submit(world: &World, body: Value) -> String {
    let response = world.submit(body).await;
    response.json["id"].as_str().unwrap().to_owned()
}

fn demo_long(legs: u32, wait_secs: u64) -> Value {
    json!({"function": "demo.long", "arguments": {"legs": legs, "wait_seconds": wait_secs}})
}

/// The ends of the attempts in the history.
fn ends(operation: &Operation) -> Vec<&'static str> {
    let entries = operation.history();
    let ends = entries.iter().map(|entry| entry.end);
    ends.map(|end| end.map_or("running", AttemptEnd::as_str))
        .collect()
}

fn codes(operation: &Operation) -> Vec<&str> {
    let errors = operation.errors().into_iter().flatten();
    errors.map(|error| error.code.as_str()).collect()
}

fn result(operation: &Operation) -> Value {
    let State::Completed { result, .. } = &operation.state else {
        panic!("not completed: {:?}", operation.state);
    };
    serde_json::from_str(result.json().unwrap().as_str()).unwrap()
}

#[tokio::test]
async fn work_of_three_legs_waits_between_them_and_completes() {
    let world = World::start().await;
    let id = submit(&world, demo_long(3, 20)).await;
    let started_at = world.clock.now();
    for leg in 1..=2_u32 {
        assert!(world.pump(QueueKind::Dispatch).await);
        let shown = world.show(&id).await;
        assert_eq!(
            (&shown["status"], &shown["attempt"]),
            (&json!("processing"), &json!(leg))
        );
        let operation = read(&world, &id).await;
        let resumes_at = started_at + Duration::from_secs(20) * leg;
        assert_eq!(operation.resumes_at(), Some(resumes_at));
        let fraction = shown["progress"].as_f64().unwrap();
        assert!((fraction - f64::from(leg) / 3.0).abs() < 1e-6, "{fraction}");
        assert_eq!(shown["progress_message"], format!("leg {leg} of 3"));
        world.clock.advance(Duration::from_secs(19));
        assert!(!world.pump(QueueKind::Dispatch).await);
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(world.pump(QueueKind::Dispatch).await);
    let done = world.show(&id).await;
    assert_eq!(
        (&done["status"], &done["result"], &done["progress"]),
        (&json!("completed"), &json!({"legs": 3}), &json!(1.0))
    );
    assert_eq!(done["progress_message"], "leg 3 of 3");
    assert!(world.queue(QueueKind::Dispatch).is_empty().await);
    let operation = read(&world, &id).await;
    assert_eq!(ends(&operation), ["continued", "continued", "completed"]);
    let last = &operation.history()[2];
    assert_eq!(last.started_at, Some(started_at + Duration::from_secs(40)));
}

#[tokio::test]
async fn a_worker_that_dies_between_two_legs_costs_one_attempt_and_no_leg() {
    let world = World::start().await;
    let id = submit(&world, demo_long(3, 0)).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    claim_and_vanish(&world, &id).await;
    let operation = read(&world, &id).await;
    assert_eq!(ends(&operation), ["continued", "running"]);
    // The operation is held, so its message waits for the lease.
    assert!(world.pump(QueueKind::Dispatch).await);
    assert!(!world.pump(QueueKind::Dispatch).await);
    world.clock.advance(MINUTE);
    world.pump_all().await;
    let operation = read(&world, &id).await;
    assert_eq!(result(&operation), json!({"legs": 3}));
    assert_eq!(
        ends(&operation),
        ["continued", "lost", "continued", "completed"]
    );
}

#[tokio::test]
async fn a_worker_that_dies_before_it_saved_a_state_leaves_the_last_one() {
    let world = World::start().await;
    let id = submit(&world, demo_long(2, 0)).await;
    for _ in 0..2 {
        claim_and_vanish(&world, &id).await;
        world.clock.advance(MINUTE);
    }
    // The third attempt of the first leg.
    assert!(world.pump(QueueKind::Dispatch).await);
    let operation = read(&world, &id).await;
    assert_eq!((operation.attempt, operation.attempts_max), (3, 6));
    world.pump_all().await;
    let operation = read(&world, &id).await;
    assert_eq!(ends(&operation), ["lost", "lost", "continued", "completed"]);
}

#[tokio::test]
async fn a_crash_before_the_fresh_message_delays_the_next_leg_by_a_lease() {
    let world = World::start().await;
    let id = submit(&world, demo_long(2, 0)).await;
    // Visibility, claim, continue; then the fresh message is not sent.
    world.wire.plan([]);
    world.wire.crash_before(3);
    let served = world.pump(QueueKind::Dispatch);
    assert_eq!(world.wire.process(&world.clock, served).await, None);
    let operation = read(&world, &id).await;
    assert_eq!(ends(&operation), ["continued"]);
    world.clock.advance(MINUTE);
    world.pump_all().await;
    assert_eq!(world.show(&id).await["status"], "completed");
    assert!(world.queue(QueueKind::Dispatch).is_empty().await);
}

#[tokio::test]
async fn a_state_is_inline_while_it_fits_and_an_item_otherwise() {
    for (state_chars, items) in [(10, 0), (30_000, 2)] {
        let legs = Legs::start().await;
        let arguments = json!({"state_chars": state_chars});
        let id = legs.submit(&arguments).await;
        legs.drain().await;
        let operation = legs.operation(&id).await;
        let result = result(&operation);
        assert_eq!(
            (&result["legs"], &result["state_chars"]),
            (&json!(3), &json!(state_chars))
        );
        assert_eq!(
            result["time_left_secs"], 600,
            "each leg has a whole attempt"
        );
        let keys = legs.state_items(&id).await;
        assert_eq!(keys.len(), items, "{keys:?}");
        let path = format!("/operations/{id}");
        assert_eq!(
            legs.world.request("DELETE", &path, &[], "").await.status,
            204
        );
        assert!(legs.state_items(&id).await.is_empty());
    }
}

#[tokio::test]
async fn a_state_past_the_limit_fails_the_operation() {
    let besides_text = r#"{"legs":1,"text":""}"#.len();
    let largest = 65_536 - besides_text;
    for (state_chars, codes_of) in [(largest, vec![]), (largest + 1, vec!["STATE_TOO_LARGE"])] {
        let legs = Legs::start().await;
        let id = legs.submit(&json!({"state_chars": state_chars})).await;
        assert!(legs.pump().await);
        assert_eq!(codes(&legs.operation(&id).await), codes_of);
    }
}

#[tokio::test]
async fn each_leg_has_all_attempts_and_the_first_backoff() {
    let legs = Legs::start().await;
    let id = legs.submit(&json!({"failures": 2})).await;
    let started_at = legs.world.clock.now();
    legs.drain().await;
    let operation = legs.operation(&id).await;
    assert_eq!(result(&operation)["legs"], 3);
    assert_eq!((operation.attempt, operation.attempts_max), (9, 9));
    let leg = ["retried", "retried", "continued"];
    let last = ["retried", "retried", "completed"];
    assert_eq!(ends(&operation), [leg, leg, last].concat());
    // Each leg waits up to 10 s and up to 20 s; by the attempt over all legs it would be minutes.
    let took = legs.world.clock.now().since(started_at);
    assert!(took <= Duration::from_secs(3 * 30), "{took:?}");
}

#[tokio::test]
async fn a_leg_that_fails_too_often_fails_the_operation_and_keeps_the_state() {
    let legs = Legs::start().await;
    let id = legs.submit(&json!({})).await;
    assert!(legs.pump().await);
    for _ in 0..3 {
        claim_and_vanish(&legs.world, id.as_str()).await;
        legs.world.clock.advance(MINUTE);
    }
    legs.drain().await;
    let operation = legs.operation(&id).await;
    assert_eq!(codes(&operation), ["WORKER_LOST"]);
    assert_eq!(ends(&operation), ["continued", "lost", "lost", "lost"]);
    assert_eq!(operation.saved_state.unwrap().attempt, 1);
}

#[tokio::test]
async fn a_missing_state_fails_the_attempt_and_the_work_does_not_begin_again() {
    let legs = Legs::start().await;
    let id = legs.submit(&json!({"state_chars": 3000})).await;
    assert!(legs.pump().await);
    let [sk] = <[String; 1]>::try_from(legs.state_items(&id).await).unwrap();
    legs.world.delete_item(id.as_str(), &sk).await;
    legs.drain().await;
    let operation = legs.operation(&id).await;
    assert_eq!(codes(&operation), ["INTERNAL_ERROR", "ATTEMPTS_EXHAUSTED"]);
    assert_eq!(
        ends(&operation),
        ["continued", "retried", "retried", "failed"]
    );
}

#[tokio::test]
async fn a_long_wait_hops_every_fifteen_minutes_and_uses_up_no_receives() {
    let world = World::start().await;
    let mut body = demo_long(2, 4 * 3600);
    body["deadline_seconds"] = json!(86_400);
    let id = submit(&world, body).await;
    let started_at = world.clock.now();
    assert!(world.pump(QueueKind::Dispatch).await);
    for hop in 1..16 {
        let at = started_at + QUARTER * hop;
        assert_eq!(world.next_message_at(QueueKind::Dispatch), Some(at));
        world.clock.advance(at.since(world.clock.now()));
        assert!(world.pump(QueueKind::Dispatch).await);
        assert_eq!(read(&world, &id).await.attempt, 1);
    }
    world.clock.advance(QUARTER);
    assert!(world.pump(QueueKind::Dispatch).await);
    assert_eq!(world.show(&id).await["status"], "completed");
    for kind in [QueueKind::Dispatch, QueueKind::DispatchDeadLetter] {
        assert!(world.queue(kind).is_empty().await);
    }
}

#[tokio::test]
async fn only_a_backoff_longer_than_a_lease_takes_a_fresh_message() {
    // The second attempt waits for 5 to 10 s.
    for (lease_secs, is_fresh) in [("5", true), ("60", false)] {
        let legs = Legs::of(World::with([("LEASE_SECONDS", lease_secs)]).await);
        legs.submit(&json!({"failures": 1})).await;
        assert!(legs.pump().await);
        let clock = &legs.world.clock;
        let visible_at = legs.world.next_message_at(QueueKind::Dispatch).unwrap();
        clock.advance(visible_at.since(clock.now()));
        let dispatch = legs.world.queue(QueueKind::Dispatch);
        let event = dispatch.event(&dispatch.receive(1).await);
        let received = &event["Records"][0];
        let body: Value = serde_json::from_str(received["body"].as_str().unwrap()).unwrap();
        let count = &received["attributes"]["ApproximateReceiveCount"];
        assert_eq!(
            (body["read_first"] == true, count == "1"),
            (is_fresh, is_fresh),
            "{event}"
        );
    }
}

/// A message that was received too often by workers that were throttled.
#[tokio::test]
async fn the_dead_letter_of_a_waiting_operation_goes_back_to_the_dispatch_queue() {
    let world = World::start().await;
    let id = submit(&world, demo_long(2, 3000)).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let dispatch = world.queue(QueueKind::Dispatch);
    dispatch.purge().await;
    let dead_letter = message(&id, create_id(&world, &id).await);
    world
        .queue(QueueKind::DispatchDeadLetter)
        .send(&dead_letter)
        .await;
    assert!(world.pump(QueueKind::DispatchDeadLetter).await);
    let dead_letters = world.queue(QueueKind::DispatchDeadLetter);
    assert_eq!((dead_letters.len().await, dispatch.len().await), (0, 1));
    let resumes_at = read(&world, &id).await.resumes_at().unwrap();
    while let Some(at) = world.next_message_at(QueueKind::Dispatch) {
        world.clock.advance(at.since(world.clock.now()));
        world.pump_all().await;
    }
    let operation = read(&world, &id).await;
    assert_eq!(result(&operation), json!({"legs": 2}));
    assert_eq!(operation.ended_at(), Some(resumes_at));
}

/// The wake-up of a cancel that crashed is sent by the operation's message.
#[tokio::test]
async fn a_cancel_during_a_wait_is_called_back_within_fifteen_minutes() {
    for sends_wake_up in [true, false] {
        let (world, receiver) = (World::start().await, Receiver::start().await);
        let mut body = demo_long(2, 3 * 86_400);
        body["deadline_seconds"] = json!(7 * 86_400);
        body["callback_url"] = json!(receiver.url);
        let id = submit(&world, body).await;
        world.pump_all().await;
        world.clock.advance(DAY);
        world.pump_all().await;
        if sends_wake_up {
            let path = format!("/operations/{id}/cancel");
            assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
            world.pump_all().await;
            assert_eq!(receiver.received().len(), 1);
        } else {
            let operation = read(&world, &id).await;
            let (owner, now) = (&operation.owner, world.clock.now());
            let cancel = world
                .store
                .cancel(&operation.id, owner, &Preconditions::NONE, now);
            assert!(matches!(
                cancel.await,
                Ok(CancelOutcome::Cancelled { by_us: true, .. })
            ));
        }
        world.clock.advance(QUARTER);
        // The worker's wake-up is delayed, in case the cancel is about to send its own.
        world.pump_all().await;
        world.clock.advance(MINUTE);
        world.pump_all().await;
        assert_eq!(receiver.received().len(), 1);
        assert_eq!(world.show(&id).await["status"], "cancelled");
        assert!(world.queue(QueueKind::Dispatch).is_empty().await);
    }
}

#[tokio::test]
async fn a_deadline_during_a_wait_fails_the_operation_at_that_time() {
    let world = World::start().await;
    let mut body = demo_long(2, 2 * 3600);
    body["deadline_seconds"] = json!(3600);
    let id = submit(&world, body).await;
    let deadline_at = world.clock.now() + Duration::from_secs(3600);
    let mut ended_at = None;
    while let Some(at) = world.next_message_at(QueueKind::Dispatch) {
        world.clock.advance(at.since(world.clock.now()));
        world.pump_all().await;
        ended_at = Some(at);
    }
    assert_eq!(ended_at, Some(deadline_at));
    let operation = read(&world, &id).await;
    assert_eq!(codes(&operation), ["DEADLINE_EXCEEDED"]);
    assert_eq!(ends(&operation), ["continued"]);
    let path = format!("/operations/{id}/redrive");
    let redrive = world.request("POST", &path, &[], "").await.json;
    world.drain().await;
    let redrive = world.show(redrive["id"].as_str().unwrap()).await;
    assert_eq!(
        (&redrive["result"], &redrive["attempt"]),
        (&json!({"legs": 2}), &json!(1)),
        "the second leg alone"
    );
}

/// Sets how many attempts an operation has had.
async fn set_attempts(world: &World, id: &str, attempts: u32) {
    let number = |number: u32| AttributeValue::N(number.to_string());
    let update = world.dynamodb.update_item().table_name("ferry");
    let update = update
        .key("pk", AttributeValue::S(id.to_owned()))
        .key("sk", AttributeValue::S("head".to_owned()))
        .update_expression("SET attempt = :attempt, attempts_max = :max")
        .expression_attribute_values(":attempt", number(attempts))
        .expression_attribute_values(":max", number(attempts + 3));
    update.send().await.unwrap();
}

#[tokio::test]
async fn an_operation_continues_until_its_thousandth_attempt() {
    for (legs, codes_of) in [(3, vec![]), (4, vec!["CONTINUED_TOO_OFTEN"])] {
        let world = World::start().await;
        let id = submit(&world, demo_long(legs, 0)).await;
        set_attempts(&world, &id, 997).await;
        while world.pump(QueueKind::Dispatch).await {}
        let operation = read(&world, &id).await;
        assert_eq!((operation.attempt, codes(&operation)), (1000, codes_of));
        assert_eq!(operation.history().len(), 10);
    }
}

/// An operation that starts at this time, with the message that its submit sends.
async fn starting_at(world: &World, starts_at: Timestamp) -> Operation {
    let operation = Operation {
        starts_at: Some(starts_at),
        deadline_at: starts_at + Duration::from_secs(60),
        expires_at: starts_at + DAY,
        callback: None,
        ..pending_operation(world.clock.now())
    };
    leave_submitted(world, &operation).await;
    operation
}

#[tokio::test]
async fn an_operation_runs_at_its_start_and_its_deadline_counts_from_there() {
    let world = World::start().await;
    let starts_at = world.clock.now() + DAY;
    let operation = starting_at(&world, starts_at).await;
    let counted = Counted::start();
    while let Some(at) = world.next_message_at(QueueKind::Dispatch) {
        assert!(at <= starts_at);
        world.clock.advance(at.since(world.clock.now()));
        world.pump_all().await;
    }
    assert_eq!(world.clock.now(), starts_at);
    let done = read(&world, operation.id.as_str()).await;
    assert_eq!(result(&done), json!({"a": 1}));
    assert_eq!((done.attempt, done.started_at), (1, Some(starts_at)));
    let waited = counted.take();
    let queue_time = &waited[&key(Metric::QueueTime("demo.echo"))];
    assert_eq!(*queue_time, [0], "it counts from the start");
}

#[tokio::test]
async fn an_operation_is_cancelled_before_its_start() {
    let world = World::start().await;
    let starts_at = world.clock.now() + Duration::from_secs(30);
    let operation = starting_at(&world, starts_at).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let shown = world.show(operation.id.as_str()).await;
    assert_eq!(
        (&shown["status"], &shown["attempt"]),
        (&json!("pending"), &json!(0))
    );
    let path = format!("/operations/{}/cancel", operation.id);
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    world.drain().await;
    let cancelled = read(&world, operation.id.as_str()).await;
    assert_eq!((cancelled.attempt, ends(&cancelled)), (0, vec![]));
}

/// Its age is what proves that no submit can still create the record.
#[tokio::test]
async fn a_waiting_message_without_a_record_is_not_sent_on() {
    let world = World::start().await;
    let starts_at = world.clock.now() + DAY;
    let operation = starting_at(&world, starts_at).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    world.delete_item(operation.id.as_str(), "head").await;
    let mut receives = 0;
    while let Some(at) = world.next_message_at(QueueKind::Dispatch) {
        world.clock.advance(at.since(world.clock.now()));
        world.wire.reset();
        assert!(world.pump(QueueKind::Dispatch).await);
        assert!(!world.wire.counts().contains_key("SendMessage"));
        receives += 1;
    }
    // After 15 minutes, and a second later, when it is old enough.
    assert_eq!(receives, 2);
}
