//! The callback that the extension `webhook` asks for.

use std::str::FromStr;

use serde_json::value::RawValue;

use shared::domain::callback::{CallbackEvent, SignatureVersion};
use shared::domain::json::elements;
use shared::request::{Fields, Invalid, Members};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Not checked yet.
    pub callback_url: String,
    /// Each once.
    pub events: Vec<WebhookEvent>,
    /// How to sign, when the caller asks for one way.
    pub signature_version: Option<SignatureVersion>,
}

/// An event that the callback is to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    pub event: CallbackEvent,
    /// As the caller wrote it, with the prefix `forrst.` or without.
    pub spelling: String,
}

/// A word that is not the name of an event.
#[derive(Debug)]
pub struct UnknownEvent;

impl FromStr for WebhookEvent {
    type Err = UnknownEvent;

    fn from_str(spelling: &str) -> Result<Self, UnknownEvent> {
        let word = spelling.strip_prefix("forrst.").unwrap_or(spelling);
        let event = word
            .strip_prefix("operation.")
            .and_then(|event| event.parse().ok());
        Ok(Self {
            event: event.ok_or(UnknownEvent)?,
            spelling: spelling.to_owned(),
        })
    }
}

impl WebhookEvent {
    fn all() -> Vec<Self> {
        CallbackEvent::ALL
            .into_iter()
            .map(|event| Self {
                event,
                spelling: format!("forrst.operation.{}", event.as_str()),
            })
            .collect()
    }
}

impl WebhookOptions {
    pub(in crate::forrst::protocol) fn read(
        members: &mut Members<'_>,
        fields: &mut Fields,
    ) -> Result<Self, Invalid> {
        let callback_url = fields
            .required(members, "callback_url")
            .and_then(|raw| fields.text("callback_url", raw));
        let events = members
            .take("events")
            .map_or_else(WebhookEvent::all, |raw| webhook_events(fields, raw));
        let signature_version = members.take("signature_version").and_then(|raw| {
            let version = fields.text("signature_version", raw).ok()?.parse().ok();
            if version.is_none() {
                fields.reject("signature_version", "must be v1 or v1a");
            }
            version
        });
        Ok(Self {
            callback_url: callback_url?,
            events,
            signature_version,
        })
    }
}

fn webhook_events(fields: &mut Fields, raw: &RawValue) -> Vec<WebhookEvent> {
    const RULE: &str =
        "must be some of operation.completed, operation.failed and operation.cancelled";
    let words = elements(raw, usize::MAX);
    if words.is_empty() {
        fields.reject("events", RULE);
    }
    let mut events: Vec<WebhookEvent> = Vec::new();
    for word in words {
        let word: Option<String> = serde_json::from_str(word.get()).ok();
        match word.and_then(|word| word.parse::<WebhookEvent>().ok()) {
            Some(event) if events.iter().any(|known| known.event == event.event) => {}
            Some(event) => events.push(event),
            None => {
                fields.reject("events", RULE);
                break;
            }
        }
    }
    events
}
