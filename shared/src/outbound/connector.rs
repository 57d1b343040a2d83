//! Connects to a host: to an address that was checked, in bounded time, and with a limit on the
//! bytes that are read up to the end of a response's headers.
//!
//! hyper reads a response's head, and every interim response (1xx) before it, in one poll while
//! bytes arrive; rustls reads records without content in the same way. Neither has a limit that
//! covers this, and meanwhile nothing else runs on the thread: no deadline, and no other request.
//! So the bytes are counted below both.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Extensions, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use super::failure::Failure;
use super::resolver::CheckingResolver;
use crate::domain::limits::RESPONSE_HEAD_BYTES_MAX;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to a host, with or without TLS.
type Stream = MaybeHttpsStream<TokioIo<BoundedTcp>>;

/// Connects to the addresses that its resolver has checked.
#[derive(Clone)]
pub struct Connector {
    https: HttpsConnector<TcpConnector>,
    timeout: Duration,
}

impl Connector {
    /// `timeout` covers lookup, TCP and TLS together.
    #[must_use]
    pub fn new(
        resolver: CheckingResolver,
        tls: ClientConfig,
        https_only: bool,
        timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let mut https = HttpsConnector::from((TcpConnector(tcp), tls));
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
        Box::pin(async move {
            let stream = connecting.await.map_err(|_| Failure::TimedOut)??;
            // The handshake's bytes do not count towards the limit on the response's headers.
            tcp_of(&stream).allowance.refill();
            Ok(stream)
        })
    }
}

fn tcp_of(stream: &Stream) -> &BoundedTcp {
    match stream {
        MaybeHttpsStream::Http(tcp) => tcp.inner(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
    }
}

/// The part of the connector below TLS.
#[derive(Clone)]
struct TcpConnector(HttpConnector<CheckingResolver>);

impl Service<Uri> for TcpConnector {
    type Response = TokioIo<BoundedTcp>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let tcp = BoundedTcp {
                tcp: connecting.await?.into_inner(),
                allowance: ReadAllowance::full(),
            };
            Ok(TokioIo::new(tcp))
        })
    }
}

/// How many bytes may still be read from a connection up to the end of its response's headers. Each
/// response of the connection carries it in its extensions.
#[derive(Clone)]
struct ReadAllowance(Arc<AtomicUsize>);

impl ReadAllowance {
    fn full() -> Self {
        Self(Arc::new(AtomicUsize::new(RESPONSE_HEAD_BYTES_MAX)))
    }

    fn refill(&self) {
        let full = RESPONSE_HEAD_BYTES_MAX;
        self.0.store(full, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize) {
        // Cannot underflow: between a read and this only a refill can happen.
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Resets the allowance of the connection that delivered the response with these extensions, for
/// its next response.
///
/// A write could not reset it: a host that reads a request byte by byte causes many writes.
pub fn refill_allowance(extensions: &Extensions) {
    if let Some(allowance) = extensions.get::<ReadAllowance>() {
        allowance.refill();
    }
}

/// Ends the limit for the connection that delivered the response with these extensions. Nothing
/// bounds its body from then on, so its reader must not collect it, and the connection must not be
/// used for another response.
pub fn lift_allowance(extensions: &Extensions) {
    if let Some(allowance) = extensions.get::<ReadAllowance>() {
        allowance.0.store(usize::MAX, Ordering::Relaxed);
    }
}

/// A TCP connection that can be read up to its allowance; a read past it fails.
pub struct BoundedTcp {
    tcp: TcpStream,
    allowance: ReadAllowance,
}

impl Connection for BoundedTcp {
    fn connected(&self) -> Connected {
        self.tcp.connected().extra(self.allowance.clone())
    }
}

impl AsyncRead for BoundedTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = buf.remaining().min(self.allowance.left());
        if length == 0 && buf.remaining() > 0 {
            return Poll::Ready(Err(io::Error::other(Failure::HeadTooLarge)));
        }
        // Reads only up to the allowance, since bytes that follow a complete head may arrive with
        // it and are no reason to refuse it.
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(length));
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        self.allowance.spend(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BoundedTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
