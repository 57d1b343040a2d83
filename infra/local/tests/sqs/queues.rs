//! Queues: created, found, configured, counted, purged and deleted.

use aws_sdk_sqs::types::QueueAttributeName as Name;

use crate::service::{Service, code, settings, unique_name};

#[tokio::test]
async fn a_queue_is_created_found_listed_and_deleted() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    assert!(queue.url.starts_with("http://127.0.0.1:"));
    assert!(queue.url.ends_with(&format!("/{}", queue.name)));

    let client = &service.client;
    let found = client.get_queue_url().queue_name(&queue.name).send().await;
    assert_eq!(found.unwrap().queue_url, Some(queue.url.clone()));
    let listed = client.list_queues().queue_name_prefix(&queue.name);
    assert_eq!(
        listed.send().await.unwrap().queue_urls(),
        std::slice::from_ref(&queue.url)
    );

    let deleted = client.delete_queue().queue_url(&queue.url).send().await;
    deleted.unwrap();
    let lost = client.get_queue_url().queue_name(&queue.name).send().await;
    let lost = lost.unwrap_err().into_service_error();
    assert!(lost.is_queue_does_not_exist(), "{lost:?}");
    let listed = client.list_queues().queue_name_prefix(&queue.name);
    assert!(listed.send().await.unwrap().queue_urls().is_empty());
}

#[tokio::test]
async fn every_action_on_a_missing_queue_is_queue_does_not_exist() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let client = &service.client;
    let url = queue.url.replace(&queue.name, &unique_name());

    let error = client.send_message().queue_url(&url).message_body("lost");
    let error = error.send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
    let error = client.receive_message().queue_url(&url).send().await;
    let error = error.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
    let error = client.delete_message().queue_url(&url).receipt_handle("x");
    let error = error.send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
    let error = client.purge_queue().queue_url(&url).send().await;
    let error = error.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
}

#[tokio::test]
async fn attributes_have_defaults_and_can_be_changed() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::VisibilityTimeout, "7")]).await;
    let expect = [
        (Name::VisibilityTimeout, "7"),
        (Name::DelaySeconds, "0"),
        (Name::MaximumMessageSize, "1048576"),
        (Name::MessageRetentionPeriod, "345600"),
        (Name::ReceiveMessageWaitTimeSeconds, "0"),
    ];
    for (name, value) in expect {
        assert_eq!(queue.attribute(name.clone()).await, value, "{name}");
    }
    let arn = queue.attribute(Name::QueueArn).await;
    assert!(arn.starts_with("arn:aws:sqs:us-east-1:"));
    assert!(arn.ends_with(&format!(":{}", queue.name)));

    let changed = [
        (Name::VisibilityTimeout, "8"),
        (Name::DelaySeconds, "9"),
        (Name::MaximumMessageSize, "2048"),
        (Name::MessageRetentionPeriod, "1209600"),
        (Name::ReceiveMessageWaitTimeSeconds, "20"),
    ];
    let set = service.client.set_queue_attributes().queue_url(&queue.url);
    let set = set.set_attributes(Some(settings(&changed)));
    set.send().await.unwrap();
    let all = service.client.get_queue_attributes().queue_url(&queue.url);
    let all = all.attribute_names(Name::All).send().await.unwrap();
    let all = all.attributes.unwrap();
    for (name, value) in changed {
        assert_eq!(all[&name], value, "{name}");
    }
    assert!(all.contains_key(&Name::CreatedTimestamp));
}

#[tokio::test]
async fn creating_an_existing_queue_requires_the_same_attributes() {
    let service = Service::start().await;
    let queue = service.queue(&[(Name::VisibilityTimeout, "7")]).await;
    let again = |timeout| {
        let request = service.client.create_queue().queue_name(&queue.name);
        request.attributes(Name::VisibilityTimeout, timeout).send()
    };
    assert_eq!(again("7").await.unwrap().queue_url, Some(queue.url.clone()));
    let error = again("8").await.unwrap_err().into_service_error();
    assert!(error.is_queue_name_exists(), "{error:?}");
}

