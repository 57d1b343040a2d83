//! Connects to a receiver: to an address that was judged, and in bounded time.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::failure::Failure;
use super::resolver::JudgingResolver;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to a receiver, over TLS or not.
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections for the HTTP client.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<JudgingResolver>>,
    timeout: Duration,
}

impl Connector {
    /// `timeout` is for look-up, TCP and TLS together.
    pub(super) fn new(
        resolver: JudgingResolver,
        tls: ClientConfig,
        https_only: bool,
        timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let mut https = HttpsConnector::from((tcp, tls));
        if https_only {
            https.enforce_https();
        }
        Self { https, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.https.call(uri));
        Box::pin(async move { connecting.await.map_err(|_| Failure::TimedOut)? })
    }
}
