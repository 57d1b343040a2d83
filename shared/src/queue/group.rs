//! Which messages SQS counts as one tenant's.
//!
//! A standard queue whose messages have a `MessageGroupId` is a fair queue: while the messages of
//! one group take a large share of the consumers, SQS delivers those of quieter groups first
//! (Amazon SQS Developer Guide, "How Amazon SQS fair queues work"). Groups are hashes, since an
//! owner's name may be personal and a group is in SQS's data events.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::domain::operation::Owner;

/// Groups that one owner's callbacks are divided into. A group is noisy from a tenth of the
/// consumers' time on, so an owner with all of it and fewer than ten groups has a noisy one; an
/// owner who had a group for each of a hundred hosts would have none.
const CALLBACK_GROUPS: u8 = 8;

/// Bytes of a hash that are used: enough that no owner finds another with the same group.
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

    /// The group of an owner's callbacks to the host of `url`, so that a receiver that does not
    /// answer holds up few other receivers of the same owner, and none of another's.
    #[must_use]
    pub fn of_callback(owner: &Owner, url: &str) -> Self {
        let Self(mut group) = Self::of_owner(owner);
        let number = Sha256::digest(host(url).to_ascii_lowercase())[0] % CALLBACK_GROUPS;
        let _ = write!(group, "-{number}");
        Self(group)
    }

    /// The group that a message was received with.
    #[must_use]
    pub const fn from_received(group: String) -> Self {
        Self(group)
    }

    /// The group as SQS gets it: 32 hex digits, and for callbacks a hyphen and a digit.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Host and port of a URL that was accepted for a callback, so without user information.
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
    fn owners_have_groups_of_their_own_that_do_not_name_them() {
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
    fn a_callbacks_group_goes_by_its_host_alone() {
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
    fn an_owner_with_many_hosts_still_has_groups_that_can_be_noisy() {
        let groups: HashSet<_> = (0..1000)
            .map(|n| MessageGroup::of_callback(&owner("alice"), &format!("https://{n}.example/")))
            .collect();
        assert_eq!(groups.len(), usize::from(CALLBACK_GROUPS));
    }
}
