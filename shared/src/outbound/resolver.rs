//! Resolves a host's name, and checks the addresses that it resolves to.
//!
//! The check has to be made here, between lookup and connection: to check a name first and to
//! connect by name afterwards would take two lookups, and the name's server may answer them
//! differently. A connection that is used again leads to the address that was checked; the address
//! of each new connection is checked again.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::runtime::Handle;
use tower_service::Service;

use super::failure::Failure;
use crate::domain::network::{AllowedNetworks, Reach};

/// Finds the addresses of a name.
pub trait Resolve: fmt::Debug + Send + Sync {
    fn resolve(&self, name: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Returns only addresses that it has checked, so that the connection is pinned to them.
#[derive(Clone)]
pub struct CheckingResolver {
    names: Arc<dyn Resolve>,
    reach: Reach,
    allowed: Arc<AllowedNetworks>,
}

/// The resolver of the operating system. It looks names up on a thread that blocks for as long as
/// the names' servers do not answer.
#[derive(Debug, Default)]
pub struct SystemResolver(Option<Handle>);

impl SystemResolver {
    /// Looks up on this runtime instead of the caller's, which would not end before its lookups.
    #[must_use]
    pub const fn on(runtime: Handle) -> Self {
        Self(Some(runtime))
    }
}

impl CheckingResolver {
    #[must_use]
    pub fn new(names: Arc<dyn Resolve>, reach: Reach, allowed: Arc<AllowedNetworks>) -> Self {
        Self {
            names,
            reach,
            allowed,
        }
    }
}

impl Service<Name> for CheckingResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    /// One address that is not allowed refuses the whole name: no honest host mixes public and
    /// private addresses, and a name that does is betting on which one the client chooses.
    fn call(&mut self, name: Name) -> Self::Future {
        let lookup = self.names.resolve(name);
        let (reach, allowed) = (self.reach, Arc::clone(&self.allowed));
        Box::pin(async move {
            let addresses = lookup.await.map_err(|_| Failure::NameNotFound)?;
            if addresses.is_empty() {
                return Err(Failure::NameNotFound);
            }
            for address in &addresses {
                reach.check(*address, &allowed)?;
            }
            // The client replaces port 0 with the URL's.
            let checked = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(checked.collect::<Vec<_>>().into_iter())
        })
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let lookup = async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        };
        match &self.0 {
            Some(runtime) => {
                let lookup = runtime.spawn(lookup);
                Box::pin(async { lookup.await.map_err(io::Error::other)? })
            }
            None => Box::pin(lookup),
        }
    }
}
