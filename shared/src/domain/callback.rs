//! A callback: the events that its caller asked for, its status and its attempts.
//!
//! An operation has one event, its end, so the callback is part of the operation's record. Whether
//! it is due is derived: from the operation's state and the chosen events until the first attempt
//! is recorded, and from the recorded status afterwards. So the write that ends an operation does
//! not depend on callbacks.

use std::fmt;
use std::str::FromStr;

use super::caller_url::redacted;
use super::id::DeliveryAttemptId;
use super::time::Timestamp;
use super::transition::{Status, UnknownName};

/// An end of an operation that a caller can ask a callback for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackEvent {
    Completed,
    Failed,
    Cancelled,
}

impl CallbackEvent {
    /// In the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::Cancelled];

    /// Its name in `callback_events`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => Status::Completed.as_str(),
            Self::Failed => Status::Failed.as_str(),
            Self::Cancelled => Status::Cancelled.as_str(),
        }
    }

    /// The event that reaching `status` is; `None` for a status that is not an end.
    #[must_use]
    pub const fn of(status: Status) -> Option<Self> {
        match status {
            Status::Pending | Status::Processing => None,
            Status::Completed => Some(Self::Completed),
            Status::Failed => Some(Self::Failed),
            Status::Cancelled => Some(Self::Cancelled),
        }
    }
}

/// Reads [`CallbackEvent::as_str`] back.
impl FromStr for CallbackEvent {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|event| event.as_str() == text).ok_or(UnknownName)
    }
}

/// How a callback is signed (Standard Webhooks, "Signature scheme").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVersion {
    /// HMAC-SHA256.
    V1,
    /// Ed25519.
    V1a,
}

impl SignatureVersion {
    const ALL: [Self; 2] = [Self::V1, Self::V1a];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }
}

/// Reads [`SignatureVersion::as_str`] back.
impl FromStr for SignatureVersion {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|version| version.as_str() == text)
            .ok_or(UnknownName)
    }
}

/// The status of a callback, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackStatus {
    /// The operation has not ended.
    Waiting,
    /// The operation has ended, and the next attempt is to be made.
    Due,
    /// The receiver responded with 2xx.
    Delivered,
    /// The receiver responded with 410: no further attempts.
    Gone,
    /// Every attempt of the round failed.
    Exhausted,
    /// The caller did not ask for a callback at this end of the operation.
    Skipped,
}

impl CallbackStatus {
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Due,
        Self::Delivered,
        Self::Gone,
        Self::Exhausted,
        Self::Skipped,
    ];

    /// Its name, stored and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due => "due",
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Exhausted => "exhausted",
            Self::Skipped => "skipped",
        }
    }

    /// Whether a redelivery may start a new round.
    #[must_use]
    pub const fn allows_redelivery(self) -> bool {
        match self {
            Self::Delivered | Self::Gone | Self::Exhausted => true,
            Self::Waiting | Self::Due | Self::Skipped => false,
        }
    }
}

/// Reads [`CallbackStatus::as_str`] back.
impl FromStr for CallbackStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str() == text)
            .ok_or(UnknownName)
    }
}

/// One attempt to deliver a callback, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// When it began.
    pub at: Timestamp,
    /// `None` when there was no valid response.
    pub status_code: Option<u16>,
    /// Why there was no response: one of a few short sentences.
    pub error: Option<String>,
    pub duration_ms: u64,
}

/// The callback of an operation. `Debug` shows no query, which may hold secrets.
#[derive(Clone, PartialEq)]
pub struct Callback {
    /// As the caller gave it. It is checked again before every attempt, so a stored one is not
    /// trusted.
    pub url: String,
    /// The ends that the caller asked for, in the order of [`CallbackEvent::ALL`].
    pub events: Vec<CallbackEvent>,
    /// How the last round ended, or [`CallbackStatus::Due`] within a round; `None` until the first
    /// attempt is recorded.
    pub recorded: Option<CallbackStatus>,
    /// Attempts recorded in all rounds. Every record of an attempt and every new round is
    /// conditional on it, so that of two senders one is refused.
    pub attempts_made: u32,
    /// Attempts recorded in the present round.
    pub round_attempts: u32,
    /// The last attempts, oldest first, as many as a round has.
    pub attempts: Vec<DeliveryAttempt>,
    pub last_attempt_id: Option<DeliveryAttemptId>,
    /// When the next attempt may be made, once one has failed.
    pub next_attempt_at: Option<Timestamp>,
}

impl Callback {
    /// A callback without attempts.
    #[must_use]
    pub const fn new(url: String, events: Vec<CallbackEvent>) -> Self {
        Self {
            url,
            events,
            recorded: None,
            attempts_made: 0,
            round_attempts: 0,
            attempts: Vec::new(),
            last_attempt_id: None,
            next_attempt_at: None,
        }
    }

    /// The callback's status while its operation has `status`.
    #[must_use]
    pub fn status(&self, status: Status) -> CallbackStatus {
        match (CallbackEvent::of(status), self.recorded) {
            (None, _) => CallbackStatus::Waiting,
            (Some(_), Some(recorded)) => recorded,
            (Some(event), None) if self.events.contains(&event) => CallbackStatus::Due,
            (Some(_), None) => CallbackStatus::Skipped,
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("url", &redacted(&self.url))
            .field("recorded", &self.recorded)
            .field("attempts", &self.attempts)
            .field("next_attempt_at", &self.next_attempt_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_query() {
        let callback = Callback::new("https://example.com/?token=secret".into(), Vec::new());
        assert!(!format!("{callback:?}").contains("secret"));
    }

    #[test]
    fn a_callback_waits_for_the_end_and_is_then_due_or_skipped_by_its_events() {
        let callback = Callback::new("https://example.com/".into(), vec![CallbackEvent::Failed]);
        assert_eq!(callback.status(Status::Pending), CallbackStatus::Waiting);
        assert_eq!(callback.status(Status::Processing), CallbackStatus::Waiting);
        assert_eq!(callback.status(Status::Failed), CallbackStatus::Due);
        assert_eq!(callback.status(Status::Completed), CallbackStatus::Skipped);
        assert_eq!(callback.status(Status::Cancelled), CallbackStatus::Skipped);
    }

    #[test]
    fn a_recorded_status_counts_after_the_end() {
        let mut callback =
            Callback::new("https://example.com/".into(), CallbackEvent::ALL.to_vec());
        callback.recorded = Some(CallbackStatus::Gone);
        assert_eq!(callback.status(Status::Completed), CallbackStatus::Gone);
    }

    #[test]
    fn each_word_parses_to_its_value() {
        for status in CallbackStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for event in CallbackEvent::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
        }
        for version in SignatureVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
        assert_eq!("Due".parse::<CallbackStatus>(), Err(UnknownName));
    }
}
