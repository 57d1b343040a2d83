//! The permissions that the runbook lists for the tool are those that its requests need.

use std::collections::BTreeSet;

use tests::readme::part;
use tests::receiver::Receiver;
use tests::world::World;

use super::{echo, erase, redrive, requeue, store, submit};

/// The permissions in a subcommand's row.
fn listed(subcommand: &str) -> BTreeSet<String> {
    let row = part("infra/RUNBOOK.md", "operator permissions")
        .lines()
        .find(|line| line.starts_with(&format!("| `{subcommand}` |")));
    let words = row.unwrap().split('`').skip(1).step_by(2);
    let words = words.filter(|word| word.contains(':'));
    words.map(str::to_owned).collect()
}

/// The permissions that the requests since the last reset needed. A batch of messages needs
/// `sqs:SendMessage` (Amazon SQS Developer Guide, "Amazon SQS API permissions").
fn used(world: &World) -> BTreeSet<String> {
    let calls = world.wire.counts().into_keys();
    calls
        .map(|call| match call.as_str() {
            "SendMessage" | "SendMessageBatch" => "sqs:SendMessage".to_owned(),
            _ => format!("dynamodb:{call}"),
        })
        .collect()
}

#[tokio::test]
async fn each_subcommand_makes_the_requests_that_its_permissions_are_named_for() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    requeue::one_of_each(&world, &receiver).await;
    world.wire.reset();
    requeue::tool(&world).run(&mut |_| {}).await.unwrap();
    assert_eq!(used(&world), listed("requeue"));

    let world = World::start().await;
    let id = redrive::failed_with_large_arguments(&world).await;
    world.wire.reset();
    let (tool, run) = (redrive::tool(&world), redrive::tool(&world));
    world.wire.plan([]);
    // Scan, the two reads, the arguments, the message and their copy come before the create.
    let first = Box::pin(async { tool.run(&mut |_| {}).await.unwrap() });
    let other = Box::pin(async { run.run(&mut |_| {}).await.unwrap() });
    let (late, early) = world.wire.delay(6, first, other).await;
    assert_eq!((late.before, early.created), (1, 1), "{id}");
    assert_eq!(used(&world), listed("redrive"));

    let world = World::start().await;
    let id = submit(&world, echo()).await;
    world.wire.reset();
    store(&world).inspect(&id).await.unwrap();
    assert_eq!(used(&world), listed("show"));

    erase::everything(&world).await;
    world.wire.reset();
    let tool = erase::tool(&world, true);
    tool.inspect(&mut |_, _| {}).await.unwrap();
    tool.run(&mut |_| {}).await.unwrap();
    assert_eq!(used(&world), listed("erase"));
}
