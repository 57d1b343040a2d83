//! Connections to Lambda's Invoke API, which are silent for as long as a target works.
//!
//! NAT gateways drop a connection that is silent for 350 s, and Linux notices a dead peer after
//! more than two hours unless it probes, so each connection is probed at short intervals.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html>
//!
//! Each request has a connection to itself. A connection that was idle may be closed by the other
//! end at the moment at which a request is written to it, and then it is not known whether the
//! request arrived; and one that several requests share, as in HTTP/2, fails them all together.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use rustls::ClientConfig;
use tower_service::Service as _;

type BoxError = Box<dyn Error + Send + Sync>;

/// The time for lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Probes without a response after which a connection counts as dead.
const PROBES_MAX: u32 = 3;
const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Makes each request once.
#[derive(Debug, Clone)]
pub(super) struct TargetConnector(HttpsConnector<TcpConnector>);

impl TargetConnector {
    /// A silent connection is probed after `keep_alive`, and again at most every ten seconds.
    pub(super) fn new(tls: ClientConfig, keep_alive: Duration) -> Self {
        let probe_interval = keep_alive.min(PROBE_INTERVAL_MAX);
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(keep_alive));
        tcp.set_keepalive_interval(Some(probe_interval));
        tcp.set_keepalive_retries(Some(PROBES_MAX));
        // Nothing is probed while a request is not acknowledged. Linux would repeat it for about
        // 15 minutes.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(keep_alive + probe_interval * PROBES_MAX));
        Self(HttpsConnector::from((tcp, tls)))
    }

    async fn send(mut self, request: Request<SdkBody>) -> Result<Response<SdkBody>, BoxError> {
        let connecting = async {
            let stream = self.0.call(request.uri().clone()).await?;
            Ok::<_, BoxError>(http1::handshake(stream).await?)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let (mut sender, connection) = connected
            .map_err(BoxError::from)
            .flatten()
            .map_err(NotSent)?;
        let request = origin_form(request).map_err(NotSent)?;
        let exchange = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let bytes = body.collect().await?.to_bytes();
            Ok(Response::from_parts(parts, SdkBody::from(bytes)))
        };
        let mut exchange = pin!(exchange);
        // Driven here and not by another task, so that all ends when the caller stops waiting.
        tokio::select! {
            response = &mut exchange => response,
            _ = connection => exchange.await,
        }
    }
}

/// The request as HTTP/1.1 has it: with a path, and the host in a header.
fn origin_form(mut request: Request<SdkBody>) -> Result<Request<SdkBody>, BoxError> {
    let uri = std::mem::take(request.uri_mut());
    let authority = uri.authority().ok_or("the endpoint has no host")?;
    let host = HeaderValue::from_str(authority.as_str())?;
    request.headers_mut().insert(HOST, host);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path)?;
    Ok(request)
}

/// The error of a request of which nothing was sent.
#[derive(Debug)]
struct NotSent(BoxError);

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not connected")
    }
}

impl Error for NotSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

pub(super) fn was_not_sent(error: &ConnectorError) -> bool {
    error.source().is_some_and(<dyn Error>::is::<NotSent>)
}

impl HttpConnector for TargetConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let response = connector.send(request).await.map_err(ConnectorError::io)?;
            HttpResponse::try_from(response)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
