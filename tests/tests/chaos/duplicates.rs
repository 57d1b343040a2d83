//! Duplicated messages.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use local::bundle::Bundle;
use local::client::sdk_config;
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::domain::time::Timestamp;
use tests::queues::QueueKind;

use crate::Chance;

/// Between two messages that are duplicated.
const PAUSE: Duration = Duration::from_millis(100);

/// Short, because the run waits for the messages of killed processes, but longer than an attempt's
/// own calls take.
const VISIBILITY_SECS: &str = "6";

/// The bundle's four queues.
pub(crate) struct Queues {
    client: Client,
    urls: Vec<String>,
}

impl Queues {
    pub(crate) fn of(bundle: &Bundle) -> Self {
        let environment: Environment = bundle.function_environment().iter().cloned().collect();
        let endpoint = environment.required("AWS_ENDPOINT_URL_SQS").unwrap();
        let url = |kind: QueueKind| environment.required(kind.setting()).unwrap().to_owned();
        Self {
            client: Client::new(&sdk_config(endpoint)),
            urls: QueueKind::ALL.map(url).into(),
        }
    }

    /// With the template's visibility timeouts a run would wait for 15 minutes. Functions with
    /// shorter timeouts could have these.
    pub(crate) async fn shorten_visibility(&self) {
        for url in &self.urls {
            let queue = self.client.set_queue_attributes().queue_url(url);
            let changed = queue.attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_SECS);
            changed.send().await.unwrap();
        }
    }

    /// Sends copies of the messages that it receives, which it does not delete. Returns the number
    /// of copies.
    pub(crate) async fn duplicate_until(&self, ends_at: Timestamp, chance: Chance) -> usize {
        let mut duplicates = 0;
        let mut pace = tokio::time::interval(PAUSE);
        while SystemClock.now() < ends_at {
            pace.tick().await;
            let url = chance.of(&self.urls).unwrap();
            let received = self
                .client
                .receive_message()
                .queue_url(url)
                .visibility_timeout(0)
                .send()
                .await
                .unwrap();
            for message in received.messages() {
                let copy = self.client.send_message().queue_url(url);
                let body = message.body().unwrap();
                copy.message_body(body).send().await.unwrap();
                duplicates += 1;
            }
        }
        duplicates
    }
}
