//! A secret that AWS Secrets Manager keeps.
//!
//! What it holds goes to whoever asks here and nowhere else: the SDK leaves the answers of this call out of its logs, and no
//! error quotes one.

use aws_sdk_secretsmanager::operation::RequestId as _;

/// A secret, by its ARN or its name. Holds no copy of it.
#[derive(Debug, Clone)]
pub struct StoredSecret {
    client: aws_sdk_secretsmanager::Client,
    id: String,
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager refused the call or did not answer it.
    #[error("GetSecretValue failed (AWS request {request_id})")]
    Unreachable {
        /// AWS's id of the request, `-` when there was no answer.
        request_id: String,
        /// What went wrong.
        source: Box<aws_sdk_secretsmanager::Error>,
    },
    /// It holds bytes.
    #[error("the secret is not text")]
    NotText,
}

impl StoredSecret {
    /// The secret of this ARN or name.
    #[must_use]
    pub const fn new(client: aws_sdk_secretsmanager::Client, id: String) -> Self {
        Self { client, id }
    }

    /// Its current text (version stage `AWSCURRENT`): one request, which AWS bills.
    ///
    /// # Errors
    ///
    /// When Secrets Manager cannot be reached or does not hand the secret out, or it holds bytes.
    pub async fn read(&self) -> Result<String, SecretError> {
        let read = self.client.get_secret_value().secret_id(&self.id).send();
        let secret = read.await.map_err(|error| {
            let source = Box::new(aws_sdk_secretsmanager::Error::from(error));
            SecretError::Unreachable {
                request_id: source.request_id().unwrap_or("-").to_owned(),
                source,
            }
        })?;
        secret.secret_string.ok_or(SecretError::NotText)
    }
}
