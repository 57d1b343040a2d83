//! `requeue`: operations without a message get one, and nothing else happens.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use operator::requeue::{Need, Progress, Requeue, Requeued};
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::callback::CallbackEvent;
use shared::domain::id::OperationId;
use shared::domain::limits::{CALLBACK_FALLBACK_DELAY_SECS, QUEUE_DELAY_SECS_MAX};
use shared::domain::time::Timestamp;
use shared::queue::{Dispatch, WakeUp};
use shared::store::table;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::wire::{Fault, Outage, Service};
use tests::world::World;

use super::{
    AttributeValue, LEASE, claim_and_vanish, created, echo, get, hasty, queue, store, stored,
    submit, tamper,
};

pub(super) fn tool(world: &World) -> Requeue {
    Requeue {
        store: store(world),
        dispatch: queue(world, QueueKind::Dispatch),
        callbacks: queue(world, QueueKind::Callback),
        clock: hasty(world),
        per_second: 1000,
        dry_run: false,
    }
}

async fn requeue(world: &World) -> Requeued {
    let requeued = tool(world).run(&mut |_| {}).await.unwrap();
    assert!(requeued.is_complete());
    assert_eq!(requeued.sent, requeued.live + requeued.due);
    requeued
}

async fn purge(world: &World) {
    for kind in QueueKind::ALL {
        world.queue(kind).purge().await;
    }
}

async fn messages(world: &World) -> usize {
    let mut messages = 0;
    for kind in QueueKind::ALL {
        messages += world.queue(kind).len().await;
    }
    messages
}

/// Operations with callbacks in every state in which one needs a message.
pub(super) async fn one_of_each(world: &World, receiver: &Receiver) -> Vec<OperationId> {
    let with_callback = |function: &str, arguments: Value| {
        let url = &receiver.url;
        json!({"function": function, "arguments": arguments, "callback_url": url})
    };
    let echo = || with_callback("demo.echo", json!({}));
    let retried = json!({"retryable": true, "succeed_on_attempt": 2});

    let attempted = submit(world, echo()).await;
    receiver.answer_next([(500, None)]);
    world.pump_all().await;
    assert_eq!(
        get(world, &attempted).await.callback.unwrap().attempts_made,
        1
    );
    let without_wake_up = submit(world, echo()).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let backing_off = submit(world, with_callback("demo.fail", retried)).await;
    assert!(world.pump(QueueKind::Dispatch).await);
    let cancelled = submit(world, echo()).await;
    let path = format!("/operations/{cancelled}/cancel");
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    let held = submit(world, echo()).await;
    claim_and_vanish(world, &held).await;
    let mut ids = vec![attempted, without_wake_up, backing_off, cancelled, held];
    // Enough for more than one batch.
    for _ in 0..12 {
        ids.push(submit(world, echo()).await);
    }
    ids
}

/// Asserts that each operation has ended as it should, and that its callback was delivered.
async fn assert_all_ended(world: &World, receiver: &Receiver, ids: &[OperationId]) {
    for (index, id) in ids.iter().enumerate() {
        let shown = world.show(id.as_str()).await;
        let status = if index == 3 { "cancelled" } else { "completed" };
        assert_eq!(shown["status"], status, "{shown}");
        assert_eq!(shown["callback"]["status"], "delivered", "{shown}");
    }
    let delivered: BTreeSet<_> = receiver
        .received()
        .iter()
        .map(|delivery| {
            let id = delivery.verified()["data"]["operation_id"].clone();
            id.as_str().unwrap().parse::<OperationId>().unwrap()
        })
        .collect();
    assert_eq!(delivered, ids.iter().cloned().collect());
}

#[tokio::test]
async fn after_a_purge_every_operation_ends_and_its_callback_is_delivered() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let ids = one_of_each(&world, &receiver).await;
    purge(&world).await;
    world.clock.advance(LEASE * 5);
    world.pump_all().await;
    assert_eq!(get(&world, &ids[16]).await.lock_version, 1);

    let requeued = requeue(&world).await;
    assert_eq!((requeued.live, requeued.due), (14, 3));
    assert_eq!(messages(&world).await, 17);
    world.drain().await;
    assert_all_ended(&world, &receiver, &ids).await;
    // The attempt that failed, and one for each operation.
    assert_eq!(receiver.received().len(), 18);
}

