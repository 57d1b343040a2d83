//! A secret in AWS Secrets Manager.
//!
//! The secret's text is returned to the caller of [`StoredSecret::read`] only: the SDK does not log
//! the response of this call, and no error quotes it.

use aws_sdk_secretsmanager::operation::RequestId as _;

/// A secret, by its ARN or its name. Keeps no copy of its text.
#[derive(Debug, Clone)]
pub struct StoredSecret {
    client: aws_sdk_secretsmanager::Client,
    id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager refused the call or did not answer it.
    #[error("GetSecretValue failed (AWS request {request_id})")]
    Unreachable {
        /// AWS's id of the request; `-` when there was no response.
        request_id: String,
        source: Box<aws_sdk_secretsmanager::Error>,
    },
    /// The secret is binary.
    #[error("the secret is not text")]
    NotText,
}

impl StoredSecret {
    /// `id` is an ARN or a name.
    #[must_use]
    pub const fn new(client: aws_sdk_secretsmanager::Client, id: String) -> Self {
        Self { client, id }
    }

    /// Reads the current text (version stage `AWSCURRENT`): one request, which AWS bills.
    ///
    /// # Errors
    ///
    /// When Secrets Manager cannot be reached or refuses to return the secret, or the secret is
    /// binary.
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
