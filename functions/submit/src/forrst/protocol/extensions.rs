//! The extensions of a request.

use std::collections::HashSet;

use serde_json::json;
use serde_json::value::RawValue;

use super::error::{ErrorObject, Faults};
use super::options::{
    AsyncOptions, DeadlineOptions, IdempotencyOptions, TracingOptions, WebhookOptions,
};
use super::request::Echo;
use super::urn::{ExtensionName, Spelling, is_urn};
use shared::domain::callback::Event;
use shared::domain::json::elements;
use shared::domain::limits::{EXTENSION_URN_CHARS_MAX, EXTENSIONS_MAX, FAULTS_MAX};
use shared::http::{Code, Fields, Members};

/// An extension that a caller asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Extension<T> {
    /// Which of the request's, from 0.
    pub index: usize,
    /// What the caller asked of it.
    pub options: T,
}

impl<T> Extension<T> {
    /// RFC 6901 pointer to it.
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/extensions/{}", self.index)
    }

    /// RFC 6901 pointer to one of its options, whose name needs no escape.
    #[must_use]
    pub fn pointer_to(&self, option: &str) -> String {
        format!("/extensions/{}/options/{option}", self.index)
    }
}

/// What a caller asked for. `retry` has no options and is answered when it applies, so it is not here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extensions {
    /// `async`.
    pub asynchronous: Option<Extension<AsyncOptions>>,
    /// `webhook`.
    pub webhook: Option<Extension<WebhookOptions>>,
    /// `idempotency`.
    pub idempotency: Option<Extension<IdempotencyOptions>>,
    /// `deadline`.
    pub deadline: Option<Extension<DeadlineOptions>>,
    /// `tracing`.
    pub tracing: Option<Extension<TracingOptions>>,
}

/// Who is to be told of an operation's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackRequest<'a> {
    /// The URL as the caller gave it, not judged yet.
    pub url: &'a str,
    /// RFC 6901 pointer to it.
    pub pointer: String,
    /// What to tell of, in the order of [`Event::ALL`], each once.
    pub events: Vec<Event>,
}

impl Extensions {
    /// Whether the caller wants to be answered at once.
    #[must_use]
    pub fn prefers_async(&self) -> bool {
        let asynchronous = self.asynchronous.as_ref();
        asynchronous.is_some_and(|asynchronous| asynchronous.options.preferred)
    }

