//! Signs callbacks, so that a receiver can tell that they come from here and have not been changed.
//!
//! The scheme is that of [Standard Webhooks], whose libraries receivers verify with. Secrets stay in this module: no error and
//! no debug output shows one. If it is wrong, receivers refuse every callback or, worse, cannot tell a forged one.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How long a secret may be, in bytes: "at least 24 bytes (192 bits, 512 maximum)", says the specification.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// Signs with every active secret.
#[derive(Clone)]
pub struct Signer {
    /// Keyed with one secret each, in the order of the setting; never empty.
    keys: Vec<Hmac<Sha256>>,
}

/// A value of `WEBHOOK_SECRETS` that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no secret at all.
    #[error("holds no secret")]
    Missing,
    /// One of the secrets is not what it should be.
    #[error("holds as secret {position} something else than whsec_ and 24 to 64 bytes in base64")]
    Invalid {
        /// Which secret, counted from 1.
        position: usize,
    },
}

impl Signer {
    /// Reads the setting `WEBHOOK_SECRETS`: one secret, or several while one is being replaced, separated by white space or
    /// commas. Each is `whsec_` and base64.
    ///
    /// # Errors
    ///
    /// Names the first secret that is not in this form by its position.
    pub fn parse(secrets: &str) -> Result<Self, SecretError> {
        let keys = secrets
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|secret| !secret.is_empty())
            .zip(1..)
            .map(|(secret, position)| key(secret).ok_or(SecretError::Invalid { position }))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(SecretError::Missing);
        }
        Ok(Self { keys })
    }

    /// The value of `webhook-signature`: one signature per secret, separated by spaces, so that a receiver can verify with the
    /// old secret as well as with the new.
    ///
    /// `webhook_id` must not hold a full stop, which delimits what is signed.
    #[must_use]
    pub fn sign(&self, webhook_id: &str, timestamp_secs: i64, body: &[u8]) -> String {
        let signed_ahead_of_body = format!("{webhook_id}.{timestamp_secs}.");
        let signatures: Vec<_> = self
            .keys
            .iter()
            .map(|key| {
                let code = key
                    .clone()
                    .chain_update(&signed_ahead_of_body)
                    .chain_update(body)
                    .finalize();
                format!("v1,{}", STANDARD.encode(code.into_bytes()))
            })
            .collect();
        signatures.join(" ")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}

fn key(secret: &str) -> Option<Hmac<Sha256>> {
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return None;
    }
    Hmac::new_from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use shared::clock::{Clock, SystemClock};
    use standardwebhooks::Webhook;

    use super::*;

    /// From the tests of the specification's reference libraries.
    const PUBLISHED_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

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
            let signer = Signer::parse(secret).unwrap();
            assert_eq!(signer.sign(id, timestamp_secs, body.as_bytes()), signature);
        }
    }

    #[test]
    fn a_receiver_verifies_with_either_secret_while_one_is_replaced() {
        let signer = Signer::parse(&format!("{PUBLISHED_SECRET}, {OTHER_SECRET}")).unwrap();
        let body = r#"{"type":"forrst.operation.completed","text":"ü"}"#.as_bytes();
        // The reference library holds the timestamp against the machine's clock.
        let timestamp_secs = SystemClock.now().as_secs();
        let mut headers = reqwest::header::HeaderMap::new();
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
    fn signs_any_bytes() {
        let signer = Signer::parse(PUBLISHED_SECRET).unwrap();
        let signature = signer.sign("msg_1", 1, &[0, 0xff]);
        assert_ne!(signature, signer.sign("msg_1", 1, &[0, 0xfe]));
        assert_ne!(signature, signer.sign("msg_2", 1, &[0, 0xff]));
        assert_ne!(signature, signer.sign("msg_1", 2, &[0, 0xff]));
    }

    #[test]
    fn takes_secrets_of_24_to_64_bytes_in_any_separation() {
        for list in [
            secret_of(24),
            secret_of(64),
            format!(" {} ", secret_of(24)),
            format!("{},{}", secret_of(24), secret_of(32)),
            format!("{}\n{}\t", secret_of(24), secret_of(32)),
        ] {
            assert!(Signer::parse(&list).is_ok(), "{list}");
        }
    }

    #[test]
    fn an_error_names_the_setting_and_the_position_and_no_secret() {
        assert_eq!(Signer::parse(" ,").unwrap_err(), SecretError::Missing);
        for bad in [
            secret_of(23),
            secret_of(65),
            "whsec_".to_owned(),
            "whsec_!!!!".to_owned(),
            PUBLISHED_SECRET.replace("whsec_", ""),
            PUBLISHED_SECRET.replace("whsec_", "whsk_"),
            PUBLISHED_SECRET.replace("whsec_", "WHSEC_"),
            PUBLISHED_SECRET.replace("8G", "-_"),
        ] {
            let error = Signer::parse(&format!("{PUBLISHED_SECRET} {bad}")).unwrap_err();
            assert_eq!(error, SecretError::Invalid { position: 2 }, "{bad}");
            assert_eq!(
                error.to_string(),
                "holds as secret 2 something else than whsec_ and 24 to 64 bytes in base64"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let signer = Signer::parse(PUBLISHED_SECRET).unwrap();
        assert_eq!(format!("{signer:?}"), "Signer { secrets: 1, .. }");
    }
}
