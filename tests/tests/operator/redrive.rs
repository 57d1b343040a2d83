//! `redrive`: the failed operations that the filter selects run again, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use operator::redrive::{Filter, Progress, Redrive, Redriven};
use serde_json::{Value, json};
use shared::catalogue::Catalogue;
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::limits::CALLBACK_RETENTION_SECS;
use shared::domain::time::Timestamp;
use shared::operations::{Operations, RedriveFrom, RedriveRequest, Submissions};
use shared::random::SystemRandom;
use tests::logs::Logged;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::{Fault, Outage, Service};
use tests::world::World;

use super::{AttributeValue, echo, hasty, queue, store, submit, tamper};

/// It selects what `demo.fail` failed with its own code, since ever.
pub(super) fn tool(world: &World) -> Redrive {
    let random = Arc::new(SystemRandom);
    let callbacks = queue(world, QueueKind::Callback);
    let operations = Operations::new(store(world), callbacks, hasty(world), random);
    Redrive {
        store: store(world),
        submissions: Submissions::new(
            operations,
            queue(world, QueueKind::Dispatch),
            Catalogue::new(true),
            world
                .environment
                .allowed_networks("CALLBACK_ALLOWED_NETWORKS")
                .unwrap(),
            String::new(),
        ),
        clock: hasty(world),
        filter: Filter {
            function: "demo.fail".to_owned(),
            version: None,
            since: Timestamp::from_secs(0),
            code: "DEMO_FAILURE".to_owned(),
        },
        request: RedriveRequest::default(),
        per_second: 1000,
        dry_run: false,
    }
}

pub(super) async fn failed_with_large_arguments(world: &World) -> OperationId {
    failed(world, json!({"message": incompressible(900)})).await
}

async fn failed(world: &World, arguments: Value) -> OperationId {
    let id = submit(
        world,
        json!({"function": "demo.fail", "arguments": arguments}),
    )
    .await;
    world.drain().await;
    id
}

async fn redrive(world: &World) -> Redriven {
    tool(world).run(&mut |_| {}).await.unwrap()
}

/// The operations that the redrives of `alice` came from.
async fn redriven(world: &World) -> BTreeSet<String> {
    let list = world.request("GET", "/operations", &[], "").await.json;
    let operations = list["operations"].as_array().unwrap().iter();
    let redriven = operations.filter_map(|operation| operation["redrive_of"].as_str());
    redriven.map(str::to_owned).collect()
}

#[tokio::test]
async fn only_what_failed_with_the_code_since_the_time_is_redriven() {
    let world = World::start().await;
    failed(&world, json!({})).await;
    world.clock.advance(Duration::from_secs(3600));
    let since = world.clock.now();
    let selected = failed(&world, json!({})).await;
    failed(&world, json!({"code": "OTHER"})).await;
    submit(&world, echo()).await;
    submit(&world, json!({"function": "demo.fail"})).await;
    for (version, created) in [(Some("2.0.0"), 0), (Some("1.0.0"), 1)] {
        let mut tool = tool(&world);
        tool.filter.since = since;
        tool.filter.version = version.map(str::to_owned);
        let redriven = tool.run(&mut |_| {}).await.unwrap();
        assert!(redriven.is_complete());
        assert_eq!((redriven.selected, redriven.created), (created, created));
    }
    assert_eq!(
        redriven(&world).await,
        BTreeSet::from([selected.to_string()])
    );
}

/// The redrives fail as well, and a later run redrives them: they failed before it began.
#[tokio::test]
async fn a_repeated_run_redrives_only_what_has_no_redrive() {
    let world = World::start().await;
    for _ in 0..3 {
        failed(&world, json!({})).await;
    }
    let first = redrive(&world).await;
    assert_eq!((first.selected, first.created, first.before), (3, 3, 0));
    let second = redrive(&world).await;
    assert_eq!((second.selected, second.created, second.before), (3, 0, 3));
    world.drain().await;
    let third = redrive(&world).await;
    assert_eq!((third.selected, third.created, third.before), (6, 3, 3));
    assert!(third.is_complete());
}

#[tokio::test]
async fn a_dry_run_reports_the_selected_operations_and_changes_nothing() {
    let world = World::start().await;
    let expected = [
        failed(&world, json!({})).await,
        failed(&world, json!({})).await,
    ];
    let dry = Redrive {
        dry_run: true,
        ..tool(&world)
    };
    let mut reported = BTreeSet::new();
    let counts = dry
        .run(&mut |progress| {
            if let Progress::Selected(operation) = progress {
                reported.insert(operation.id.clone());
            }
        })
        .await
        .unwrap();
    assert_eq!(reported, BTreeSet::from(expected));
    assert_eq!((counts.selected, counts.created), (2, 0));
    assert!(redriven(&world).await.is_empty());
}

