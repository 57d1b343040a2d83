//! The server under test, and time as it passes for it.

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

/// Long enough for anything that a case awaits; a case that meets it has failed.
const PATIENCE_SECS: i32 = 10;
/// A long poll on the manual clock would otherwise wait for ever for a message that does not come.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Where the manual clock starts: some day, so that no test hangs on the epoch.
const START_MILLIS: i64 = 1_700_000_000_000;

/// How time passes for the server: by hand on ours, by itself on another.
#[derive(Clone)]
pub(crate) enum Passage {
    Manual(ManualClock),
    Real,
}

/// A server and a client of it.
pub(crate) struct Service {
    pub(crate) client: Client,
    passage: Passage,
}

/// One queue of a case's own.
pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) name: String,
    passage: Passage,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let (endpoint, passage) = match other_server() {
            Some(endpoint) => (endpoint, Passage::Real),
            None => start_ours().await,
        };
        Self {
            client: client(&endpoint),
            passage,
        }
    }

    /// For a case that another server cannot pass: nothing there, and the reason on the way.
    pub(crate) async fn ours_only(reason: &str) -> Option<Self> {
        if other_server().is_some() {
            println!("skipped: {reason}");
            return None;
        }
        Some(Self::start().await)
    }

    /// A queue under a name that no other case has.
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
            passage: self.passage.clone(),
        }
    }
}

impl Passage {
    /// Moves the manual clock. Real time passes by itself, and whoever wants to see what it brings awaits that with a long poll.
    fn pass(&self, secs: u64) {
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

    /// What is there now, up to ten messages, hidden for `visibility_timeout` seconds.
    pub(crate) async fn receive(&self, visibility_timeout: i32) -> Vec<Message> {
        self.poll(Some(visibility_timeout), 0).await
    }

    /// The one message that is there or will be soon, hidden for as long as the queue says.
    pub(crate) async fn next(&self) -> Message {
        let mut messages = self.poll(None, PATIENCE_SECS).await;
        assert_eq!(messages.len(), 1, "expected one message");
        messages.remove(0)
    }

    /// Lets `secs` pass, after which there is a message.
    pub(crate) async fn next_after(&self, secs: u64) -> Message {
        self.passage.pass(secs);
        self.next().await
    }

    /// Lets `secs` pass, in which and after which there is no message.
    pub(crate) async fn nothing_for(&self, secs: u64) {
        self.passage.pass(secs);
        let wait_secs = match self.passage {
            Passage::Manual(_) => 0,
            Passage::Real => i32::try_from(secs).unwrap(),
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
        let answer = request.attribute_names(name.clone()).send().await.unwrap();
        answer.attributes.unwrap()[&name].clone()
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

/// The system attribute as a number.
pub(crate) fn number(message: &Message, name: &MessageSystemAttributeName) -> i64 {
    message.attributes.as_ref().unwrap()[name].parse().unwrap()
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, SdkError<E>>,
) -> String {
    let error = result.expect_err("expected a refusal");
    error.code().expect("a refusal has a code").to_owned()
}

pub(crate) fn settings(
    attributes: &[(QueueAttributeName, &str)],
) -> std::collections::HashMap<QueueAttributeName, String> {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), (*value).to_owned()))
        .collect()
}

/// A name that no other queue has, on a server that outlives this run too.
pub(crate) fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "case-{}-{}-{}",
        SystemClock.now().as_millis(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

async fn start_ours() -> (String, Passage) {
    let clock = ManualClock::new(Timestamp::from_millis(START_MILLIS));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let sqs = Sqs::new(Arc::new(clock.clone()));
    tokio::spawn(async move { sqs.serve(listener, Allowed::default()).await });
    (endpoint, Passage::Manual(clock))
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
    reason = "whoever runs the suite chooses its server"
)]
fn other_server() -> Option<String> {
    std::env::var("SQS_ENDPOINT").ok()
}
