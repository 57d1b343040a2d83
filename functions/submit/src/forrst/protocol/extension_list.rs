//! The extensions of a request.

use std::collections::HashSet;

use serde_json::json;
use serde_json::value::RawValue;

use super::error::{ErrorCollector, ErrorObject};
use super::extension::Extension;
use super::options::{
    AsyncOptions, DeadlineOptions, IdempotencyOptions, TracingOptions, WebhookOptions,
};
use super::urn::{ExtensionName, ExtensionUrn, Spelling, Spellings, is_urn};
use shared::domain::callback::CallbackEvent;
use shared::domain::json::elements;
use shared::domain::limits::{ERRORS_LISTED_MAX, EXTENSION_URN_CHARS_MAX, EXTENSIONS_MAX};
use shared::domain::time::Timestamp;
use shared::request::{ErrorCode, Fields, Invalid, Members, START_AT};

/// What a caller asked for. The extension `retry` has no options, and its data is in every response
/// to which it applies, so it is not here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extensions {
    /// The extension `async`.
    pub asynchronous: Option<Extension<AsyncOptions>>,
    pub webhook: Option<Extension<WebhookOptions>>,
    pub idempotency: Option<Extension<IdempotencyOptions>>,
    pub deadline: Option<Extension<DeadlineOptions>>,
    pub tracing: Option<Extension<TracingOptions>>,
}

/// The callback that a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackRequest<'a> {
    /// Not checked yet.
    pub url: &'a str,
    /// RFC 6901 pointer to the URL.
    pub pointer: String,
    /// In the order of [`CallbackEvent::ALL`], each once.
    pub events: Vec<CallbackEvent>,
}

impl Extensions {
    /// Whether the caller wants the response at once.
    #[must_use]
    pub fn prefers_async(&self) -> bool {
        let asynchronous = self.asynchronous.as_ref();
        asynchronous.is_some_and(|asynchronous| asynchronous.options.preferred)
    }

    /// When the operation of a call starts that arrived at `arrived_at`.
    #[must_use]
    pub fn starts_at(&self, arrived_at: Timestamp) -> Timestamp {
        let asynchronous = self.asynchronous.as_ref();
        let start = asynchronous.and_then(|asynchronous| asynchronous.options.start);
        start.map_or(arrived_at, |start| start.at(arrived_at))
    }

    /// The deadline of the operation of a call that arrived at `arrived_at`, if the call has one.
    #[must_use]
    pub fn deadline_at(&self, arrived_at: Timestamp) -> Option<Timestamp> {
        let deadline = self.deadline.as_ref()?;
        Some(deadline.options.at(self.starts_at(arrived_at)))
    }

    /// The pointers to a start and a deadline that an operation cannot have, of a call that arrived
    /// at `arrived_at`, and what is wrong with each.
    #[must_use]
    pub fn time_errors(&self, arrived_at: Timestamp) -> Vec<(String, String)> {
        let start = self.asynchronous.as_ref().and_then(|asynchronous| {
            let detail = asynchronous.options.start?.too_far(arrived_at)?;
            Some((asynchronous.pointer_to(START_AT), detail))
        });
        let deadline = self
            .deadline
            .as_ref()
            .and_then(|deadline| deadline.error(arrived_at, self.starts_at(arrived_at)));
        start.into_iter().chain(deadline).collect()
    }

