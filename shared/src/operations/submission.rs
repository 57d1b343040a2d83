//! What a caller submits, by any protocol.
//!
//! The code of each protocol reads its form into [`SubmissionParts`] and records the errors that it
//! finds in [`Fields`]; the rules that hold for every protocol are here.

use std::time::Duration;

use semver::Version;

use super::Submissions;
use crate::catalogue::{Entry, Unknown};
use crate::domain::callback::CallbackEvent;
use crate::domain::caller_url::CallerUrl;
use crate::domain::fingerprint::{RequestHash, request_hash};
use crate::domain::json::Json;
use crate::domain::limits::RETENTION_SECS_DEFAULT;
use crate::domain::network::AllowedNetworks;
use crate::domain::operation::Origin;
use crate::domain::time::Timestamp;
use crate::request::{ErrorCode, FieldError, Fields, Invalid, Start};
use crate::schema::CheckError;

/// A submission that has passed every check that needs no store.
#[derive(Debug)]
pub struct Submission {
    pub(super) entry: &'static Entry,
    /// As requested: it is part of what an idempotency key names.
    pub(super) version: Option<String>,
    pub(super) arguments: Json,
    pub(super) metadata: Json,
    pub(super) callback: Option<(String, Vec<CallbackEvent>)>,
    pub(super) ttl_secs: u32,
    pub(super) start: Option<Start>,
    pub(super) deadline: Deadline,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) origin: Origin,
}

/// What makes a submission idempotent.
#[derive(Debug)]
pub(super) struct Idempotency {
    pub(super) key: IdempotencyKey,
    pub(super) request_hash: RequestHash,
}

/// What a caller sent, as far as it could be read. The error of each [`Invalid`] part, and
/// of an optional part that was sent and could not be read, is in the [`Fields`] that go with the
/// parts.
#[derive(Debug)]
pub struct SubmissionParts {
    pub function: Result<String, Invalid>,
    pub version: Option<Version>,
    pub arguments: Result<Json, Invalid>,
    /// The pointer to the arguments in the request.
    pub arguments_pointer: &'static str,
    pub metadata: Result<Json, Invalid>,
    pub callback: Option<RequestedCallback>,
    pub ttl_secs: Option<u32>,
    /// `None` starts at once.
    pub start: Option<Start>,
    pub deadline: Option<Deadline>,
    pub idempotency_key: Option<IdempotencyKey>,
    pub origin: Origin,
}

#[derive(Debug)]
pub struct RequestedCallback {
    pub url: String,
    /// The pointer to the URL in the request.
    pub url_pointer: String,
    /// In the order of [`CallbackEvent::ALL`], each once.
    pub events: Result<Vec<CallbackEvent>, Invalid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: String,
    /// The pointer to the key in the request.
    pub pointer: String,
}

/// The time that an operation has.
#[derive(Debug, Clone, Copy)]
pub enum Deadline {
    /// From its start.
    After(Duration),
    At(Timestamp),
}

/// When an operation that is accepted `now` starts, unless at once, and its deadline.
pub(super) fn times(
    start: Option<Start>,
    deadline: Deadline,
    now: Timestamp,
) -> (Option<Timestamp>, Timestamp) {
    let starts_at = start.map(|start| start.at(now));
    let starts_at = starts_at.filter(|starts_at| *starts_at > now);
    let deadline_at = match deadline {
        Deadline::After(time) => starts_at.unwrap_or(now) + time,
        Deadline::At(deadline_at) => deadline_at,
    };
    (starts_at, deadline_at)
}

/// Why parts do not make a submission.
#[derive(Debug)]
pub enum SubmissionError {
    /// Every error of the parts.
    Invalid(Vec<FieldError>),
    /// The registered schema of the function is not valid, so it cannot be called.
    UnusableSchema,
    /// The parts are valid, but there is no such function.
    UnknownFunction {
        function: String,
        version: Option<Version>,
        unknown: Unknown,
    },
}

impl SubmissionError {
    /// The code that callers get.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidArguments,
            Self::UnusableSchema => ErrorCode::InternalError,
            Self::UnknownFunction { unknown, .. } => match unknown {
                Unknown::Function => ErrorCode::FunctionNotFound,
                Unknown::Version { .. } => ErrorCode::VersionNotFound,
            },
        }
    }
}

