//! The AWS clients' configuration: a person's credentials, and longer timeouts than a function's.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use shared::aws::{TLS, tls_context};
use shared::config::{Environment, SettingError};

/// For opening a connection, which may go over a slow line.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one try of one call: a page of a scan is up to 1 MB.
const CALL_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// For one call with all its tries.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Tries of one call. Many, since a table that serves many callers may throttle some of them.
const CALL_TRIES_MAX: u32 = 8;

/// The SDK's configuration, from where the AWS CLI takes it: environment variables, the profile,
/// SSO, an assumed role, a process, the machine's role. It includes the variables that name the
/// endpoints of another store or other queues.
///
/// # Errors
///
/// Those of [`tls_context`].
pub async fn sdk_config(environment: &Environment) -> Result<SdkConfig, SettingError> {
    let http_client = Builder::new()
        .tls_provider(TLS)
        .tls_context(tls_context(environment)?)
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(CALL_ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    Ok(aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(CALL_TRIES_MAX))
        .load()
        .await)
}
