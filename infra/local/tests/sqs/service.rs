//! The server under test, and its clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use local::REGION;
use local::guard::Allowed;
use local::sqs::Sqs;
use shared::clock::{Clock, ManualClock, SystemClock};
use shared::domain::time::Timestamp;
use tokio::net::TcpListener;

/// How long a test waits for an expected message before it fails.
const EXPECTED_WAIT_SECS: i32 = 10;
/// Without it a long poll on the manual clock would wait forever for a message that does not come.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Not the epoch, so that no test depends on a time of 0.
const START_MILLIS: i64 = 1_700_000_000_000;

/// The server's clock: manual on the local queues, real on another server.
#[derive(Clone)]
pub(crate) enum ServerClock {
    Manual(ManualClock),
    Real,
}

pub(crate) struct Service {
    pub(crate) client: Client,
    clock: ServerClock,
}

/// A queue of one test.
pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) name: String,
    clock: ServerClock,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let (endpoint, clock) = match other_server() {
            Some(endpoint) => (endpoint, ServerClock::Real),
            None => start_local().await,
        };
        Self {
            client: client(&endpoint),
            clock,
        }
    }

    /// For a test that another server cannot pass: there it prints the reason and returns `None`.
    pub(crate) async fn local_only(reason: &str) -> Option<Self> {
        if other_server().is_some() {
            println!("skipped: {reason}");
            return None;
        }
        Some(Self::start().await)
    }

    /// A queue with a unique name.
    pub(crate) async fn queue(&self, attributes: &[(QueueAttributeName, &str)]) -> Queue {
        let name = unique_name();
        let url = self
            .client
            .create_queue()
            .queue_name(&name)
            .set_attributes(Some(settings(attributes)))
            .send()
            .await
            .unwrap()
            .queue_url
            .unwrap();
        Queue {
            client: self.client.clone(),
            url,
            name,
            clock: self.clock.clone(),
        }
    }
}

impl ServerClock {
    /// Moves the manual clock. On a real clock a long poll does the waiting.
    fn advance(&self, secs: u64) {
        if let Self::Manual(clock) = self {
            clock.advance(Duration::from_secs(secs));
        }
    }
}

impl Queue {
    pub(crate) async fn send(&self, body: &str) -> String {
        let sent = self.client.send_message().queue_url(&self.url);
        let sent = sent.message_body(body).send().await.unwrap();
        sent.message_id.unwrap()
    }

    /// Up to ten messages that are available now, hidden for `visibility_timeout` seconds.
    pub(crate) async fn receive(&self, visibility_timeout: i32) -> Vec<Message> {
        self.poll(Some(visibility_timeout), 0).await
    }

    /// The only message, hidden for the queue's visibility timeout.
    pub(crate) async fn next(&self) -> Message {
        let mut messages = self.poll(None, EXPECTED_WAIT_SECS).await;
        assert_eq!(messages.len(), 1, "expected one message");
        messages.remove(0)
    }

    /// The only message, which is available after `secs`.
    pub(crate) async fn next_after(&self, secs: u64) -> Message {
        self.clock.advance(secs);
        self.next().await
    }

    /// Fails when a message is available within `secs`.
    pub(crate) async fn nothing_for(&self, secs: u64) {
        self.clock.advance(secs);
        let wait_secs = match self.clock {
            ServerClock::Manual(_) => 0,
            ServerClock::Real => i32::try_from(secs).unwrap(),
        };
        assert_eq!(self.poll(None, wait_secs).await, [], "expected no message");
    }

    pub(crate) async fn delete(&self, message: &Message) {
        let request = self.client.delete_message().queue_url(&self.url);
        let request = request.set_receipt_handle(message.receipt_handle.clone());
        request.send().await.unwrap();
    }

    pub(crate) async fn attribute(&self, name: QueueAttributeName) -> String {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let response = request.attribute_names(name.clone()).send().await.unwrap();
        response.attributes.unwrap()[&name].clone()
    }

    async fn poll(&self, visibility_timeout: Option<i32>, wait_secs: i32) -> Vec<Message> {
        self.client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .set_visibility_timeout(visibility_timeout)
            .wait_time_seconds(wait_secs)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .unwrap()
            .messages
            .unwrap_or_default()
    }
}

pub(crate) fn number(message: &Message, name: &MessageSystemAttributeName) -> i64 {
    message.attributes.as_ref().unwrap()[name].parse().unwrap()
}

pub(crate) fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, SdkError<E>>,
) -> String {
    let error = result.expect_err("the request is refused");
    error.code().expect("an error has a code").to_owned()
}

pub(crate) fn settings(
    attributes: &[(QueueAttributeName, &str)],
) -> std::collections::HashMap<QueueAttributeName, String> {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), (*value).to_owned()))
        .collect()
}

/// Unique even on a server that keeps the queues of earlier runs.
pub(crate) fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "test-{}-{}-{}",
        SystemClock.now().as_millis(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

async fn start_local() -> (String, ServerClock) {
    let clock = ManualClock::new(Timestamp::from_millis(START_MILLIS));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let sqs = Sqs::new(Arc::new(clock.clone()));
    tokio::spawn(async move { sqs.serve(listener, Allowed::default()).await });
    (endpoint, ServerClock::Manual(clock))
}

fn client(endpoint: &str) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("key", "secret", None, None, "tests"))
        .endpoint_url(endpoint)
        .timeout_config(timeouts)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects the server under test"
)]
fn other_server() -> Option<String> {
    std::env::var("SQS_ENDPOINT").ok()
}
