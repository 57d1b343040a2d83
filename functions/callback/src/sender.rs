//! Makes one POST to a callback URL.
//!
//! Callers choose the URL, so a receiver is a stranger: it may stall, redirect, answer without end, or have a name whose address
//! changes between two look-ups. One [`Sender::post`] is one request to an address that was judged, within one deadline, and whatever
//! comes of it is a value to be recorded and not an error. It does not decide whether a callback is due or when to call again.
//! If it is wrong, Ferry can be made to speak to its operator's private network.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use reqwest::dns::Resolve;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Request, Response, StatusCode, redirect, retry};
use rustls::{ClientConfig, RootCertStore};
use shared::clock::Clock;
use shared::domain::callback_url::CallbackUrl;
use shared::domain::network::{AllowedNetworks, Reach};
use shared::domain::time::Timestamp;

pub use self::failure::{Failure, TlsFailure};
use self::kept::KeptConnections;
use self::resolver::{JudgingResolver, SystemResolver};
use crate::signature::Signer;

mod failure;
mod kept;
mod resolver;
mod retry_after;

/// How callbacks introduce themselves.
const USER_AGENT: &str = concat!("Ferry/", env!("CARGO_PKG_VERSION"));

/// What part of a POST's time its connection may take, look-up and TLS handshake included: a receiver that is there answers these
/// at once, and an answer takes time as well.
const CONNECT_PART: f64 = 0.8;

/// Receivers close idle connections too, and a request written to a closed one costs a second request. Enough for a burst
/// of callbacks to one receiver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// What is read of an answer's body, in bytes, before it is thrown away: a short one leaves the connection fit for reuse, and
/// a long one is not worth the time.
const ANSWER_BODY_BYTES_MAX: usize = 4096;

/// How often the connection gets its turn to deliver a body that came with its headers. This takes no time: what is still on
/// its way is not waited for.
const ANSWER_BODY_TURNS: usize = 4;

/// Posts callbacks. Built once per process, for the sake of its connections.
pub struct Sender {
    /// For [`Reach::Public`]: `https` only.
    public: Clients,
    /// For [`Reach::AllowedNetworks`]. Without such a network there is no client that could speak plain `http`.
    allowed_only: Option<Clients>,
    kept: KeptConnections,
    allowed: Arc<AllowedNetworks>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// Two clients that reach the same receivers.
struct Clients {
    /// Keeps connections, and uses them again.
    keeping: Client,
    /// Opens a connection for each request and keeps none, so that a second try cannot meet another that has ended.
    fresh: Client,
}

/// One POST, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// When it began; also the time that was signed.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How one POST ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered within the timeout. An answer counts from its headers on, whatever becomes of its body.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long the receiver asks to be left alone, an hour at most. Told by 429 and 503 only.
        retry_after: Option<Duration>,
    },
    /// There was no answer. The receiver may have taken the callback all the same.
    Failed {
        /// Why, in words fit for the operation's owner.
        reason: Failure,
    },
}

/// The HTTP clients could not be built: a fault of the build or the machine, found at start-up.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// By the TLS library.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// By the HTTP library.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

