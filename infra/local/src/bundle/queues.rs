//! The two queues and their dead-letter queues: in this process, or behind another endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use shared::domain::limits::{
    CALLBACK_VISIBILITY_SECS, DEAD_LETTER_RETENTION_SECS, QUEUE_RETENTION_SECS, RECEIVES_MAX,
};
use tokio::task::JoinSet;

use crate::bundle::{Settings, StartError, address, listen};
use crate::client::sdk_config;
use crate::sqs::Sqs;

/// A dead-letter queue's name is its queue's name with this suffix.
const DEAD_LETTER_SUFFIX: &str = "-dead-letter";

/// A queue and its dead-letter queue, which has the same settings but a longer retention, and no
/// dead-letter queue itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QueueShape {
    name: &'static str,
    /// At least the timeout of the function that reads the queue.
    visibility_timeout_secs: u32,
}

/// The worker reads it.
const fn dispatch_queue(worker_timeout_secs: u32) -> QueueShape {
    QueueShape {
        name: "ferry-dispatch",
        visibility_timeout_secs: worker_timeout_secs,
    }
}

/// The callback function reads it.
const CALLBACK_QUEUE: QueueShape = QueueShape {
    name: "ferry-callback",
    visibility_timeout_secs: CALLBACK_VISIBILITY_SECS,
};

pub(super) struct Queues {
    pub(super) client: Client,
    /// `None` for queues behind another endpoint.
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
    pub(super) arn: String,
}

impl Queues {
    /// Creates the queues that do not exist. An existing queue must have the same settings.
    pub(super) async fn start(
        settings: &Settings,
        services: &mut JoinSet<()>,
    ) -> Result<Self, StartError> {
        let (endpoint, embedded) = match &settings.sqs {
            Some(endpoint) => (endpoint.clone(), None),
            None => embedded(settings, services).await?,
        };
        let client = Client::new(&sdk_config(&endpoint));
        let dispatch = dispatch_queue(settings.worker_timeout_secs());
        let failed = |error: aws_sdk_sqs::Error| StartError::Queues(error.into());
        Ok(Self {
            dispatch: create_pair(&client, dispatch).await.map_err(failed)?,
            callback: create_pair(&client, CALLBACK_QUEUE).await.map_err(failed)?,
            client,
            embedded,
            endpoint,
        })
    }
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
            tracing::error!(%error, "the queues ended; the bundle must be started again");
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
    let attributes = client
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await?;
    let arn = attributes
        .attributes()
        .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
        .cloned()
        .unwrap_or_default();
    Ok(Queue { url, arn })
}
