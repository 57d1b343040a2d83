//! The clients for AWS, with explicit settings.
//!
//! Loading the default configuration reads profiles, metadata services and certificate stores,
//! which a function does not have. Here all settings come from the environment that Lambda
//! provides, and the TLS roots are compiled in. One HTTP client, and so one set of connections and
//! one TLS configuration, serves all services.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use rustls::RootCertStore;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

use crate::certificates::add_certificates;
use crate::config::{Environment, SettingError};
use crate::domain::limits::{CALL_ATTEMPT_TIMEOUT, CALL_TIMEOUT, CALL_TRIES_MAX};
use crate::queue::Queue;
use crate::store::Store;

/// The first wait between two tries of one call. The SDK doubles it and adds jitter.
const CALL_BACKOFF: Duration = Duration::from_millis(50);
/// The roots of every certificate of AWS's endpoints (<https://www.amazontrust.com/repository/>). A
/// separate file: finding them in Mozilla's whole list took longer than the rest of the start.
const AWS_ROOTS: &str = include_str!("aws/amazon_roots.pem");
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The connection to AWS: credentials, region, endpoints and retries.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    /// Limits the tries of all calls together; `None` means the SDK's quota for the process.
    retry_quota: Option<RetryPartition>,
    connector: SharedHttpConnector,
    dynamodb_endpoint: Option<String>,
    sqs_endpoint: Option<String>,
    secrets_manager_endpoint: Option<String>,
}

impl Aws {
    /// Reads region and credentials from the environment, and endpoints when the store, the queues
    /// or Secrets Manager are not AWS's.
    ///
    /// # Errors
    ///
    /// When the region or the credentials are missing.
    pub fn new(
        environment: &Environment,
        connector: SharedHttpConnector,
    ) -> Result<Self, SettingError> {
        let credentials = Credentials::new(
            environment.required("AWS_ACCESS_KEY_ID")?,
            environment.required("AWS_SECRET_ACCESS_KEY")?,
            environment.optional("AWS_SESSION_TOKEN").map(str::to_owned),
            None,
            "environment",
        );
        let endpoint = |name| environment.optional(name).map(str::to_owned);
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(CALL_ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(environment.required("AWS_REGION")?.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client(&connector))
            .timeout_config(timeouts)
            .retry_config(retries(CALL_BACKOFF))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self {
            config,
            retry_quota: None,
            connector,
            dynamodb_endpoint: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            sqs_endpoint: endpoint("AWS_ENDPOINT_URL_SQS"),
            secrets_manager_endpoint: endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        })
    }

    /// Retries calls without a wait and without a quota. For tests: their faults do not pass with
    /// time, and the SDK has one quota for the process, so the faults of one test would use up the
    /// tries of another.
    #[must_use]
    pub fn retrying_at_once(self) -> Self {
        let unlimited = RetryPartition::custom("unlimited").token_bucket(TokenBucket::unlimited());
        Self {
            config: self
                .config
                .into_builder()
                .retry_config(retries(Duration::ZERO))
                .build(),
            retry_quota: Some(unlimited.build()),
            ..self
        }
    }

    /// Opens a connection to the store before the first invocation needs it: one plain HTTP
    /// request, which costs nothing and whose response is ignored. If it fails, the first call
    /// fails as well, and reports the error.
    pub async fn connect_to_store(&self) {
        self.open(self.dynamodb_endpoint.as_deref(), "dynamodb")
            .await;
    }

    /// As [`Aws::connect_to_store`], to the queues, for functions that call them in each
    /// invocation.
    pub async fn connect_to_queues(&self) {
        self.open(self.sqs_endpoint.as_deref(), "sqs").await;
    }

    async fn open(&self, configured: Option<&str>, service: &str) {
        let region = self.config.region().expect("the region is required");
        let endpoint = configured.map_or_else(
            || format!("https://{service}.{region}.amazonaws.com"),
            str::to_owned,
        );
        if let Ok(request) = HttpRequest::get(endpoint) {
            let _ = self.connector.call(request).await;
        }
    }

