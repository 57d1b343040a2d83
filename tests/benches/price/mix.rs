//! The mix: operations with work, callbacks and polls that run on the local bundle.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream;
use local::bundle::Bundle;
use local::function::Usage;
use serde_json::{Value, json};
use tests::benchmark::number;
use tests::logs::Logs;
use tests::metered::{Metered, MeteredBundle, MeteredServices};
use tests::samples::incompressible;
use tests::target::{FunctionsFile, Reply, Targets, resize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::bill::{Bill, Counted};

/// The sizes of the arguments of `demo.countdown` and of the registered function.
const COUNTDOWN_BYTES: usize = 25;
const TARGET_BYTES: usize = 15;

/// How long operations run one by one: with long work they are fewer.
const ONE_BY_ONE_MS: u64 = 300_000;

/// How operations are submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Each after the previous one has ended.
    OneByOne,
    /// Many at once, so that messages are received in batches.
    Together,
}

#[derive(Debug, Args)]
pub(crate) struct Mix {
    /// How many operations.
    #[arg(long, default_value_t = 500)]
    pub(crate) operations: usize,
    /// Polls of each operation, after its end.
    #[arg(long, default_value_t = 1)]
    pub(crate) polls: usize,
    /// The share of operations with a callback, from 0 to 1.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) callbacks: f64,
    /// How long the work of each takes, in milliseconds. The work waits, so the operations of a
    /// batch share that time.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    work_ms: u64,
    /// Runs work that takes no time instead, with arguments and results of these sizes, in bytes,
    /// in turn.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["work_ms", "target"])]
    payload_bytes: Vec<usize>,
    /// The work is the target of a registered function, for which the worker waits. What the
    /// target's own function costs is left out: it is the same on every service.
    #[arg(long)]
    pub(crate) target: bool,
    /// The most processes of each function.
    #[arg(long, default_value_t = 4)]
    instances: usize,
    /// How many operations are submitted and polled at once in the run with many.
    #[arg(long, default_value_t = 64)]
    pub(crate) at_once: usize,
    /// The most messages in a batch of the worker in the run with many.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=10))]
    pub(crate) batch_size: i32,
    /// How long AWS takes to answer a call, in milliseconds.
    #[arg(long, default_value_t = 5)]
    pub(crate) aws_ms: u64,
    /// How long a receiver takes to answer a callback, in milliseconds.
    #[arg(long, default_value_t = 100)]
    pub(crate) receiver_ms: u64,
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations of {:?} bytes and {} ms of work{}, polls each: {}, \
             callbacks for {:.0} %; AWS answers in {} ms, receivers in {} ms; many at once: {}, in batches of up to {}, \
             by {} processes",
            self.operations,
            self.payload_bytes(),
            self.work_ms(),
            if self.target { " by a target" } else { "" },
            self.polls,
            self.callbacks * 100.0,
            self.aws_ms,
            self.receiver_ms,
            self.at_once,
            self.batch_size,
            self.instances,
        )
    }
}

impl Mix {
    /// How long the work takes, in milliseconds.
    pub(crate) fn work_ms(&self) -> usize {
        let takes_time = self.payload_bytes.is_empty();
        usize::try_from(self.work_ms).unwrap() * usize::from(takes_time)
    }

    /// The sizes of arguments, in bytes, in turn.
    pub(crate) fn payload_bytes(&self) -> &[usize] {
        match &*self.payload_bytes {
            [] if self.target => &[TARGET_BYTES],
            [] => &[COUNTDOWN_BYTES],
            sizes => sizes,
        }
    }

    /// Runs the mix on a new bundle and returns the averages for one operation.
    pub(crate) async fn run(&self, load: Load) -> Bill {
        let work = |number| self.work(number);
        self.run_work(load, self.operations, &work).await
    }

