//! What callers ask of each extension. Whatever is wrong with it is told here; a URL is judged by whoever posts to it.

mod deadline;
mod webhook;

use std::fmt::Write as _;

use serde_json::json;
use serde_json::value::RawValue;

pub use self::deadline::{DeadlineLimit, DeadlineOptions};
pub use self::webhook::{WebhookEvent, WebhookOptions};
use super::error::ErrorObject;
use super::extensions::Extension;
use shared::domain::fingerprint::RequestHash;
use shared::domain::limits::TRACING_ID_CHARS_MAX;
use shared::http::{Code, Fields, IDEMPOTENCY_KEY_RULE, Members, is_idempotency_key};

/// Options of `async`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsyncOptions {
    /// Whether to answer at once.
    pub preferred: bool,
    /// Where to tell of the end, not judged yet.
    pub callback_url: Option<String>,
}

impl AsyncOptions {
    pub(super) fn read(members: &mut Members<'_>, fields: &mut Fields) -> Self {
        let mut boolean = |name| {
            let raw = members.take(name)?;
            fields.boolean(name, raw)
        };
        // Two words for one thing in the protocol's own pages; the one that its table names counts more.
        let (preferred, accept) = (boolean("preferred"), boolean("accept"));
        let callback_url = members
            .take("callback_url")
            .and_then(|raw| fields.text("callback_url", raw));
        Self {
            preferred: preferred.or(accept).unwrap_or(false),
            callback_url,
        }
    }
}

/// Options of `idempotency`. A `ttl` is read and not kept: how long a key holds is told by the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyOptions {
    /// The key, 1 to 255 printable ASCII characters.
    pub key: String,
}

impl IdempotencyOptions {
    pub(super) fn read(members: &mut Members<'_>, fields: &mut Fields) -> Option<Self> {
        let key = fields
            .required(members, "key")
            .and_then(|raw| fields.text("key", raw))?;
        if is_idempotency_key(&key) {
            return Some(Self { key });
        }
        fields.wrong("key", IDEMPOTENCY_KEY_RULE);
        None
    }
}

impl Extension<IdempotencyOptions> {
    /// The error of a key that was used for another request, with that one's hash when it is known.
    #[must_use]
    pub fn conflict(&self, original: Option<&RequestHash>) -> ErrorObject {
        let hash = original.map(|hash| {
            let mut text = String::from("sha256:");
            for byte in hash {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text
        });
        let detail = "was used for another request";
        ErrorObject::at(Code::IdempotencyConflict, self.pointer_to("key"), detail)
            .with_details(&json!({"key": self.options.key, "original_arguments_hash": hash}))
    }
}

/// Options of `tracing`. Baggage is read and not kept: nothing here calls on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingOptions {
    /// What the call belongs to, 1 to 128 characters.
    pub trace_id: String,
    /// The caller's own part of it, 1 to 128 characters.
    pub span_id: String,
    /// What that is a part of, 1 to 128 characters.
    pub parent_span_id: Option<String>,
}

impl TracingOptions {
    pub(super) fn read(members: &mut Members<'_>, fields: &mut Fields) -> Option<Self> {
        let trace_id = fields
            .required(members, "trace_id")
            .and_then(|raw| tracing_id(fields, "trace_id", raw));
        let span_id = fields
            .required(members, "span_id")
            .and_then(|raw| tracing_id(fields, "span_id", raw));
        let parent_span_id = members
            .take("parent_span_id")
            .and_then(|raw| tracing_id(fields, "parent_span_id", raw));
        if members
            .take("baggage")
            .is_some_and(|raw| !raw.get().starts_with('{'))
        {
            fields.wrong("baggage", "must be an object");
        }
        Some(Self {
            trace_id: trace_id?,
            span_id: span_id?,
            parent_span_id,
        })
    }
}

fn tracing_id(fields: &mut Fields, name: &str, raw: &RawValue) -> Option<String> {
    let id = fields.text(name, raw)?;
    if (1..=TRACING_ID_CHARS_MAX).contains(&id.chars().count()) {
        return Some(id);
    }
    fields.wrong(
        name,
        format!("must have 1 to {TRACING_ID_CHARS_MAX} characters"),
    );
    None
}
