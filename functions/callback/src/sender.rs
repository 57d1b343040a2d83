//! Makes one POST to a callback URL.
//!
//! Callers choose the URL, so a receiver cannot be trusted: it may stall, redirect, answer without
//! end, or have a name whose address changes between two lookups. One [`Sender::post`] is one
//! request to an address that was checked, within one deadline, and its outcome is a value to
//! record, never an error. It does not decide whether a callback is due or when to post again. If
//! it is wrong, callers can make Ferry send requests into its operator's private network.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::header::{self, ACCEPT, CONTENT_TYPE, HeaderMap};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use shared::clock::Clock;
use shared::domain::caller_url::CallerUrl;
use shared::domain::network::{AllowedNetworks, Reach};
use shared::domain::time::Timestamp;
use shared::outbound::{
    CheckingResolver, Connector, Failure, Resolve, SystemResolver, USER_AGENT, refill_allowance,
    tls_config,
};

use self::keep_alive::ReusableConnections;
use crate::signature::Signer;

mod keep_alive;
mod retry_after;

/// The part of a POST's time that its connection may take, lookup and TLS handshake included. A
/// receiver that is up completes these quickly; the remaining time is for its response.
const CONNECT_PART: f64 = 0.8;

/// How long an idle connection is kept: enough for a burst of callbacks to one receiver. Receivers
/// close idle connections too, and a request written to a closed one costs a second request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of a response's body is read and discarded, in bytes. After a short body the connection
/// can be used again; a long one is not worth the time.
const RESPONSE_BODY_BYTES_MAX: usize = 4096;

/// How often the connection's task gets a turn to deliver a body that came with its headers. This
/// takes no time: bytes that have not arrived are not waited for.
const RESPONSE_BODY_TURNS: usize = 4;

/// Posts callbacks. One per process, since it keeps connections.
pub struct Sender {
    /// For [`Reach::Public`]: `https` only.
    public: Box<Clients>,
    /// For [`Reach::AllowedNetworks`]. `None` without such a network, so that no client can send
    /// plain `http`.
    allowed_only: Option<Box<Clients>>,
    reusable: ReusableConnections,
    allowed: Arc<AllowedNetworks>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// Two clients that reach the same receivers.
struct Clients {
    /// Keeps connections and reuses them.
    keep_alive: HttpClient,
    /// Opens a connection for each request, so that a second try cannot get another reused one that
    /// has ended.
    fresh: HttpClient,
}

type HttpClient = Client<Connector, Full<Bytes>>;

/// One POST with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Also the time that was signed.
    pub started_at: Timestamp,
    pub duration: Duration,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver's headers came within the timeout, whatever became of the body.
    Responded {
        status: u16,
        /// The wait that the receiver asked for with a 429 or 503, at most an hour.
        retry_after: Option<Duration>,
    },
    /// There was no response. The receiver may still have processed the callback.
    Failed { reason: Failure },
}

impl Sender {
    /// A sender with the system's resolver. `timeout` is for a whole POST, lookup included.
    #[must_use]
    pub fn new(
        roots: RootCertStore,
        allowed: AllowedNetworks,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let network = Network {
            names: Arc::new(SystemResolver::default()),
            roots,
        };
        Self::on(network, allowed, timeout, clock)
    }

    fn on(
        network: Network,
        allowed: AllowedNetworks,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let allowed = Arc::new(allowed);
        let tls = tls_config(network.roots);
        let clients = |reach| {
            let resolver =
                CheckingResolver::new(Arc::clone(&network.names), reach, Arc::clone(&allowed));
            let https_only = reach == Reach::Public;
            let connect_timeout = timeout.mul_f64(CONNECT_PART);
            let connector = Connector::new(resolver, tls.clone(), https_only, connect_timeout);
            // Boxed: a client is large, and start-up moves a sender several times.
            Box::new(Clients {
                keep_alive: client(connector.clone(), usize::MAX),
                fresh: client(connector, 0),
            })
        };
        Self {
            public: clients(Reach::Public),
            allowed_only: (!allowed.is_empty()).then(|| clients(Reach::AllowedNetworks)),
            // A POST that begins when its connection is about to become too old ends at its
            // deadline at the latest.
            reusable: ReusableConnections::new(IDLE_TIMEOUT + timeout),
            allowed,
            timeout,
            clock,
        }
    }

