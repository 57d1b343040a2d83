//! Which connections are kept ones: those that have answered before.
//!
//! The HTTP client does not say whether a request went over a connection that it had kept. It says which connection it was,
//! by its two ends.

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

use super::failure::Failure;

/// The connections that have answered, with the time of their last answer.
pub(super) struct KeptConnections {
    answered: Mutex<HashMap<Ends, Timestamp>>,
    age_max: Duration,
}

type Ends = (SocketAddr, SocketAddr);

impl KeptConnections {
    /// A connection is forgotten when it has not answered for `age_max`: it is not kept for so long.
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            answered: Mutex::default(),
            age_max,
        }
    }

    /// `extensions` are the answer's.
    pub(super) fn answered(&self, extensions: &Extensions, now: Timestamp) {
        let mut answered = self.lock();
        answered.retain(|_, at| now.since(*at) <= self.age_max);
        if let Some(info) = extensions.get() {
            answered.insert(ends(info), now);
        }
    }

    /// Whether a kept connection ended before it answered a request. Whatever the error is, the connection is not kept any
    /// longer.
    pub(super) fn ended(&self, error: &legacy::Error) -> bool {
        let was_kept = connection(error).is_some_and(|ends| self.lock().remove(&ends).is_some());
        was_kept && causes(error).any(is_end)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ends, Timestamp>> {
        // Whole between any two calls.
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that a request failed on; none when it got none.
fn connection(error: &legacy::Error) -> Option<Ends> {
    let mut extensions = Extensions::new();
    error.connect_info()?.get_extras(&mut extensions);
    extensions.get().map(ends)
}

/// An error, and what caused it.
fn causes(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let error: &(dyn Error + 'static) = error;
    successors(Some(error), |&error| error.source())
}

/// Whether a cause is that the connection ended. An answer that is not valid is an answer: the receiver has served the request,
/// and is not sent it again.
fn is_end(cause: &(dyn Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    }
    let Some(error) = cause.downcast_ref::<io::Error>() else {
        return false;
    };
    let Some(fault) = error.get_ref() else {
        return true;
    };
    if fault.is::<Failure>() {
        // The end is the sender's: too much came before an answer.
        return false;
    }
    // TLS fails as I/O does: an alert is the receiver's end of the connection, and any other fault is an answer.
    let tls = fault.downcast_ref::<rustls::Error>();
    tls.is_none_or(|fault| matches!(fault, rustls::Error::AlertReceived(_)))
}

fn ends(info: &HttpInfo) -> Ends {
    (info.local_addr(), info.remote_addr())
}
