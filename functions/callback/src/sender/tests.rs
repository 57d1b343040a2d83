//! Every test uses a real listener on the loopback interface. Only names, trusted roots and clocks
//! are the tests' own.
//!
//! They post with a whole [`Sender`], also where they test what `shared::outbound` does: that the
//! client is made with its connector, and that nothing reaches a receiver around it, shows only in
//! a real POST.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::RootCertStore;
use shared::clock::{Clock, ManualClock, SystemClock};
use shared::domain::caller_url::CallerUrl;
use shared::domain::network::AllowedNetworks;
use shared::domain::time::Timestamp;
use shared::outbound::{Failure, Resolve};

use super::{Exchange, Network, Outcome, Sender};
use crate::signature::Signer;

mod deadline;
mod delivery;
mod head;
mod keep_alive;
mod receiver;
mod ssrf;
mod tls;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TIMEOUT: Duration = Duration::from_secs(5);
const LOOPBACK: &str = "127.0.0.1/32";

/// Answers lookups in the order that a test gives; the last answer serves all further lookups.
#[derive(Debug)]
struct Names {
    answers: Vec<Vec<&'static str>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn answering(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.iter().map(|answer| answer.to_vec()).collect(),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers.get(asked.len()).or(self.answers.last());
        let addresses = answer
            .map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
            .ok_or_else(|| io::Error::other("no such name"));
        asked.push(name.as_str().to_owned());
        Box::pin(async move { addresses })
    }
}

fn signer() -> Signer {
    SECRET.parse().unwrap()
}

fn allowed(list: &str) -> AllowedNetworks {
    list.parse::<AllowedNetworks>().unwrap()
}

/// A URL as accepted by a submit with every network allowed, so that only the sender can refuse it.
fn url(text: &str) -> CallerUrl {
    CallerUrl::parse(text, &allowed("0.0.0.0/0 ::/0")).unwrap()
}

fn sender(allowed_networks: &str, names: &Arc<Names>) -> Sender {
    sender_with(allowed_networks, names, RootCertStore::empty(), SystemClock)
}

fn sender_with(
    allowed_networks: &str,
    names: &Arc<Names>,
    roots: RootCertStore,
    clock: impl Clock + 'static,
) -> Sender {
    let network = Network {
        names: Arc::clone(names) as Arc<dyn Resolve>,
        roots,
    };
    Sender::on(network, allowed(allowed_networks), TIMEOUT, Arc::new(clock))
}

async fn post(sender: &Sender, to: &str) -> Exchange {
    sender
        .post(&url(to), &signer(), "msg_1", b"{}".to_vec())
        .await
}

fn manual_clock() -> ManualClock {
    ManualClock::new(Timestamp::from_secs(1_700_000_000))
}

fn answered(status: u16) -> Outcome {
    Outcome::Responded {
        status,
        retry_after: None,
    }
}

fn failed(reason: Failure) -> Outcome {
    Outcome::Failed { reason }
}
