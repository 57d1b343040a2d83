//! Message attributes and system attributes: values, digests, selection and limits.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue as Value, MessageSystemAttributeName as System,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName as Name,
};

use crate::service::{Queue, Service, code, number};

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
async fn a_receive_returns_the_requested_attributes() {
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
async fn a_receive_returns_the_requested_system_attributes() {
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
    #[expect(deprecated, reason = "older clients use the older name")]
    let older = request.attribute_names(Name::from("SentTimestamp"));
    let older = older.send().await.unwrap().messages.unwrap();
    assert_eq!(number(&older[0], &System::SentTimestamp), sent_at);
}

#[tokio::test]
async fn system_attributes_have_a_separate_digest() {
    let Some(service) = Service::local_only("moto leaves the digest out").await else {
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
async fn invalid_attributes_are_refused() {
    let Some(service) = Service::local_only("moto checks little more than the type").await else {
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
async fn a_queues_size_limit_is_for_body_and_attributes_together() {
    let Some(service) = Service::local_only("moto counts the body alone, in characters").await
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
