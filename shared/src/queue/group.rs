//! The message groups of the fair queues.
//!
//! A standard queue whose messages have a `MessageGroupId` is a fair queue: while the messages of
//! one group take a large share of the consumers, SQS delivers those of quieter groups first
//! (Amazon SQS Developer Guide, "How Amazon SQS fair queues work"). Groups are hashes, since an
//! owner's name may be personal and a group is in SQS's data events.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::domain::operation::Owner;

/// The number of groups that one owner's callbacks are divided into. SQS counts a group as noisy
/// when it takes a tenth of the consumers' time. An owner who takes all of it with fewer than ten
/// groups has a noisy one; an owner with one group for each of a hundred hosts would have none.
const CALLBACK_GROUPS: u8 = 8;

/// How many bytes of the hash are used: enough that no owner can find another with the same group.
const HASH_BYTES: usize = 16;

/// A message's `MessageGroupId`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageGroup(String);

impl MessageGroup {
    /// The group of an owner's operations.
    #[must_use]
    pub fn of_owner(owner: &Owner) -> Self {
        let hash = Sha256::digest(owner.as_str());
        let group = hash[..HASH_BYTES]
            .iter()
            .fold(String::new(), |mut group, byte| {
                // Writing to a `String` cannot fail.
                let _ = write!(group, "{byte:02x}");
                group
            });
        Self(group)
    }

    /// The group of an owner's callbacks to the host of `url`. A receiver that does not answer
    /// delays few of the owner's other receivers, and no other owner's.
    #[must_use]
    pub fn of_callback(owner: &Owner, url: &str) -> Self {
        let Self(mut group) = Self::of_owner(owner);
        let number = Sha256::digest(host(url).to_ascii_lowercase())[0] % CALLBACK_GROUPS;
        let _ = write!(group, "-{number}");
        Self(group)
    }

    #[must_use]
    pub const fn from_received(group: String) -> Self {
        Self(group)
    }

    /// 32 hex digits, and for callbacks a hyphen and a digit.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Host and port of an accepted callback URL, which has no user information.
#[must_use]
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn owner(name: &str) -> Owner {
        Owner::new("jwt", name).unwrap()
    }

    #[test]
    fn each_owner_has_a_group_that_does_not_name_the_owner() {
        let [alice, bob] = ["alice", "bob"].map(|name| MessageGroup::of_owner(&owner(name)));
        assert_ne!(alice, bob);
        // `printf jwt:alice | sha256sum`
        assert_eq!(alice.as_str(), "5786039b3926ce6f1e4a5038f82e538c");
        let to_host = MessageGroup::of_callback(&owner("alice"), "https://example.com/");
        assert!(
            to_host
                .as_str()
                .starts_with(&format!("{}-", alice.as_str()))
        );
    }

    #[test]
    fn a_callbacks_group_depends_only_on_its_host() {
        let group = |url| MessageGroup::of_callback(&owner("alice"), url);
        let one = group("https://one.example.com/hook?id=1");
        for same in [
            "https://one.example.com",
            "https://ONE.example.com/other",
            "https://one.example.com?id=2",
        ] {
            assert_eq!(group(same), one, "{same}");
        }
    }

    #[test]
    fn an_owner_with_many_hosts_has_eight_groups() {
        let groups: HashSet<_> = (0..1000)
            .map(|n| MessageGroup::of_callback(&owner("alice"), &format!("https://{n}.example/")))
            .collect();
        assert_eq!(groups.len(), usize::from(CALLBACK_GROUPS));
    }
}