    /// As [`Mix::run`], with at most so many operations of other work than the mix's.
    pub(crate) async fn run_work(
        &self,
        load: Load,
        operations: usize,
        work: &impl Fn(usize) -> Value,
    ) -> Bill {
        let (operations, at_once, batch_size) = match load {
            Load::OneByOne => {
                let fit = usize::try_from(ONE_BY_ONE_MS / (self.work_ms + 100)).unwrap();
                (operations.min(fit), 1, 1)
            }
            Load::Together => (operations, self.at_once, self.batch_size),
        };
        let logs = Logs::collect(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("price.log"));
        let metered = self.metered();
        let services = MeteredServices::start().await;
        let targets = self.targets().await;
        let file = targets.as_ref().map(|targets| self.functions(targets));
        let running = services
            .bundle_with(file.as_ref(), metered, self.instances, batch_size)
            .await;
        let (receiver, _server) = self.receiver().await;
        // First runs as many operations as are submitted at once, so that every process has
        // started. The price of a start is shared by far more operations than a mix has.
        let body = |number: usize| self.with_callback(number, work(number), &receiver);
        self.operate(&running, at_once, at_once, &body).await;
        drop(running.metered.take());
        let before = (running.bundle.usage(), logs.bytes());
        self.operate(&running, operations, at_once, &body).await;
        let counted = Counted {
            operations,
            gateway_requests: operations * (1 + self.polls),
            charges: running.metered.take(),
            usage: usage_since(before.0, &running.bundle),
            log_bytes: logs.bytes() - before.1,
        };
        running.bundle.stop().await;
        logs.end();
        Bill::new(&counted)
    }

    async fn operate(
        &self,
        running: &MeteredBundle,
        operations: usize,
        at_once: usize,
        body: &impl Fn(usize) -> Value,
    ) {
        let submits = stream::iter(0..operations).map(async |number| {
            let id = running.caller.submit(&body(number)).await;
            if at_once == 1 {
                running.drain().await;
            }
            id
        });
        let ids: Vec<_> = submits.buffer_unordered(at_once).collect().await;
        running.drain().await;
        stream::iter(&ids)
            .for_each_concurrent(at_once, async |id| {
                for _ in 0..self.polls {
                    let operation = running.caller.get(&format!("/operations/{id}")).await;
                    assert_eq!(operation["status"], "completed");
                }
            })
            .await;
    }

    /// Proxies that respond as late as AWS.
    pub(crate) fn metered(&self) -> Metered {
        Metered::new(Duration::from_millis(self.aws_ms))
    }

    async fn targets(&self) -> Option<Targets> {
        let work = Duration::from_millis(self.work_ms);
        if !self.target {
            return None;
        }
        let returned = Box::new(Reply::Returned("1".to_owned()));
        Some(Targets::start(move |_| Reply::After(work, returned.clone())).await)
    }

    fn functions(&self, targets: &Targets) -> FunctionsFile {
        let mut function = resize();
        function["timeout_seconds"] = json!(self.work_ms / 1000 + 60);
        function["target"]["local"] = json!({"endpoint": targets.url});
        FunctionsFile::new(&[function])
    }

    async fn receiver(&self) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let delay = Duration::from_millis(self.receiver_ms);
        let receiver = Router::new().fallback(async move || tokio::time::sleep(delay).await);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, receiver).await.unwrap() });
        (url, server)
    }

    fn work(&self, operation: usize) -> Value {
        match &*self.payload_bytes {
            [] if self.target => {
                json!({"function": "image.resize", "arguments": {"key": "a.png"}})
            }
            [] => {
                let arguments = json!({"steps": 1, "step_ms": self.work_ms});
                json!({"function": "demo.countdown", "arguments": arguments})
            }
            sizes => {
                let text = incompressible(sizes[operation % sizes.len()]);
                json!({"function": "demo.echo", "arguments": {"text": text}})
            }
        }
    }

    fn with_callback(&self, operation: usize, mut body: Value, receiver: &str) -> Value {
        // Spread evenly: a share of 0.25 is every fourth operation.
        let callbacks_before = |operation: usize| (number(operation) * self.callbacks).floor();
        if callbacks_before(operation + 1) > callbacks_before(operation) {
            body["callback_url"] = json!(receiver);
        }
        body
    }
}

/// What the functions used since then.
pub(crate) fn usage_since(
    before: [(&'static str, Usage); 4],
    bundle: &Bundle,
) -> [(&'static str, Usage); 4] {
    let mut usage = bundle.usage();
    for ((_, usage), (_, before)) in usage.iter_mut().zip(before) {
        usage.invocations -= before.invocations;
        usage.billed -= before.billed;
    }
    usage
}
