//! What the worst request costs: bodies, headers and queries of 1 MiB that are made to be
//! expensive. Each is served in this process by the function that it addresses.
//!
//! Store and queues are unreachable, so nothing is written and only the handling of the request
//! itself is measured. Times are CPU times of this process.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark has no caller to return an error to"
)]

mod kinds;
mod values;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use nix::time::{ClockId, clock_gettime};
use shared::aws::{Aws, http_connector};
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::http::GatewayEvent;
use shared::random::SystemRandom;
use tests::benchmark::table;

use crate::kinds::{Function, Kind};

/// The most CPU time that a request may take.
const CPU_MAX: Duration = Duration::from_millis(100);
/// An endpoint without a server.
const UNREACHABLE: &str = "http://127.0.0.1:1";

/// Measures what the worst request costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each request is served; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many kinds of request the table shows.
    #[arg(long, default_value_t = 10)]
    shown: usize,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Functions {
    submit: submit::Handler,
    status: status::Handler,
}

/// The measurements of one kind of request.
struct Measured {
    name: String,
    request_bytes: usize,
    cpu: Duration,
    status: u64,
    response_bytes: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let functions = Functions::new();
    let mut measured = Vec::new();
    for kind in kinds::all() {
        measured.push(functions.measure(kind, arguments.runs).await);
    }
    measured.sort_by_key(|measured| std::cmp::Reverse(measured.cpu));
    print(&measured, arguments.shown);
}

fn print(measured: &[Measured], shown: usize) {
    let mut worst = table(["kind", "status", "bytes", "CPU ms", "response bytes"], 1);
    for kind in measured.iter().take(shown) {
        worst.add_row([
            kind.name.clone(),
            kind.status.to_string(),
            kind.request_bytes.to_string(),
            format!("{:.1}", millis(kind.cpu)),
            kind.response_bytes.to_string(),
        ]);
    }
    println!("{worst}\n");
    let response = measured
        .iter()
        .max_by_key(|kind| kind.response_bytes)
        .unwrap();
    println!(
        "{} kinds; the largest response has {} bytes: {}",
        measured.len(),
        response.response_bytes,
        response.name
    );
    let above = measured.iter().filter(|kind| kind.cpu > CPU_MAX).count();
    let (verdict, max) = (if above == 0 { "OK" } else { "ABOVE" }, millis(CPU_MAX));
    println!("{verdict}: {above} take more than {max} ms of CPU");
}

impl Functions {
    fn new() -> Self {
        let environment = Environment::default().with([
            ("AWS_ACCESS_KEY_ID", "none"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL_DYNAMODB", UNREACHABLE),
            ("AWS_ENDPOINT_URL_SQS", UNREACHABLE),
            ("TABLE_NAME", "none"),
            ("CALLBACK_QUEUE_URL", "http://127.0.0.1:1/0/callback"),
            ("DISPATCH_QUEUE_URL", "http://127.0.0.1:1/0/dispatch"),
            ("DEMO_FUNCTIONS", "1"),
            ("ID_SALT", "benchmark"),
        ]);
        let connector = http_connector(&environment).unwrap();
        let aws = Aws::new(&environment, connector)
            .unwrap()
            .retrying_at_once();
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        Self {
            submit: submit::Handler::new(&environment, &aws, clock.clone(), random.clone())
                .unwrap(),
            status: status::Handler::new(&environment, &aws, clock, random).unwrap(),
        }
    }

    async fn measure(&self, kind: Kind, runs: u16) -> Measured {
        let event = kind.event.to_string();
        // The first call compiles the function's schema, so it is not measured.
        let mut response = self.serve(kind.function, &event).await;
        let mut times = Vec::new();
        for _ in 0..runs {
            let start = cpu_time();
            response = self.serve(kind.function, &event).await;
            times.push(cpu_time().saturating_sub(start));
        }
        times.sort();
        let answered: serde_json::Value = serde_json::from_str(&response).unwrap();
        Measured {
            name: kind.name,
            request_bytes: kind.bytes,
            cpu: times[times.len() / 2],
            status: answered["statusCode"].as_u64().unwrap(),
            response_bytes: answered["body"].as_str().unwrap().len(),
        }
    }

    /// Serves from the event's text to the response's, which is what Lambda's runtime sends and
    /// gets.
    async fn serve(&self, function: Function, event: &str) -> String {
        let event: GatewayEvent = serde_json::from_str(event).unwrap();
        let response = match function {
            Function::Submit => self.submit.handle(event).await,
            Function::Status => self.status.handle(event).await,
        };
        serde_json::to_string(&response).unwrap()
    }
}

/// The CPU time of this process so far, on all processors.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .unwrap()
        .into()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