impl Submissions {
    /// Validates a submission. `fields` has the errors found while reading the parts.
    ///
    /// # Errors
    ///
    /// Every error at once, those of `fields` included.
    pub fn check(
        &self,
        parts: SubmissionParts,
        mut fields: Fields,
    ) -> Result<Submission, SubmissionError> {
        if let Some(callback) = &parts.callback {
            check_url(&mut fields, callback, &self.allowed_networks);
        }
        let found = parts.function.map(|function| {
            let found = self.catalogue.find(&function, parts.version.as_ref());
            (function, found)
        });
        // An unknown function has no type to check arguments against. That it is unknown is
        // reported only when nothing else is wrong.
        if let (Ok((_, Ok(entry))), Ok(arguments)) = (&found, &parts.arguments) {
            match self.validators.check(entry, arguments) {
                Ok(()) => {}
                Err(CheckError::Arguments(errors)) => {
                    for error in errors {
                        let pointer = format!("{}{}", parts.arguments_pointer, error.pointer);
                        fields.reject_at(pointer, error.detail);
                    }
                }
                Err(CheckError::Schema(error)) => {
                    tracing::error!(
                        function = entry.name,
                        version = entry.version,
                        "submit refused with 500: the functions file has an error at \
                         arguments_schema{error}"
                    );
                    return Err(SubmissionError::UnusableSchema);
                }
            }
        }
        let callback = parts
            .callback
            .map(|callback| Ok((callback.url, callback.events?)));
        let read = found.and_then(|found| {
            let (arguments, metadata) = (parts.arguments?, parts.metadata?);
            Ok((found, arguments, metadata, callback.transpose()?))
        });
        let ((function, found), arguments, metadata, callback) =
            fields.finish(read).map_err(SubmissionError::Invalid)?;
        let entry = match found {
            Ok(entry) => entry,
            Err(unknown) => {
                return Err(SubmissionError::UnknownFunction {
                    function,
                    version: parts.version,
                    unknown,
                });
            }
        };

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
        Ok(Submission {
            entry,
            version: parts.version.map(|version| version.to_string()),
            arguments,
            metadata,
            callback,
            ttl_secs: parts.ttl_secs.unwrap_or(RETENTION_SECS_DEFAULT),
            start: parts.start,
            deadline: parts.deadline.unwrap_or(deadline_default),
            idempotency,
            origin: parts.origin,
        })
    }
}

fn check_url(
    fields: &mut Fields,
    callback: &RequestedCallback,
    allowed_networks: &AllowedNetworks,
) {
    if let Err(refused) = CallerUrl::parse(&callback.url, allowed_networks) {
        // The reason may name the operator's networks; what the caller reads does not.
        tracing::info!(reason = %refused.reason, "callback URL refused");
        fields.reject_at(&callback.url_pointer, refused.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_counts_from_the_start_and_a_start_in_the_past_is_at_once() {
        const NOW: Timestamp = Timestamp::from_secs(1_000);
        let (at, secs) = (Timestamp::from_secs, Duration::from_secs);
        let minute = Deadline::After(secs(60));
        for (start, deadline, starts_at, deadline_at) in [
            (None, minute, None, 1_060),
            (None, Deadline::At(at(1_500)), None, 1_500),
            (Some(Start::After(secs(0))), minute, None, 1_060),
            (Some(Start::After(secs(30))), minute, Some(1_030), 1_090),
            (Some(Start::At(at(999))), minute, None, 1_060),
            (Some(Start::At(NOW)), minute, None, 1_060),
            (Some(Start::At(at(1_030))), minute, Some(1_030), 1_090),
            (
                Some(Start::At(at(1_030))),
                Deadline::At(at(1_500)),
                Some(1_030),
                1_500,
            ),
        ] {
            let expected = (starts_at.map(at), at(deadline_at));
            assert_eq!(
                times(start, deadline, NOW),
                expected,
                "{start:?} {deadline:?}"
            );
        }
    }
}
