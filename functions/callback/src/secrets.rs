//! Where the secrets are that callbacks are signed with.
//!
//! On AWS that is Secrets Manager, where they can be replaced while this process runs; they are read again when they have
//! been in use for a while. If this is wrong, a secret that was withdrawn goes on signing.

use std::sync::Arc;

use shared::aws::Aws;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::callback::SignatureVersion;
use shared::domain::limits::WEBHOOK_SECRETS_AGE_MAX;
use shared::domain::time::Timestamp;
use shared::secret::{SecretError, StoredSecret};
use shared::telemetry::chain;
use tokio::sync::Mutex;

use crate::signature::{InvalidSecrets, Signer};

const IN_ENVIRONMENT: &str = "WEBHOOK_SECRETS";
const IN_SECRETS_MANAGER: &str = "WEBHOOK_SECRETS_ARN";

/// The secrets, as far as they are known.
pub(crate) struct Secrets {
    /// Where to read them again. Those from the environment never change.
    stored: Option<StoredSecret>,
    /// Locked while they are read, so that callbacks that are served side by side wait for one reading.
    known: Mutex<Known>,
    /// The signatures that callers are told of.
    promised: Vec<SignatureVersion>,
    clock: Arc<dyn Clock>,
}

struct Known {
    signer: Arc<Signer>,
    looked_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("names a secret that cannot be read")]
    Unreadable(#[from] SecretError),
    // Said in full, so that it is no cause besides.
    #[error("names a secret that {0}")]
    Invalid(InvalidSecrets),
}

impl Secrets {
    /// Reads them for the first time, from `WEBHOOK_SECRETS` or from the secret that `WEBHOOK_SECRETS_ARN` names: no request, or
    /// one.
    pub(crate) async fn new(
        environment: &Environment,
        aws: &Aws,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingError> {
        let (stored, signer) = match (
            environment.optional(IN_SECRETS_MANAGER),
            environment.optional(IN_ENVIRONMENT),
        ) {
            (Some(id), None) => {
                let stored = StoredSecret::new(aws.secrets_manager(), id.to_owned());
                let signer = read(&stored)
                    .await
                    .map_err(|error| SettingError::new(IN_SECRETS_MANAGER, chain(&error)))?;
                (Some(stored), signer)
            }
            (None, Some(secrets)) => {
                let signer = Signer::parse(secrets)
                    .map_err(|error| SettingError::new(IN_ENVIRONMENT, error.to_string()))?;
                (None, signer)
            }
            (None, None) => {
                let problem = format!("is not set, and neither is {IN_ENVIRONMENT}");
                return Err(SettingError::new(IN_SECRETS_MANAGER, problem));
            }
            (Some(_), Some(_)) => {
                let problem = format!("is set beside {IN_ENVIRONMENT}: one of them has to go");
                return Err(SettingError::new(IN_SECRETS_MANAGER, problem));
            }
        };
        let promised = environment.signature_versions()?;
        tell_of_missing(&signer, &promised);
        Ok(Self {
            stored,
            promised,
            known: Mutex::new(Known {
                signer: Arc::new(signer),
                looked_at: clock.now(),
            }),
            clock,
        })
    }

    /// What to sign with now: one request when the last one was [`WEBHOOK_SECRETS_AGE_MAX`] ago, else none.
    pub(crate) async fn signer(&self) -> Arc<Signer> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        // A clock that was set back must not keep them in use for longer.
        let is_recent = (known.looked_at..known.looked_at + WEBHOOK_SECRETS_AGE_MAX).contains(&now);
        if let Some(stored) = &self.stored
            && !is_recent
        {
            match read(stored).await {
                Ok(signer) => {
                    tell_of_missing(&signer, &self.promised);
                    known.signer = Arc::new(signer);
                }
                // Receivers know the secrets of before, and callbacks must not wait for an operator.
                Err(error) => tracing::error!(
                    "{IN_SECRETS_MANAGER} {}; the secrets of before stay in use",
                    chain(&error)
                ),
            }
            known.looked_at = now;
        }
        Arc::clone(&known.signer)
    }
}

/// Callers who asked for a signature that no secret makes would refuse every callback. Those of the others are sent all the same.
fn tell_of_missing(signer: &Signer, promised: &[SignatureVersion]) {
    for version in promised {
        if !signer.signs(*version) {
            let version = version.as_str();
            tracing::error!(
                "WEBHOOK_SIGNATURE_VERSIONS promises {version}, and no secret is of that kind"
            );
        }
    }
}

async fn read(stored: &StoredSecret) -> Result<Signer, ReadError> {
    Signer::parse(&stored.read().await?).map_err(ReadError::Invalid)
}
