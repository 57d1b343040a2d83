//! Messages: what is sent and what arrives, digests, attributes, limits, delays and long polls.

use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue as Value, MessageSystemAttributeName as System,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName as Name,
};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::service::{Queue, Service, code, number};

const MAXIMUM_BYTES: usize = 1_048_576;

fn text(data_type: &str, value: &str) -> Value {
    let value = Value::builder().data_type(data_type).string_value(value);
    value.build().unwrap()
}

fn bytes(value: &[u8]) -> Value {
    let builder = Value::builder().data_type("Binary");
    builder.binary_value(Blob::new(value)).build().unwrap()
}

async fn send_with(queue: &Queue, attributes: &[(&str, Value)]) -> Result<String, String> {
    let mut request = queue.client.send_message().queue_url(&queue.url);
    for (name, value) in attributes {
        request = request.message_attributes(*name, value.clone());
    }
    match request.message_body("with attributes").send().await {
        Ok(sent) => Ok(sent.md5_of_message_attributes.unwrap()),
        Err(error) => Err(code::<(), _>(Err(error))),
    }
}

async fn receive_wanting(queue: &Queue, wanted: &[&str]) -> Message {
    let request = queue.client.receive_message().queue_url(&queue.url);
    let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
    let request = request.set_message_attribute_names(Some(wanted));
    let received = request.visibility_timeout(0).send().await.unwrap();
    received.messages.unwrap().remove(0)
}