    /// The settings of a client for a service that one function alone calls.
    #[must_use]
    pub const fn config(&self) -> &SdkConfig {
        &self.config
    }

    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        config.set_endpoint_url(self.dynamodb_endpoint.clone());
        config.set_retry_partition(self.retry_quota.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.config);
        config.set_endpoint_url(self.sqs_endpoint.clone());
        config.set_retry_partition(self.retry_quota.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// The table that `TABLE_NAME` names.
    ///
    /// # Errors
    ///
    /// When the setting is missing.
    pub fn store(&self, environment: &Environment) -> Result<Store, SettingError> {
        let table = environment.required("TABLE_NAME")?.to_owned();
        Ok(Store::new(self.dynamodb(), table))
    }

    /// The queue whose URL is the setting `url_setting`.
    ///
    /// # Errors
    ///
    /// When the setting is missing.
    pub fn queue(
        &self,
        environment: &Environment,
        url_setting: &'static str,
    ) -> Result<Queue, SettingError> {
        let url = environment.required(url_setting)?.to_owned();
        Ok(Queue::new(self.sqs(), url))
    }

    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.config);
        config.set_endpoint_url(self.secrets_manager_endpoint.clone());
        config.set_retry_partition(self.retry_quota.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }
}

fn retries(backoff: Duration) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(CALL_TRIES_MAX)
        .with_initial_backoff(backoff)
}

/// The TLS implementation for all services.
pub const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// The HTTP client for all services, with [`TLS`] and [`tls_context`].
///
/// # Errors
///
/// As [`tls_context`].
pub fn http_connector(environment: &Environment) -> Result<SharedHttpConnector, SettingError> {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CALL_ATTEMPT_TIMEOUT)
        .read_timeout(CALL_ATTEMPT_TIMEOUT)
        .build();
    let connector = Connector::builder()
        .tls_provider(TLS)
        .tls_context(tls_context(environment)?)
        .connector_settings(settings)
        .build();
    Ok(SharedHttpConnector::new(connector))
}

/// Trusts AWS's roots only, which are compiled in; or, for other endpoints, only the roots in the
/// PEM file that `AWS_CA_BUNDLE` names (AWS SDKs and Tools Reference Guide, "General
/// configuration").
///
/// # Errors
///
/// When that file cannot be read, or has no valid certificates.
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn tls_context(environment: &Environment) -> Result<TlsContext, SettingError> {
    let pem = match ca_bundle(environment)? {
        Some(pem) => {
            // The SDK does not check the certificates, and panics later when they are invalid.
            roots(&pem)?;
            pem
        }
        None => AWS_ROOTS.into(),
    };
    Ok(TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(pem))
        .build()
        .expect("only a provider without TLS refuses a trust store"))
}

/// The roots of [`tls_context`], for a client that is not the SDK's.
///
/// # Errors
///
/// As [`tls_context`].
pub fn tls_roots(environment: &Environment) -> Result<RootCertStore, SettingError> {
    roots(&ca_bundle(environment)?.unwrap_or_else(|| AWS_ROOTS.into()))
}

fn ca_bundle(environment: &Environment) -> Result<Option<Vec<u8>>, SettingError> {
    let read = environment.optional(CA_BUNDLE).map(std::fs::read);
    read.transpose()
        .map_err(|error| SettingError::new(CA_BUNDLE, format!("cannot be read: {error}")))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, SettingError> {
    let mut roots = RootCertStore::empty();
    add_certificates(&mut roots, pem)
        .map_err(|error| SettingError::new(CA_BUNDLE, error.to_string()))?;
    Ok(roots)
}

/// A connector whose requests and connections run on `runtime`, whichever runtime calls it.
/// Otherwise a pooled connection closes with the runtime that opened it, and a request that another
/// runtime has on it fails.
#[must_use]
pub fn on_runtime(runtime: Handle, connector: SharedHttpConnector) -> SharedHttpConnector {
    SharedHttpConnector::new(OnRuntime { runtime, connector })
}

#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    connector: SharedHttpConnector,
}

