//! Connections to Lambda's Invoke API, which are silent for as long as a target works.
//!
//! NAT gateways drop a connection that is silent for 350 s, and Linux notices a dead peer after
//! more than two hours unless it probes. So each connection is probed at short intervals, and each
//! has one request at a time: with HTTP/2, one dead connection would fail every attempt on it.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html>

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// The time for lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is used again. The other end may close an older one at the moment
/// at which a request is written to it, and then nobody knows whether the request arrived.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Probes without a response after which a connection counts as dead.
const PROBES_MAX: u32 = 3;
const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Makes each request once.
#[derive(Debug)]
pub(super) struct TargetConnector {
    client: Client<BoundedConnector, SdkBody>,
}

impl TargetConnector {
    /// A silent connection is probed every `keep_alive`.
    pub(super) fn new(tls: ClientConfig, keep_alive: Duration) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(keep_alive));
        tcp.set_keepalive_interval(Some(keep_alive.min(PROBE_INTERVAL_MAX)));
        tcp.set_keepalive_retries(Some(PROBES_MAX));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(BoundedConnector(HttpsConnector::from((tcp, tls))));
        Self { client }
    }
}

/// TLS with these roots, for HTTP/1.1 only.
pub(super) fn tls_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Whether a request failed before any of it was sent.
pub(super) fn was_not_sent(error: &ConnectorError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(legacy::Error::is_connect)
}

impl HttpConnector for TargetConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.client.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let response = client
                .request(request)
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Connects within [`CONNECT_TIMEOUT`].
#[derive(Debug, Clone)]
struct BoundedConnector(HttpsConnector<TcpConnector>);

impl Service<Uri> for BoundedConnector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.0.call(uri));
        Box::pin(async move { connecting.await? })
    }
}
