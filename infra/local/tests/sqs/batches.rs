//! Batches: errors of one entry, and errors of the whole batch.

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry as Change,
    DeleteMessageBatchRequestEntry as Delete, QueueAttributeName as Name,
    SendMessageBatchRequestEntry as Send,
};

use crate::service::{Queue, Service};

const MESSAGE_BYTES_MAX: usize = 1_048_576;

fn entry(id: &str, body: &str) -> Send {
    Send::builder().id(id).message_body(body).build().unwrap()
}

async fn send(
    queue: &Queue,
    entries: Vec<Send>,
) -> Result<SendMessageBatchOutput, SendMessageBatchError> {
    let request = queue.client.send_message_batch().queue_url(&queue.url);
    let request = request.set_entries(Some(entries)).send();
    request.await.map_err(SdkError::into_service_error)
}

fn failures(failed: &[BatchResultErrorEntry]) -> Vec<(&str, &str, bool)> {
    failed
        .iter()
        .map(|entry| (entry.id(), entry.code(), entry.sender_fault()))
        .collect()
}

#[tokio::test]
async fn a_batch_is_sent_received_and_deleted() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::VisibilityTimeout, "2")]).await;
    let entries = (0..10).map(|n| entry(&n.to_string(), "hello")).collect();
    let sent = send(&queue, entries).await.unwrap();
    assert!(sent.failed().is_empty());
    assert_eq!(sent.successful().len(), 10);
    for entry in sent.successful() {
        assert_eq!(
            entry.md5_of_message_body(),
            "5d41402abc4b2a76b9719d911017c592"
        );
        assert!(entry.md5_of_message_attributes().is_none());
    }

    let received = queue.receive(2).await;
    assert_eq!(received.len(), 10);
    let mut request = service.client.delete_message_batch().queue_url(&queue.url);
    for (n, message) in received.iter().take(9).enumerate() {
        let entry = Delete::builder().id(n.to_string());
        let entry = entry.set_receipt_handle(message.receipt_handle.clone());
        request = request.entries(entry.build().unwrap());
    }
    let garbled = Delete::builder().id("garbled").receipt_handle("garbled");
    let deleted = request.entries(garbled.build().unwrap()).send();
    let deleted = deleted.await.unwrap();
    assert_eq!(deleted.successful().len(), 9);
    assert_eq!(
        failures(deleted.failed()),
        [("garbled", "ReceiptHandleIsInvalid", true)]
    );
    let left = queue.next_after(2).await;
    assert_eq!(left.message_id, received[9].message_id);
}

#[tokio::test]
async fn a_batch_changes_the_visibility_of_each_entry() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::VisibilityTimeout, "600")]).await;
    let entries = vec![entry("a", "back"), entry("b", "kept"), entry("c", "kept")];
    send(&queue, entries).await.unwrap();
    let received = queue.receive(600).await;
    let change = |id: &str, handle: Option<&str>, secs| {
        let entry = Change::builder().id(id).visibility_timeout(secs);
        let entry = entry.set_receipt_handle(handle.map(str::to_owned));
        entry.build().unwrap()
    };
    let request = service.client.change_message_visibility_batch();
    let request = request
        .queue_url(&queue.url)
        .entries(change("now", received[0].receipt_handle(), 0))
        .entries(change("too-long", received[1].receipt_handle(), 43_201))
        .entries(change("garbled", Some("garbled"), 1));
    let changed = request.send().await.unwrap();
    assert_eq!(changed.successful().len(), 1);
    assert_eq!(changed.successful()[0].id(), "now");
    assert_eq!(
        failures(changed.failed()),
        [
            ("too-long", "InvalidParameterValue", true),
            ("garbled", "ReceiptHandleIsInvalid", true)
        ]
    );
    assert_eq!(queue.next().await.message_id, received[0].message_id);
}

