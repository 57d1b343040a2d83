//! The two queues, their dead-letter queues, and the event sources that read all four.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use shared::domain::limits::{
    CALLBACK_VISIBILITY_SECS, DEAD_LETTER_RETENTION_SECS, DISPATCH_VISIBILITY_SECS,
    QUEUE_RETENTION_SECS, RECEIVES_MAX,
};
use tokio::task::JoinSet;

use crate::bundle::functions::Functions;
use crate::bundle::{Settings, StartError, address, listen};
use crate::client::sdk_config;
use crate::event_source::{EventSource, EventSourceSettings};
use crate::sqs::Sqs;

/// What a dead-letter queue's name adds to its queue's.
pub const DEAD_LETTER_SUFFIX: &str = "-dead-letter";

/// A queue and its dead-letter queue, which is made alike but keeps messages for longer and has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueShape {
    /// The queue's name.
    pub name: &'static str,
    /// How long a received message stays hidden; at least the time limit of the function that reads it.
    pub visibility_timeout_secs: u32,
}

/// What the worker reads.
pub const DISPATCH_QUEUE: QueueShape = QueueShape {
    name: "ferry-dispatch",
    visibility_timeout_secs: DISPATCH_VISIBILITY_SECS,
};

/// What the callback function reads.
pub const CALLBACK_QUEUE: QueueShape = QueueShape {
    name: "ferry-callback",
    visibility_timeout_secs: CALLBACK_VISIBILITY_SECS,
};

/// The most callback messages in one event. They are independent of each other, and each is short.
const CALLBACK_BATCH_SIZE: i32 = 10;

/// Dead letters are few, and nobody waits for them.
const DEAD_LETTER_CONCURRENCY: usize = 1;

/// The queues as they are reached.
pub(super) struct Queues {
    client: Client,
    /// What answers at the endpoint, when it is in this process.
    pub(super) embedded: Option<Sqs>,
    pub(super) endpoint: String,
    pub(super) dispatch: QueuePair,
    pub(super) callback: QueuePair,
}

pub(super) struct QueuePair {
    pub(super) queue: Queue,
    pub(super) dead_letters: Queue,
}

pub(super) struct Queue {
    pub(super) url: String,
    arn: String,
}

impl Queues {
    /// Makes the queues ready. Those that are there already have to be of the same shape.
    pub(super) async fn start(
        settings: &Settings,
        services: &mut JoinSet<()>,
    ) -> Result<Self, StartError> {
        let (endpoint, embedded) = match &settings.sqs {
            Some(endpoint) => (endpoint.clone(), None),
            None => embedded(settings, services).await?,
        };
        let client = Client::new(&sdk_config(&endpoint));
        let failed = |error: aws_sdk_sqs::Error| StartError::Queues(error.into());
        Ok(Self {
            dispatch: create_pair(&client, DISPATCH_QUEUE).await.map_err(failed)?,
            callback: create_pair(&client, CALLBACK_QUEUE).await.map_err(failed)?,
            client,
            embedded,
            endpoint,
        })
    }

    /// Starts the event sources.
    pub(super) fn feed(&self, settings: &Settings, functions: &Functions) -> Vec<EventSource> {
        let pairs = [
            (
                &self.dispatch,
                &functions.worker,
                settings.worker_batch_size,
            ),
            (&self.callback, &functions.callback, CALLBACK_BATCH_SIZE),
        ];
        let sources = pairs.into_iter().flat_map(|(pair, function, batch_size)| {
            [
                (&pair.queue, function, batch_size, settings.instances),
                (
                    &pair.dead_letters,
                    function,
                    batch_size,
                    DEAD_LETTER_CONCURRENCY,
                ),
            ]
        });
        sources
            .map(|(queue, function, batch_size, concurrency_max)| {
                let settings = EventSourceSettings {
                    queue_url: queue.url.clone(),
                    queue_arn: queue.arn.clone(),
                    batch_size,
                    concurrency_max,
                };
                EventSource::start(self.client.clone(), Arc::clone(function), settings)
            })
            .collect()
    }
}

/// How many invocations the event sources of one function can have under way. A function that could not bear as many would
/// throttle its own event source, and throttled receives count towards the dead-letter queue.
pub(super) const fn invocations_max(instances: usize) -> usize {
    instances + DEAD_LETTER_CONCURRENCY
}

async fn embedded(
    settings: &Settings,
    services: &mut JoinSet<()>,
) -> Result<(String, Option<Sqs>), StartError> {
    let listener = listen(0).await?;
    let endpoint = format!("http://{}", address(&listener)?);
    let sqs = Sqs::new(Arc::clone(&settings.clock));
    let embedded = sqs.clone();
    let allowed = settings.allowed.without_origins();
    services.spawn(async move {
        if let Err(error) = sqs.serve(listener, allowed).await {
            tracing::error!(%error, "the queues ended");
        }
    });
    Ok((endpoint, Some(embedded)))
}

async fn create_pair(client: &Client, shape: QueueShape) -> Result<QueuePair, aws_sdk_sqs::Error> {
    let attributes = |retention_secs: u32| {
        HashMap::from([
            (
                QueueAttributeName::VisibilityTimeout,
                shape.visibility_timeout_secs.to_string(),
            ),
            (
                QueueAttributeName::MessageRetentionPeriod,
                retention_secs.to_string(),
            ),
        ])
    };
    let dead_letter_name = format!("{}{DEAD_LETTER_SUFFIX}", shape.name);
    let dead_letters = attributes(DEAD_LETTER_RETENTION_SECS);
    let dead_letters = create(client, &dead_letter_name, dead_letters).await?;
    let redrive = json!({
        "deadLetterTargetArn": dead_letters.arn,
        "maxReceiveCount": RECEIVES_MAX,
    });
    let mut attributes = attributes(QUEUE_RETENTION_SECS);
    attributes.insert(QueueAttributeName::RedrivePolicy, redrive.to_string());
    Ok(QueuePair {
        queue: create(client, shape.name, attributes).await?,
        dead_letters,
    })
}

async fn create(
    client: &Client,
    name: &str,
    attributes: HashMap<QueueAttributeName, String>,
) -> Result<Queue, aws_sdk_sqs::Error> {
    let created = client
        .create_queue()
        .queue_name(name)
        .set_attributes(Some(attributes))
        .send()
        .await?;
    let url = created.queue_url.unwrap_or_default();
    let told = client
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await?;
    let arn = told
        .attributes()
        .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
        .cloned()
        .unwrap_or_default();
    Ok(Queue { url, arn })
}
