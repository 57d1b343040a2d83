//! Resolves a receiver's name, and judges what it resolves to.
//!
//! The judgement has to be made here, between look-up and connection: judging a name first and connecting by name afterwards
//! would be two look-ups, and whoever serves the name may answer them differently. A connection that is used again goes where it
//! went when it was judged; each new one is judged anew.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use shared::domain::network::{AllowedNetworks, Reach};
use tower_service::Service;

use super::failure::Failure;

/// Finds the addresses of a name.
pub(super) trait Resolve: Send + Sync {
    fn resolve(&self, name: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Hands out only what it has judged, so that the connection is pinned to it.
#[derive(Clone)]
pub(super) struct JudgingResolver {
    names: Arc<dyn Resolve>,
    reach: Reach,
    allowed: Arc<AllowedNetworks>,
}

/// The system's resolver.
pub(super) struct SystemResolver;

impl JudgingResolver {
    pub(super) fn new(
        names: Arc<dyn Resolve>,
        reach: Reach,
        allowed: Arc<AllowedNetworks>,
    ) -> Self {
        Self {
            names,
            reach,
            allowed,
        }
    }
}

impl Service<Name> for JudgingResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    /// One address that is not allowed refuses the whole name: no honest receiver mixes public and private addresses, and a
    /// name that does is after the client's choice among them.
    fn call(&mut self, name: Name) -> Self::Future {
        let lookup = self.names.resolve(name);
        let (reach, allowed) = (self.reach, Arc::clone(&self.allowed));
        Box::pin(async move {
            let addresses = lookup.await.map_err(|_| Failure::NameNotFound)?;
            if addresses.is_empty() {
                return Err(Failure::NameNotFound);
            }
            for address in &addresses {
                reach.judge(*address, &allowed)?;
            }
            // Port 0 stands for the URL's own.
            let judged = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(judged.collect::<Vec<_>>().into_iter())
        })
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
