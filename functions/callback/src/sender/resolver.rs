//! Resolves a receiver's name, and judges what it resolves to.
//!
//! The judgement has to be made here, between look-up and connection: judging a name first and connecting by name afterwards
//! would be two look-ups, and whoever serves the name may answer them differently. A connection that is used again goes where it
//! went when it was judged; each new one is judged anew.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use shared::domain::network::{AllowedNetworks, Reach};

/// Hands out only what it has judged, so that the connection is pinned to it.
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

impl Resolve for JudgingResolver {
    /// One address that is not allowed refuses the whole name: no honest receiver mixes public and private addresses, and a
    /// name that does is after the client's choice among them.
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.names.resolve(name);
        let (reach, allowed) = (self.reach, Arc::clone(&self.allowed));
        Box::pin(async move {
            let addresses: Vec<IpAddr> = lookup.await?.map(|found| found.ip()).collect();
            if addresses.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            for address in &addresses {
                reach.judge(*address, &allowed)?;
            }
            // Port 0 stands for the URL's own.
            let judged = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(judged) as Addrs)
        })
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Port 0 stands for the URL's own.
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
