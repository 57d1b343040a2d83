//! Signs callbacks, so that a receiver can verify their sender and their content.
//!
//! The schemes are those of [Standard Webhooks], whose libraries receivers verify with. Secrets
//! stay in this module: no error and no debug output shows one. If it is wrong, receivers refuse
//! every callback or, worse, accept forged ones.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::Ed25519KeyPair;
use sha2::Sha256;
use shared::domain::callback::SignatureVersion;

/// The length of a symmetric secret: "between 24 bytes (192 bits) and 64 bytes (512 bits)"
/// (Standard Webhooks, "Signature scheme").
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// The length of a secret that the template generates.
const GENERATED_SECRET_CHARS: usize = 44;

/// The length of an Ed25519 key's seed, and that of its public key (RFC 8032, 5.1.5).
const ED25519_KEY_BYTES: usize = 32;

/// Signs with every secret in use.
pub struct Signer {
    /// In the order of the setting; never empty.
    keys: Vec<Key>,
}

enum Key {
    /// `v1`, which the receiver verifies with the same secret.
    Hmac(Box<Hmac<Sha256>>),
    /// `v1a`, which the receiver verifies with the public key.
    Ed25519(Ed25519KeyPair),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecrets {
    #[error("is empty")]
    Missing,
    /// `position` counts from 1.
    #[error(
        "is malformed: secret {position} must be whsec_ followed by 24 to 64 bytes in base64, \
         or whsk_ followed by an Ed25519 key in base64"
    )]
    Malformed { position: usize },
}

/// Reads one secret, or several during a rotation, separated by white space or commas. Each is
/// `whsec_` and 24 to 64 bytes in base64, or `whsk_` and an Ed25519 key in base64: the 32 bytes of
/// the seed, and optionally the public key's after them. 44 letters and digits alone are a secret
/// without its `whsec_`, as the template generates it.
impl FromStr for Signer {
    type Err = InvalidSecrets;

    fn from_str(secrets: &str) -> Result<Self, InvalidSecrets> {
        let keys = secrets
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|secret| !secret.is_empty())
            .zip(1..)
            .map(|(secret, position)| {
                Key::parse(secret).ok_or(InvalidSecrets::Malformed { position })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(InvalidSecrets::Missing);
        }
        Ok(Self { keys })
    }
}

impl Signer {
    /// Whether a secret makes signatures of this version.
    #[must_use]
    pub fn signs(&self, version: SignatureVersion) -> bool {
        self.keys.iter().any(|key| key.version() == version)
    }

    /// The value of `webhook-signature`: one signature per secret, separated by spaces, so that a
    /// receiver can verify with the old secret as well as with the new one.
    ///
    /// `webhook_id` must not contain a full stop, which separates the signed parts.
    #[must_use]
    pub fn sign(&self, webhook_id: &str, timestamp_secs: i64, body: &[u8]) -> String {
        let mut signed = format!("{webhook_id}.{timestamp_secs}.").into_bytes();
        signed.extend_from_slice(body);
        let signatures: Vec<_> = self.keys.iter().map(|key| key.sign(&signed)).collect();
        signatures.join(" ")
    }
}

/// Shows no secret.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl Key {
    fn parse(secret: &str) -> Option<Self> {
        let shared = secret.strip_prefix("whsec_").or_else(|| generated(secret));
        if let Some(bytes) = shared {
            let bytes = STANDARD.decode(bytes).ok()?;
            let code = SECRET_BYTES
                .contains(&bytes.len())
                .then(|| Hmac::new_from_slice(&bytes).ok())??;
            return Some(Self::Hmac(Box::new(code)));
        }
        let bytes = STANDARD.decode(secret.strip_prefix("whsk_")?).ok()?;
        let (seed, public_key) = bytes.split_at_checked(ED25519_KEY_BYTES)?;
        // The specification says "standard ed25519 key pair" and does not define its bytes: some
        // libraries store the seed, others both.
        let key_pair = if public_key.is_empty() {
            Ed25519KeyPair::from_seed_unchecked(seed)
        } else {
            Ed25519KeyPair::from_seed_and_public_key(seed, public_key)
        };
        key_pair.ok().map(Self::Ed25519)
    }

    const fn version(&self) -> SignatureVersion {
        match self {
            Self::Hmac(_) => SignatureVersion::V1,
            Self::Ed25519(_) => SignatureVersion::V1a,
        }
    }

    fn sign(&self, signed: &[u8]) -> String {
        let signature = match self {
            Self::Hmac(code) => {
                let code = code.clone().chain_update(signed).finalize().into_bytes();
                STANDARD.encode(code)
            }
            Self::Ed25519(key_pair) => STANDARD.encode(key_pair.sign(signed)),
        };
        format!("{},{signature}", self.version().as_str())
    }
}