#[tokio::test]
async fn while_no_message_is_lost_repeated_runs_change_nothing() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let ids = one_of_each(&world, &receiver).await;
    for _ in 0..2 {
        requeue(&world).await;
    }
    world.drain().await;
    assert_all_ended(&world, &receiver, &ids).await;
    assert_eq!(receiver.received().len(), 18);
    // Claimed once and ended once, except for the operations that need another attempt and the
    // cancelled one.
    for (index, id) in ids.iter().enumerate() {
        let expected = match index {
            2 => 5,
            3 => 2,
            4 => 4,
            _ => 3,
        };
        assert_eq!(get(&world, id).await.lock_version, expected, "{index}");
    }
    assert_eq!(
        requeue(&world).await,
        Requeued {
            examined: stored(&world).await.len(),
            ..Requeued::default()
        }
    );
    assert_eq!(messages(&world).await, 0);
}

#[tokio::test]
async fn operations_of_a_restored_table_continue_from_their_stored_state() {
    let before = World::start().await;
    let receiver = Receiver::start().await;
    let ids = one_of_each(&before, &receiver).await;

    let world = World::with([("TABLE_NAME", "restored")]).await;
    world.clock.advance(Duration::from_secs(3 * 60));
    table::create(&world.dynamodb, "restored").await.unwrap();
    for item in stored(&before).await {
        let put = world.dynamodb.put_item().table_name("restored");
        put.set_item(Some(item)).send().await.unwrap();
    }
    world.drain().await;
    assert_eq!(get(&world, &ids[16]).await.lock_version, 1);
    requeue(&world).await;
    world.drain().await;
    assert_all_ended(&world, &receiver, &ids).await;
}

#[tokio::test]
async fn ended_expired_and_erased_operations_get_no_message() {
    let world = World::start().await;
    let ended = submit(&world, echo()).await;
    let erased = submit(&world, echo()).await;
    world.drain().await;
    let path = format!("/operations/{erased}");
    assert_eq!(world.request("DELETE", &path, &[], "").await.status, 204);
    let not_asked_for = created(&world, 1, |operation| {
        operation.callback.as_mut().unwrap().events = vec![CallbackEvent::Failed];
    })
    .await;
    let path = format!("/operations/{}/cancel", not_asked_for.id);
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    let expired = created(&world, 2, |operation| {
        operation.expires_at = operation.created_at;
    })
    .await;
    assert_eq!(get(&world, &ended).await.lock_version, 3);
    let stored = stored(&world).await;
    assert!(
        stored
            .iter()
            .any(|item| item["pk"].as_s().unwrap() == expired.id.as_str())
    );

    let requeued = requeue(&world).await;
    assert_eq!(
        requeued,
        Requeued {
            examined: 4,
            ..Requeued::default()
        }
    );
    assert_eq!(messages(&world).await, 0);
}

