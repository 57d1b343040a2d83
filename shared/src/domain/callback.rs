//! What is owed to a callback's receiver, and what has been tried.
//!
//! There is one event for an operation, its end, so the callback lives in the operation's own record. Whether it is due is
//! derived: from the operation's state and the chosen events until a round has been settled, and from the stored settlement
//! afterwards. The write that ends an operation therefore needs to know nothing of callbacks.

use std::fmt;

use super::callback_url::redacted;
use super::id::AttemptId;
use super::time::Timestamp;
use super::transition::Status;

/// An end that a caller may want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The operation completed.
    Completed,
    /// The operation failed.
    Failed,
    /// The operation was cancelled.
    Cancelled,
}

impl Event {
    /// Every event, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::Cancelled];

    /// The word for it in `callback_events`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => Status::Completed.as_str(),
            Self::Failed => Status::Failed.as_str(),
            Self::Cancelled => Status::Cancelled.as_str(),
        }
    }

    /// Reads [`Event::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// The event that reaching `status` is; `None` while nothing has ended.
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

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }

    /// Reads [`SignatureVersion::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }
}

/// How a callback stands, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackStatus {
    /// The operation has not ended.
    Waiting,
    /// It has, and the receiver is to be told.
    Due,
    /// The receiver answered 2xx.
    Delivered,
    /// The receiver answered 410: never again.
    Gone,
    /// Every attempt of the schedule failed, or the callback could not be made at all.
    Exhausted,
    /// The operation's end is not among the events that were asked for.
    Skipped,
}

impl CallbackStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Due,
        Self::Delivered,
        Self::Gone,
        Self::Exhausted,
        Self::Skipped,
    ];

    /// The word for it, stored and on the wire.
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

    /// Reads [`CallbackStatus::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a new round may be started from here.
    #[must_use]
    pub const fn allows_redelivery(self) -> bool {
        match self {
            Self::Delivered | Self::Gone | Self::Exhausted => true,
            Self::Waiting | Self::Due | Self::Skipped => false,
        }
    }
}

/// One attempt of a callback, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// The receiver's status, when it answered.
    pub status_code: Option<u16>,
    /// Why it did not: one of a few short sentences.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// A callback that was asked for. `Debug` shows no query.
#[derive(Clone, PartialEq)]
pub struct Callback {
    /// Where to, as the caller gave it. Judged anew at every connection, so a stored one is not trusted.
    pub url: String,
    /// The ends to tell of, in the order of [`Event::ALL`].
    pub events: Vec<Event>,
    /// How the last round was settled, or [`CallbackStatus::Due`] again after a redelivery; `None` until something was
    /// recorded.
    pub recorded: Option<CallbackStatus>,
    /// Attempts ever recorded. The condition of every record and of every new round, so that of two senders one is refused.
    pub attempts_made: u32,
    /// Attempts recorded in the present round.
    pub round_attempts: u32,
    /// The last attempts, oldest first, as many as a round has.
    pub attempts: Vec<Attempt>,
    /// The token of the last attempt.
    pub last_attempt_id: Option<AttemptId>,
    /// When the next attempt may be made, once one has failed.
    pub next_attempt_at: Option<Timestamp>,
}

impl Callback {
    /// A callback that nothing has happened to yet.
    #[must_use]
    pub const fn new(url: String, events: Vec<Event>) -> Self {
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

    /// How it stands on an operation that stands at `status`.
    #[must_use]
    pub fn status(&self, status: Status) -> CallbackStatus {
        match (Event::of(status), self.recorded) {
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
    fn it_waits_for_the_end_and_is_due_or_skipped_by_event() {
        let callback = Callback::new("https://example.com/".into(), vec![Event::Failed]);
        assert_eq!(callback.status(Status::Pending), CallbackStatus::Waiting);
        assert_eq!(callback.status(Status::Processing), CallbackStatus::Waiting);
        assert_eq!(callback.status(Status::Failed), CallbackStatus::Due);
        assert_eq!(callback.status(Status::Completed), CallbackStatus::Skipped);
        assert_eq!(callback.status(Status::Cancelled), CallbackStatus::Skipped);
    }

    #[test]
    fn what_was_recorded_decides_after_the_end() {
        let mut callback = Callback::new("https://example.com/".into(), Event::ALL.to_vec());
        callback.recorded = Some(CallbackStatus::Gone);
        assert_eq!(callback.status(Status::Completed), CallbackStatus::Gone);
    }

    #[test]
    fn words_read_themselves_back() {
        for status in CallbackStatus::ALL {
            assert_eq!(CallbackStatus::parse(status.as_str()), Some(status));
        }
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(event));
        }
    }
}