impl Sender {
    /// A sender that asks the system's resolver. `timeout` is for a whole POST, from the look-up on.
    ///
    /// # Errors
    ///
    /// When the HTTP clients cannot be built.
    pub fn new(
        roots: RootCertStore,
        allowed: AllowedNetworks,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SenderError> {
        let network = Network {
            names: Arc::new(SystemResolver),
            roots,
        };
        Self::on(network, allowed, timeout, clock)
    }

    fn on(
        network: Network,
        allowed: AllowedNetworks,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SenderError> {
        let allowed = Arc::new(allowed);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(network.roots)
            .with_no_client_auth();
        let client = |reach, idle_max| {
            let resolver =
                JudgingResolver::new(Arc::clone(&network.names), reach, Arc::clone(&allowed));
            let connect_timeout = timeout.mul_f64(CONNECT_PART);
            client(resolver, reach, tls.clone(), connect_timeout, idle_max)
        };
        let clients = |reach| {
            Ok::<_, reqwest::Error>(Clients {
                keeping: client(reach, usize::MAX)?,
                fresh: client(reach, 0)?,
            })
        };
        Ok(Self {
            public: clients(Reach::Public)?,
            allowed_only: if allowed.is_empty() {
                None
            } else {
                Some(clients(Reach::AllowedNetworks)?)
            },
            // A POST that began on a connection's last idle moment fails at its deadline at the latest.
            kept: KeptConnections::new(IDLE_TIMEOUT + timeout),
            allowed,
            timeout,
            clock,
        })
    }

    /// Signs `body` and posts it to `url`: once, or once more when a kept connection ended before an answer. `webhook_id` is
    /// the same on every attempt of one callback and holds no full stop; the time and so the signature are those of this
    /// attempt.
    pub async fn post(
        &self,
        url: &CallbackUrl,
        signer: &Signer,
        webhook_id: &str,
        body: Vec<u8>,
    ) -> Exchange {
        let started_at = self.clock.now();
        let mut deadline = self.clock.sleep_until(started_at + self.timeout);
        let timestamp_secs = started_at.as_secs();
        let request = self.clients_for(url).map(|clients| {
            let request = clients
                .keeping
                .post(url.as_str())
                .header(CONTENT_TYPE, "application/json")
                .header("webhook-id", webhook_id)
                .header("webhook-timestamp", timestamp_secs)
                .header(
                    "webhook-signature",
                    signer.sign(webhook_id, timestamp_secs, &body),
                )
                .body(body)
                .build();
            (clients, request)
        });
        let answer = async {
            let (clients, request) = request?;
            let answer = async { self.send(clients, request?).await };
            answer.await.map_err(|error| Failure::of(&error))
        };
        let outcome = match before(&mut deadline, answer).await {
            None => Outcome::Failed {
                reason: Failure::TimedOut,
            },
            Some(Err(reason)) => Outcome::Failed { reason },
            Some(Ok(response)) => {
                let outcome = answered(response.status(), response.headers(), self.clock.now());
                drain(response).await;
                outcome
            }
        };
        Exchange {
            started_at,
            duration: self.clock.now().since(started_at),
            outcome,
        }
    }

    /// Sends a request, and sends it again on a fresh connection if a kept one ended before an answer, as it does when its
    /// receiver has closed it meanwhile. The receiver may have taken the first: it knows the second by its `webhook-id`.
    ///
    /// The library itself repeats a request only while nothing of it has been written, so that none is sent three times.
    async fn send(&self, clients: &Clients, request: Request) -> Result<Response, reqwest::Error> {
        let again = request.try_clone();
        let answer = clients.keeping.execute(request).await;
        match (answer, again) {
            (Ok(response), _) => {
                self.kept.answered(&response, self.clock.now());
                Ok(response)
            }
            (Err(error), Some(again)) if self.kept.ended(&error) => {
                tracing::debug!("a kept connection ended; the callback is sent on a fresh one");
                clients.fresh.execute(again).await
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The clients for a URL whose host is not an address that may not be reached.
    fn clients_for(&self, url: &CallbackUrl) -> Result<&Clients, Failure> {
        // The HTTP client resolves names only; an address goes straight to the socket.
        if let Some(address) = url.address() {
            url.reach().judge(address, &self.allowed)?;
        }
        match url.reach() {
            Reach::Public => Ok(&self.public),
            Reach::AllowedNetworks => self.allowed_only.as_ref().ok_or(Failure::NoAllowedNetwork),
        }
    }
}

/// What stands between the sender and its receivers, for tests to replace.
struct Network {
    names: Arc<dyn Resolve>,
    roots: RootCertStore,
}

/// A client makes the one request that it is asked for, and to nobody but the receiver.
fn client(
    resolver: JudgingResolver,
    reach: Reach,
    tls: ClientConfig,
    connect_timeout: Duration,
    idle_max: usize,
) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .https_only(reach == Reach::Public)
        // A proxy would resolve the name once more, out of our sight.
        .no_proxy()
        // A redirect would have to be judged like a new URL, and callers are told that it is a failure.
        .redirect(redirect::Policy::none())
        .user_agent(USER_AGENT)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .retry(retry::never())
        .build()
}

/// `None` when the deadline comes first.
async fn before<T>(
    deadline: impl Future<Output = ()> + Unpin,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), deadline).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

fn answered(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Outcome {
    let asks_for_patience =
        status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
    Outcome::Answered {
        status: status.as_u16(),
        retry_after: asks_for_patience
            .then(|| retry_after::read(headers, now))
            .flatten(),
    }
}

/// Reads what has come of an answer's body. When that is all, the connection can be used again; otherwise it is closed, for
/// nothing may go on reading when the invocation answers.
async fn drain(mut response: Response) {
    let (mut bytes, mut turns) = (0, 0);
    while bytes <= ANSWER_BODY_BYTES_MAX && turns < ANSWER_BODY_TURNS {
        match response.chunk().now_or_never() {
            Some(Ok(Some(chunk))) => bytes += chunk.len(),
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
