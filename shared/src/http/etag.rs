//! ETags: the version of an operation that a caller has.

use std::fmt;
use std::str::FromStr;

use crate::domain::operation::Operation;
use crate::domain::precondition::{Preconditions, Version, Versions};
use crate::domain::time::Timestamp;

/// An operation's tag: its version in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(Version);

impl ETag {
    #[must_use]
    pub const fn of(operation: &Operation) -> Self {
        Self(Version::of(operation))
    }
}

/// A tag that Ferry did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignTag;

/// Reads a strong tag as the header has it, with its quotes.
impl FromStr for ETag {
    type Err = ForeignTag;

    fn from_str(quoted: &str) -> Result<Self, ForeignTag> {
        let hex = |part: Option<&str>| {
            let number = i64::from_str_radix(part.ok_or(ForeignTag)?, 16);
            number.map_err(|_| ForeignTag)
        };
        let mut parts = quoted.trim_matches('"').split('.');
        let (created_at, lock_version) = (hex(parts.next())?, hex(parts.next())?);
        let tag = Self(Version {
            created_at: Timestamp::from_millis(created_at),
            lock_version: u64::try_from(lock_version).map_err(|_| ForeignTag)?,
            updated_at: Timestamp::from_millis(hex(parts.next())?),
        });
        // A tag has one spelling, the one that this code writes.
        if tag.to_string() == quoted {
            Ok(tag)
        } else {
            Err(ForeignTag)
        }
    }
}

/// As the header has it, with its quotes.
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
/// comparison is weak; foreign tags match nothing.
#[must_use]
pub fn none_match(header: &str, version: Version) -> bool {
    versions(header, |_| true).contain(&version)
}

/// Reads the preconditions of a request that writes. `If-Match` is compared strongly, so that a
/// weak tag matches nothing; `If-None-Match` weakly (RFC 9110, section 13.1). Foreign tags match
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
    for (_, tag) in tags.filter(|(weak, _)| counts(*weak)) {
        if let Ok(ETag(version)) = tag.parse()
            && !versions.contains(&version)
        {
            versions.push(version);
        }
    }
    Versions::Listed(versions)
}

/// The tags in a header, each with whether it is weak, and without that mark; `None` for `*`.
fn entity_tags(header: &str) -> Option<impl Iterator<Item = (bool, &str)>> {
    if header.trim() == "*" {
        return None;
    }
    let tags = header.split(',').map(|tag| {
        let tag = tag.trim();
        tag.strip_prefix("W/")
            .map_or((false, tag), |tag| (true, tag))
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
    fn a_tag_is_read_back_and_has_one_spelling() {
        let text = TAG.to_string();
        assert_eq!(text.parse(), Ok(TAG));
        let unquoted = text.trim_matches('"');
        assert_eq!(unquoted.parse::<ETag>(), Err(ForeignTag));
        for other in [
            "", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.G", "+1.2.3", "A.2.3",
        ] {
            let tag = format!("\"{other}\"").parse::<ETag>();
            assert_eq!(tag, Err(ForeignTag), "{other}");
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
