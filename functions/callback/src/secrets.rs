//! The secrets that callbacks are signed with.
//!
//! On AWS they are in Secrets Manager, where an operator can rotate them while this process runs,
//! so they are read again from time to time. If this is wrong, a withdrawn secret goes on signing.

use std::str::FromStr as _;
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

pub(crate) struct Secrets {
    /// The secret to read again. `None` for secrets from the environment, which never change.
    stored: Option<StoredSecret>,
    /// Locked during a read, so that concurrent callbacks share one.
    last_read: Mutex<LastRead>,
    /// The signature versions that the API promises.
    promised: Vec<SignatureVersion>,
    clock: Arc<dyn Clock>,
}

struct LastRead {
    signer: Arc<Signer>,
    at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("refers to a secret that cannot be read")]
    Unreadable(#[from] SecretError),
    // Part of the message, so it is not the source as well.
    #[error("refers to a secret that {0}")]
    Invalid(InvalidSecrets),
}

impl Secrets {
    /// Reads the secrets from `WEBHOOK_SECRETS`, or with one request from the secret that
    /// `WEBHOOK_SECRETS_ARN` names.
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
                let signer = Signer::from_str(secrets)
                    .map_err(|error| SettingError::new(IN_ENVIRONMENT, error.to_string()))?;
                (None, signer)
            }
            (None, None) => {
                let problem = format!("is not set, and neither is {IN_ENVIRONMENT}");
                return Err(SettingError::new(IN_SECRETS_MANAGER, problem));
            }
            (Some(_), Some(_)) => {
                let problem = format!("and {IN_ENVIRONMENT} are both set; remove one of them");
                return Err(SettingError::new(IN_SECRETS_MANAGER, problem));
            }
        };
        let promised = environment.signature_versions()?;
        log_missing(&signer, &promised);
        Ok(Self {
            stored,
            promised,
            last_read: Mutex::new(LastRead {
                signer: Arc::new(signer),
                at: clock.now(),
            }),
            clock,
        })
    }

    /// The signer to use now. Makes one request when the last one was [`WEBHOOK_SECRETS_AGE_MAX`]
    /// ago.
    pub(crate) async fn signer(&self) -> Arc<Signer> {
        let mut last_read = self.last_read.lock().await;
        let now = self.clock.now();
        // A range, so that a clock which was set back does not extend the use of old secrets.
        let is_recent = (last_read.at..last_read.at + WEBHOOK_SECRETS_AGE_MAX).contains(&now);
        if let Some(stored) = &self.stored
            && !is_recent
        {
            match read(stored).await {
                Ok(signer) => {
                    log_missing(&signer, &self.promised);
                    last_read.signer = Arc::new(signer);
                }
                // Receivers still accept the previous secrets, and callbacks must not wait for an
                // operator.
                Err(error) => tracing::error!(
                    "{IN_SECRETS_MANAGER} {}; the previous secrets stay in use",
                    chain(&error)
                ),
            }
            last_read.at = now;
        }
        Arc::clone(&last_read.signer)
    }
}

/// Logs promised signature versions that no secret makes. Receivers that rely on one refuse every
/// callback; the callbacks of the others are still sent.
fn log_missing(signer: &Signer, promised: &[SignatureVersion]) {
    for version in promised {
        if !signer.signs(*version) {
            let version = version.as_str();
            tracing::error!(
                "WEBHOOK_SIGNATURE_VERSIONS promises {version}, but no secret makes that signature"
            );
        }
    }
}

async fn read(stored: &StoredSecret) -> Result<Signer, ReadError> {
    stored.read().await?.parse().map_err(ReadError::Invalid)
}
