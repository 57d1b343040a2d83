//! What the operator's tool uses: scans, records as they are stored, and erasing what has expired.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Owner, Payload};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::store::table::TABLE_KEYS;
use shared::store::{EraseOutcome, Inspected, Record, StoreError};
use tests::samples::incompressible;

use super::{Fixture, NOW, json, owner};

const MOMENT: Duration = Duration::from_millis(1);

fn large() -> Payload {
    Payload::Inline(Json::of(&incompressible(2000)).unwrap())
}

/// Scans in pages of this many items. Returns the operations, and the errors of records that cannot
/// be read.
async fn scan(
    fixture: &Fixture,
    items_max: u32,
    now: Timestamp,
) -> (BTreeSet<OperationId>, Vec<StoreError>) {
    let (mut operations, mut unreadable) = (BTreeSet::new(), Vec::new());
    let (mut examined, mut from) = (0, None);
    loop {
        let page = fixture
            .store
            .scan_operations(items_max, from, now)
            .await
            .unwrap();
        assert!(page.examined <= usize::try_from(items_max).unwrap());
        examined += page.examined;
        for operation in page.operations {
            match operation {
                Ok(operation) => assert!(operations.insert(operation.id)),
                Err(error) => unreadable.push(error),
            }
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let items = fixture.dynamodb.scan().table_name(&fixture.table);
    assert_eq!(examined, items.send().await.unwrap().items().len());
    (operations, unreadable)
}

/// Sets or removes an attribute of a head directly, without any condition.
pub(super) async fn tamper(
    fixture: &Fixture,
    id: &OperationId,
    name: &str,
    value: Option<AttributeValue>,
) {
    let [pk, sk] = TABLE_KEYS;
    let update = fixture
        .dynamodb
        .update_item()
        .table_name(&fixture.table)
        .key(pk, AttributeValue::S(id.to_string()))
        .key(sk, AttributeValue::S("head".to_owned()))
        .expression_attribute_names("#name", name)
        .set_expression_attribute_values(
            value
                .clone()
                .map(|value| [(":value".to_owned(), value)].into()),
        )
        .update_expression(match value {
            Some(_) => "SET #name = :value",
            None => "REMOVE #name",
        });
    update.send().await.unwrap();
}

async fn inspect(fixture: &Fixture, id: &OperationId) -> Inspected {
    fixture.store.inspect(id).await.unwrap()
}

#[tokio::test]
async fn a_scan_returns_every_visible_operation_once() {
    let fixture = Fixture::start().await;
    let pending = Operation {
        arguments: large(),
        metadata: large(),
        ..fixture.accepted()
    };
    fixture.create(&pending).await;
    let held = fixture.held().await;
    let completed = fixture.completed().await;
    let erased = fixture.completed().await;
    let outcome = fixture
        .store
        .erase(&erased.id, &owner(), &Preconditions::NONE, NOW)
        .await;
    assert_eq!(outcome.unwrap(), EraseOutcome::Erased);
    let expired = Operation {
        expires_at: NOW,
        ..fixture.accepted()
    };
    fixture.create(&expired).await;

    let visible = [&pending.id, &held.operation().id, &completed.id];
    let visible: BTreeSet<_> = visible.into_iter().cloned().collect();
    for items_max in [1, 3, 1000] {
        let (operations, unreadable) = scan(&fixture, items_max, NOW).await;
        assert_eq!(operations, visible);
        assert!(unreadable.is_empty(), "{unreadable:?}");
    }
    let (operations, _) = scan(&fixture, 1000, NOW - MOMENT * 1000).await;
    assert!(operations.contains(&expired.id));
}

#[tokio::test]
async fn a_scan_reports_every_record_that_cannot_be_read() {
    let fixture = Fixture::start().await;
    let number = |digits: &str| AttributeValue::N(digits.to_owned());
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let mut expected = BTreeSet::new();
    for (name, value, problem) in [
        ("format", Some(number("3")), "has the newer format 3"),
        ("status", Some(text("asleep")), "is corrupt at status"),
        ("delete_at", None, "is corrupt at delete_at"),
        ("delete_at", Some(text("soon")), "is corrupt at delete_at"),
    ] {
        let operation = fixture.created().await;
        tamper(&fixture, &operation.id, name, value).await;
        expected.insert(format!("operation {} {problem}", operation.id));
    }
    let (operations, unreadable) = scan(&fixture, 1000, NOW).await;
    assert_eq!(operations, BTreeSet::new());
    let problems: BTreeSet<_> = unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(problems, expected);
}

#[tokio::test]
async fn an_inspection_shows_external_payloads_even_without_a_head() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        arguments: large(),
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let held = fixture.hold(&operation, NOW).await;
    let result = Json::of(&incompressible(2000)).unwrap();
    fixture.store.complete(&held, &result, NOW).await.unwrap();

    let inspected = inspect(&fixture, &operation.id).await;
    let record = inspected.head.as_ref().unwrap();
    assert_eq!((record.format, record.erased_at), (Some(1), None));
    let Record::Operation(read) = &record.record else {
        panic!("{record:?}");
    };
    assert_eq!(inspected.arguments(read), operation.arguments.json());
    assert_eq!(inspected.metadata(read), Some(&Json::empty_object()));
    assert_eq!(inspected.result(read), Some(&result));
    let keys: Vec<_> = inspected.payloads.iter().map(|item| &item.key).collect();
    let create_id = operation.create_id.as_str();
    assert_eq!(
        keys,
        [
            &format!("arguments#{create_id}"),
            &format!("result#{create_id}#1")
        ]
    );
    assert!(inspected.payloads.iter().all(|item| item.bytes > 1000));

    let [pk, sk] = TABLE_KEYS;
    let delete = fixture.dynamodb.delete_item().table_name(&fixture.table);
    let delete = delete.key(pk, AttributeValue::S(operation.id.to_string()));
    let delete = delete.key(sk, AttributeValue::S("head".to_owned()));
    delete.send().await.unwrap();
    let inspected = inspect(&fixture, &operation.id).await;
    assert!(inspected.head.is_none());
    assert_eq!(inspected.payloads.len(), 2);
    let nothing = inspect(&fixture, &OperationId::from_bytes([0; 12])).await;
    assert!(nothing.head.is_none() && nothing.payloads.is_empty());
}

#[tokio::test]
async fn an_inspection_of_an_unreadable_record_hides_payloads_and_unknown_attributes() {
    let fixture = Fixture::start().await;
    let operation = fixture.created().await;
    let secret = || Some(AttributeValue::S("secret".to_owned()));
    let url = AttributeValue::S("https://example.com/?token=secret".to_owned());
    tamper(&fixture, &operation.id, "callback_url", Some(url)).await;
    tamper(&fixture, &operation.id, "arguments", secret()).await;
    tamper(&fixture, &operation.id, "of_newer_code", secret()).await;

    let head = inspect(&fixture, &operation.id).await.head.unwrap();
    let Record::Unreadable { error, attributes } = &head.record else {
        panic!("{head:?}");
    };
    assert!(
        error.to_string().ends_with("is corrupt at arguments"),
        "{error}"
    );
    for (name, shown) in [
        ("status", r#""pending""#),
        ("lock_version", "1"),
        ("owner", r#""jwt:alice""#),
        ("callback_url", r#""https://example.com/?REDACTED""#),
        ("arguments", r#""6 bytes""#),
        ("of_newer_code", r#""6 bytes""#),
    ] {
        assert_eq!(attributes[name].as_str(), shown, "{name}");
    }
    assert!(!format!("{attributes:?}").contains("secret"));
}

#[tokio::test]
async fn the_operators_erase_deletes_an_expired_operation_of_its_owner() {
    let fixture = Fixture::start().await;
    let operation = Operation {
        arguments: large(),
        expires_at: NOW,
        ..fixture.accepted()
    };
    fixture.create(&operation).await;
    let (store, id) = (&fixture.store, &operation.id);
    let bob = Owner::new("jwt", "bob").unwrap();
    assert_eq!(
        store.erase_including_expired(id, &bob, NOW).await.unwrap(),
        EraseOutcome::Absent
    );
    assert_eq!(
        store
            .erase(id, &owner(), &Preconditions::NONE, NOW)
            .await
            .unwrap(),
        EraseOutcome::Absent
    );
    // It has not expired a moment before.
    let early = store
        .erase_including_expired(id, &owner(), NOW - MOMENT)
        .await;
    assert_eq!(early.unwrap(), EraseOutcome::Live);
    assert_eq!(fixture.items(id).await.len(), 2);

    assert_eq!(
        store
            .erase_including_expired(id, &owner(), NOW)
            .await
            .unwrap(),
        EraseOutcome::Erased
    );
    let [tombstone] = fixture
        .items(id)
        .await
        .try_into()
        .expect("only the tombstone");
    assert_eq!(tombstone.len(), 6);
    assert!(tombstone.contains_key("erased_at") && !tombstone.contains_key("owner"));
    assert_eq!(
        store
            .erase_including_expired(id, &owner(), NOW)
            .await
            .unwrap(),
        EraseOutcome::Absent
    );
}

#[tokio::test]
async fn the_operators_erase_refuses_a_live_operation() {
    let fixture = Fixture::start().await;
    let store = &fixture.store;
    let held = fixture.held().await;
    let id = &held.operation().id;
    assert_eq!(
        store
            .erase_including_expired(id, &owner(), NOW)
            .await
            .unwrap(),
        EraseOutcome::Live
    );
    store.complete(&held, &json("1"), NOW).await.unwrap();
    assert_eq!(
        store
            .erase_including_expired(id, &owner(), NOW)
            .await
            .unwrap(),
        EraseOutcome::Erased
    );
    assert_eq!(fixture.items(id).await.len(), 1);
}

#[tokio::test]
async fn the_index_has_every_operation_of_an_owner_until_it_is_erased() {
    let fixture = Fixture::start().await;
    let mut expected = BTreeSet::new();
    let expired = Operation {
        expires_at: NOW,
        ..fixture.accepted()
    };
    fixture.create(&expired).await;
    expected.insert(expired.id);
    let corrupt = fixture.created().await;
    tamper(&fixture, &corrupt.id, "status", None).await;
    expected.insert(corrupt.id);
    for _ in 0..120 {
        expected.insert(fixture.created().await.id);
    }
    let erased = fixture.completed().await;
    fixture
        .store
        .erase(&erased.id, &owner(), &Preconditions::NONE, NOW)
        .await
        .unwrap();

    let (mut found, mut pages, mut from) = (BTreeSet::new(), 0, None);
    loop {
        let page = fixture
            .store
            .owned_keys(&owner(), from.as_ref())
            .await
            .unwrap();
        found.extend(page.keys.into_iter().map(|key| key.id));
        pages += 1;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (expected, 2));
}
