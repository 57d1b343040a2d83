//! What a caller wants done.

use semver::Version;
use serde_json::value::RawValue;
use shared::catalogue::{Catalogue, Entry, Unknown};
use shared::domain::callback::Event;
use shared::domain::callback_url::CallbackUrl;
use shared::domain::fingerprint::{RequestHash, request_hash};
use shared::domain::json::Json;
use shared::domain::limits::{
    ARGUMENTS_BYTES_MAX, DEADLINE_SECS_MAX, DEADLINE_SECS_MIN, METADATA_BYTES_MAX,
    TTL_SECS_DEFAULT, TTL_SECS_MAX, TTL_SECS_MIN,
};
use shared::domain::network::AllowedNetworks;
use shared::http::{Code, Fields, Members, Problem, idempotency_key};

/// A submit that has passed every check that needs no store.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) entry: &'static Entry,
    /// As requested: it is part of what an idempotency key names.
    pub(crate) version: Option<String>,
    pub(crate) arguments: Json,
    pub(crate) metadata: Json,
    pub(crate) callback: Option<(String, Vec<Event>)>,
    pub(crate) ttl_secs: u32,
    pub(crate) deadline_secs: u32,
    pub(crate) idempotency: Option<Idempotency>,
}

/// What makes a submit repeatable.
#[derive(Debug)]
pub(crate) struct Idempotency {
    pub(crate) key: String,
    pub(crate) request_hash: RequestHash,
}

impl Submission {
    /// Reads a body and the `Idempotency-Key`; tells everything that is wrong at once.
    pub(crate) fn read(
        body: &[u8],
        key: Option<&str>,
        catalogue: Catalogue,
        allowed_networks: &AllowedNetworks,
    ) -> Result<Self, Problem> {
        let mut members = Members::read(body)?;
        let mut fields = Fields::default();
        let name = fields
            .required(&mut members, "function")
            .and_then(|raw| fields.function_name("function", raw));
        let version = members
            .take("version")
            .and_then(|raw| fields.version("version", raw));
        let arguments = object(&mut fields, &mut members, "arguments", ARGUMENTS_BYTES_MAX);
        let metadata = object(&mut fields, &mut members, "metadata", METADATA_BYTES_MAX);
        let callback = callback(&mut fields, &mut members, allowed_networks);
        let ttl_secs = members
            .take("ttl_seconds")
            .and_then(|raw| fields.number("ttl_seconds", raw, TTL_SECS_MIN..=TTL_SECS_MAX));
        let deadline_secs = members.take("deadline_seconds").and_then(|raw| {
            fields.number(
                "deadline_seconds",
                raw,
                DEADLINE_SECS_MIN..=DEADLINE_SECS_MAX,
            )
        });
        members.refuse_the_rest(&mut fields);
        let key = key.map(idempotency_key).transpose()?;

        // A function that does not exist has no type to check arguments against; the other members are told first.
        let found = name
            .as_deref()
            .map(|name| find(catalogue, name, version.as_ref()));
        if let (Some(Ok(entry)), Some(arguments)) = (&found, &arguments)
            && let Err(fault) = entry.check(arguments)
        {
            fields.wrong_at(format!("/arguments{}", fault.pointer), fault.detail);
        }
        fields.finish()?;
        let (Some(entry), Some(arguments), Some(metadata)) =
            (found.transpose()?, arguments, metadata)
        else {
            return Err(Problem::new(
                Code::InvalidRequest,
                "the request is incomplete",
            ));
        };

        let idempotency = key.map(|key| {
            let callback = callback
                .as_ref()
                .map(|(url, events)| (url.as_str(), events.as_slice()));
            Idempotency {
                key,
                request_hash: request_hash(arguments.raw(), callback),
            }
        });
        Ok(Self {
            entry,
            version: version.map(|version| version.to_string()),
            arguments,
            metadata,
            callback,
            ttl_secs: ttl_secs.unwrap_or(TTL_SECS_DEFAULT),
            deadline_secs: deadline_secs.unwrap_or(entry.deadline_secs),
            idempotency,
        })
    }
}

fn object(
    fields: &mut Fields,
    members: &mut Members<'_>,
    name: &str,
    bytes_max: usize,
) -> Option<Json> {
    match members.take(name) {
        Some(raw) => fields.object(name, raw, bytes_max),
        None => Some(Json::empty_object()),
    }
}

fn callback(
    fields: &mut Fields,
    members: &mut Members<'_>,
    allowed_networks: &AllowedNetworks,
) -> Option<(String, Vec<Event>)> {
    let events = match members.take("callback_events") {
        None => Some(Event::ALL.to_vec()),
        Some(raw) => {
            let events = callback_events(raw);
            if events.is_none() {
                fields.wrong(
                    "callback_events",
                    "must be some of completed, failed and cancelled",
                );
            }
            events
        }
    };
    let Some(raw) = members.take("callback_url") else {
        if events.is_none_or(|events| events != Event::ALL) {
            fields.wrong("callback_events", "needs a callback_url");
        }
        return None;
    };
    let text = fields.text("callback_url", raw)?;
    match CallbackUrl::parse(&text, allowed_networks) {
        Ok(_) => Some((text, events?)),
        Err(refused) => {
            // Callers are told one sentence whatever the reason, or they could map the operator's network.
            tracing::info!(reason = %refused.reason, "callback URL refused");
            fields.wrong("callback_url", refused.to_string());
            None
        }
    }
}

/// The events in their own order, each once.
fn callback_events(raw: &RawValue) -> Option<Vec<Event>> {
    let words: Vec<String> = serde_json::from_str(raw.get()).ok()?;
    let named: Option<Vec<_>> = words.iter().map(|word| Event::parse(word)).collect();
    let named = named.filter(|named| !named.is_empty())?;
    Some(
        Event::ALL
            .into_iter()
            .filter(|event| named.contains(event))
            .collect(),
    )
}

fn find(
    catalogue: Catalogue,
    name: &str,
    version: Option<&Version>,
) -> Result<&'static Entry, Problem> {
    catalogue
        .find(name, version)
        .map_err(|unknown| match unknown {
            Unknown::Function => Problem::new(
                Code::FunctionNotFound,
                format!("there is no function {name}"),
            ),
            Unknown::Version { available } => {
                let available = available.join(", ");
                Problem::new(
                    Code::VersionNotFound,
                    format!("there is no such version of {name}; there is {available}"),
                )
            }
        })
}
