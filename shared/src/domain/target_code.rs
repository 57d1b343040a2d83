//! Codes of attempts that a target did not complete.

/// Why a target did not complete an attempt. A code in the operation's errors, like
/// [`FailureCode`], and the value of a metric's dimension.
///
/// [`FailureCode`]: crate::domain::operation::FailureCode
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetCode {
    /// It ended without a result: it exited, or ran out of memory.
    Crashed,
    /// It exceeded its own timeout.
    TimedOut,
    /// It was throttled for as long as the attempt invoked it again.
    Throttled,
    /// It could not be invoked, or the service that invokes it failed.
    Unavailable,
    /// No connection could be opened.
    Unreachable,
    /// The connection was lost after the request may have arrived.
    Lost,
    /// It cannot be invoked with this event.
    Refused,
    /// What it returned is no result.
    AnswerInvalid,
}

impl TargetCode {
    pub const ALL: [Self; 8] = [
        Self::Crashed,
        Self::TimedOut,
        Self::Throttled,
        Self::Unavailable,
        Self::Unreachable,
        Self::Lost,
        Self::Refused,
        Self::AnswerInvalid,
    ];

    /// The code on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crashed => "TARGET_CRASHED",
            Self::TimedOut => "TARGET_TIMED_OUT",
            Self::Throttled => "TARGET_THROTTLED",
            Self::Unavailable => "TARGET_UNAVAILABLE",
            Self::Unreachable => "TARGET_UNREACHABLE",
            Self::Lost => "TARGET_LOST",
            Self::Refused => "TARGET_REFUSED",
            Self::AnswerInvalid => "TARGET_ANSWER_INVALID",
        }
    }
}
