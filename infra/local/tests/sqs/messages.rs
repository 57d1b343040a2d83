//! Messages: bodies and their digests, groups, limits, delays and long polls.

use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{MessageSystemAttributeName as System, QueueAttributeName as Name};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::service::{Service, code, number};

const MESSAGE_BYTES_MAX: usize = 1_048_576;

#[tokio::test]
async fn a_body_arrives_as_it_was_sent_with_its_digest() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    for (body, md5) in [
        ("hello", "5d41402abc4b2a76b9719d911017c592"),
        // Computed with `md5sum`.
        (
            "{\"\u{e4}\": \"\u{1f680}\\n\"}\t\r\n",
            "92d693921e58364a60507c8c9bc5522b",
        ),
    ] {
        let request = service.client.send_message().queue_url(&queue.url);
        let sent = request.message_body(body).send().await.unwrap();
        assert_eq!(sent.md5_of_message_body(), Some(md5));
        let message = queue.next().await;
        assert_eq!(message.message_id, sent.message_id);
        assert_eq!(message.body(), Some(body));
        assert_eq!(message.md5_of_body(), Some(md5));
        queue.delete(&message).await;
    }
}

#[tokio::test]
async fn a_body_has_at_most_one_mebibyte() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    // Quotation marks take two bytes on the wire; the limit is for the message.
    let body = "\"".repeat(MESSAGE_BYTES_MAX);
    queue.send(&body).await;
    assert_eq!(queue.next().await.body(), Some(body.as_str()));
    let request = service.client.send_message().queue_url(&queue.url);
    let request = request.message_body(format!("{body}x"));
    assert_eq!(code(request.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn an_empty_body_and_characters_that_xml_does_not_allow_are_refused() {
    let Some(service) = Service::local_only("moto takes any body").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let request = service.client.send_message().queue_url(&queue.url);
    let empty = request.clone().message_body("").send().await;
    assert_eq!(code(empty), "MissingParameter");
    assert_eq!(code(request.clone().send().await), "MissingParameter");
    for body in ["\u{0}", "a\u{8}b", "\u{b}", "\u{fffe}", "\u{ffff}"] {
        let error = request.clone().message_body(body).send().await;
        let error = error.unwrap_err().into_service_error();
        assert!(error.is_invalid_message_contents(), "{body:?}");
    }
    request
        .message_body("\u{d7ff}\u{e000}\u{fffd}\u{10ffff}")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_message_group_arrives_and_has_one_to_128_characters() {
    let Some(service) = Service::local_only("moto takes any group, on a standard queue").await
    else {
        return;
    };
    let queue = service.queue(&[]).await;
    let longest = "g".repeat(128);
    for group in ["a-1", "!~", &longest] {
        let request = service.client.send_message().queue_url(&queue.url);
        let request = request.message_body("grouped").message_group_id(group);
        request.send().await.unwrap();
        let message = queue.next().await;
        let attributes = message.attributes.as_ref().unwrap();
        assert_eq!(attributes[&System::MessageGroupId], group);
        queue.delete(&message).await;
    }
    let too_long = "g".repeat(129);
    for group in ["", "a b", "\u{e4}", &too_long] {
        let request = service.client.send_message().queue_url(&queue.url);
        let request = request.message_body("grouped").message_group_id(group);
        let refused = code(request.send().await);
        assert_eq!(refused, "InvalidParameterValue", "{group:?}");
    }
}

#[tokio::test]
async fn a_deduplication_id_is_refused_on_a_standard_queue() {
    let Some(service) = Service::local_only("moto takes it on a standard queue").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let request = service.client.send_message().queue_url(&queue.url);
    let request = request.message_body("once").message_deduplication_id("1");
    assert_eq!(code(request.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn the_parameters_of_a_receive_have_ranges() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let request = || service.client.receive_message().queue_url(&queue.url);
    for request in [
        request().max_number_of_messages(0),
        request().max_number_of_messages(11),
        request().wait_time_seconds(-1),
        request().wait_time_seconds(21),
        request().visibility_timeout(43_201),
    ] {
        let input = format!("{:?}", request.as_input());
        assert_eq!(
            code(request.send().await),
            "InvalidParameterValue",
            "{input}"
        );
    }
}

#[tokio::test]
async fn a_receive_returns_at_most_the_requested_number_of_messages() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let mut sent = std::collections::BTreeSet::new();
    for n in 0..12 {
        sent.insert(queue.send(&n.to_string()).await);
    }
    let one = service.client.receive_message().queue_url(&queue.url);
    let mut messages = one.send().await.unwrap().messages.unwrap();
    assert_eq!(messages.len(), 1);
    messages.extend(queue.receive(60).await);
    assert_eq!(messages.len(), 11);
    messages.extend(queue.receive(60).await);
    let received = messages.into_iter().map(|m| m.message_id.unwrap());
    assert_eq!(received.collect::<std::collections::BTreeSet<_>>(), sent);
    queue.nothing_for(0).await;
}

#[tokio::test]
async fn a_delayed_message_is_received_only_after_its_delay() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::DelaySeconds, "2")]).await;
    queue.send("by the queue's delay").await;
    queue.nothing_for(1).await;
    let message = queue.next_after(1).await;
    queue.delete(&message).await;

    let send = |secs| {
        let request = service.client.send_message().queue_url(&queue.url);
        request.message_body("its own").delay_seconds(secs).send()
    };
    send(0).await.unwrap();
    let message = queue.next().await;
    queue.delete(&message).await;
    send(4).await.unwrap();
    queue.nothing_for(3).await;
    queue.next_after(1).await;
    assert_eq!(code(send(901).await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_message_wakes_a_long_poll() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let (message, id) = tokio::join!(queue.next(), queue.send("awaited"));
    assert_eq!(message.message_id, Some(id));
}

#[tokio::test]
async fn two_long_polls_receive_one_of_two_messages_each() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let one = || {
        let request = service.client.receive_message().queue_url(&queue.url);
        request.wait_time_seconds(10).send()
    };
    let (first, second, a, b) = tokio::join!(
        one(),
        one(),
        queue.send("for one"),
        queue.send("for the other")
    );
    let id = |received: ReceiveMessageOutput| received.messages()[0].message_id.clone().unwrap();
    let mut received = [first, second].map(|received| id(received.unwrap()));
    let mut sent = [a, b];
    received.sort();
    sent.sort();
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_queues_wait_time_makes_every_receive_a_long_poll() {
    let service = Service::start().await;
    let queue = service
        .queue(&[(Name::ReceiveMessageWaitTimeSeconds, "10")])
        .await;
    let receive = service.client.receive_message().queue_url(&queue.url);
    let (received, id) = tokio::join!(receive.send(), queue.send("awaited"));
    assert_eq!(received.unwrap().messages()[0].message_id, Some(id));
}

/// A message in a response that cannot be sent would be in flight until its visibility timeout
/// ends.
#[tokio::test]
async fn a_receive_whose_client_has_hung_up_takes_no_message() {
    let reason = "moto answers a receive though its client is gone";
    let Some(service) = Service::local_only(reason).await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let address = queue.url.split('/').nth(2).unwrap();
    let body = json!({"QueueUrl": queue.url, "WaitTimeSeconds": 20}).to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        // This request is served after the receive, which is waiting by then.
        queue.attribute(Name::ApproximateNumberOfMessages).await;
        drop(client);
        queue.send("for the next receive").await;
        let messages = queue.receive(30).await;
        assert_eq!(messages.len(), 1);
        assert_eq!(number(&messages[0], &System::ApproximateReceiveCount), 1);
        queue.delete(&messages[0]).await;
    }
}
