//! Recognises reused connections: those that have answered before.
//!
//! The HTTP client does not report whether a request used a connection that it had kept. It reports
//! the connection, by its two ends.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::iter::successors;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Extensions;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpInfo;
use shared::domain::time::Timestamp;
use shared::outbound::Failure;

/// The connections that have answered, with the time of their last response.
pub(super) struct ReusableConnections {
    responded: Mutex<HashMap<Ends, Timestamp>>,
    age_max: Duration,
}

type Ends = (SocketAddr, SocketAddr);

impl ReusableConnections {
    /// A connection that has not answered for `age_max` is removed: the HTTP client does not keep
    /// one for so long.
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            responded: Mutex::default(),
            age_max,
        }
    }

    /// `extensions` are those of the response.
    pub(super) fn record_response(&self, extensions: &Extensions, now: Timestamp) {
        let mut responded = self.lock();
        responded.retain(|_, at| now.since(*at) <= self.age_max);
        if let Some(info) = extensions.get() {
            responded.insert(ends(info), now);
        }
    }

    /// Whether the error is the end of a reused connection before it answered. The connection is no
    /// longer kept, whatever the error.
    pub(super) fn ended(&self, error: &legacy::Error) -> bool {
        let was_reused = connection(error).is_some_and(|ends| self.lock().remove(&ends).is_some());
        was_reused && causes(error).any(is_end)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ends, Timestamp>> {
        // Each critical section leaves the map consistent, so a panic in another does not matter.
        self.responded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection on which a request failed. `None` when the request got none.
fn connection(error: &legacy::Error) -> Option<Ends> {
    let mut extensions = Extensions::new();
    error.connect_info()?.get_extras(&mut extensions);
    extensions.get().map(ends)
}

/// An error and its sources.
fn causes(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let error: &(dyn Error + 'static) = error;
    successors(Some(error), |&error| error.source())
}

/// Whether an error is the end of the connection. An invalid response is not: the receiver has
/// processed the request, which is not sent again.
fn is_end(cause: &(dyn Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    }
    let Some(error) = cause.downcast_ref::<io::Error>() else {
        return false;
    };
    let Some(cause) = error.get_ref() else {
        return true;
    };
    if cause.is::<Failure>() {
        // The sender ended the connection, since too many bytes came before the end of the
        // response's headers.
        return false;
    }
    // TLS errors are I/O errors. An alert means that the receiver closed the connection; any other
    // one is an invalid response.
    let tls = cause.downcast_ref::<rustls::Error>();
    tls.is_none_or(|cause| matches!(cause, rustls::Error::AlertReceived(_)))
}

fn ends(info: &HttpInfo) -> Ends {
    (info.local_addr(), info.remote_addr())
}
