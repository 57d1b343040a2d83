//! What makes two submits the same.
//!
//! An idempotent submit needs no second record: its key decides the operation's id, the conditional create finds the first
//! operation under it, and the fingerprint of the request tells a replay from a conflict.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::callback::Event;
use super::id::OperationId;
use super::json;

/// What the request was, as far as a replay must repeat it: SHA-256.
pub type RequestHash = [u8; 32];

/// The operation that `key` names for this owner, function and version *as requested*: leaving the
/// version out and naming the latest are two requests.
///
/// `salt` is the deployment's. Without it anyone could compute another owner's ids from guessed
/// keys, and time requests for them to find out which exist.
#[must_use]
pub fn operation_id(
    salt: &str,
    owner: &str,
    function: &str,
    version: Option<&str>,
    key: &str,
) -> OperationId {
    let mut hash = Sha256::new();
    put(&mut hash, Some(salt.as_bytes()));
    put(&mut hash, Some(owner.as_bytes()));
    put(&mut hash, Some(function.as_bytes()));
    put(&mut hash, version.map(str::as_bytes));
    put(&mut hash, Some(key.as_bytes()));
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&digest[..12]);
    OperationId::from_bytes(bytes)
}

/// The fingerprint of what a replay must repeat: arguments by JSON value, callback URL and events. Metadata and times are not
/// in it.
#[must_use]
pub fn request_hash(arguments: &RawValue, callback: Option<(&str, &[Event])>) -> RequestHash {
    let mut hash = Sha256::new();
    put(&mut hash, Some(json::canonical(arguments).as_bytes()));
    put(&mut hash, callback.map(|(url, _)| url.as_bytes()));
    for event in Event::ALL {
        let wanted = callback.is_some_and(|(_, events)| events.contains(&event));
        hash.update([u8::from(wanted)]);
    }
    hash.finalize().into()
}

/// Each part with its length, so that no two different lists of parts run together into one.
fn put(hash: &mut Sha256, part: Option<&[u8]>) {
    match part {
        Some(bytes) => {
            hash.update([1]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        None => hash.update([0]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(arguments: &str, callback: Option<(&str, &[Event])>) -> RequestHash {
        request_hash(serde_json::from_str(arguments).unwrap(), callback)
    }

    proptest! {
        #[test]
        fn different_parts_name_different_operations(left in parts(), right in parts()) {
            let id = |(salt, owner, function, version, key): &Parts| {
                operation_id(salt, owner, function, version.as_deref(), key)
            };
            prop_assert_eq!(id(&left) == id(&right), left == right);
        }
    }

    type Parts = (String, String, String, Option<String>, String);

    fn parts() -> impl Strategy<Value = Parts> {
        let version = proptest::option::of("[ab]{0,2}");
        ("[ab]{0,2}", "[ab]{0,3}", "[ab]{0,3}", version, "[ab]{0,3}")
    }

    /// Replays find their operation by it, whatever release accepted that.
    #[test]
    fn an_id_is_the_first_96_bits_of_the_hash_of_its_parts_with_their_lengths() {
        let id = operation_id("salt", "jwt:alice", "demo.echo", None, "k");
        assert_eq!(id.as_str(), "op_d8e2664993ca9ac30a117b10");
    }

    #[test]
    fn order_and_white_space_of_arguments_do_not_count() {
        assert_eq!(
            hash(r#"{"a":1,"b":2}"#, None),
            hash(r#"{ "b": 2.0, "a": 1 }"#, None)
        );
        assert_ne!(hash(r#"{"a":1}"#, None), hash(r#"{"a":2}"#, None));
    }

    #[test]
    fn the_callback_counts_and_the_order_of_its_events_does_not() {
        let url = "https://example.com/";
        let some: &[Event] = &[Event::Failed, Event::Completed];
        assert_ne!(hash("{}", None), hash("{}", Some((url, some))));
        assert_ne!(
            hash("{}", Some((url, &Event::ALL))),
            hash("{}", Some((url, some)))
        );
        assert_eq!(
            hash("{}", Some((url, some))),
            hash("{}", Some((url, &[Event::Completed, Event::Failed])))
        );
    }
}