#[tokio::test]
async fn each_entry_has_its_delay() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let late = Send::builder().id("late").message_body("late");
    let late = late.delay_seconds(901).build().unwrap();
    let delayed = Send::builder().id("delayed").message_body("delayed");
    let delayed = delayed.delay_seconds(2).build().unwrap();
    let entries = vec![late, delayed, entry("now", "now")];
    let sent = send(&queue, entries).await.unwrap();
    assert_eq!(
        failures(sent.failed()),
        [("late", "InvalidParameterValue", true)]
    );
    assert_eq!(queue.next().await.body(), Some("now"));
    queue.nothing_for(1).await;
    assert_eq!(queue.next_after(1).await.body(), Some("delayed"));
}

#[tokio::test]
async fn an_entry_that_cannot_be_sent_does_not_stop_the_others() {
    let Some(service) = Service::local_only("moto refuses the whole batch, or nothing").await
    else {
        return;
    };
    let queue = service.queue(&[(Name::MaximumMessageSize, "1024")]).await;
    let entries = vec![
        entry("empty", ""),
        entry("long", &"x".repeat(1_025)),
        entry("odd", "\u{1}"),
        entry("good", &"x".repeat(1_024)),
    ];
    let sent = send(&queue, entries).await.unwrap();
    assert_eq!(sent.successful().len(), 1);
    assert_eq!(sent.successful()[0].id(), "good");
    assert_eq!(
        failures(sent.failed()),
        [
            ("empty", "MissingParameter", true),
            ("long", "InvalidParameterValue", true),
            ("odd", "InvalidMessageContents", true)
        ]
    );
}

#[tokio::test]
async fn a_batch_that_is_invalid_as_a_whole_sends_nothing() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let error = send(&queue, vec![]).await.unwrap_err();
    assert!(error.is_empty_batch_request(), "{error:?}");
    let eleven = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    let error = send(&queue, eleven).await.unwrap_err();
    assert!(error.is_too_many_entries_in_batch_request(), "{error:?}");
    let twice = vec![entry("same", "x"), entry("same", "y")];
    let error = send(&queue, twice).await.unwrap_err();
    assert!(error.is_batch_entry_ids_not_distinct(), "{error:?}");
    for id in ["with space", "", &"x".repeat(81)] {
        let error = send(&queue, vec![entry(id, "x")]).await.unwrap_err();
        assert!(error.is_invalid_batch_entry_id(), "{id}: {error:?}");
    }
    let half = "x".repeat(MESSAGE_BYTES_MAX / 2);
    let over = vec![entry("a", &half), entry("b", &half), entry("c", "x")];
    let error = send(&queue, over).await.unwrap_err();
    assert!(error.is_batch_request_too_long(), "{error:?}");
    queue.nothing_for(0).await;

    let exact = vec![entry("a", &half), entry("b", &half)];
    assert_eq!(send(&queue, exact).await.unwrap().successful().len(), 2);
}

#[tokio::test]
async fn batches_of_deletes_are_checked_as_a_whole_too() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let delete = service.client.delete_message_batch().queue_url(&queue.url);
    let error = delete.set_entries(Some(vec![])).send().await.unwrap_err();
    assert!(error.into_service_error().is_empty_batch_request());
    let entry = Delete::builder().id("same").receipt_handle("x");
    let entry = entry.build().unwrap();
    let delete = service.client.delete_message_batch().queue_url(&queue.url);
    let delete = delete.entries(entry.clone()).entries(entry);
    let error = delete.send().await.unwrap_err().into_service_error();
    assert!(error.is_batch_entry_ids_not_distinct(), "{error:?}");
}

#[tokio::test]
async fn a_batch_for_a_missing_queue_fails_as_a_whole() {
    let service = Service::start().await;
    let mut queue = service.queue(&[]).await;
    queue.url = queue.url.replace(&queue.name, "missing");
    let error = send(&queue, vec![entry("a", "x")]).await.unwrap_err();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
}
