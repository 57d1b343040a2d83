//! Conditions of a caller on the version that a write finds (RFC 9110, sections 13.1.1 and 13.1.2).

use super::operation::Operation;
use super::time::Timestamp;

/// A version of an operation. A transition or visible progress changes it, a bare heartbeat does
/// not. Two incarnations of an id never have the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub created_at: Timestamp,
    /// The number of its transitions, from 1.
    pub lock_version: u64,
    /// When a transition or visible progress last changed it.
    pub updated_at: Timestamp,
}

impl Version {
    /// The version of an operation as it was read.
    #[must_use]
    pub const fn of(operation: &Operation) -> Self {
        Self {
            created_at: operation.created_at,
            lock_version: operation.lock_version,
            updated_at: operation.updated_at,
        }
    }
}

/// The versions that a precondition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Any version: `*`.
    Any,
    /// One of these. An empty list matches no version.
    Listed(Vec<Version>),
}

impl Versions {
    #[must_use]
    pub fn contain(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(versions) => versions.contains(version),
        }
    }
}

/// The preconditions of a request that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`: the operation must be at one of these versions.
    pub if_match: Option<Versions>,
    /// `If-None-Match`: the operation must not be at any of these versions.
    pub if_none_match: Option<Versions>,
}

impl Preconditions {
    /// Every operation meets these.
    pub const NONE: Self = Self {
        if_match: None,
        if_none_match: None,
    };

    #[must_use]
    pub fn are_met_by(&self, operation: &Operation) -> bool {
        let version = Version::of(operation);
        let matches = |versions: &Option<Versions>| {
            versions.as_ref().map(|versions| versions.contain(&version))
        };
        matches(&self.if_match) != Some(false) && matches(&self.if_none_match) != Some(true)
    }

    /// Whether a cancelled operation meets the preconditions now, or may have met them when it was
    /// cancelled. A client repeats a cancel whose response was lost with the version from before
    /// it, and RFC 9110 (section 13.1.1) lets the repeat succeed.
    #[must_use]
    pub fn allow_repeated_cancel(&self, cancelled: &Operation) -> bool {
        let precedes = |version: &Version| {
            version.created_at == cancelled.created_at
                && version.lock_version.checked_add(1) == Some(cancelled.lock_version)
        };
        let if_match = match &self.if_match {
            Some(Versions::Listed(versions)) if versions.iter().any(precedes) => None,
            other => other.clone(),
        };
        let rest = Self {
            if_match,
            if_none_match: self.if_none_match.clone(),
        };
        rest.are_met_by(cancelled)
    }
}
