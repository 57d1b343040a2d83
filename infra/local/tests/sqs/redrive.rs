//! Dead-letter queues and retention.

use aws_sdk_sqs::types::{MessageSystemAttributeName as System, QueueAttributeName as Name};

use crate::service::{Queue, Service, code, number};

/// A queue, and the dead-letter queue to which its messages move after two receives.
async fn source_and_dead_letters(service: &Service) -> (Queue, Queue) {
    let dead_letters = service.queue(&[]).await;
    let policy = policy(&dead_letters, "2").await;
    let source = service.queue(&[(Name::RedrivePolicy, &policy)]).await;
    (source, dead_letters)
}

async fn policy(target: &Queue, max_receive_count: &str) -> String {
    let arn = target.attribute(Name::QueueArn).await;
    format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receive_count}}}"#)
}

#[tokio::test]
async fn a_message_moves_at_the_receive_after_the_maximum() {
    let service = Service::start().await;
    let (source, dead_letters) = source_and_dead_letters(&service).await;
    let id = source.send("poison").await;
    let first = source.receive(0).await.remove(0);
    assert_eq!(source.receive(0).await.len(), 1);
    dead_letters.nothing_for(0).await;
    assert_eq!(source.receive(0).await, []);

    let dead = dead_letters.next().await;
    assert_eq!(dead.message_id(), Some(id.as_str()));
    assert_eq!(dead.body(), Some("poison"));
    assert_eq!(number(&dead, &System::ApproximateReceiveCount), 3);
    for kept in [
        System::SentTimestamp,
        System::ApproximateFirstReceiveTimestamp,
    ] {
        assert_eq!(number(&dead, &kept), number(&first, &kept), "{kept}");
    }
    dead_letters.delete(&dead).await;
    source.nothing_for(0).await;
}

#[tokio::test]
async fn a_dead_letter_names_its_source_queue() {
    let Some(service) = Service::local_only("moto has no DeadLetterQueueSourceArn").await else {
        return;
    };
    let (source, dead_letters) = source_and_dead_letters(&service).await;
    source.send("poison").await;
    for _ in 0..3 {
        source.receive(0).await;
    }
    let dead = dead_letters.next().await;
    let origin = &dead.attributes.as_ref().unwrap()[&System::DeadLetterQueueSourceArn];
    assert_eq!(*origin, source.attribute(Name::QueueArn).await);
}

#[tokio::test]
async fn a_dead_letter_wakes_a_long_poll_on_its_queue() {
    let service = Service::start().await;
    let (source, dead_letters) = source_and_dead_letters(&service).await;
    let id = source.send("poison").await;
    let (dead, ()) = tokio::join!(dead_letters.next(), async {
        for _ in 0..3 {
            source.receive(0).await;
        }
    });
    assert_eq!(dead.message_id, Some(id));
}

#[tokio::test]
async fn a_receipt_handle_from_before_the_move_does_not_delete_the_dead_letter() {
    let Some(service) = Service::local_only("moto calls the handle invalid on the source").await
    else {
        return;
    };
    let (source, dead_letters) = source_and_dead_letters(&service).await;
    source.send("poison").await;
    source.receive(0).await;
    let last = source.receive(0).await.remove(0);
    source.receive(0).await;
    source.delete(&last).await;
    dead_letters.next().await;
}

#[tokio::test]
async fn two_queues_that_are_each_others_dead_letter_queue_count_their_own_receives() {
    let Some(service) = Service::local_only("moto redrives by the count of all queues").await
    else {
        return;
    };
    let (source, dead_letters) = source_and_dead_letters(&service).await;
    let back = policy(&source, "1").await;
    let request = service
        .client
        .set_queue_attributes()
        .queue_url(&dead_letters.url);
    let request = request.attributes(Name::RedrivePolicy, back);
    request.send().await.unwrap();
    source.send("to and fro").await;
    for _ in 0..3 {
        source.receive(0).await;
    }
    assert_eq!(dead_letters.receive(0).await.len(), 1);
    assert_eq!(dead_letters.receive(0).await, []);
    assert_eq!(source.receive(0).await.len(), 1);
}

#[tokio::test]
async fn a_redrive_policy_is_shown_as_numbers_and_can_be_removed() {
    let service = Service::start().await;
    let dead_letters = service.queue(&[]).await;
    let text = policy(&dead_letters, "\"1\"").await;
    let source = service.queue(&[(Name::RedrivePolicy, &text)]).await;
    let shown: serde_json::Value =
        serde_json::from_str(&source.attribute(Name::RedrivePolicy).await).unwrap();
    assert_eq!(shown["maxReceiveCount"], 1);

    let request = service.client.set_queue_attributes().queue_url(&source.url);
    let request = request.attributes(Name::RedrivePolicy, "");
    request.send().await.unwrap();
    source.send("harmless now").await;
    for _ in 0..3 {
        assert_eq!(source.receive(0).await.len(), 1);
    }
}

#[tokio::test]
async fn an_invalid_redrive_policy_is_refused() {
    let Some(service) = Service::local_only("moto refuses some of these, by other codes").await
    else {
        return;
    };
    let queue = service.queue(&[]).await;
    let other = service.queue(&[]).await;
    let missing = policy(&other, "5").await.replace(&other.name, "missing");
    for policy in [
        missing,
        policy(&queue, "5").await,
        policy(&other, "0").await,
        policy(&other, "1001").await,
        policy(&other, "\"many\"").await,
        "{}".to_owned(),
        "five".to_owned(),
    ] {
        let request = service.client.set_queue_attributes().queue_url(&queue.url);
        let request = request.attributes(Name::RedrivePolicy, &policy);
        assert_eq!(
            code(request.send().await),
            "InvalidParameterValue",
            "{policy}"
        );
    }
}

#[tokio::test]
async fn a_message_is_deleted_when_its_retention_period_ends() {
    let Some(service) = Service::local_only("the shortest retention is a minute").await else {
        return;
    };
    let queue = service.queue(&[(Name::MessageRetentionPeriod, "60")]).await;
    queue.send("old").await;
    assert_eq!(queue.receive(10).await.len(), 1);
    queue.next_after(30).await;
    queue.send("newer").await;
    let message = queue.next_after(30).await;
    assert_eq!(message.body(), Some("newer"));
}

#[tokio::test]
async fn a_dead_letters_retention_counts_from_its_first_send() {
    let Some(service) = Service::local_only("the shortest retention is a minute").await else {
        return;
    };
    let dead_letters = service.queue(&[(Name::MessageRetentionPeriod, "60")]).await;
    let policy = policy(&dead_letters, "1").await;
    let source = service.queue(&[(Name::RedrivePolicy, &policy)]).await;
    source.send("poison").await;
    source.receive(50).await;
    source.nothing_for(50).await;
    let count = Name::ApproximateNumberOfMessages;
    assert_eq!(dead_letters.attribute(count.clone()).await, "1");
    dead_letters.nothing_for(10).await;
    assert_eq!(dead_letters.attribute(count).await, "0");
}
