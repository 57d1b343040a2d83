//! The state machine: which step may be taken from which state.
//!
//! [`verdict`] is the complete table. It has no wildcard arm, and the conditions of the writes are
//! derived from it, so a new state or step does not compile until every pair has been decided. If
//! the table is wrong, a late worker overwrites a terminal state, or two workers hold one
//! operation.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Accepted; no attempt has begun.
    Pending,
    /// An attempt has begun. Only `lease_until` says whether a worker holds the operation.
    Processing,
    /// Ended with a result.
    Completed,
    /// Ended with errors.
    Failed,
    /// Ended by its owner.
    Cancelled,
}

impl Status {
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name, stored and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the state never changes again.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Processing => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a value of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

/// Reads [`Status::as_str`] back.
impl FromStr for Status {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str() == text)
            .ok_or(UnknownName)
    }
}

/// What can be done to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A submit creates it.
    Create,
    /// A worker begins an attempt.
    Claim,
    /// The holder renews its lease, with or without progress.
    Heartbeat,
    /// The holder records the result.
    Complete,
    /// The holder records errors and ends the operation.
    Fail,
    /// The holder releases the operation, and another attempt follows after a backoff.
    Retry,
    /// The holder saves a state and releases the operation. The next attempt continues from the
    /// state, at once or after a wait.
    Continue,
    /// A worker that does not hold the operation ends it: its attempts are used up, or its deadline
    /// has passed.
    GiveUp,
    /// Its owner ends it.
    Cancel,
}

impl Step {
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Claim,
        Self::Heartbeat,
        Self::Complete,
        Self::Fail,
        Self::Retry,
        Self::Continue,
        Self::GiveUp,
        Self::Cancel,
    ];
}

/// The table's decision on a step from a state. Conditions on values (the holder's token, the
/// attempts left, the deadline) come on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The step is allowed, and leads to this state.
    To(Status),
    /// The step is allowed once `lease_until` has passed or while it is absent, and leads to this
    /// state.
    ToAfterLease(Status),
    Refused,
}

/// The decision on `step` from state `from`; `None` is an operation that does not exist or has
/// expired.
#[must_use]
#[expect(
    clippy::match_same_arms,
    reason = "by state and then by step, so that the table can be read as one"
)]
pub const fn verdict(from: Option<Status>, step: Step) -> Verdict {
    use Status::{Cancelled, Completed, Failed, Pending, Processing};
    use Step::{Cancel, Claim, Complete, Continue, Create, Fail, GiveUp, Heartbeat, Retry};
    use Verdict::{Refused, To, ToAfterLease};

    match (from, step) {
        (None, Create) => To(Pending),
        (None, Claim | Heartbeat | Complete | Fail | Retry | Continue | GiveUp | Cancel) => Refused,

        (Some(Pending), Claim) => ToAfterLease(Processing),
        (Some(Pending), GiveUp) => To(Failed),
        (Some(Pending), Cancel) => To(Cancelled),
        (Some(Pending), Create | Heartbeat | Complete | Fail | Retry | Continue) => Refused,

        (Some(Processing), Claim) => ToAfterLease(Processing),
        (Some(Processing), Heartbeat | Retry | Continue) => To(Processing),
        (Some(Processing), Complete) => To(Completed),
        (Some(Processing), Fail) => To(Failed),
        (Some(Processing), GiveUp) => ToAfterLease(Failed),
        (Some(Processing), Cancel) => To(Cancelled),
        (Some(Processing), Create) => Refused,

        (
            Some(Completed | Failed | Cancelled),
            Create | Claim | Heartbeat | Complete | Fail | Retry | Continue | GiveUp | Cancel,
        ) => Refused,
    }
}

/// The states from which `step` is allowed, each with whether the lease must have passed.
pub fn sources(step: Step) -> impl Iterator<Item = (Status, bool)> {
    Status::ALL
        .into_iter()
        .filter_map(move |from| match verdict(Some(from), step) {
            Verdict::To(_) => Some((from, false)),
            Verdict::ToAfterLease(_) => Some((from, true)),
            Verdict::Refused => None,
        })
}

/// The one state that `step` leads to, from any state.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn target(step: Step) -> Status {
    std::iter::once(None)
        .chain(Status::ALL.map(Some))
        .find_map(|from| match verdict(from, step) {
            Verdict::To(to) | Verdict::ToAfterLease(to) => Some(to),
            Verdict::Refused => None,
        })
        .expect("the table allows every step from some state")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_pair() -> impl Iterator<Item = (Option<Status>, Step)> {
        std::iter::once(None)
            .chain(Status::ALL.map(Some))
            .flat_map(|from| Step::ALL.map(|step| (from, step)))
    }

    /// The table again, as text. `*`: once `lease_until` has passed, or while it is absent.
    #[test]
    fn the_table_is_this_one() {
        let expected = "
           create  claim       heartbeat  complete  fail   retry      continue   give-up cancel
absent     pending -           -          -         -      -          -          -       -
pending    -       processing* -          -         -      -          -          failed  cancelled
processing -       processing* processing completed failed processing processing failed* cancelled
completed  -       -           -          -         -      -          -          -       -
failed     -       -           -          -         -      -          -          -       -
cancelled  -       -           -          -         -      -          -          -       -
        ";
        let mut pairs = every_pair();
        for line in expected.trim().lines().skip(1) {
            let mut cells = line.split_whitespace();
            let state = cells.next().unwrap();
            for cell in cells {
                let (from, step) = pairs.next().unwrap();
                assert_eq!(state, from.map_or("absent", Status::as_str));
                let found = match verdict(from, step) {
                    Verdict::To(to) => to.to_string(),
                    Verdict::ToAfterLease(to) => format!("{to}*"),
                    Verdict::Refused => "-".to_owned(),
                };
                assert_eq!(found, cell, "{step:?} from {state}");
            }
        }
        assert_eq!(pairs.next(), None);
    }

    #[test]
    fn every_step_from_a_terminal_state_is_refused() {
        for (from, step) in every_pair() {
            if from.is_some_and(Status::is_terminal) {
                assert_eq!(
                    verdict(from, step),
                    Verdict::Refused,
                    "{step:?} from {from:?}"
                );
            }
        }
    }

    #[test]
    fn each_step_leads_to_one_state() {
        for step in Step::ALL {
            // It panics for a step that leads nowhere.
            let _ = target(step);
        }
        for (from, step) in every_pair() {
            if let Verdict::To(to) | Verdict::ToAfterLease(to) = verdict(from, step) {
                assert_eq!(to, target(step), "{step:?} from {from:?}");
            }
        }
    }

    #[test]
    fn every_live_state_can_end_without_a_holder() {
        for status in Status::ALL
            .into_iter()
            .filter(|status| !status.is_terminal())
        {
            assert_ne!(verdict(Some(status), Step::GiveUp), Verdict::Refused);
            assert_ne!(verdict(Some(status), Step::Cancel), Verdict::Refused);
        }
    }

    #[test]
    fn a_status_survives_a_round_trip() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!("Pending".parse::<Status>(), Err(UnknownName));
    }
}
