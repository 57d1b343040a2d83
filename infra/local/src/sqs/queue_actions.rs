//! The actions on queues: their requests, effects and responses.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::SqsError;
use super::settings::bounded;
use super::{Endpoint, Sqs, queue_arn};
use crate::ACCOUNT_ID;

/// On a page of `ListQueues`.
const QUEUES_MAX: usize = 1_000;
const MAX_RESULTS: RangeInclusive<u32> = 1..=1_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueUrl {
    queue_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributes {
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetQueueAttributes {
    #[serde(default)]
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
    max_results: Option<i64>,
    /// The last name on the previous page.
    #[serde(default)]
    next_token: String,
}

/// A request with no parameter but the queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneQueue {
    #[serde(default)]
    queue_url: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueUrl {
    queue_url: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueUrls {
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// The name in a queue's URL. The host is ignored: a queue can be reached by several.
pub(super) fn queue_name(queue_url: &str) -> Result<&str, SqsError> {
    if queue_url.is_empty() {
        return Err(SqsError::MissingParameter("QueueUrl"));
    }
    match queue_url.rsplit_once('/') {
        Some((account_url, name)) if account_url.ends_with(&format!("/{ACCOUNT_ID}")) => Ok(name),
        _ => Err(SqsError::QueueDoesNotExist),
    }
}

impl Endpoint {
    pub(super) fn create_queue(&self, request: &CreateQueue) -> Result<QueueUrl, SqsError> {
        let (mut broker, now) = self.sqs.broker();
        broker.create(&request.queue_name, &request.attributes, now)?;
        Ok(QueueUrl {
            queue_url: self.queue_url(&request.queue_name),
        })
    }

    pub(super) fn existing_queue_url(&self, request: &GetQueueUrl) -> Result<QueueUrl, SqsError> {
        let (mut broker, now) = self.sqs.broker();
        broker.queue(&request.queue_name, now)?;
        Ok(QueueUrl {
            queue_url: self.queue_url(&request.queue_name),
        })
    }

    /// Without `MaxResults` there is one page and no token:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html>.
    pub(super) fn list_queues(&self, request: &ListQueues) -> Result<QueueUrls, SqsError> {
        let max_results = bounded("MaxResults", request.max_results, &MAX_RESULTS)?;
        let limit = max_results.map_or(QUEUES_MAX, |limit| limit as usize);
        let (broker, _) = self.sqs.broker();
        let mut names = broker
            .names(&request.queue_name_prefix, &request.next_token)
            .peekable();
        let page: Vec<_> = names.by_ref().take(limit).collect();
        let more = max_results.is_some() && names.peek().is_some();
        Ok(QueueUrls {
            queue_urls: page.iter().map(|name| self.queue_url(name)).collect(),
            next_token: page.last().filter(|_| more).map(|name| (*name).to_owned()),
        })
    }

    fn queue_url(&self, name: &str) -> String {
        format!("http://{}/{ACCOUNT_ID}/{name}", self.address)
    }
}

impl Sqs {
    pub(super) fn delete_queue(&self, request: &OneQueue) -> Result<Value, SqsError> {
        let (mut broker, _) = self.broker();
        broker.delete(queue_name(&request.queue_url)?)?;
        Ok(json!({}))
    }

    pub(super) fn purge_queue(&self, request: &OneQueue) -> Result<Value, SqsError> {
        let (mut broker, now) = self.broker();
        broker.queue(queue_name(&request.queue_url)?, now)?.purge();
        Ok(json!({}))
    }

    pub(super) fn set_queue_attributes(
        &self,
        request: &SetQueueAttributes,
    ) -> Result<Value, SqsError> {
        let (mut broker, now) = self.broker();
        broker.set_attributes(queue_name(&request.queue_url)?, &request.attributes, now)?;
        Ok(json!({}))
    }

    pub(super) fn queue_attributes(&self, request: &GetQueueAttributes) -> Result<Value, SqsError> {
        let name = queue_name(&request.queue_url)?;
        let (mut broker, now) = self.broker();
        let queue = broker.queue(name, now)?;
        let counts = queue.counts(now);
        let mut attributes = queue.settings.attributes()?;
        attributes.extend([
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            (
                "ApproximateNumberOfMessagesDelayed",
                counts.delayed.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesNotVisible",
                counts.in_flight.to_string(),
            ),
            ("CreatedTimestamp", queue.created_at.as_secs().to_string()),
            (
                "LastModifiedTimestamp",
                queue.modified_at.as_secs().to_string(),
            ),
            ("QueueArn", queue_arn(name)),
        ]);
        let wanted = &request.attribute_names;
        // A request for a policy that is not set is valid.
        if let Some(unknown) = wanted.iter().find(|name| {
            !matches!(name.as_str(), "All" | "RedrivePolicy")
                && !attributes.contains_key(name.as_str())
        }) {
            return Err(SqsError::InvalidAttributeName(unknown.clone()));
        }
        attributes.retain(|name, _| {
            wanted
                .iter()
                .any(|wanted| wanted == "All" || wanted == name)
        });
        Ok(json!({ "Attributes": attributes }))
    }
}
