//! Connections to hosts that callers choose.
//!
//! A caller's URL cannot be trusted: its name may resolve to a private address, or to another one
//! at the next lookup, and its host may answer without end. A [`Connector`] connects only to
//! addresses that were checked, in bounded time, and bounds what it reads before a response's body.
//! It sends nothing and follows no redirect. If it is wrong, callers can make Ferry send requests
//! into its operator's private network.

mod connector;
mod failure;
mod resolver;

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

pub use self::connector::{Connector, lift_allowance, refill_allowance};
pub use self::failure::{Failure, TlsFailure};
pub use self::resolver::{CheckingResolver, Resolve, SystemResolver};

/// The `User-Agent` of every request to such a host.
pub const USER_AGENT: &str = concat!("Ferry/", env!("CARGO_PKG_VERSION"));

/// The certificate authorities that Mozilla trusts.
#[must_use]
pub fn mozilla_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// TLS with these roots.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
pub fn tls_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