#[tokio::test]
async fn a_body_arrives_as_it_was_sent_with_its_digest() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    for (body, md5) in [
        ("hello", "5d41402abc4b2a76b9719d911017c592"),
        // As `md5sum` has it.
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
async fn attributes_arrive_with_a_digest_over_names_types_and_values() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let attributes = [
        ("b.text", text("String.label", "gr\u{fc}n")),
        ("a_number", text("Number", "-1.5e3")),
        ("C-bytes", bytes(&[0, 1, 255])),
    ];
    let md5 = send_with(&queue, &attributes).await.unwrap();
    assert_eq!(md5, "837d5726def60ef84a908f8df60a6cd6");
    let message = queue.next().await;
    assert_eq!(message.md5_of_message_attributes(), Some(md5.as_str()));
    let received = message.message_attributes.unwrap();
    assert_eq!(received.len(), 3);
    for (name, value) in attributes {
        assert_eq!(received[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_receiver_gets_the_attributes_that_it_asks_for() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let one = text("String", "1");
    let sent = ["trace.id", "trace.span", "tenant"].map(|name| (name, one.clone()));
    let md5 = send_with(&queue, &sent).await.unwrap();
    for (wanted, expect) in [
        (&[][..], &[][..]),
        (&["tenant", "absent"], &["tenant"]),
        (&["trace.*"], &["trace.id", "trace.span"]),
        (&["All"], &["tenant", "trace.id", "trace.span"]),
        (&[".*"], &["tenant", "trace.id", "trace.span"]),
    ] {
        let message = receive_wanting(&queue, wanted).await;
        let received = message.message_attributes.unwrap_or_default();
        let mut names: Vec<_> = received.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expect, "{wanted:?}");
        let all = message.md5_of_message_attributes.as_ref() == Some(&md5);
        assert_eq!(all, expect.len() == 3, "{wanted:?}");
    }
}

#[tokio::test]
async fn system_attributes_are_given_by_name() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793";
    let header = MessageSystemAttributeValue::builder().data_type("String");
    let header = header.string_value(trace).build().unwrap();
    let request = service.client.send_message().queue_url(&queue.url);
    let request = request.message_body("traced");
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let request = request.message_system_attributes(name, header);
    request.send().await.unwrap();

    let message = queue.receive(0).await.remove(0);
    let attributes = message.attributes.as_ref().unwrap();
    assert_eq!(attributes[&System::AwsTraceHeader], trace);
    assert!(!attributes[&System::SenderId].is_empty());
    let sent_at = number(&message, &System::SentTimestamp);
    assert!(sent_at > 1_600_000_000_000);
    assert!(number(&message, &System::ApproximateFirstReceiveTimestamp) >= sent_at);
    assert!(!attributes.contains_key(&System::DeadLetterQueueSourceArn));

    let request = service.client.receive_message().queue_url(&queue.url);
    let request = request.visibility_timeout(0);
    let plain = request.clone().send().await.unwrap().messages.unwrap();
    assert!(plain[0].attributes.is_none());
    let request = request.message_system_attribute_names(System::ApproximateReceiveCount);
    let one = request.send().await.unwrap().messages.unwrap();
    assert_eq!(one[0].attributes.as_ref().unwrap().len(), 1);
    assert_eq!(number(&one[0], &System::ApproximateReceiveCount), 3);
    let request = service.client.receive_message().queue_url(&queue.url);
    #[expect(deprecated, reason = "older clients ask by the older name")]
    let older = request.attribute_names(Name::from("SentTimestamp"));
    let older = older.send().await.unwrap().messages.unwrap();
    assert_eq!(number(&older[0], &System::SentTimestamp), sent_at);
}

#[tokio::test]
async fn a_trace_header_has_a_digest_of_its_own() {
    let Some(service) = Service::ours_only("moto leaves the digest out").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let header = MessageSystemAttributeValue::builder().data_type("String");
    let header = header.string_value("Root=1").build().unwrap();
    let request = service.client.send_message().queue_url(&queue.url);
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let request = request.message_system_attributes(name, header);
    let sent = request.message_body("traced").send().await.unwrap();
    let md5 = sent.md5_of_message_system_attributes();
    assert_eq!(md5, Some("d6619b3d47b81d3fc72c0db005a70eda"));
    assert!(sent.md5_of_message_attributes().is_none());
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_no_more() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    // Quotation marks take twice the room on the wire; what counts is the message.
    let body = "\"".repeat(MAXIMUM_BYTES);
    queue.send(&body).await;
    assert_eq!(queue.next().await.body(), Some(body.as_str()));
    let request = service.client.send_message().queue_url(&queue.url);
    let request = request.message_body(format!("{body}x"));
    assert_eq!(code(request.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_queues_own_limit_holds_for_body_and_attributes_together() {
    let Some(service) = Service::ours_only("moto counts the body alone, in characters").await
    else {
        return;
    };
    let queue = service.queue(&[(Name::MaximumMessageSize, "1024")]).await;
    // The body has 15 bytes, the name 1 and the type 6.
    let fits = [("n", text("String", &"\u{e4}".repeat(501)))];
    send_with(&queue, &fits).await.unwrap();
    let over = [("n", text("String", &"\u{e4}".repeat(502)))];
    let refused = send_with(&queue, &over).await;
    assert_eq!(refused, Err("InvalidParameterValue".to_owned()));
}

#[tokio::test]
async fn a_body_of_nothing_or_of_control_characters_is_refused() {
    let Some(service) = Service::ours_only("moto takes any body").await else {
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
async fn attributes_that_aws_would_not_take_are_refused() {
    let Some(service) = Service::ours_only("moto checks little more than the type").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let good = text("String", "x");
    let names = [
        "",
        "with space",
        ".dot",
        "dot.",
        "do..t",
        "AWS.x",
        "amazon.x",
    ];
    for name in names.into_iter().chain([&*"x".repeat(257)]) {
        let refused = send_with(&queue, &[(name, good.clone())]).await;
        assert_eq!(refused, Err("InvalidParameterValue".to_owned()), "{name}");
    }
    let empty = Value::builder().data_type("String").build().unwrap();
    for value in [
        text("Colour", "red"),
        text("", "x"),
        text("String", ""),
        text("String", "\u{1}"),
        text("Number", "many"),
        text("Number", "inf"),
        text("Binary", "text"),
        empty,
    ] {
        let refused = send_with(&queue, &[("name", value.clone())]).await;
        assert_eq!(
            refused,
            Err("InvalidParameterValue".to_owned()),
            "{value:?}"
        );
    }
    let eleven = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let eleven = eleven.map(|name| (name, good.clone()));
    let refused = send_with(&queue, &eleven).await;
    assert_eq!(refused, Err("InvalidParameterValue".to_owned()));
    send_with(&queue, &eleven[..10]).await.unwrap();
}

#[tokio::test]
async fn a_message_group_arrives_and_has_its_limits() {
    let Some(service) = Service::ours_only("moto takes any group, on a standard queue").await
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
async fn what_only_a_fifo_queue_can_do_is_refused() {
    let Some(service) = Service::ours_only("moto takes it on a standard queue").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let request = service.client.send_message().queue_url(&queue.url);
    let request = request.message_body("once").message_deduplication_id("1");
    assert_eq!(code(request.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_receives_numbers_have_their_ranges() {
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
async fn a_receive_takes_no_more_than_it_asks_for() {
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
async fn a_delayed_message_waits_for_its_time() {
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
async fn two_long_polls_share_out_what_comes() {
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
async fn a_queue_may_make_every_receive_a_long_poll() {
    let service = Service::start().await;
    let queue = service
        .queue(&[(Name::ReceiveMessageWaitTimeSeconds, "10")])
        .await;
    let receive = service.client.receive_message().queue_url(&queue.url);
    let (received, id) = tokio::join!(receive.send(), queue.send("awaited"));
    assert_eq!(received.unwrap().messages()[0].message_id, Some(id));
}

/// A message in the answer to a closed connection would be in flight until its visibility timeout ends.
#[tokio::test]
async fn a_receive_whose_client_has_hung_up_takes_no_message() {
    let reason = "moto answers a receive though its client is gone";
    let Some(service) = Service::ours_only(reason).await else {
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
        // Served after the receive, which therefore waits by then.
        queue.attribute(Name::ApproximateNumberOfMessages).await;
        drop(client);
        queue.send("for the next receive").await;
        let messages = queue.receive(30).await;
        assert_eq!(messages.len(), 1);
        assert_eq!(number(&messages[0], &System::ApproximateReceiveCount), 1);
        queue.delete(&messages[0]).await;
    }
}
