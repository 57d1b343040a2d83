//! ETags: which version of an operation a caller has seen.

use std::fmt;

use crate::domain::operation::Operation;
use crate::domain::time::Timestamp;
use crate::store::IfMatch;

/// An operation's tag: made of its creation, its lock version and its last change, so that a transition or visible progress
/// changes it, a bare heartbeat does not, and no two incarnations of a name share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag {
    created_at: Timestamp,
    lock_version: u64,
    updated_at: Timestamp,
}

impl ETag {
    /// The tag of an operation as it was read.
    #[must_use]
    pub const fn of(operation: &Operation) -> Self {
        Self {
            created_at: operation.created_at,
            lock_version: operation.lock_version,
            updated_at: operation.updated_at,
        }
    }

    fn parse(opaque: &str) -> Option<Self> {
        let mut parts = opaque.split('.');
        let (created, version, updated) = (parts.next()?, parts.next()?, parts.next()?);
        let tag = Self {
            created_at: Timestamp::from_millis(i64::from_str_radix(created, 16).ok()?),
            lock_version: u64::from_str_radix(version, 16).ok()?,
            updated_at: Timestamp::from_millis(i64::from_str_radix(updated, 16).ok()?),
        };
        // Only what this code writes: one tag has one spelling.
        (tag.to_string() == format!("\"{opaque}\"")).then_some(tag)
    }
}

/// As in the header, quotes included.
impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (created, updated) = (self.created_at.as_millis(), self.updated_at.as_millis());
        write!(f, "\"{created:x}.{:x}.{updated:x}\"", self.lock_version)
    }
}

/// What the caller has already (RFC 9110, section 13.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// Anything that is there.
    Any,
    /// These.
    Tags(Vec<ETag>),
}

impl IfNoneMatch {
    /// Reads the header. Tags that are not ours match nothing.
    #[must_use]
    pub fn parse(header: &str) -> Self {
        match entity_tags(header) {
            None => Self::Any,
            // The comparison is weak: `W/` does not count.
            Some(tags) => Self::Tags(tags.filter_map(|(_, opaque)| ETag::parse(opaque)).collect()),
        }
    }

    /// Whether the caller has this version.
    #[must_use]
    pub fn matches(&self, tag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(tag),
        }
    }
}

/// Reads `If-Match` (RFC 9110, section 13.1.1). The comparison is strong: a weak tag matches nothing, and neither does one that
/// is not ours.
#[must_use]
pub(super) fn if_match(header: Option<&str>) -> IfMatch {
    let Some(tags) = header.and_then(entity_tags) else {
        return IfMatch::Any;
    };
    let versions = tags
        .filter(|(weak, _)| !weak)
        .filter_map(|(_, opaque)| ETag::parse(opaque))
        .map(|tag| (tag.created_at, tag.lock_version, tag.updated_at))
        // An expression has its limits (4 KB in DynamoDB), and nobody holds so many versions of one operation.
        .take(TAGS_MAX)
        .collect();
    IfMatch::Versions(versions)
}

/// Tags that count in one header.
const TAGS_MAX: usize = 10;

/// The tags in a header, each with whether it is weak; `None` for `*`.
fn entity_tags(header: &str) -> Option<impl Iterator<Item = (bool, &str)>> {
    if header.trim() == "*" {
        return None;
    }
    let tags = header.split(',').map(str::trim).filter_map(|tag| {
        let (weak, quoted) = tag
            .strip_prefix("W/")
            .map_or((false, tag), |quoted| (true, quoted));
        Some((weak, quoted.strip_prefix('"')?.strip_suffix('"')?))
    });
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: ETag = ETag {
        created_at: Timestamp::from_millis(1_700_000_000_000),
        lock_version: 3,
        updated_at: Timestamp::from_millis(1_700_000_000_255),
    };

    #[test]
    fn a_tag_reads_itself_back_and_has_one_spelling() {
        let text = TAG.to_string();
        assert_eq!(ETag::parse(text.trim_matches('"')), Some(TAG));
        for other in [
            "", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.G", "+1.2.3", "A.2.3",
        ] {
            assert_eq!(ETag::parse(other), None, "{other}");
        }
    }

    #[test]
    fn if_none_match_is_weak_takes_lists_and_a_star() {
        let matches = |header: &str| IfNoneMatch::parse(header).matches(&TAG);
        assert!(matches("*"));
        assert!(matches(&TAG.to_string()));
        assert!(matches(&format!("W/{TAG}")));
        assert!(matches(&format!("\"x\", W/{TAG} , \"y\"")));
        assert!(!matches("\"x\""));
        assert!(!matches(TAG.to_string().trim_matches('"')));
        assert!(!matches(""));
    }

    #[test]
    fn if_match_is_strong() {
        let ours = (TAG.created_at, TAG.lock_version, TAG.updated_at);
        assert_eq!(if_match(None), IfMatch::Any);
        assert_eq!(if_match(Some("*")), IfMatch::Any);
        assert_eq!(
            if_match(Some(&TAG.to_string())),
            IfMatch::Versions(vec![ours])
        );
        assert_eq!(
            if_match(Some(&format!("W/{TAG}"))),
            IfMatch::Versions(vec![])
        );
        assert_eq!(
            if_match(Some(&format!("\"x\", {TAG}"))),
            IfMatch::Versions(vec![ours])
        );
        assert_eq!(if_match(Some("nonsense")), IfMatch::Versions(vec![]));
    }
}
