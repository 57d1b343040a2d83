//! Who is to be told of an operation's end.

use serde_json::value::RawValue;

use shared::domain::callback::{Event, SignatureVersion};
use shared::domain::json::elements;
use shared::http::{Fields, Members};

/// Options of `webhook`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Where to tell of the end, not judged yet.
    pub callback_url: String,
    /// What to tell of, each once.
    pub events: Vec<WebhookEvent>,
    /// How to sign, when the caller says so.
    pub signature_version: Option<SignatureVersion>,
}

/// An event that a caller wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The event.
    pub event: Event,
    /// As the caller wrote it, with the prefix `forrst.` or without.
    pub spelling: String,
}

impl WebhookEvent {
    fn parse(spelling: String) -> Option<Self> {
        let word = spelling.strip_prefix("forrst.").unwrap_or(&spelling);
        let event = Event::parse(word.strip_prefix("operation.")?)?;
        Some(Self { event, spelling })
    }

    fn all() -> Vec<Self> {
        Event::ALL
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
    ) -> Option<Self> {
        let callback_url = fields
            .required(members, "callback_url")
            .and_then(|raw| fields.text("callback_url", raw));
        let events = members
            .take("events")
            .map_or_else(WebhookEvent::all, |raw| webhook_events(fields, raw));
        let signature_version = members.take("signature_version").and_then(|raw| {
            let version = SignatureVersion::parse(&fields.text("signature_version", raw)?);
            if version.is_none() {
                fields.wrong("signature_version", "must be v1 or v1a");
            }
            version
        });
        Some(Self {
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
        fields.wrong("events", RULE);
    }
    let mut events: Vec<WebhookEvent> = Vec::new();
    for word in words {
        let word: Option<String> = serde_json::from_str(word.get()).ok();
        match word.and_then(WebhookEvent::parse) {
            Some(event) if events.iter().any(|known| known.event == event.event) => {}
            Some(event) => events.push(event),
            None => {
                fields.wrong("events", RULE);
                break;
            }
        }
    }
    events
}
