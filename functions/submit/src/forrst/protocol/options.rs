//! The options of each extension. Every error of them is found here, except those of a URL: the
//! rules of the submission check it.

mod deadline;
mod webhook;

use serde_json::value::RawValue;

pub use self::deadline::{DeadlineLimit, DeadlineOptions, Specified};
pub use self::webhook::{WebhookEvent, WebhookOptions};
use shared::domain::limits::TRACING_ID_CHARS_MAX;
use shared::request::{Fields, IDEMPOTENCY_KEY_RULE, Invalid, Members, Start, is_idempotency_key};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsyncOptions {
    /// Whether the caller wants the response at once.
    pub preferred: bool,
    /// Not checked yet.
    pub callback_url: Option<String>,
    /// When the operation starts; `None` for at once. The protocol has no such option, so
    /// `start_after_seconds` and `start_at` are Ferry's own.
    pub start: Option<Start>,
}

impl AsyncOptions {
    pub(super) fn read(members: &mut Members<'_>, fields: &mut Fields) -> Self {
        let mut boolean = |name| {
            let raw = members.take(name)?;
            fields.boolean(name, raw).ok()
        };
        // The protocol's pages have two names for one option. The one in its table wins.
        let (preferred, accept) = (boolean("preferred"), boolean("accept"));
        let callback_url = members
            .take("callback_url")
            .and_then(|raw| fields.text("callback_url", raw).ok());
        Self {
            preferred: preferred.or(accept).unwrap_or(false),
            callback_url,
            start: Start::read(members, fields),
        }
    }
}

/// Options of `idempotency`. A `ttl` is ignored: the response says how long the key is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyOptions {
    /// The key, 1 to 255 printable ASCII characters.
    pub key: String,
}

impl IdempotencyOptions {
    pub(super) fn read(members: &mut Members<'_>, fields: &mut Fields) -> Result<Self, Invalid> {
        let key = fields
            .required(members, "key")
            .and_then(|raw| fields.text("key", raw))?;
        if is_idempotency_key(&key) {
            return Ok(Self { key });
        }
        Err(fields.reject("key", IDEMPOTENCY_KEY_RULE))
    }
}

/// Options of `tracing`. Baggage is checked and not kept: Ferry makes no calls to pass it on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingOptions {
    /// 1 to 128 characters.
    pub trace_id: String,
    /// The caller's span, 1 to 128 characters.
    pub span_id: String,
    /// 1 to 128 characters.
    pub parent_span_id: Option<String>,
}

impl TracingOptions {
    pub(super) fn read(members: &mut Members<'_>, fields: &mut Fields) -> Result<Self, Invalid> {
        let trace_id = fields
            .required(members, "trace_id")
            .and_then(|raw| tracing_id(fields, "trace_id", raw));
        let span_id = fields
            .required(members, "span_id")
            .and_then(|raw| tracing_id(fields, "span_id", raw));
        let parent_span_id = members
            .take("parent_span_id")
            .and_then(|raw| tracing_id(fields, "parent_span_id", raw).ok());
        if members
            .take("baggage")
            .is_some_and(|raw| !raw.get().starts_with('{'))
        {
            fields.reject("baggage", "must be an object");
        }
        Ok(Self {
            trace_id: trace_id?,
            span_id: span_id?,
            parent_span_id,
        })
    }
}

fn tracing_id(fields: &mut Fields, name: &str, raw: &RawValue) -> Result<String, Invalid> {
    let id = fields.text(name, raw)?;
    if (1..=TRACING_ID_CHARS_MAX).contains(&id.chars().count()) {
        return Ok(id);
    }
    let detail = format!("must have 1 to {TRACING_ID_CHARS_MAX} characters");
    Err(fields.reject(name, detail))
}
