//! What a caller wants done, by whichever face it came.
//!
//! A face reads its own form into [`Parts`], with what it found wrong on the way; the rules that hold for both are here.

use std::time::Duration;

use semver::Version;
use shared::catalogue::{Catalogue, Entry, Unknown};
use shared::domain::callback::Event;
use shared::domain::callback_url::CallbackUrl;
use shared::domain::fingerprint::{RequestHash, request_hash};
use shared::domain::json::Json;
use shared::domain::limits::TTL_SECS_DEFAULT;
use shared::domain::network::AllowedNetworks;
use shared::domain::operation::Origin;
use shared::domain::time::Timestamp;
use shared::http::{Code, Fields, Problem};
use shared::schema::Validators;

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
    pub(crate) deadline: Deadline,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) origin: Origin,
}

/// What makes a submit repeatable.
#[derive(Debug)]
pub(crate) struct Idempotency {
    pub(crate) key: String,
    pub(crate) request_hash: RequestHash,
}

/// What a caller sent. What must be there and is not was wrong, and has been told.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) function: Option<String>,
    pub(crate) version: Option<Version>,
    pub(crate) arguments: Option<Json>,
    pub(crate) metadata: Option<Json>,
    pub(crate) callback: Option<WantedCallback>,
    pub(crate) ttl_secs: Option<u32>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) origin: Origin,
    /// Where the arguments stand in the request.
    pub(crate) arguments_pointer: &'static str,
}

/// When an operation's time is up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deadline {
    /// So long after it was accepted.
    After(Duration),
    /// Then, whenever it is accepted.
    At(Timestamp),
}

/// Why there is no submission.
#[derive(Debug)]
pub(crate) enum Refused {
    /// These parts are wrong.
    Faulty(Problem),
    /// All parts are right, but there is no such function.
    Unknown {
        function: String,
        version: Option<Version>,
        unknown: Unknown,
    },
}

/// A callback that was asked for.
#[derive(Debug)]
pub(crate) struct WantedCallback {
    pub(crate) url: String,
    /// Where the URL stands in the request.
    pub(crate) url_pointer: String,
    pub(crate) events: Vec<Event>,
}

impl Submission {
    /// Holds the parts to the rules; tells everything that is wrong at once, with what `fields` has already.
    pub(crate) fn new(
        parts: Parts,
        mut fields: Fields,
        catalogue: Catalogue,
        validators: &Validators,
        allowed_networks: &AllowedNetworks,
    ) -> Result<Self, Refused> {
        let at = parts.arguments_pointer;
        if let Some(callback) = &parts.callback {
            check_url(&mut fields, callback, allowed_networks);
        }
        // A function that does not exist has no type to check arguments against; what else is wrong is told first.
        let found = parts
            .function
            .as_deref()
            .map(|name| catalogue.find(name, parts.version.as_ref()));
        if let (Some(Ok(entry)), Some(arguments)) = (&found, &parts.arguments)
            && let Err(faults) = validators.check(entry, arguments)
        {
            for fault in faults {
                fields.wrong_at(format!("{at}{}", fault.pointer), fault.detail);
            }
        }
        fields.finish().map_err(Refused::Faulty)?;
        let found = found.transpose().map_err(|unknown| Refused::Unknown {
            function: parts.function.clone().unwrap_or_default(),
            version: parts.version.clone(),
            unknown,
        })?;
        let (Some(entry), Some(arguments), Some(metadata)) =
            (found, parts.arguments, parts.metadata)
        else {
            let problem = Problem::new(Code::InvalidRequest, "the request is incomplete");
            return Err(Refused::Faulty(problem));
        };

        let callback = parts
            .callback
            .map(|callback| (callback.url, callback.events));
        let idempotency = parts.idempotency_key.map(|key| {
            let callback = callback
                .as_ref()
                .map(|(url, events)| (url.as_str(), events.as_slice()));
            Idempotency {
                key,
                request_hash: request_hash(arguments.raw(), callback),
            }
        });
        let deadline_default = Deadline::After(Duration::from_secs(entry.deadline_secs.into()));
        Ok(Self {
            entry,
            version: parts.version.map(|version| version.to_string()),
            arguments,
            metadata,
            callback,
            ttl_secs: parts.ttl_secs.unwrap_or(TTL_SECS_DEFAULT),
            deadline: parts.deadline.unwrap_or(deadline_default),
            idempotency,
            origin: parts.origin,
        })
    }
}

fn check_url(fields: &mut Fields, callback: &WantedCallback, allowed_networks: &AllowedNetworks) {
    if let Err(refused) = CallbackUrl::parse(&callback.url, allowed_networks) {
        // The reason may name the operator's networks; what the caller reads does not.
        tracing::info!(reason = %refused.reason, "callback URL refused");
        fields.wrong_at(&callback.url_pointer, refused.to_string());
    }
}
