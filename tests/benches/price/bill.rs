//! What AWS bills for an operation of a mix.

use std::collections::BTreeMap;

use local::bundle::FUNCTIONS;
use local::function::Usage;
use tests::benchmark::number;
use tests::meter::{Charge, Units};

use crate::price_list::PriceList;

const LOGS: &str = "cloudwatch.logs_ingested_gb";

/// The averages for one operation.
pub(crate) struct Bill {
    steps: BTreeMap<String, f64>,
    units: Units,
    operations: f64,
    gateway_requests: f64,
    invocations: f64,
    gigabyte_seconds: f64,
    log_bytes: f64,
}

/// An item of AWS's bill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) name: &'static str,
    /// The unit of its amount.
    pub(crate) unit: &'static str,
    /// Its key in the price list.
    pub(crate) key: &'static str,
}

impl Item {
    /// An amount, as text for a table.
    pub(crate) fn amount(self, each: f64) -> String {
        match self.key {
            LOGS => format!("{:.2} KB", each * 1e6),
            _ => format!("{each:.4} {}", self.unit),
        }
    }
}

/// The counts of all operations together.
pub(crate) struct Counted {
    pub(crate) operations: usize,
    pub(crate) gateway_requests: usize,
    pub(crate) charges: Vec<Charge>,
    pub(crate) usage: [(&'static str, Usage); 4],
    pub(crate) log_bytes: u64,
}

impl Bill {
    pub(crate) fn new(counted: &Counted) -> Self {
        // Empty receives cost by the hour, however many operations there are.
        let charges: Vec<_> = counted
            .charges
            .iter()
            .filter(|charge| charge.step != "poll an empty queue")
            .collect();
        let operations = number(counted.operations);
        let mut steps = BTreeMap::new();
        for charge in &charges {
            let refused = if charge.is_refused { " (refused)" } else { "" };
            let name = format!("{}{refused}, {}", charge.step, charge.call);
            *steps.entry(name).or_default() += 1.0 / operations;
        }
        for (name, usage) in counted.usage {
            let invocations = number(usage.invocations) / operations;
            steps.insert(format!("invoke {name}"), invocations);
        }
        let gigabyte_seconds = counted.usage.map(|(name, usage)| {
            let shape = FUNCTIONS.iter().find(|shape| shape.name == name).unwrap();
            // Lambda's GB of memory has 1,024 MB.
            gigabytes(shape.memory_mb) * usage.billed.as_secs_f64()
        });
        Self {
            steps,
            units: charges.iter().map(|charge| charge.units).sum(),
            operations,
            gateway_requests: number(counted.gateway_requests) / operations,
            invocations: counted
                .usage
                .iter()
                .map(|(_, usage)| number(usage.invocations))
                .sum::<f64>()
                / operations,
            gigabyte_seconds: gigabyte_seconds.iter().sum::<f64>() / operations,
            log_bytes: number(counted.log_bytes) / operations,
        }
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &String> {
        self.steps.keys()
    }

    pub(crate) fn step(&self, name: &str) -> f64 {
        self.steps.get(name).copied().unwrap_or_default()
    }

    /// The amount of each item for one operation.
    pub(crate) fn items(&self) -> [(Item, f64); 8] {
        let each = |units: f64| units / self.operations;
        let item = |name, unit, key| Item { name, unit, key };
        [
            (
                item(
                    "API Gateway, HTTP API",
                    "requests",
                    "apigateway.http_request",
                ),
                self.gateway_requests,
            ),
            (
                item("DynamoDB, writes", "units", "dynamodb.write_request_unit"),
                each(self.units.writes),
            ),
            (
                item(
                    "DynamoDB, index writes",
                    "units",
                    "dynamodb.write_request_unit",
                ),
                each(self.units.index_writes),
            ),
            (
                item("DynamoDB, reads", "units", "dynamodb.read_request_unit"),
                each(self.units.reads),
            ),
            (
                item("SQS", "requests", "sqs.request"),
                each(f64::from(self.units.queue_requests)),
            ),
            (
                item("Lambda, invocations", "requests", "lambda.request"),
                self.invocations,
            ),
            (
                item("Lambda, time (arm64)", "GB-s", "lambda.gb_second.arm64"),
                self.gigabyte_seconds,
            ),
            (
                item("CloudWatch Logs", "GB", LOGS),
                // A GB of 10⁹ bytes, the most expensive way to count.
                self.log_bytes / 1e9,
            ),
        ]
    }

    /// The price of one operation without its logs, in dollars, by service.
    pub(crate) fn parts(&self, prices: &PriceList) -> [(&'static str, f64); 5] {
        let items = self.items();
        let of = |key: &str| {
            let billed = items.iter().filter(|(item, _)| item.key.starts_with(key));
            billed.map(|(item, each)| each * prices.of(item.key)).sum()
        };
        [
            ("gateway", of("apigateway.")),
            ("table", of("dynamodb.")),
            ("queues", of("sqs.")),
            ("invocations", of("lambda.request")),
            ("their time", of("lambda.gb_second.")),
        ]
    }

    /// The sum of [`Bill::parts`].
    pub(crate) fn total_without_logs(&self, prices: &PriceList) -> f64 {
        self.parts(prices).iter().map(|(_, each)| each).sum()
    }
}

fn gigabytes(memory_mb: u32) -> f64 {
    f64::from(memory_mb) / 1024.0
}
