//! When two submits are the same.
//!
//! An idempotent submit needs no second record. Its key determines the operation's id, the
//! conditional create finds the first operation under that id, and the request's hash distinguishes
//! a replay from a conflict.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::callback::CallbackEvent;
use super::id::{CreateId, OperationId};
use super::json;

/// SHA-256 of all that a replay must repeat.
pub type RequestHash = [u8; 32];

/// The id of the operation that `key` names for this owner, function and version *as requested*:
/// leaving the version out and naming the latest are two requests.
///
/// `salt` belongs to the deployment. Without it anyone could compute another owner's ids from
/// guessed keys, and find out which exist by timing requests for them.
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
    first_96_bits(hash)
}

/// The id of the redrive of the failed operation with this `create_id`: one operation is redriven
/// once. No salt, since the `create_id` is random.
#[must_use]
pub fn redrive_id(create_id: &CreateId) -> OperationId {
    first_96_bits(redrive(create_id))
}

/// The hash of what a repeated redrive must repeat: where the work continues from.
#[must_use]
pub fn redrive_hash(create_id: &CreateId, from: &str) -> RequestHash {
    let mut hash = redrive(create_id);
    put(&mut hash, Some(from.as_bytes()));
    hash.finalize().into()
}

fn redrive(create_id: &CreateId) -> Sha256 {
    let mut hash = Sha256::new();
    put(&mut hash, Some(b"redrive"));
    put(&mut hash, Some(create_id.as_str().as_bytes()));
    hash
}

fn first_96_bits(hash: Sha256) -> OperationId {
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&digest[..12]);
    OperationId::from_bytes(bytes)
}

/// The hash of all that a replay must repeat: arguments by JSON value, callback URL and events.
/// Metadata and times are not included.
#[must_use]
pub fn request_hash(
    arguments: &RawValue,
    callback: Option<(&str, &[CallbackEvent])>,
) -> RequestHash {
    let mut hash = Sha256::new();
    put(&mut hash, Some(json::canonical(arguments).as_bytes()));
    put(&mut hash, callback.map(|(url, _)| url.as_bytes()));
    for event in CallbackEvent::ALL {
        let wanted = callback.is_some_and(|(_, events)| events.contains(&event));
        hash.update([u8::from(wanted)]);
    }
    hash.finalize().into()
}

/// Hashes each part with its length, so that two different lists of parts never yield the same
/// bytes.
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

    fn hash(arguments: &str, callback: Option<(&str, &[CallbackEvent])>) -> RequestHash {
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

    /// A replay must find its operation whichever release accepted it.
    #[test]
    fn an_id_is_the_first_96_bits_of_the_hash_of_its_parts_with_their_lengths() {
        let id = operation_id("salt", "jwt:alice", "demo.echo", None, "k");
        assert_eq!(id.as_str(), "op_d8e2664993ca9ac30a117b10");
    }

    /// A repeated redrive must find the first one, whichever release made it.
    #[test]
    fn a_redrive_has_one_id_for_each_incarnation_and_one_hash_for_each_start() {
        let create_id = CreateId::from_bytes([8; 16]);
        assert_eq!(
            redrive_id(&create_id).as_str(),
            "op_b646cdacab26f29a7017fdc7"
        );
        let other = CreateId::from_bytes([9; 16]);
        assert_ne!(redrive_id(&create_id), redrive_id(&other));
        let hash = redrive_hash(&create_id, "state");
        assert_eq!(hash, redrive_hash(&create_id, "state"));
        assert_ne!(hash, redrive_hash(&create_id, "start"));
        assert_ne!(hash, redrive_hash(&other, "state"));
    }

    #[test]
    fn the_hash_ignores_order_and_white_space_of_arguments() {
        assert_eq!(
            hash(r#"{"a":1,"b":2}"#, None),
            hash(r#"{ "b": 2.0, "a": 1 }"#, None)
        );
        assert_ne!(hash(r#"{"a":1}"#, None), hash(r#"{"a":2}"#, None));
    }

    #[test]
    fn the_hash_covers_the_callback_but_not_the_order_of_its_events() {
        let url = "https://example.com/";
        let some: &[CallbackEvent] = &[CallbackEvent::Failed, CallbackEvent::Completed];
        assert_ne!(hash("{}", None), hash("{}", Some((url, some))));
        assert_ne!(
            hash("{}", Some((url, &CallbackEvent::ALL))),
            hash("{}", Some((url, some)))
        );
        assert_eq!(
            hash("{}", Some((url, some))),
            hash(
                "{}",
                Some((url, &[CallbackEvent::Completed, CallbackEvent::Failed]))
            )
        );
    }
}
