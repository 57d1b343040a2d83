//! Clients for the listeners on this machine.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use shared::aws::{TLS, tls_context};
use shared::config::Environment;
use shared::domain::limits::CALL_ATTEMPT_TIMEOUT;

use crate::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// An HTTP client for plain-HTTP addresses on this machine: it trusts no certificate, follows no
/// redirect and ignores proxy settings.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn http_client() -> reqwest::Client {
    // reqwest requires a TLS configuration. Its own one spares this process a global provider.
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("ring supports the default protocol versions")
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("every setting is a supported constant")
}

/// The AWS SDK's settings for a store or for queues at `endpoint`, with the bundle's region and
/// credentials.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local");
    let tls = tls_context(&Environment::default()).expect("no setting is malformed");
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(TLS)
        .tls_context(tls)
        .build_https();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client)
        .timeout_config(timeouts(CALL_ATTEMPT_TIMEOUT))
        .build()
}

/// The timeouts of one attempt of a call. A long poll passes a longer `read` than other calls.
pub(crate) fn timeouts(read: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CALL_ATTEMPT_TIMEOUT)
        .read_timeout(read)
        .build()
}
