//! What a call costs, in the capacity units that the store reports.

use shared::domain::json::Json;
use shared::domain::operation::{Operation, Payload, Progress};
use shared::domain::precondition::Preconditions;
use shared::store::Draft;
use tests::meter::Units;
use tests::samples::incompressible;

use super::{Fixture, LEASE, NOW, json, owner};

/// Units consumed since the last call.
fn consumed(fixture: &Fixture) -> (f64, f64) {
    let Units {
        writes,
        index_writes,
        reads,
        ..
    } = fixture.wire.units();
    fixture.wire.reset();
    (writes + index_writes, reads)
}

/// An operation that fits a kilobyte.
fn ordinary(fixture: &Fixture) -> Operation {
    Operation {
        callback: None,
        ..fixture.accepted()
    }
}

#[tokio::test]
async fn an_ordinary_operation_costs_four_write_units_and_one_read_unit_a_poll() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let operation = ordinary(&fixture);
    store.create(&Draft::new(&operation), NOW).await.unwrap();
    assert_eq!(consumed(&fixture), (2.0, 0.0), "the record and its index");
    let held = fixture.hold(&operation, NOW).await;
    assert_eq!(consumed(&fixture), (1.0, 0.0));
    store.complete(&held, &json("1"), NOW).await.unwrap();
    assert_eq!(consumed(&fixture), (1.0, 0.0));
    store.get(&operation.id, NOW).await.unwrap();
    assert_eq!(consumed(&fixture), (0.0, 1.0));
}

#[tokio::test]
async fn no_step_after_the_create_writes_to_the_index() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let operation = ordinary(&fixture);
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    fixture.wire.reset();
    let progress = Progress {
        fraction: 0.5,
        message: Some("half".into()),
        at: NOW,
    };
    store
        .renew(&held, LEASE, Some(&progress), NOW)
        .await
        .unwrap();
    assert_eq!(consumed(&fixture), (1.0, 0.0));
    store
        .cancel(&operation.id, &owner(), &Preconditions::NONE, NOW)
        .await
        .unwrap();
    assert_eq!(consumed(&fixture), (1.0, 0.0));
}

/// AWS bills reads and writes by the whole item's size.
#[tokio::test]
async fn a_large_payload_does_not_make_later_steps_more_expensive() {
    let fixture = Fixture::start().await;
    let large = Json::of(&incompressible(200_000)).unwrap();
    let operation = Operation {
        arguments: Payload::Inline(large.clone()),
        ..ordinary(&fixture)
    };
    fixture.create(&operation).await;
    fixture.wire.reset();
    let held = fixture.hold(&operation, NOW).await;
    assert_eq!(consumed(&fixture), (1.0, 0.0));
    fixture.store.complete(&held, &large, NOW).await.unwrap();
    fixture.wire.reset();
    fixture.get(&operation.id).await;
    assert_eq!(consumed(&fixture), (0.0, 1.0));
}