#[tokio::test]
async fn invalid_queue_names_are_refused() {
    let service = Service::start().await;
    for name in ["with space", "with/slash", &"x".repeat(81)] {
        let result = service.client.create_queue().queue_name(name).send().await;
        assert_eq!(code(result), "InvalidParameterValue", "{name}");
    }
}

#[tokio::test]
async fn attributes_out_of_range_are_typed_errors() {
    let Some(service) = Service::local_only("moto takes any value").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let set = |name, value: &str| {
        let request = service.client.set_queue_attributes().queue_url(&queue.url);
        request.attributes(name, value).send()
    };
    for (name, value) in [
        (Name::VisibilityTimeout, "43201"),
        (Name::VisibilityTimeout, "-1"),
        (Name::DelaySeconds, "901"),
        (Name::MaximumMessageSize, "1023"),
        (Name::MaximumMessageSize, "1048577"),
        (Name::MessageRetentionPeriod, "59"),
        (Name::MessageRetentionPeriod, "1209601"),
        (Name::ReceiveMessageWaitTimeSeconds, "21"),
        (Name::ReceiveMessageWaitTimeSeconds, "soon"),
    ] {
        let error = set(name.clone(), value).await.unwrap_err();
        let error = error.into_service_error();
        assert!(error.is_invalid_attribute_value(), "{name} {value}");
    }
    let error = set(Name::FifoQueue, "true").await.unwrap_err();
    assert!(error.into_service_error().is_invalid_attribute_name());
}

#[tokio::test]
async fn a_request_for_an_unknown_attribute_is_refused() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    let request = service.client.get_queue_attributes().queue_url(&queue.url);
    let request = request.attribute_names(Name::from("Colour"));
    let error = request.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_attribute_name(), "{error:?}");
}

#[tokio::test]
async fn an_action_that_is_not_implemented_is_refused() {
    let Some(service) = Service::local_only("moto has tags").await else {
        return;
    };
    let queue = service.queue(&[]).await;
    let request = service.client.list_queue_tags().queue_url(&queue.url);
    let error = request.send().await.unwrap_err().into_service_error();
    assert!(error.is_unsupported_operation(), "{error:?}");
}

#[tokio::test]
async fn messages_are_counted_by_state_until_the_queue_is_purged() {
    let service = Service::start().await;
    let queue = service.queue(&[]).await;
    queue.send("in flight").await;
    assert_eq!(queue.receive(600).await.len(), 1);
    queue.send("visible").await;
    queue.send("visible too").await;
    let delayed = service.client.send_message().queue_url(&queue.url);
    let delayed = delayed.message_body("delayed").delay_seconds(900);
    delayed.send().await.unwrap();

    let visible = queue.attribute(Name::ApproximateNumberOfMessages).await;
    let in_flight = Name::ApproximateNumberOfMessagesNotVisible;
    let delayed = Name::ApproximateNumberOfMessagesDelayed;
    assert_eq!(visible, "2");
    assert_eq!(queue.attribute(in_flight.clone()).await, "1");
    assert_eq!(queue.attribute(delayed.clone()).await, "1");

    let purge = service.client.purge_queue().queue_url(&queue.url);
    purge.send().await.unwrap();
    for name in [Name::ApproximateNumberOfMessages, in_flight, delayed] {
        assert_eq!(queue.attribute(name).await, "0");
    }
    queue.nothing_for(0).await;
}

#[tokio::test]
async fn a_long_list_of_queues_comes_in_pages() {
    let service = Service::start().await;
    let prefix = unique_name();
    for number in 0..5 {
        let name = format!("{prefix}-{number}");
        let created = service.client.create_queue().queue_name(name).send().await;
        created.unwrap();
    }
    let pages = service.client.list_queues().queue_name_prefix(&prefix);
    let mut pages = pages.max_results(2).into_paginator().send();
    let mut sizes = Vec::new();
    let mut urls = std::collections::BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.queue_urls().len());
        urls.extend(page.queue_urls.unwrap_or_default());
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(urls.len(), 5);
}