    /// Signs `body` and posts it to `url`, and once more if a reused connection ended before the
    /// response arrived. `webhook_id` is the same on every attempt of one callback and contains no
    /// full stop. The time, and so the signature, are those of this attempt.
    pub async fn post(
        &self,
        url: &CallerUrl,
        signer: &Signer,
        webhook_id: &str,
        body: Vec<u8>,
    ) -> Exchange {
        let started_at = self.clock.now();
        let deadline = started_at + self.timeout;
        let response = async {
            let clients = self.clients_for(url)?;
            let timestamp_secs = started_at.as_secs();
            let signature = signer.sign(webhook_id, timestamp_secs, &body);
            let request = Request::post(url.wire_form())
                .header(ACCEPT, "*/*")
                .header(CONTENT_TYPE, "application/json")
                .header(header::USER_AGENT, USER_AGENT)
                .header("webhook-id", webhook_id)
                .header("webhook-timestamp", timestamp_secs)
                .header("webhook-signature", signature)
                .body(Full::from(body))
                // Not expected, since the URL was checked: it counts as a failed attempt.
                .map_err(|_| Failure::NoValidResponse)?;
            let response = self.send(clients, request).await;
            response.map_err(|error| Failure::of(&error))
        };
        let response = before(self.clock.sleep_until(deadline), response).await;
        // The response is complete with its headers, so the body's time does not count.
        let ended_at = self.clock.now();
        // Compared again, since a timer fires late on a busy thread.
        let outcome = match response.filter(|_| ended_at < deadline) {
            None => Outcome::Failed {
                reason: Failure::TimedOut,
            },
            Some(Err(reason)) => Outcome::Failed { reason },
            Some(Ok(response)) => {
                let outcome = outcome_of_response(response.status(), response.headers(), ended_at);
                drain(response.into_body()).await;
                outcome
            }
        };
        Exchange {
            started_at,
            duration: ended_at.since(started_at),
            outcome,
        }
    }

    /// Sends a request, and once more on a fresh connection if a reused one ended before the
    /// response arrived, as it does when its receiver has closed it. The receiver may have
    /// processed the first request: it recognises the second by its `webhook-id`.
    ///
    /// The library itself repeats a request only while nothing of it has been written, so no
    /// request is sent three times.
    async fn send(
        &self,
        clients: &Clients,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let again = request.clone();
        match clients.keep_alive.request(request).await {
            Ok(response) => {
                let extensions = response.extensions();
                refill_allowance(extensions);
                self.reusable.record_response(extensions, self.clock.now());
                Ok(response)
            }
            Err(error) if self.reusable.ended(&error) => {
                tracing::debug!("a reused connection ended, so the POST is sent on a fresh one");
                clients.fresh.request(again).await
            }
            Err(error) => Err(error),
        }
    }

    /// The clients for a URL. Refuses one whose host is an address that is not allowed.
    fn clients_for(&self, url: &CallerUrl) -> Result<&Clients, Failure> {
        // The HTTP client resolves names only, so the resolver does not check an address.
        if let Some(address) = url.address() {
            url.reach().check(address, &self.allowed)?;
        }
        match url.reach() {
            Reach::Public => Ok(&self.public),
            Reach::AllowedNetworks => self
                .allowed_only
                .as_deref()
                .ok_or(Failure::NoAllowedNetwork),
        }
    }
}

/// The parts of the network that tests replace.
struct Network {
    names: Arc<dyn Resolve>,
    roots: RootCertStore,
}

/// A client that sends each request once and to the receiver itself: without redirects and proxies.
fn client(connector: Connector, idle_max: usize) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .build(connector)
}

/// `None` when the deadline comes first, or at the same time as the output.
async fn before<T>(
    deadline: impl Future<Output = ()> + Unpin,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(deadline, pin!(work)).await {
        Either::Left(((), _)) => None,
        Either::Right((output, _)) => Some(output),
    }
}

fn outcome_of_response(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Outcome {
    let may_ask_for_wait =
        status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
    Outcome::Responded {
        status: status.as_u16(),
        retry_after: may_ask_for_wait
            .then(|| retry_after::read(headers, now))
            .flatten(),
    }
}

/// Reads the part of a response's body that has arrived. If that is all of it, the connection can
/// be used again. Otherwise it is closed, since nothing may keep reading once the invocation has
/// responded.
async fn drain(mut body: Incoming) {
    let (mut bytes, mut turns) = (0, 0);
    while bytes <= RESPONSE_BODY_BYTES_MAX && turns < RESPONSE_BODY_TURNS {
        match body.frame().now_or_never() {
            Some(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Some(_) => return,
            None => {
                turns += 1;
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
