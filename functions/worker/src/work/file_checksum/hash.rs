//! SHA-256 that can be saved between two legs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};

/// The hash of the bytes so far. In JSON it is the state of the library's hasher in base64, which
/// the library may read differently in another minor version: a test holds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Hash(Sha256);

impl Hash {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In lower-case hexadecimal.
    pub(super) fn finish(self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0.finalize() {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        text
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = SerializableState::serialize(&self.0);
        serializer.serialize_str(&STANDARD.encode(state))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let state = SerializedState::<Sha256>::try_from(&bytes[..]).map_err(D::Error::custom)?;
        let hash = <Sha256 as SerializableState>::deserialize(&state);
        hash.map(Self).map_err(D::Error::custom)
    }
}
