//! One GET of a file, or of the rest of it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED, RANGE, USER_AGENT,
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use shared::domain::caller_url::CallerUrl;
use shared::domain::network::{AllowedNetworks, Reach};
use shared::domain::operation::FailureCode;
use shared::outbound::{
    self, CheckingResolver, Connector, Failure, Resolve, lift_allowance, mozilla_roots, tls_config,
};

use crate::context::Clients;
use crate::work::WorkError;

/// The time for lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a host may send nothing, until its response begins and within its body.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The response that delivers the file.
pub(super) struct Download {
    version: Version,
    body: Incoming,
}

/// Which version of a file a host served, by its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// A download that ended before the file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Download {
    pub(super) async fn start(url: &str, clients: &Clients) -> Result<Self, WorkError> {
        let response = get(url, clients, None).await?;
        if response.status() != StatusCode::OK {
            return Err(unavailable(response.status()));
        }
        Ok(Self::of_whole(response))
    }

    /// The file from this byte on, if it still is this version.
    pub(super) async fn resume(
        url: &str,
        clients: &Clients,
        from: u64,
        version: &Version,
    ) -> Result<Self, WorkError> {
        let response = get(url, clients, Some(from)).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let Some((first, size)) = content_range(response.headers()) else {
                    return Err(not_resumable());
                };
                let download = Self::of(response, size);
                if !version.is_same(&download.version) || first != from {
                    return Err(changed());
                }
                // A host may deliver less than was requested (RFC 9110, section 14.2). Only the
                // size shows whether the end of such a response is the end of the file.
                if version.bytes.or(size).is_none() {
                    return Err(not_resumable());
                }
                Ok(download)
            }
            // The whole file: the host ignores ranges, or it has another file now.
            StatusCode::OK => {
                if version.is_same(&Self::of_whole(response).version) {
                    return Err(not_resumable());
                }
                Err(changed())
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Err(changed()),
            status => Err(unavailable(status)),
        }
    }

    fn of_whole(response: Response<Incoming>) -> Self {
        // Not the header: `Transfer-Encoding` overrides it (RFC 9112, section 6.3).
        let length = response.body().size_hint().exact();
        Self::of(response, length)
    }

    fn of(response: Response<Incoming>, bytes: Option<u64>) -> Self {
        let text = |name| {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let version = Version {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
            bytes,
        };
        let body = response.into_body();
        Self { version, body }
    }

    pub(super) const fn version(&self) -> &Version {
        &self.version
    }

    /// The next bytes; `None` at the end of the response, which is the end of the file only if the
    /// size says so, or if nothing says the size and the response is of the whole file.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            match frame.map_err(|_| Broken)? {
                None => return Ok(None),
                Some(Err(_)) => return Err(Broken),
                // Trailers are no part of the file.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

impl Version {
    pub(super) const fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Whether a later leg could see that the file has changed. A weak tag is the same for files
    /// that are equal in meaning only (RFC 9110, section 13.1.5).
    pub(super) fn is_resumable(&self) -> bool {
        let is_strong = |etag: &String| !etag.starts_with("W/");
        self.etag.as_ref().is_some_and(is_strong) || self.last_modified.is_some()
    }

    /// Whether a later response is of the same file, by what both responses say. A partial response
    /// may leave out `Last-Modified`, and either one the size (RFC 9110, section 15.3.7).
    fn is_same(&self, later: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        let has_common = (self.etag.is_some() && later.etag.is_some())
            || (self.last_modified.is_some() && later.last_modified.is_some());
        let sizes_agree = match (self.bytes, later.bytes) {
            (Some(size), Some(later)) => size == later,
            _ => true,
        };
        has_common
            && agree(&self.etag, &later.etag)
            && agree(&self.last_modified, &later.last_modified)
            && sizes_agree
    }

    /// Takes the size from a later response of the same file.
    pub(super) fn learn_size(&mut self, later: &Self) {
        self.bytes = self.bytes.or(later.bytes);
    }
}

impl From<Broken> for WorkError {
    fn from(Broken: Broken) -> Self {
        Self::retryable("FILE_UNAVAILABLE", "the connection broke")
    }
}

async fn get(
    url: &str,
    clients: &Clients,
    from: Option<u64>,
) -> Result<Response<Incoming>, WorkError> {
    let allowed = clients.file_networks().map_err(|error| {
        tracing::error!("the attempt fails: {error}");
        let message = "the worker has an invalid setting";
        WorkError::retryable(FailureCode::InternalError.as_str(), message)
    })?;
    let url = CallerUrl::parse(url, &allowed).map_err(|refused| {
        tracing::info!(reason = %refused.reason, "the file's URL is refused");
        WorkError::permanent("FILE_UNAVAILABLE", &format!("the URL {refused}"))
    })?;
    let mut request = Request::get(url.wire_form())
        // The checksum is that of the file, not of a compressed form.
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, outbound::USER_AGENT);
    if let Some(from) = from {
        request = request.header(RANGE, format!("bytes={from}-"));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|_| of_failure(Failure::NoValidResponse))?;
    // One request of one attempt, so no connection is kept.
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector(clients.names(), url.reach(), allowed));
    let response = tokio::time::timeout(SILENCE_MAX, client.request(request))
        .await
        .map_err(|_| of_failure(Failure::TimedOut))?
        .map_err(|error| of_failure(Failure::of(&error)))?;
    lift_allowance(response.extensions());
    Ok(response)
}

fn connector(names: Arc<dyn Resolve>, reach: Reach, allowed: AllowedNetworks) -> Connector {
    // It sees names only. `CallerUrl::parse` has checked a host that is an address.
    let resolver = CheckingResolver::new(names, reach, Arc::new(allowed));
    let https_only = reach == Reach::Public;
    Connector::new(
        resolver,
        tls_config(mozilla_roots()),
        https_only,
        CONNECT_TIMEOUT,
    )
}

/// The first byte of a partial response, and the size of the whole file if the host says it.
/// `None` without a valid range.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    let size = match size {
        "*" => None,
        size => Some(size.parse::<u64>().ok()?),
    };
    let is_valid = first <= last && size.is_none_or(|size| last < size);
    is_valid.then_some((first, size))
}

fn of_failure(failure: Failure) -> WorkError {
    // The caller learns less.
    tracing::info!(reason = ?failure, "the file cannot be read");
    WorkError::retryable("FILE_UNAVAILABLE", &failure.to_string())
}

fn unavailable(status: StatusCode) -> WorkError {
    let message = format!("the host responded with {}", status.as_u16());
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    if may_pass {
        WorkError::retryable("FILE_UNAVAILABLE", &message)
    } else {
        WorkError::permanent("FILE_UNAVAILABLE", &message)
    }
}

fn changed() -> WorkError {
    WorkError::permanent("FILE_CHANGED", "the file changed while it was read")
}

pub(super) fn not_resumable() -> WorkError {
    let message = "the host does not serve the rest of a file and its size, \
                   or no strong ETag or Last-Modified";
    WorkError::permanent("FILE_NOT_RESUMABLE", message)
}
