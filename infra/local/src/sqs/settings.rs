//! A queue's settings: the attributes, their ranges and defaults.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>
//!
//! Attributes that are not implemented are refused, not ignored, so that no caller relies on
//! encryption, a policy or FIFO order without having it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::SqsError;

/// The limit for a message, and for a whole batch: 1 MiB.
pub(super) const MESSAGE_BYTES_MAX: u32 = 1_048_576;
/// Up to 15 minutes.
pub(super) const DELAY_SECS: RangeInclusive<u32> = 0..=900;
/// Up to 12 hours.
pub(super) const VISIBILITY_TIMEOUT_SECS: RangeInclusive<u32> = 0..=43_200;
/// The wait of a long poll.
pub(super) const WAIT_SECS: RangeInclusive<u32> = 0..=20;

const MESSAGE_BYTES: RangeInclusive<u32> = 1_024..=MESSAGE_BYTES_MAX;
/// One minute to 14 days.
const RETENTION_SECS: RangeInclusive<u32> = 60..=1_209_600;
const MAX_RECEIVE_COUNT: RangeInclusive<u32> = 1..=1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) delay_secs: u32,
    pub(super) maximum_message_bytes: u32,
    pub(super) retention_secs: u32,
    pub(super) wait_secs: u32,
    pub(super) visibility_timeout_secs: u32,
    pub(super) redrive: Option<Redrive>,
}

/// When a message moves to the dead-letter queue, and which queue that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Redrive {
    #[serde(rename = "deadLetterTargetArn")]
    pub(super) target_arn: String,
    /// A message moves at the next receive after this many receives from this queue.
    #[serde(deserialize_with = "number_or_text")]
    pub(super) max_receive_count: u32,
}

/// The parameter's value, if the request has it; an error when it is not in `range`.
pub(super) fn bounded(
    parameter: &'static str,
    value: Option<i64>,
    range: &RangeInclusive<u32>,
) -> Result<Option<u32>, SqsError> {
    value
        .map(|value| {
            u32::try_from(value)
                .ok()
                .filter(|value| range.contains(value))
                .ok_or_else(|| SqsError::out_of_range(parameter, value, range))
        })
        .transpose()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay_secs: 0,
            maximum_message_bytes: MESSAGE_BYTES_MAX,
            retention_secs: 4 * 24 * 60 * 60,
            wait_secs: 0,
            visibility_timeout_secs: 30,
            redrive: None,
        }
    }
}

impl Settings {
    /// Sets all `attributes`, or none when one of them is refused.
    pub(super) fn apply(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), SqsError> {
        let mut changed = self.clone();
        for (name, value) in attributes {
            changed.set(name, value)?;
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
        let number = |name, range: RangeInclusive<u32>| {
            value
                .parse()
                .ok()
                .filter(|number| range.contains(number))
                .ok_or(SqsError::InvalidAttributeValue(name))
        };
        match name {
            "DelaySeconds" => self.delay_secs = number("DelaySeconds", DELAY_SECS)?,
            "MaximumMessageSize" => {
                self.maximum_message_bytes = number("MaximumMessageSize", MESSAGE_BYTES)?;
            }
            "MessageRetentionPeriod" => {
                self.retention_secs = number("MessageRetentionPeriod", RETENTION_SECS)?;
            }
            "ReceiveMessageWaitTimeSeconds" => {
                self.wait_secs = number("ReceiveMessageWaitTimeSeconds", WAIT_SECS)?;
            }
            "VisibilityTimeout" => {
                self.visibility_timeout_secs =
                    number("VisibilityTimeout", VISIBILITY_TIMEOUT_SECS)?;
            }
            "RedrivePolicy" => self.redrive = Redrive::parse(value)?,
            _ => return Err(SqsError::InvalidAttributeName(name.to_owned())),
        }
        Ok(())
    }

    /// For `GetQueueAttributes`. A policy that is not set is absent.
    pub(super) fn attributes(&self) -> Result<BTreeMap<&'static str, String>, SqsError> {
        let mut attributes = BTreeMap::from([
            ("DelaySeconds", self.delay_secs.to_string()),
            ("MaximumMessageSize", self.maximum_message_bytes.to_string()),
            ("MessageRetentionPeriod", self.retention_secs.to_string()),
            ("ReceiveMessageWaitTimeSeconds", self.wait_secs.to_string()),
            (
                "VisibilityTimeout",
                self.visibility_timeout_secs.to_string(),
            ),
        ]);
        if let Some(redrive) = &self.redrive {
            attributes.insert("RedrivePolicy", serde_json::to_string(redrive)?);
        }
        Ok(attributes)
    }

    pub(super) fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_secs.into())
    }
}

impl Redrive {
    /// An empty string removes the policy.
    fn parse(text: &str) -> Result<Option<Self>, SqsError> {
        if text.is_empty() {
            return Ok(None);
        }
        let refused = |reason: String| SqsError::InvalidParameterValue {
            parameter: "RedrivePolicy",
            value: text.to_owned(),
            reason,
        };
        let redrive: Self =
            serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        if !MAX_RECEIVE_COUNT.contains(&redrive.max_receive_count) {
            return Err(refused(format!(
                "maxReceiveCount must be between {} and {}",
                MAX_RECEIVE_COUNT.start(),
                MAX_RECEIVE_COUNT.end()
            )));
        }
        Ok(Some(redrive))
    }
}

/// AWS accepts `5` and `"5"`; templates use both.
fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrText {
        Number(u32),
        Text(String),
    }
    match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => Ok(number),
        NumberOrText::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}
