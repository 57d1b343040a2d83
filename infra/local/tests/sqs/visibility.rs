//! Received messages: visibility timeouts, deletes, and which receipt handle is valid.

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::change_message_visibility::{
    ChangeMessageVisibilityError, ChangeMessageVisibilityOutput,
};
use aws_sdk_sqs::types::{
    Message, MessageSystemAttributeName as System, QueueAttributeName as Name,
};

use crate::service::{Queue, Service, number};

const VISIBILITY: &[(Name, &str)] = &[(Name::VisibilityTimeout, "2")];

async fn change(
    queue: &Queue,
    message: &Message,
    secs: i32,
) -> Result<ChangeMessageVisibilityOutput, ChangeMessageVisibilityError> {
    let request = queue.client.change_message_visibility();
    let request = request.queue_url(&queue.url).visibility_timeout(secs);
    let request = request.set_receipt_handle(message.receipt_handle.clone());
    request.send().await.map_err(SdkError::into_service_error)
}

#[tokio::test]
async fn a_received_message_is_hidden_until_its_visibility_timeout_ends() {
    let service = Service::start().await;
    let queue = service.queue(VISIBILITY).await;
    let id = queue.send("again").await;
    let first = queue.next().await;
    queue.nothing_for(1).await;
    let second = queue.next_after(1).await;
    for message in [&first, &second] {
        assert_eq!(message.message_id(), Some(id.as_str()));
        assert_eq!(message.body(), Some("again"));
    }
    assert_ne!(first.receipt_handle(), second.receipt_handle());
    let count = System::ApproximateReceiveCount;
    assert_eq!(number(&first, &count), 1);
    assert_eq!(number(&second, &count), 2);
    for same in [
        System::SentTimestamp,
        System::ApproximateFirstReceiveTimestamp,
    ] {
        assert_eq!(number(&first, &same), number(&second, &same), "{same}");
    }
}

#[tokio::test]
async fn a_receive_can_set_the_visibility_timeout() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    queue.send("briefly").await;
    assert_eq!(queue.receive(2).await.len(), 1);
    queue.nothing_for(1).await;
    queue.next_after(1).await;
}

#[tokio::test]
async fn a_visibility_timeout_of_zero_does_not_hide_the_message() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    queue.send("shown").await;
    assert_eq!(queue.receive(0).await.len(), 1);
    queue.next().await;
}

#[tokio::test]
async fn a_deleted_message_is_not_delivered_again() {
    let service = Service::start().await;
    let queue = service.queue(VISIBILITY).await;
    queue.send("done").await;
    let message = queue.next().await;
    queue.delete(&message).await;
    queue.nothing_for(3).await;
    // A delete is idempotent.
    queue.delete(&message).await;
}

#[tokio::test]
async fn the_visibility_timeout_of_a_message_in_flight_can_be_extended() {
    let service = Service::start().await;
    let queue = service.queue(VISIBILITY).await;
    queue.send("long work").await;
    let message = queue.next().await;
    change(&queue, &message, 4).await.unwrap();
    queue.nothing_for(3).await;
    queue.next_after(1).await;
}

#[tokio::test]
async fn the_visibility_timeout_of_a_message_in_flight_can_be_shortened() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::VisibilityTimeout, "600")]).await;
    queue.send("not now").await;
    let message = queue.next().await;
    change(&queue, &message, 0).await.unwrap();
    let message = queue.next().await;
    change(&queue, &message, 1).await.unwrap();
    queue.next_after(1).await;
}

#[tokio::test]
async fn a_visibility_timeout_set_to_zero_wakes_a_long_poll() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::VisibilityTimeout, "600")]).await;
    queue.send("who wants it").await;
    let held = queue.next().await;
    let (received, changed) = tokio::join!(queue.next(), change(&queue, &held, 0));
    changed.unwrap();
    assert_eq!(received.message_id, held.message_id);
}

#[tokio::test]
async fn the_latest_receipt_handle_deletes_even_after_the_visibility_timeout() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    queue.send("late").await;
    let messages = queue.receive(0).await;
    queue.delete(&messages[0]).await;
    queue.nothing_for(0).await;
}

#[tokio::test]
async fn an_older_receipt_handle_neither_deletes_nor_hides_the_message() {
    let Some(service) = Service::local_only("moto honours every handle a message ever had").await
    else {
        return;
    };
    let queue = service.queue(VISIBILITY).await;
    queue.send("whose").await;
    let older = queue.next().await;
    let latest = queue.next_after(2).await;
    queue.delete(&older).await;
    let error = change(&queue, &older, 60).await.unwrap_err();
    assert!(error.is_message_not_inflight(), "{error:?}");

    let again = queue.next_after(2).await;
    assert_eq!(again.message_id, latest.message_id);
    queue.delete(&again).await;
    queue.nothing_for(2).await;
}

#[tokio::test]
async fn the_visibility_timeout_of_a_visible_message_cannot_be_changed() {
    let Some(service) = Service::local_only("moto hides a message that is not in flight").await
    else {
        return;
    };
    let queue = service.queue(&[]).await;
    queue.send("free").await;
    let messages = queue.receive(0).await;
    let error = change(&queue, &messages[0], 60).await.unwrap_err();
    assert!(error.is_message_not_inflight(), "{error:?}");
}

#[tokio::test]
async fn the_visibility_timeout_of_a_deleted_message_cannot_be_changed() {
    let Some(service) = Service::local_only("moto calls its handle invalid").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    queue.send("gone").await;
    let message = queue.next().await;
    queue.delete(&message).await;
    let error = change(&queue, &message, 60).await.unwrap_err();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn a_receipt_handle_from_another_queue_is_invalid() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let other = service.queue(&[]).await;
    other.send("elsewhere").await;
    let foreign = other.next().await;
    let garbled = Message::builder().receipt_handle("garbled").build();
    for message in [foreign, garbled] {
        let delete = service.client.delete_message().queue_url(&queue.url);
        let delete = delete.set_receipt_handle(message.receipt_handle.clone());
        let error = delete.send().await.unwrap_err().into_service_error();
        assert!(error.is_receipt_handle_is_invalid(), "{error:?}");
        let error = change(&queue, &message, 1).await.unwrap_err();
        assert!(error.is_receipt_handle_is_invalid(), "{error:?}");
    }
}

#[tokio::test]
async fn a_visibility_timeout_is_at_most_twelve_hours() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    queue.send("for ever").await;
    let message = queue.next().await;
    let error = change(&queue, &message, 43_201).await.unwrap_err();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn the_twelve_hours_count_from_the_receive() {
    let Some(service) = Service::local_only("twelve hours cannot be waited for").await else {
        return;
    };
    let queue = service.queue(&[(Name::VisibilityTimeout, "7200")]).await;
    queue.send("for ever").await;
    let message = queue.next().await;
    queue.nothing_for(3_600).await;
    let error = change(&queue, &message, 39_601).await.unwrap_err();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
    change(&queue, &message, 39_600).await.unwrap();
    queue.nothing_for(39_599).await;
    queue.next_after(1).await;
}
