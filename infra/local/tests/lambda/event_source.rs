//! The event source mapping, with local queues and real processes.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, VisibilityTimeout,
};
use local::client::sdk_config;
use local::event_source::{EventSource, EventSourceSettings};
use local::function::{Function, FunctionSettings};
use local::guard::Allowed;
use local::sqs::{Sqs, queue_arn};
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::domain::time::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::probe::{self, ProbeListener};
use crate::wait::soon;

const VISIBILITY: Duration = Duration::from_secs(30);

/// A queue with a manual clock.
struct Queue {
    clock: ManualClock,
    client: Client,
    url: String,
    _server: JoinSet<()>,
}

impl Queue {
    async fn open() -> Self {
        let clock = ManualClock::new(Timestamp::from_secs(1_700_000_000));
        let sqs = Sqs::new(Arc::new(clock.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { sqs.serve(listener, Allowed::default()).await.unwrap() });
        let client = Client::new(&sdk_config(&endpoint));
        let created = client
            .create_queue()
            .queue_name("queue")
            .attributes(VisibilityTimeout, VISIBILITY.as_secs().to_string())
            .send()
            .await
            .unwrap();
        Self {
            clock,
            client,
            url: created.queue_url.unwrap(),
            _server: server,
        }
    }

    async fn send(&self, body: &str) -> String {
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .send()
            .await
            .unwrap();
        sent.message_id.unwrap()
    }

    /// The numbers of visible messages and of messages in flight.
    async fn counts(&self) -> (String, String) {
        let response = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(ApproximateNumberOfMessages)
            .attribute_names(ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .unwrap();
        let mut counts = response.attributes.unwrap();
        let mut count = |name| counts.remove(&name).unwrap();
        let visible = count(ApproximateNumberOfMessages);
        (visible, count(ApproximateNumberOfMessagesNotVisible))
    }

    async fn is_empty(&self) {
        soon("the deletion of all messages", async {
            while self.counts().await != ("0".to_owned(), "0".to_owned()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn source(
        &self,
        function: &Arc<Function>,
        batch_size: i32,
        concurrency_max: usize,
    ) -> EventSource {
        EventSource::start(
            self.client.clone(),
            Arc::clone(function),
            EventSourceSettings {
                queue_url: self.url.clone(),
                queue_arn: queue_arn("queue"),
                batch_size,
                concurrency_max,
            },
        )
    }
}

fn probes(instances_max: usize) -> Arc<Function> {
    Arc::new(Function::processes(FunctionSettings {
        instances_max,
        ..probe::settings()
    }))
}

fn message_ids(event: &Value) -> Vec<&str> {
    let records = event["Records"].as_array().unwrap();
    records
        .iter()
        .map(|record| record["messageId"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_becomes_one_event_and_is_deleted_after_success() {
    let (queue, listener, function) = (Queue::open().await, ProbeListener::open().await, probes(1));
    let body = listener
        .hold_then("batch", &json!({"reply": {"batchItemFailures": []}}))
        .to_string();
    let first = queue.send(&body).await;
    let second = queue.send("second").await;
    queue.clock.advance(Duration::from_secs(5));
    let source = queue.source(&function, 10, 1);

    let held = listener.accept().await;
    let mut event = held.event.clone();
    let mut handles = Vec::new();
    for record in event["Records"].as_array_mut().unwrap() {
        handles.push(record["receiptHandle"].take());
        let sender = record["attributes"]
            .as_object_mut()
            .unwrap()
            .remove("SenderId");
        assert!(sender.unwrap().is_string());
    }
    assert_ne!(handles[0], handles[1]);
    let record = |id: &str, body: &str, md5: Value| {
        json!({
            "messageId": id,
            "receiptHandle": null,
            "body": body,
            "attributes": {
                "ApproximateFirstReceiveTimestamp": "1700000005000",
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1700000000000",
            },
            "messageAttributes": {},
            "md5OfBody": md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
            "awsRegion": "us-east-1",
        })
    };
    // The first body contains a port, so its digest differs between runs.
    let first_md5 = event["Records"][0]["md5OfBody"].clone();
    assert_eq!(first_md5.as_str().unwrap().len(), 32);
    let second_md5 = json!("a9f0e61a137d86aa9db53465e0801612");
    assert_eq!(
        event,
        json!({"Records": [
            record(&first, &body, first_md5),
            record(&second, "second", second_md5),
        ]})
    );

    drop(held);
    queue.is_empty().await;
    source.stop().await;
    function.stop().await;
}

#[tokio::test]
async fn failed_messages_are_delivered_again_and_the_others_are_deleted() {
    let (queue, listener, function) = (Queue::open().await, ProbeListener::open().await, probes(1));
    let event = |name| {
        listener
            .hold_then(name, &json!({"fail_records": [1, 2]}))
            .to_string()
    };
    queue.send(&event("first")).await;
    let second = queue
        .send(
            &listener
                .hold_then("again", &json!({"reply": null}))
                .to_string(),
        )
        .await;
    let third = queue.send("third").await;
    queue.send("fourth").await;
    let source = queue.source(&function, 10, 1);

    let held = listener.accept().await;
    assert_eq!(message_ids(&held.event).len(), 4);
    drop(held);
    queue.clock.advance(VISIBILITY);
    let held = listener.accept().await;
    assert_eq!(held.name, "again");
    assert_eq!(message_ids(&held.event), [second, third]);
    for record in held.event["Records"].as_array().unwrap() {
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "2");
    }
    drop(held);
    queue.is_empty().await;
    source.stop().await;
    function.stop().await;
}

#[tokio::test]
async fn after_a_complete_failure_the_whole_batch_is_delivered_again() {
    for failure in [
        json!({"fail": "no luck"}),
        json!({"exit": 1}),
        json!({"reply": "done"}),
        json!({"reply": {"batchItemFailures": [{"itemIdentifier": ""}]}}),
        json!({"reply": {"batchItemFailures": [{"itemIdentifier": "unknown"}]}}),
        json!({"reply": {"batchItemFailures": [{}]}}),
    ] {
        let (queue, listener, function) =
            (Queue::open().await, ProbeListener::open().await, probes(1));
        let sent = [
            queue
                .send(&listener.hold_then("first", &failure).to_string())
                .await,
            queue.send("second").await,
        ];
        let source = queue.source(&function, 10, 1);
        drop(listener.accept().await);
        // With one invocation at a time, the second one starts after the first batch is done.
        queue.clock.advance(VISIBILITY);
        let held = listener.accept().await;
        assert_eq!(message_ids(&held.event), sent, "{failure}");
        source.stop().await;
        function.stop().await;
    }
}

#[tokio::test]
async fn messages_are_received_only_while_an_invocation_is_free() {
    let (queue, listener, function) = (Queue::open().await, ProbeListener::open().await, probes(4));
    for name in ["first", "second", "third", "fourth"] {
        queue.send(&listener.hold(name).to_string()).await;
    }
    let source = queue.source(&function, 1, 2);
    let first = listener.accept().await;
    let second = listener.accept().await;
    // The poller runs on this thread, so it gets time at each await.
    for _ in 0..20 {
        assert_eq!(queue.counts().await, ("2".to_owned(), "2".to_owned()));
    }
    drop(first);
    let third = listener.accept().await;
    assert_eq!(message_ids(&third.event).len(), 1);
    drop((second, third));
    drop(listener.accept().await);
    source.stop().await;
    function.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_invocations_or_receives() {
    let (queue, listener, function) = (Queue::open().await, ProbeListener::open().await, probes(1));
    queue.send(&listener.hold("running").to_string()).await;
    let source = queue.source(&function, 1, 2);
    // One invocation runs, and the next receive would wait forever, since the clock does not move.
    let held = listener.accept().await;
    soon("the stop", source.stop()).await;
    function.stop().await;
    held.ended().await;
    assert_eq!(queue.counts().await, ("0".to_owned(), "1".to_owned()));
}