    /// Whom to tell of the end. `webhook` goes before `async`.
    #[must_use]
    pub fn callback(&self) -> Option<CallbackRequest<'_>> {
        const URL: &str = "callback_url";
        if let Some(webhook) = &self.webhook {
            let WebhookOptions {
                callback_url,
                events,
                ..
            } = &webhook.options;
            let events = Event::ALL
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
            events: Event::ALL.to_vec(),
        })
    }

    /// The extensions that a function which answers at once cannot have.
    pub(super) fn refuse_those_of_operations(
        &self,
        function: &str,
        echo: &Echo,
        faults: &mut Faults,
    ) {
        let mut refused = [
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
        refused.sort_by_key(|(index, _)| *index);
        for (index, name) in refused {
            let Some(index) = index else { continue };
            let pointer = format!("/extensions/{index}");
            let detail = "does not go with a function that answers at once";
            faults.push(
                ErrorObject::at(Code::ExtensionNotApplicable, pointer, detail)
                    .with_details(&json!({"extension": echo.urn(name), "function": function})),
            );
        }
    }

    /// Reads the member `extensions`, and how names were spelled.
    pub(super) fn read(raw: Option<&RawValue>, echo: &mut Echo, faults: &mut Faults) -> Self {
        let mut extensions = Self::default();
        let Some(raw) = raw else { return extensions };
        if !raw.get().starts_with('[') {
            let detail = "must be an array";
            faults.push(ErrorObject::at(Code::InvalidRequest, "/extensions", detail));
            return extensions;
        }
        let elements = elements(raw, EXTENSIONS_MAX + 1);
        if elements.len() > EXTENSIONS_MAX {
            let detail = format!("must have at most {EXTENSIONS_MAX} elements");
            faults.push(ErrorObject::at(
                Code::InvalidRequest,
                "/extensions",
                &detail,
            ));
            return extensions;
        }
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let Some((urn, options)) = read_element(index, element, faults) else {
                continue;
            };
            let name = ExtensionName::parse(&urn);
            if let Some((name, spelling)) = name {
                echo.saw(name, spelling);
            }
            let canonical = name.map(|(name, _)| name.urn(Spelling::Canonical));
            if !seen.insert(canonical.unwrap_or_else(|| urn.clone())) {
                let pointer = format!("/extensions/{index}/urn");
                let detail = "is given more than once";
                faults.push(ErrorObject::at(Code::InvalidRequest, pointer, detail));
                continue;
            }
            match (name, options) {
                (None, _) => unknown.push((index, urn)),
                (Some((name, _)), Some(options)) => extensions.put(name, index, options, faults),
                (Some(_), None) => {}
            }
        }
        refuse_unknown(&unknown, faults);
        echo.tracing.clone_from(&extensions.tracing);
        extensions
    }

    fn put(
        &mut self,
        name: ExtensionName,
        index: usize,
        mut options: Members<'_>,
        faults: &mut Faults,
    ) {
        fn read<T>(
            index: usize,
            members: &mut Members<'_>,
            faults: &mut Faults,
            read: fn(&mut Members<'_>, &mut Fields) -> Option<T>,
        ) -> Option<Extension<T>> {
            let mut fields = Fields::at(format!("/extensions/{index}/options"));
            let options = read(members, &mut fields);
            faults.extend(Code::InvalidArguments, fields.into_errors());
            options.map(|options| Extension { index, options })
        }

        let members = &mut options;
        match name {
            ExtensionName::Async => {
                self.asynchronous = read(index, members, faults, |members, fields| {
                    Some(AsyncOptions::read(members, fields))
                });
            }
            ExtensionName::Webhook => {
                self.webhook = read(index, members, faults, WebhookOptions::read);
            }
            ExtensionName::Idempotency => {
                self.idempotency = read(index, members, faults, IdempotencyOptions::read);
            }
            ExtensionName::Deadline => {
                self.deadline = read(index, members, faults, DeadlineOptions::read);
            }
            ExtensionName::Tracing => {
                self.tracing = read(index, members, faults, TracingOptions::read);
            }
            ExtensionName::Retry => {}
        }
    }
}

/// An element's name and options; no options when they are wrong.
fn read_element<'a>(
    index: usize,
    element: &'a RawValue,
    faults: &mut Faults,
) -> Option<(String, Option<Members<'a>>)> {
    let pointer = format!("/extensions/{index}");
    let Some(mut members) = Members::of(element) else {
        let detail = "must be an object";
        faults.push(ErrorObject::at(Code::InvalidRequest, pointer, detail));
        return None;
    };
    let mut fields = Fields::at(pointer);
    let urn = fields
        .required(&mut members, "urn")
        .and_then(|raw| fields.text("urn", raw))
        .filter(|urn| {
            let fault = if !is_urn(urn) {
                "must be a URN".to_owned()
            } else if urn.len() > EXTENSION_URN_CHARS_MAX {
                format!("must have at most {EXTENSION_URN_CHARS_MAX} characters")
            } else {
                return true;
            };
            fields.wrong("urn", fault);
            false
        });
    let options = match members.take("options") {
        None => Some(Members::default()),
        Some(raw) => {
            let options = Members::of(raw);
            if options.is_none() {
                fields.wrong("options", "must be an object");
            }
            options
        }
    };
    faults.extend(Code::InvalidRequest, fields.into_errors());
    Some((urn?, options))
}

/// One error for all of them, which names the first.
fn refuse_unknown(unknown: &[(usize, String)], faults: &mut Faults) {
    let Some((first, _)) = unknown.first() else {
        return;
    };
    let urns = unknown.iter().take(FAULTS_MAX).map(|(_, urn)| urn);
    let urns: Vec<_> = urns.collect();
    let pointer = format!("/extensions/{first}/urn");
    faults.push(
        ErrorObject::at(Code::ExtensionNotSupported, pointer, "is not known here").with_details(
            &json!({"unsupported": urns, "supported": ExtensionName::canonical_urns()}),
        ),
    );
}