    /// The callback that the call asks for. `webhook` wins over `async`.
    #[must_use]
    pub fn callback(&self) -> Option<CallbackRequest<'_>> {
        const URL: &str = "callback_url";
        if let Some(webhook) = &self.webhook {
            let WebhookOptions {
                callback_url,
                events,
                ..
            } = &webhook.options;
            let events = CallbackEvent::ALL
                .into_iter()
                .filter(|event| events.iter().any(|asked_for| asked_for.event == *event))
                .collect();
            return Some(CallbackRequest {
                url: callback_url,
                pointer: webhook.pointer_to(URL),
                events,
            });
        }
        let asynchronous = self.asynchronous.as_ref()?;
        Some(CallbackRequest {
            url: asynchronous.options.callback_url.as_deref()?,
            pointer: asynchronous.pointer_to(URL),
            events: CallbackEvent::ALL.to_vec(),
        })
    }

    /// Rejects the extensions that apply to operations only: this function responds at once.
    pub(super) fn reject_those_of_operations(
        &self,
        function: &str,
        spellings: &Spellings,
        errors: &mut ErrorCollector,
    ) {
        let mut rejected = [
            (
                self.webhook.as_ref().map(|webhook| webhook.index),
                ExtensionName::Webhook,
            ),
            (
                self.idempotency
                    .as_ref()
                    .map(|idempotency| idempotency.index),
                ExtensionName::Idempotency,
            ),
            (
                self.deadline.as_ref().map(|deadline| deadline.index),
                ExtensionName::Deadline,
            ),
        ];
        rejected.sort_by_key(|(index, _)| *index);
        for (index, name) in rejected {
            let Some(index) = index else { continue };
            let pointer = format!("/extensions/{index}");
            let detail = "does not apply to a function that responds at once";
            errors.push(
                ErrorObject::at(ErrorCode::ExtensionNotApplicable, pointer, detail)
                    .with_details(&json!({"extension": spellings.urn(name), "function": function})),
            );
        }
    }

    /// Reads the member `extensions`, and how the names in it are spelled.
    pub(super) fn read(raw: Option<&RawValue>, errors: &mut ErrorCollector) -> (Self, Spellings) {
        let (mut extensions, mut spellings) = (Self::default(), Spellings::default());
        let Some(raw) = raw else {
            return (extensions, spellings);
        };
        if !raw.get().starts_with('[') {
            let detail = "must be an array";
            errors.push(ErrorObject::at(
                ErrorCode::InvalidRequest,
                "/extensions",
                detail,
            ));
            return (extensions, spellings);
        }
        let elements = elements(raw, EXTENSIONS_MAX + 1);
        if elements.len() > EXTENSIONS_MAX {
            let detail = format!("must have at most {EXTENSIONS_MAX} elements");
            errors.push(ErrorObject::at(
                ErrorCode::InvalidRequest,
                "/extensions",
                &detail,
            ));
            return (extensions, spellings);
        }
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let Some((urn, options)) = read_element(index, element, errors) else {
                continue;
            };
            let known: Option<ExtensionUrn> = urn.parse().ok();
            if let Some(known) = known {
                spellings.record(known);
            }
            let canonical = known.map(|known| known.name.urn(Spelling::Canonical));
            if !seen.insert(canonical.unwrap_or_else(|| urn.clone())) {
                let pointer = format!("/extensions/{index}/urn");
                let detail = "is given more than once";
                errors.push(ErrorObject::at(ErrorCode::InvalidRequest, pointer, detail));
                continue;
            }
            match (known, options) {
                (None, _) => unknown.push((index, urn)),
                (Some(known), Some(options)) => {
                    extensions.put(known.name, index, options, errors);
                }
                (Some(_), None) => {}
            }
        }
        reject_unknown(&unknown, errors);
        (extensions, spellings)
    }

    fn put(
        &mut self,
        name: ExtensionName,
        index: usize,
        mut options: Members<'_>,
        errors: &mut ErrorCollector,
    ) {
        fn read<T>(
            index: usize,
            members: &mut Members<'_>,
            errors: &mut ErrorCollector,
            read: fn(&mut Members<'_>, &mut Fields) -> Result<T, Invalid>,
        ) -> Option<Extension<T>> {
            let mut fields = Fields::at(format!("/extensions/{index}/options"));
            let options = read(members, &mut fields);
            errors.extend(ErrorCode::InvalidArguments, fields.into_errors());
            let options = options.ok()?;
            Some(Extension { index, options })
        }

        let members = &mut options;
        match name {
            ExtensionName::Async => {
                self.asynchronous = read(index, members, errors, |members, fields| {
                    Ok(AsyncOptions::read(members, fields))
                });
            }
            ExtensionName::Webhook => {
                self.webhook = read(index, members, errors, WebhookOptions::read);
            }
            ExtensionName::Idempotency => {
                self.idempotency = read(index, members, errors, IdempotencyOptions::read);
            }
            ExtensionName::Deadline => {
                self.deadline = read(index, members, errors, DeadlineOptions::read);
            }
            ExtensionName::Tracing => {
                self.tracing = read(index, members, errors, TracingOptions::read);
            }
            ExtensionName::Retry => {}
        }
    }
}

/// An element's name and options; `None` for options that are wrong.
fn read_element<'a>(
    index: usize,
    element: &'a RawValue,
    errors: &mut ErrorCollector,
) -> Option<(String, Option<Members<'a>>)> {
    let pointer = format!("/extensions/{index}");
    let Some(mut members) = Members::of(element) else {
        let detail = "must be an object";
        errors.push(ErrorObject::at(ErrorCode::InvalidRequest, pointer, detail));
        return None;
    };
    let mut fields = Fields::at(pointer);
    let urn = fields
        .required(&mut members, "urn")
        .and_then(|raw| fields.text("urn", raw))
        .and_then(|urn| {
            let detail = if !is_urn(&urn) {
                "must be a URN".to_owned()
            } else if urn.len() > EXTENSION_URN_CHARS_MAX {
                format!("must have at most {EXTENSION_URN_CHARS_MAX} characters")
            } else {
                return Ok(urn);
            };
            Err(fields.reject("urn", detail))
        });
    let options = match members.take("options") {
        None => Some(Members::default()),
        Some(raw) => {
            let options = Members::of(raw);
            if options.is_none() {
                fields.reject("options", "must be an object");
            }
            options
        }
    };
    errors.extend(ErrorCode::InvalidRequest, fields.into_errors());
    Some((urn.ok()?, options))
}

/// Records one error for all of them, at the first.
fn reject_unknown(unknown: &[(usize, String)], errors: &mut ErrorCollector) {
    let Some((first, _)) = unknown.first() else {
        return;
    };
    let urns = unknown.iter().take(ERRORS_LISTED_MAX).map(|(_, urn)| urn);
    let urns: Vec<_> = urns.collect();
    let pointer = format!("/extensions/{first}/urn");
    errors.push(
        ErrorObject::at(
            ErrorCode::ExtensionNotSupported,
            pointer,
            "is not supported",
        )
        .with_details(&json!({"unsupported": urns, "supported": ExtensionName::canonical_urns()})),
    );
}