#[tokio::test]
async fn each_redrive_is_audited_for_its_owner() {
    let world = World::start().await;
    let id = failed(&world, json!({})).await;
    let logged = Logged::start();
    redrive(&world).await;
    let lines = logged.take();
    let audited = lines.iter().filter(|line| line.contains("owner's request"));
    let audited: Vec<_> = audited.collect();
    let members =
        format!(r#"audit="redrive" operation_id={id} owner="local:alice" outcome="done""#);
    assert_eq!(audited.len(), 1, "{lines:?}");
    assert!(audited[0].ends_with(&members), "{}", audited[0]);
}

#[tokio::test]
async fn what_cannot_be_redriven_or_read_is_reported_and_the_others_are_redriven() {
    let world = World::start().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let gone = failed(&world, json!({})).await;
    tamper(&world, &gone, "function_version", text("9.0.0")).await;
    let no_version = failed(&world, json!({})).await;
    tamper(&world, &no_version, "function_version", text("newest")).await;
    let corrupt = failed(&world, json!({})).await;
    tamper(&world, &corrupt, "status", text("asleep")).await;
    failed(&world, json!({})).await;
    let (mut refused, mut unreadable) = (Vec::new(), Vec::new());
    let counts = tool(&world)
        .run(&mut |progress| match progress {
            Progress::Refused(id, reason) => refused.push(format!("{id}: {reason}")),
            Progress::Unreadable(error) => unreadable.push(error.to_string()),
            Progress::Selected(_) | Progress::Page(_) => {}
        })
        .await
        .unwrap();
    refused.sort();
    let mut expected = [
        format!("{gone}: a submit would get VERSION_NOT_FOUND"),
        format!("{no_version}: operation {no_version} is corrupt at function_version"),
    ];
    expected.sort();
    assert_eq!(refused, expected);
    let expected = format!("operation {corrupt} is corrupt at status");
    assert_eq!(unreadable, [expected]);
    assert_eq!((counts.created, counts.is_complete()), (1, false));
}

/// Runs the tool, and returns the reasons of its refusals.
async fn refusals(tool: &Redrive) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut report = |progress: Progress<'_>| {
        if let Progress::Refused(_, reason) = progress {
            reasons.push(reason);
        }
    };
    let counts = tool.run(&mut report).await.unwrap();
    assert_eq!((counts.created, counts.refused), (0, reasons.len()));
    reasons
}

#[tokio::test]
async fn each_refusal_has_its_reason() {
    let world = World::start().await;
    failed(&world, json!({})).await;
    let mut from_state = tool(&world);
    from_state.request.from = Some(RedriveFrom::State);
    assert_eq!(refusals(&from_state).await, ["it saved no state"]);

    let world = World::start().await;
    let id = failed_with_large_arguments(&world).await;
    for item in world.store.inspect(&id).await.unwrap().payloads {
        world.delete_item(id.as_str(), &item.key).await;
    }
    let reasons = refusals(&tool(&world)).await;
    assert_eq!(reasons, ["its arguments cannot be read"]);

    let (world, receiver) = (World::start().await, Receiver::start().await);
    let body = json!({"function": "demo.fail", "callback_url": receiver.url});
    let id = submit(&world, body).await;
    world.drain().await;
    // A redelivery keeps the operation for longer than its redrive may be kept.
    let kept_secs = u64::from(CALLBACK_RETENTION_SECS);
    world.clock.advance(Duration::from_secs(kept_secs - 3600));
    let path = format!("/operations/{id}/redeliver");
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    world.drain().await;
    world.clock.advance(Duration::from_secs(3600));
    let reasons = refusals(&tool(&world)).await;
    assert_eq!(reasons, ["it is kept for its callback only"]);
}

#[tokio::test]
async fn what_was_redriven_from_elsewhere_is_not_redriven_again() {
    let world = World::start().await;
    let arguments = json!({"legs": 2, "wait_seconds": 60});
    let body = json!({"function": "demo.long", "arguments": arguments, "deadline_seconds": 30});
    submit(&world, body).await;
    world.drain().await;
    for (from, created, before) in [(RedriveFrom::State, 1, 0), (RedriveFrom::Start, 0, 1)] {
        let mut tool = tool(&world);
        tool.filter.function = "demo.long".to_owned();
        tool.filter.code = "DEADLINE_EXCEEDED".to_owned();
        tool.request.from = Some(from);
        let counts = tool.run(&mut |_| {}).await.unwrap();
        assert_eq!((counts.created, counts.before), (created, before));
        assert!(counts.is_complete());
    }
}

#[tokio::test]
async fn after_an_outage_a_second_run_continues() {
    let world = World::start().await;
    let ids = [
        failed(&world, json!({})).await,
        failed(&world, json!({})).await,
    ];
    for service in [Service::Store, Service::Queues] {
        world.wire.set_outages(&[Outage {
            service,
            fault: Fault::AlwaysThrottled,
            only: String::new(),
        }]);
        assert!(tool(&world).run(&mut |_| {}).await.is_err());
    }
    world.wire.set_outages(&[]);
    assert_eq!(redrive(&world).await.created, 2);
    let expected = ids.map(|id| id.to_string());
    assert_eq!(redriven(&world).await, BTreeSet::from(expected));
}

#[tokio::test]
async fn the_rate_of_redrives_is_limited() {
    let world = World::start().await;
    for _ in 0..3 {
        failed(&world, json!({})).await;
    }
    let slow = Redrive {
        per_second: 2,
        ..tool(&world)
    };
    let started_at = world.clock.now();
    slow.run(&mut |_| {}).await.unwrap();
    // One page and three redrives.
    let took = world.clock.now().since(started_at);
    assert_eq!(took, Duration::from_millis(1500));
}