/// The part after `whsec_` of a secret that Secrets Manager generated for the stack: it cannot put
/// the prefix in front.
fn generated(secret: &str) -> Option<&str> {
    let is_generated = secret.len() == GENERATED_SECRET_CHARS
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_generated.then_some(secret)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};
    use shared::clock::{Clock, SystemClock};
    use standardwebhooks::Webhook;

    use super::*;

    /// From the tests of the reference libraries of Standard Webhooks.
    const PUBLISHED_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    /// RFC 8032, 7.1, test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC_KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const MESSAGE: &str = "72";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
        085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn hex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    fn ed25519_key(bytes: impl AsRef<[u8]>) -> String {
        format!("whsk_{}", STANDARD.encode(bytes))
    }

    /// The seed, and the public key after it.
    fn key_pair() -> String {
        ed25519_key([hex(SEED), hex(PUBLIC_KEY)].concat())
    }

    fn secret_of(bytes: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
    }

    #[test]
    fn reproduces_the_published_examples() {
        for (secret, id, timestamp_secs, body, signature) in [
            (
                PUBLISHED_SECRET,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                OTHER_SECRET,
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ] {
            let signer = Signer::from_str(secret).unwrap();
            assert_eq!(signer.sign(id, timestamp_secs, body.as_bytes()), signature);
        }
    }

    #[test]
    fn reproduces_the_published_ed25519_example() {
        let expected = format!("v1a,{}", STANDARD.encode(hex(SIGNATURE)));
        for secret in [key_pair(), ed25519_key(hex(SEED))] {
            let key = Key::parse(&secret).unwrap();
            assert_eq!(key.sign(&hex(MESSAGE)), expected);
        }
    }

    #[test]
    fn there_is_a_signature_for_each_secret_in_the_order_of_the_setting() {
        let list = [PUBLISHED_SECRET, &key_pair(), OTHER_SECRET].join(" ");
        let signature = Signer::from_str(&list).unwrap().sign("msg_1", 1, b"{}");
        let [first, second, third] = signature.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{signature}")
        };
        for (alone, signature) in [(PUBLISHED_SECRET, first), (OTHER_SECRET, third)] {
            let signer = Signer::from_str(alone).unwrap();
            assert_eq!(signer.sign("msg_1", 1, b"{}"), signature);
        }
        let bytes = STANDARD.decode(second.strip_prefix("v1a,").unwrap());
        UnparsedPublicKey::new(&ED25519, hex(PUBLIC_KEY))
            .verify(b"msg_1.1.{}", &bytes.unwrap())
            .unwrap();
    }

    #[test]
    fn a_receiver_verifies_with_either_secret_during_a_rotation() {
        let signer = Signer::from_str(&format!("{PUBLISHED_SECRET}, {OTHER_SECRET}")).unwrap();
        let body = r#"{"type":"forrst.operation.completed","text":"ü"}"#.as_bytes();
        // The reference library compares the timestamp with the machine's clock.
        let timestamp_secs = SystemClock.now().as_secs();
        let mut headers = http::HeaderMap::new();
        let signature = signer.sign("msg_1", timestamp_secs, body);
        headers.insert("webhook-id", "msg_1".parse().unwrap());
        headers.insert("webhook-timestamp", timestamp_secs.into());
        headers.insert("webhook-signature", signature.parse().unwrap());

        assert_eq!(signature.split(' ').count(), 2);
        for secret in [PUBLISHED_SECRET, OTHER_SECRET] {
            let receiver = Webhook::new(secret).unwrap();
            receiver.verify(body, &headers).unwrap();
            assert!(receiver.verify(b"{}", &headers).is_err());
        }
        let stranger = Webhook::new(&secret_of(32)).unwrap();
        assert!(stranger.verify(body, &headers).is_err());
    }

    #[test]
    fn a_secret_that_the_stack_generated_is_one_without_its_prefix() {
        let generated = "4mZ".repeat(15)[..GENERATED_SECRET_CHARS].to_owned();
        let signature = |secrets: &str| {
            let signer = Signer::from_str(secrets).unwrap();
            signer.sign("msg_1", 1, b"{}")
        };
        let prefixed = format!("whsec_{generated}");
        assert_eq!(signature(&generated), signature(&prefixed));
        let rotated = format!("{OTHER_SECRET} {generated}");
        assert!(signature(&rotated).ends_with(&signature(&prefixed)));
        for other in [
            &generated[1..],
            &format!("{generated}A"),
            &generated.replace('4', "+"),
        ] {
            assert!(Signer::from_str(other).is_err(), "{other}");
        }
    }

    #[test]
    fn signs_any_bytes() {
        let signer = Signer::from_str(PUBLISHED_SECRET).unwrap();
        let signature = signer.sign("msg_1", 1, &[0, 0xff]);
        assert_ne!(signature, signer.sign("msg_1", 1, &[0, 0xfe]));
        assert_ne!(signature, signer.sign("msg_2", 1, &[0, 0xff]));
        assert_ne!(signature, signer.sign("msg_1", 2, &[0, 0xff]));
    }

    #[test]
    fn a_list_of_secrets_of_24_to_64_bytes_may_have_any_separators() {
        for list in [
            secret_of(24),
            secret_of(64),
            format!(" {} ", secret_of(24)),
            format!("{},{}", secret_of(24), secret_of(32)),
            format!("{}\n{}\t", secret_of(24), secret_of(32)),
            key_pair(),
        ] {
            assert!(Signer::from_str(&list).is_ok(), "{list}");
        }
    }

    #[test]
    fn an_error_names_the_setting_and_the_position_and_no_secret() {
        assert_eq!(Signer::from_str(" ,").unwrap_err(), InvalidSecrets::Missing);
        for bad in [
            "whsk_".to_owned(),
            ed25519_key([7; 31]),
            ed25519_key([7; 33]),
            // The public key is not the seed's.
            ed25519_key([7; 64]),
            ed25519_key([hex(PUBLIC_KEY), hex(SEED)].concat()),
            ed25519_key([hex(SEED), hex(PUBLIC_KEY), vec![7]].concat()),
            key_pair().replace("whsk_", "whpk_"),
            key_pair().replace("whsk_", "whsec_").repeat(2),
            secret_of(23),
            secret_of(65),
            "whsec_".to_owned(),
            "whsec_!!!!".to_owned(),
            PUBLISHED_SECRET.replace("whsec_", ""),
            PUBLISHED_SECRET.replace("whsec_", "whsk_"),
            PUBLISHED_SECRET.replace("whsec_", "WHSEC_"),
            PUBLISHED_SECRET.replace("8G", "-_"),
        ] {
            let error = Signer::from_str(&format!("{PUBLISHED_SECRET} {bad}")).unwrap_err();
            assert_eq!(error, InvalidSecrets::Malformed { position: 2 }, "{bad}");
            assert_eq!(
                error.to_string(),
                "is malformed: secret 2 must be whsec_ followed by 24 to 64 bytes in base64, \
                 or whsk_ followed by an Ed25519 key in base64"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let signer = Signer::from_str(&format!("{PUBLISHED_SECRET} {}", key_pair())).unwrap();
        assert_eq!(format!("{signer:?}"), "Signer { secrets: 2, .. }");
    }
}