impl HttpConnector for OnRuntime {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (runtime, connector) = (self.runtime.clone(), self.connector.clone());
        HttpConnectorFuture::new(async move {
            run_on(&runtime, async move { connector.call(request).await })
                .await
                .unwrap_or_else(|ended| Err(ConnectorError::other(ended.into(), None)))
        })
    }
}

/// Runs a future on `runtime`. It is aborted when the caller stops waiting for it.
///
/// # Errors
///
/// When the runtime has ended, or the future panicked.
async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    // A set, since it aborts its tasks when it is dropped.
    let mut task = JoinSet::new();
    task.spawn_on(future, runtime);
    task.join_next()
        .await
        .expect("a set of one task has one to join")
}

/// An HTTP client of the SDK that makes all its requests through `connector`, whatever the settings
/// of the service.
#[must_use]
pub fn http_client(connector: &SharedHttpConnector) -> SharedHttpClient {
    let connector = connector.clone();
    http_client_fn(move |_, _| connector.clone())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_ca_bundle_must_be_a_file_of_certificates() {
        let directory = std::env::temp_dir().join(format!("ferry-bundle-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let connect = |pem: &str| {
            let path = directory.join("bundle.pem");
            std::fs::write(&path, pem).unwrap();
            let environment = Environment::from_iter([("AWS_CA_BUNDLE", path.to_str().unwrap())]);
            http_connector(&environment)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(connect(AWS_ROOTS), Ok(()));
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["", "?", empty] {
            let problem = "AWS_CA_BUNDLE must be certificates in PEM".to_owned();
            assert_eq!(connect(bad), Err(problem), "{bad}");
        }
        std::fs::remove_dir_all(&directory).unwrap();
        let missing = Environment::from_iter([("AWS_CA_BUNDLE", "/nowhere")]);
        let error = http_connector(&missing).unwrap_err().to_string();
        assert!(
            error.starts_with("AWS_CA_BUNDLE cannot be read: "),
            "{error}"
        );
    }

    /// The same certificates as in Mozilla's list.
    #[test]
    fn amazons_root_certificates_are_compiled_in() {
        let names: [&[u8]; 2] = [
            b"Amazon Root CA ",
            b"Starfield Services Root Certificate Authority - G2",
        ];
        let is_amazons = |certificate: &[u8]| {
            let has = |name: &&[u8]| certificate.windows(name.len()).any(|part| part == *name);
            names.iter().any(has)
        };
        let amazons = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter(|certificate| is_amazons(certificate));
        let pem = amazons.map(|certificate| {
            let text = STANDARD.encode(certificate);
            let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
            let lines: Vec<_> = lines.collect();
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                lines.join("\n")
            )
        });
        let pem: Vec<_> = pem.collect();
        assert_eq!(pem.len(), 5);
        assert_eq!(AWS_ROOTS, pem.concat());
    }

    /// Otherwise it would continue after its invocation, and resume in the next.
    #[tokio::test]
    async fn a_call_is_aborted_on_its_runtime_when_its_caller_stops_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connector = http_connector(&Environment::default()).unwrap();
        let connector = on_runtime(Handle::current(), connector);
        let (give_up, gone) = oneshot::channel::<()>();
        let caller = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    response = connector.call(HttpRequest::get(url).unwrap()) => {
                        panic!("{response:?}")
                    }
                    _ = gone => {}
                }
            });
        });
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            connection.read_buf(&mut request).await.unwrap();
        }
        drop(give_up);
        // Until the connection closes.
        connection.read_to_end(&mut request).await.unwrap();
        caller.join().unwrap();
    }

    #[test]
    fn credentials_do_not_show() {
        let environment = Environment::from_iter([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ]);
        let aws = Aws::new(&environment, http_connector(&environment).unwrap()).unwrap();
        assert!(!format!("{aws:?}").contains("s3cret"));
    }
}