#[tokio::test]
async fn messages_are_delayed_until_a_function_can_act_on_them() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let held = submit(&world, echo()).await;
    claim_and_vanish(&world, &held).await;
    purge(&world).await;
    let claimed_at = world.clock.now();
    requeue(&world).await;
    let at = world.next_message_at(QueueKind::Dispatch).unwrap();
    assert!(at >= claimed_at + LEASE, "{at}");
    assert!(at <= claimed_at + LEASE + Duration::from_secs(1), "{at}");
    world.drain().await;

    // After any wake-up that may already be in the queue, but within SQS's longest delay.
    for (retry_after, delay_secs) in [
        ("60", 60 + CALLBACK_FALLBACK_DELAY_SECS),
        ("3600", QUEUE_DELAY_SECS_MAX),
    ] {
        receiver.answer_next([(503, Some(retry_after))]);
        let body = json!({"function": "demo.echo", "callback_url": receiver.url});
        let id = submit(&world, body).await;
        world.pump_all().await;
        purge(&world).await;
        let attempted_at = world.clock.now();
        assert_eq!(requeue(&world).await.due, 1);
        let delay = Duration::from_secs(u64::from(delay_secs));
        let at = world.next_message_at(QueueKind::Callback).unwrap();
        assert!(at >= attempted_at + delay, "{at}");
        assert!(at <= attempted_at + delay + Duration::from_secs(1), "{at}");
        world.drain().await;
        let callback = get(&world, &id).await.callback.unwrap();
        assert_eq!(callback.attempts_made, 2);
        let waited = callback.attempts[1].at.since(attempted_at).as_secs();
        let expected: u64 = retry_after.parse().unwrap();
        assert!((expected..=expected + 400).contains(&waited), "{waited}");
    }
}

fn starting(after_secs: u32) -> Value {
    json!({"function": "demo.echo", "start_after_seconds": after_secs})
}

#[tokio::test]
async fn operations_that_wait_get_a_message_and_neither_start_nor_continue_early() {
    let world = World::start().await;
    let sleeping = |secs: u32| {
        let arguments = json!({"legs": 2, "wait_seconds": secs});
        json!({"function": "demo.long", "arguments": arguments, "deadline_seconds": 86_400})
    };
    let mut waiting = Vec::new();
    // One delay of SQS covers the first wait only.
    for secs in [600, 7200] {
        for (body, legs) in [(starting(secs), 1), (sleeping(secs), 2)] {
            waiting.push((submit(&world, body).await, secs, legs));
        }
    }
    world.pump_all().await;
    let waits_from = world.clock.now();
    purge(&world).await;
    assert_eq!(requeue(&world).await.live, 4);
    assert_eq!(messages(&world).await, 4);
    while let Some(at) = world.next_message_at(QueueKind::Dispatch) {
        world.clock.advance(at.since(world.clock.now()));
        world.pump_all().await;
    }
    for (id, secs, legs) in waiting {
        let shown = world.show(id.as_str()).await;
        assert_eq!(shown["status"], "completed", "{shown}");
        let attempts = shown["attempts"].as_array().unwrap();
        let began = attempts.last().unwrap()["started_at"].as_str().unwrap();
        let began = began.parse::<Timestamp>().unwrap();
        let wait_ends_at = waits_from + Duration::from_secs(secs.into());
        assert!(began >= wait_ends_at, "{shown}");
        assert!(began <= wait_ends_at + Duration::from_secs(1), "{shown}");
        assert_eq!(shown["attempt"], legs, "{shown}");
    }
}

#[tokio::test]
async fn a_message_that_arrives_before_the_wait_ends_is_read_first() {
    let longest = QUEUE_DELAY_SECS_MAX;
    for (secs, reads_first) in [(longest, false), (longest + 1, true)] {
        let world = World::start().await;
        submit(&world, starting(secs)).await;
        purge(&world).await;
        requeue(&world).await;
        world.clock.advance(Duration::from_secs(longest.into()));
        let dispatch = world.queue(QueueKind::Dispatch);
        let [message] = dispatch.receive(1).await.try_into().unwrap();
        let message = Dispatch::parse(message.body().unwrap(), None).unwrap();
        assert_eq!(message.read_first, reads_first, "{secs}");
    }
}

#[tokio::test]
async fn a_dry_run_reports_every_need_and_sends_nothing() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let ids = one_of_each(&world, &receiver).await;
    purge(&world).await;
    let dry = Requeue {
        dry_run: true,
        ..tool(&world)
    };
    let mut reported = BTreeSet::new();
    let requeued = dry
        .run(&mut |progress| {
            if let Progress::Needs(operation, need) = progress {
                let is_live = matches!(need, Need::Dispatch { .. });
                assert_eq!(is_live, !operation.status().is_terminal());
                assert!(reported.insert(operation.id.clone()));
            }
        })
        .await
        .unwrap();
    assert_eq!(reported, ids.into_iter().collect());
    assert_eq!((requeued.live, requeued.due, requeued.sent), (14, 3, 0));
    assert_eq!(messages(&world).await, 0);
}

