//! Receivers of callbacks, well-behaved and otherwise.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A request that a receiver got.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) from: SocketAddr,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A receiver that speaks valid HTTP and records its requests.
pub(super) struct Receiver {
    pub(super) port: u16,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Receiver {
    pub(super) async fn answering<A>(answer: A) -> Self
    where
        A: IntoResponse + Clone + Send + Sync + 'static,
    {
        let visits: Arc<Mutex<Vec<Visit>>> = Arc::default();
        let kept = Arc::clone(&visits);
        let handler = move |ConnectInfo(from): ConnectInfo<SocketAddr>,
                            method: Method,
                            uri: Uri,
                            headers: HeaderMap,
                            body: Bytes| async move {
            kept.lock().unwrap().push(Visit {
                from,
                method,
                uri,
                headers,
                body,
            });
            answer.into_response()
        };
        let service = Router::new()
            .fallback(handler)
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { port, visits }
    }

    pub(super) fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }
}

/// A receiver of which the test writes every byte.
pub(super) struct RawReceiver {
    pub(super) port: u16,
    listener: TcpListener,
}

impl RawReceiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, listener }
    }

    pub(super) async fn connection(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Accepts a connection and reads a whole request, whose body is `{}`.
    pub(super) async fn request(&self) -> TcpStream {
        let mut stream = self.connection().await;
        read_request(&mut stream).await;
        stream
    }

    /// Asserts that the test has accepted every connection so far.
    pub(super) fn assert_no_other_connection(&self) {
        assert!(self.listener.accept().now_or_never().is_none());
    }

    /// Accepts a connection, reads a request, writes `answer` and closes.
    pub(super) async fn answer(&self, answer: &[u8]) {
        let mut stream = self.request().await;
        stream.write_all(answer).await.unwrap();
    }
}

/// Reads a whole request, whose body is `{}`.
pub(super) async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n{}") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    read
}

/// A listener that must not get a connection.
pub(super) struct Canary {
    pub(super) port: u16,
    listener: std::net::TcpListener,
}

impl Canary {
    pub(super) fn start() -> Self {
        let listener = std::net::TcpListener::bind(ANY_PORT).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, listener }
    }

    /// On the loopback interface a connection can be accepted as soon as its client has it.
    pub(super) fn assert_untouched(&self) {
        let accepted = self.listener.accept().map_err(|error| error.kind());
        assert_eq!(accepted.err(), Some(io::ErrorKind::WouldBlock));
    }

    /// Proves that a connection to `address` would reach the canary.
    pub(super) fn assert_reachable_at(&self, address: IpAddr) {
        std::net::TcpStream::connect((address, self.port)).unwrap();
        self.listener.accept().unwrap();
    }
}
