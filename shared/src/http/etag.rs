//! ETags: which version of an operation a caller has seen.

use std::fmt;

use crate::domain::operation::Operation;
use crate::domain::precondition::{Preconditions, Version, Versions};
use crate::domain::time::Timestamp;

/// An operation's tag: its version in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(Version);

impl ETag {
    /// The tag of an operation as it was read.
    #[must_use]
    pub const fn of(operation: &Operation) -> Self {
        Self(Version::of(operation))
    }

    fn parse(opaque: &str) -> Option<Self> {
        let mut parts = opaque.split('.');
        let (created, version, updated) = (parts.next()?, parts.next()?, parts.next()?);
        let tag = Self(Version {
            created_at: Timestamp::from_millis(i64::from_str_radix(created, 16).ok()?),
            lock_version: u64::from_str_radix(version, 16).ok()?,
            updated_at: Timestamp::from_millis(i64::from_str_radix(updated, 16).ok()?),
        });
        // Only what this code writes: one tag has one spelling.
        (tag.to_string() == format!("\"{opaque}\"")).then_some(tag)
    }
}

/// As in the header, quotes included.
impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version {
            created_at,
            lock_version,
            updated_at,
        } = self.0;
        let (created, updated) = (created_at.as_millis(), updated_at.as_millis());
        write!(f, "\"{created:x}.{lock_version:x}.{updated:x}\"")
    }
}

/// Whether `If-None-Match` names the version that a read found (RFC 9110, section 13.1.2). The
/// comparison is weak; tags that are not ours match nothing.
#[must_use]
pub fn none_match(header: &str, version: Version) -> bool {
    versions(header, |_| true).contain(&version)
}

/// Reads the preconditions of a request that writes. `If-Match` is compared strongly, so that a weak
/// tag matches nothing; `If-None-Match` weakly (RFC 9110, section 13.1). Tags that are not ours match
/// nothing.
#[must_use]
pub(super) fn preconditions(if_match: Option<&str>, if_none_match: Option<&str>) -> Preconditions {
    Preconditions {
        if_match: if_match.map(|header| versions(header, |weak| !weak)),
        if_none_match: if_none_match.map(|header| versions(header, |_| true)),
    }
}

fn versions(header: &str, counts: fn(bool) -> bool) -> Versions {
    let Some(tags) = entity_tags(header) else {
        return Versions::Any;
    };
    let mut versions: Vec<Version> = Vec::new();
    for (weak, opaque) in tags {
        if let Some(ETag(version)) = ETag::parse(opaque).filter(|_| counts(weak))
            && !versions.contains(&version)
        {
            versions.push(version);
        }
    }
    Versions::Listed(versions)
}

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

    const TAG: ETag = ETag(Version {
        created_at: Timestamp::from_millis(1_700_000_000_000),
        lock_version: 3,
        updated_at: Timestamp::from_millis(1_700_000_000_255),
    });

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
    fn if_none_match_of_a_read_is_weak_takes_lists_and_a_star() {
        let matches = |header: &str| none_match(header, TAG.0);
        assert!(matches("*"));
        assert!(matches(&TAG.to_string()));
        assert!(matches(&format!("W/{TAG}")));
        assert!(matches(&format!("\"x\", W/{TAG} , \"y\"")));
        assert!(!matches("\"x\""));
        assert!(!matches(TAG.to_string().trim_matches('"')));
        assert!(!matches(""));
    }

    #[test]
    fn if_match_is_strong_and_if_none_match_is_weak() {
        let read = |header: &str| {
            let Preconditions {
                if_match,
                if_none_match,
            } = preconditions(Some(header), Some(header));
            [if_match, if_none_match].map(Option::unwrap)
        };
        let listed = |versions: &[Version]| Versions::Listed(versions.to_vec());
        assert_eq!(preconditions(None, None), Preconditions::NONE);
        assert_eq!(read("*"), [Versions::Any, Versions::Any]);
        for (header, strong, weak) in [
            (TAG.to_string(), &[TAG.0][..], &[TAG.0][..]),
            (format!("W/{TAG}"), &[], &[TAG.0]),
            (format!("\"x\", {TAG}"), &[TAG.0], &[TAG.0]),
            ("nonsense".to_owned(), &[], &[]),
            (String::new(), &[], &[]),
        ] {
            assert_eq!(read(&header), [listed(strong), listed(weak)], "{header}");
        }
    }
}
