//! When a submission's operation starts.

use std::time::Duration;

use super::fields::{Fields, Members};
use crate::domain::limits::START_SECS_MAX;
use crate::domain::time::Timestamp;

const AFTER: &str = "start_after_seconds";
/// The member that holds [`Start::At`].
pub const START_AT: &str = "start_at";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From when it is accepted.
    After(Duration),
    At(Timestamp),
}

impl Start {
    /// Reads the members that name a start, which every protocol has under the same names. Whether
    /// a point in time is too far ahead is for [`Start::too_far`].
    pub fn read(members: &mut Members<'_>, fields: &mut Fields) -> Option<Self> {
        match (members.take(AFTER), members.take(START_AT)) {
            (None, None) => None,
            (Some(raw), None) => {
                let secs = fields.number(AFTER, raw, 0..=START_SECS_MAX).ok()?;
                Some(Self::After(Duration::from_secs(secs.into())))
            }
            (None, Some(raw)) => fields.time(START_AT, raw).ok().map(Self::At),
            (Some(_), Some(_)) => {
                let detail = format!("must be left out when {AFTER} is given");
                fields.reject(START_AT, detail);
                None
            }
        }
    }

    /// When an operation that is accepted `now` starts: `now` if the start has passed.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(wait) => now + wait,
            Self::At(starts_at) => starts_at.max(now),
        }
    }

    /// The error of a start that is too far ahead for a request that arrived `now`.
    #[must_use]
    pub fn too_far(self, now: Timestamp) -> Option<String> {
        let latest = now + Duration::from_secs(START_SECS_MAX.into());
        (self.at(now) > latest)
            .then(|| format!("must be at most {START_SECS_MAX} seconds from now"))
    }
}
