//! Ids of operations, and the tokens that distinguish submits, claims and attempts.
//!
//! None of them is a secret: every read and write checks the owner as well.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const OPERATION_ID_PREFIX: &str = "op_";
/// 96 bits. The chance that any two of 10⁹ live random ids collide is 10⁻¹¹, and then the
/// conditional create notices.
const OPERATION_ID_BYTES: usize = 12;

/// The text is not an id or a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct InvalidId;

/// An operation's id: `op_` and 24 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(String);

impl OperationId {
    /// Makes an id from 96 bits, either random or taken from a hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; OPERATION_ID_BYTES]) -> Self {
        use fmt::Write as _;
        let mut text = String::from(OPERATION_ID_PREFIX);
        for byte in bytes {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads an id that [`OperationId::from_bytes`] can make.
impl FromStr for OperationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix(OPERATION_ID_PREFIX).ok_or(InvalidId)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == 2 * OPERATION_ID_BYTES && digits.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// Makes the token from 128 random bits.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(URL_SAFE_NO_PAD.encode(bytes))
            }

            /// The bits that the token was made from.
            #[must_use]
            pub fn bits(&self) -> u128 {
                let bytes = URL_SAFE_NO_PAD.decode(&self.0).expect("a token is valid base64");
                bytes.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))
            }

            /// The token as it is stored and sent: 22 characters of URL-safe base64.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Reads a token that `from_bytes` can make.
        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidId)?;
                if bytes.len() == 16 {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId)
                }
            }
        }
    };
}

token! {
    /// Drawn by each submit. It is in the submit's message and, for life, in the record that the
    /// submit creates. It distinguishes the incarnations of an operation id, and the messages of
    /// several submits.
    CreateId
}

token! {
    /// Drawn by each claim, removed by a cancel or a give-up. Together with the lock version it is
    /// the holder's fencing token. It also lets a holder recognise its own write after a lost
    /// answer.
    ClaimId
}

token! {
    /// Drawn for each attempt of a callback. It lets the sender recognise its own record after a
    /// lost answer.
    AttemptId
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_operation_id_survives_a_round_trip(bytes: [u8; OPERATION_ID_BYTES]) {
            let id = OperationId::from_bytes(bytes);
            prop_assert_eq!(id.as_str().len(), 27);
            prop_assert_eq!(id.as_str().parse(), Ok(id));
        }

        #[test]
        fn only_well_formed_operation_ids_are_read(text in "(op_)?[0-9a-fA-F]{0,26}|\\PC{0,30}") {
            if let Ok(id) = text.parse::<OperationId>() {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert_eq!(text.len(), 27);
                prop_assert!(!text.bytes().any(|byte| byte.is_ascii_uppercase()));
            }
        }

        #[test]
        fn a_token_survives_a_round_trip(bytes: [u8; 16]) {
            let token = CreateId::from_bytes(bytes);
            prop_assert_eq!(token.as_str().len(), 22);
            prop_assert_eq!(token.bits(), u128::from_be_bytes(bytes));
            prop_assert_eq!(token.as_str().parse(), Ok(token));
        }
    }

    #[test]
    fn a_token_of_another_length_is_refused() {
        assert_eq!("".parse::<ClaimId>(), Err(InvalidId));
        assert_eq!("AAAA".parse::<ClaimId>(), Err(InvalidId));
        assert_eq!("!!!!!!!!!!!!!!!!!!!!!!".parse::<ClaimId>(), Err(InvalidId));
    }
}