#[tokio::test]
async fn an_unreadable_record_is_reported_and_the_others_get_their_messages() {
    let world = World::start().await;
    let corrupt = submit(&world, echo()).await;
    let text = AttributeValue::S("asleep".to_owned());
    tamper(&world, &corrupt, "status", text).await;
    for _ in 0..3 {
        submit(&world, echo()).await;
    }
    purge(&world).await;
    let mut unreadable = Vec::new();
    let requeued = tool(&world)
        .run(&mut |progress| {
            if let Progress::Unreadable(error) = progress {
                unreadable.push(error.to_string());
            }
        })
        .await
        .unwrap();
    let expected = format!("operation {corrupt} is corrupt at status");
    assert_eq!(unreadable, [expected]);
    assert!(!requeued.is_complete());
    assert_eq!((requeued.unreadable, requeued.sent), (1, 3));
}

#[tokio::test]
async fn after_an_outage_a_second_run_continues() {
    let world = World::start().await;
    for _ in 0..3 {
        submit(&world, echo()).await;
    }
    purge(&world).await;
    for (service, expected) in [
        (Service::Store, "the table cannot be read"),
        (Service::Queues, "cannot send to the queue ferry-dispatch"),
    ] {
        world.wire.set_outages(&[Outage {
            service,
            fault: Fault::AlwaysThrottled,
            only: String::new(),
        }]);
        let error = tool(&world).run(&mut |_| {}).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    world.wire.set_outages(&[]);
    assert_eq!(requeue(&world).await.sent, 3);
    world.drain().await;
    assert_eq!(requeue(&world).await.live, 0);
}

#[tokio::test]
async fn the_rate_of_requests_is_limited() {
    let world = World::start().await;
    for n in 0..25 {
        created(&world, n, |operation| operation.callback = None).await;
    }
    let slow = Requeue {
        per_second: 2,
        ..tool(&world)
    };
    let started_at = world.clock.now();
    slow.run(&mut |_| {}).await.unwrap();
    // One page of the table and three batches.
    let took = world.clock.now().since(started_at);
    assert_eq!(took, Duration::from_millis(1500));
    assert_eq!(world.wire.calls().len(), 4);
}

#[tokio::test]
async fn the_messages_are_those_that_the_functions_would_send_for_the_record() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let live = submit(&world, body.clone()).await;
    let [sent] = world
        .queue(QueueKind::Dispatch)
        .receive(1)
        .await
        .try_into()
        .unwrap();
    purge(&world).await;
    requeue(&world).await;
    let [again] = world
        .queue(QueueKind::Dispatch)
        .receive(1)
        .await
        .try_into()
        .unwrap();
    assert_eq!(sent.body(), again.body());
    assert!(group(&sent).is_some());
    assert_eq!(group(&sent), group(&again));
    assert!(Dispatch::parse(sent.body().unwrap(), None).is_ok());
    purge(&world).await;
    let path = format!("/operations/{live}/cancel");
    assert_eq!(world.request("POST", &path, &[], "").await.status, 200);
    let [sent] = world
        .queue(QueueKind::Callback)
        .receive(1)
        .await
        .try_into()
        .unwrap();
    purge(&world).await;
    requeue(&world).await;
    world.clock.advance(LEASE);
    let [again] = world
        .queue(QueueKind::Callback)
        .receive(1)
        .await
        .try_into()
        .unwrap();
    assert_eq!(sent.body(), again.body());
    assert!(group(&sent).is_some());
    assert_eq!(group(&sent), group(&again));
    assert!(WakeUp::parse(sent.body().unwrap(), None).is_ok());
}

fn group(message: &Message) -> Option<&String> {
    let attributes = message.attributes()?;
    attributes.get(&MessageSystemAttributeName::MessageGroupId)
}
