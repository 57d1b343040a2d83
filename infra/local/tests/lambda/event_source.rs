//! The event source mapping, between the local queues and real processes.

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

use crate::probe::{self, MeetingPoint, soon};

const VISIBILITY: Duration = Duration::from_secs(30);

/// A queue on a clock that stands still.
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

    /// How many messages are visible, and how many are not.
    async fn counts(&self) -> (String, String) {
        let told = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(ApproximateNumberOfMessages)
            .attribute_names(ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .unwrap();
        let mut told = told.attributes.unwrap();
        (
            told.remove(&ApproximateNumberOfMessages).unwrap(),
            told.remove(&ApproximateNumberOfMessagesNotVisible).unwrap(),
        )
    }

    async fn is_empty(&self) {
        soon("the queue's emptying", async {
            while self.counts().await != ("0".to_owned(), "0".to_owned()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn feed(
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
async fn a_batch_becomes_an_event_and_is_deleted_when_all_went_well() {
    let (queue, point, function) = (Queue::open().await, MeetingPoint::open().await, probes(1));
    let body = point
        .invitation_and("batch", &json!({"reply": {"batchItemFailures": []}}))
        .to_string();
    let first = queue.send(&body).await;
    let second = queue.send("second").await;
    queue.clock.advance(Duration::from_secs(5));
    let source = queue.feed(&function, 10, 1);

    let visitor = point.next().await;
    let mut event = visitor.event.clone();
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
    // The first body holds a port that differs each time.
    let first_md5 = event["Records"][0]["md5OfBody"].clone();
    assert_eq!(first_md5.as_str().unwrap().len(), 32);
    let second_md5 = json!("a9f0e61a137d86aa9db53465e0801612");
    assert_eq!(
        event,
        json!({"Records": [record(&first, &body, first_md5), record(&second, "second", second_md5)]})
    );

    drop(visitor);
    queue.is_empty().await;
    source.stop().await;
    function.stop().await;
}

#[tokio::test]
async fn what_the_function_gives_back_comes_again_and_the_rest_is_deleted() {
    let (queue, point, function) = (Queue::open().await, MeetingPoint::open().await, probes(1));
    let invitation = |name| {
        point
            .invitation_and(name, &json!({"fail_records": [1, 2]}))
            .to_string()
    };
    queue.send(&invitation("first")).await;
    let second = queue
        .send(
            &point
                .invitation_and("again", &json!({"reply": null}))
                .to_string(),
        )
        .await;
    let third = queue.send("third").await;
    queue.send("fourth").await;
    let source = queue.feed(&function, 10, 1);

    let visitor = point.next().await;
    assert_eq!(message_ids(&visitor.event).len(), 4);
    drop(visitor);
    queue.clock.advance(VISIBILITY);
    let visitor = point.next().await;
    assert_eq!(visitor.name, "again");
    assert_eq!(message_ids(&visitor.event), [second, third]);
    for record in visitor.event["Records"].as_array().unwrap() {
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "2");
    }
    drop(visitor);
    queue.is_empty().await;
    source.stop().await;
    function.stop().await;
}

#[tokio::test]
async fn after_a_complete_failure_the_whole_batch_comes_again() {
    for failure in [
        json!({"fail": "no luck"}),
        json!({"exit": 1}),
        json!({"reply": "done"}),
        json!({"reply": {"batchItemFailures": [{"itemIdentifier": ""}]}}),
        json!({"reply": {"batchItemFailures": [{"itemIdentifier": "unknown"}]}}),
        json!({"reply": {"batchItemFailures": [{}]}}),
    ] {
        let (queue, point, function) = (Queue::open().await, MeetingPoint::open().await, probes(1));
        let sent = [
            queue
                .send(&point.invitation_and("first", &failure).to_string())
                .await,
            queue.send("second").await,
        ];
        let source = queue.feed(&function, 10, 1);
        drop(point.next().await);
        // With one invocation at a time, a second visit means that the first batch was done with.
        queue.clock.advance(VISIBILITY);
        let visitor = point.next().await;
        assert_eq!(message_ids(&visitor.event), sent, "{failure}");
        source.stop().await;
        function.stop().await;
    }
}

#[tokio::test]
async fn no_more_is_received_than_there_are_invocations_to_spare() {
    let (queue, point, function) = (Queue::open().await, MeetingPoint::open().await, probes(4));
    for name in ["first", "second", "third", "fourth"] {
        queue.send(&point.invitation(name).to_string()).await;
    }
    let source = queue.feed(&function, 1, 2);
    let first = point.next().await;
    let second = point.next().await;
    // The poller shares this thread, so it had its turns between these.
    for _ in 0..20 {
        assert_eq!(queue.counts().await, ("2".to_owned(), "2".to_owned()));
    }
    drop(first);
    let third = point.next().await;
    assert_eq!(message_ids(&third.event).len(), 1);
    drop((second, third));
    drop(point.next().await);
    source.stop().await;
    function.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_nobody() {
    let (queue, point, function) = (Queue::open().await, MeetingPoint::open().await, probes(1));
    queue.send(&point.invitation("running").to_string()).await;
    let source = queue.feed(&function, 1, 2);
    // One invocation is under way, and with the clock standing still the next receive would wait for ever.
    let visitor = point.next().await;
    soon("the stop", source.stop()).await;
    function.stop().await;
    visitor.gone().await;
    assert_eq!(queue.counts().await, ("0".to_owned(), "1".to_owned()));
}
