//! The price of the same work on other services, each in the cheapest reasonable design and by its
//! vendor's billing rules.
//!
//! The work: accept a request over an HTTP API and answer with an id; run the work once in the
//! user's function; answer polls with state or result; post one signed callback. Everything
//! succeeds at the first attempt, and payloads are small. A target's function is left out: each of
//! the services invokes it or runs it as its own step. Nothing here is measured. Logs, starts,
//! outgoing data and secrets are left out of all, because they cost the same everywhere.
//!
//! Every poll needs a function, since an HTTP API [cannot read][integrations] from any of these
//! services directly. So does the callback, since none of the services [signs a body][tasks].
//!
//! [integrations]:
//! https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
//! [tasks]: https://docs.aws.amazon.com/step-functions/latest/dg/call-https-apis.html

use tests::benchmark::number;

use crate::mix::Mix;
use crate::price_list::PriceList;

/// The duration of a function that accepts or polls, in milliseconds and without its one call to
/// AWS, and its memory, in MB.
const GATEWAY_FUNCTION_MS: f64 = 5.0;
const GATEWAY_FUNCTION_MB: f64 = 256.0;
/// The memory of the functions that run the work and send callbacks, in MB, as in the template.
const WORKER_MB: f64 = 512.0;
const CALLBACK_MB: f64 = 256.0;
/// The overhead of a function, of an Express workflow, and of a durable function's checkpoints, in
/// milliseconds.
const FUNCTION_MS: f64 = 5.0;
const EXPRESS_MS: f64 = 50.0;
const DURABLE_MS: f64 = 30.0;
/// The retention of a durable function's data and of Temporal's histories, in days: the default of
/// the first and the minimum of the second.
const DURABLE_DAYS: f64 = 14.0;
const TEMPORAL_DAYS: f64 = 1.0;
/// The size of a Temporal history, in KB.
const HISTORY_KB: f64 = 4.0;
/// A KB, in GB.
const KB: f64 = 1e-6;

/// What one operation costs on a service.
pub(crate) struct Alternative {
    pub(crate) name: &'static str,
    /// What is paid for, and its price in dollars.
    pub(crate) parts: Vec<(&'static str, f64)>,
}

impl Alternative {
    pub(crate) fn total(&self) -> f64 {
        self.parts.iter().map(|(_, each)| each).sum()
    }
}

pub(crate) fn all(mix: &Mix, prices: &PriceList) -> [Alternative; 4] {
    let work = Work { mix, prices };
    [
        work.step_functions_standard(),
        work.step_functions_express(),
        work.lambda_durable_functions(),
        work.temporal_cloud(),
    ]
}

struct Work<'a> {
    mix: &'a Mix,
    prices: &'a PriceList,
}

impl Work<'_> {
    /// The gateway calls `StartExecution`. One state runs the work, one sends the callback. A poll
    /// is `DescribeExecution`, which is free. The start and each entered state count as a
    /// transition; AWS's example also counts the end, which would add one
    /// (<https://aws.amazon.com/step-functions/pricing/>).
    fn step_functions_standard(&self) -> Alternative {
        let transitions = 2.0 + self.mix.callbacks;
        Alternative {
            name: "Step Functions Standard",
            parts: vec![
                ("gateway", self.gateway()),
                (
                    "transitions",
                    transitions * self.prices.of("step_functions.standard_transition"),
                ),
                (
                    "functions",
                    self.work_function() + self.callback_function() + self.poll_functions(),
                ),
            ],
        }
    }

    /// The same, except that an Express workflow does not report its state or result: it writes
    /// both to a table, at its start and its end
    /// (<https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html>).
    /// It runs for at most five minutes, and nothing recovers a lost one.
    fn step_functions_express(&self) -> Alternative {
        let millis = self.work_ms() + self.mix.callbacks * self.callback_ms() + EXPRESS_MS;
        // The duration is billed in steps of 100 ms, the memory in steps of 64 MB.
        let gigabyte_seconds = (millis / 100.0).ceil() * 0.1 * 0.0625;
        let writes = 2.0 * self.item_kb().ceil();
        let reads = self.polls() * 0.5 * (self.item_kb() / 4.0).ceil();
        Alternative {
            name: "Step Functions Express",
            parts: vec![
                ("gateway", self.gateway()),
                (
                    "workflow",
                    self.prices.of("step_functions.express_request")
                        + gigabyte_seconds * self.prices.of("step_functions.express_gb_second"),
                ),
                (
                    "table",
                    writes * self.prices.of("dynamodb.write_request_unit")
                        + reads * self.prices.of("dynamodb.read_request_unit"),
                ),
                (
                    "functions",
                    self.work_function() + self.callback_function() + self.poll_functions(),
                ),
            ],
        }
    }

    /// A function starts a durable function, whose steps are the work and the callback. Polls read
    /// the execution. A start and a step count as an operation; the payload and each step's result
    /// are written and retained (<https://aws.amazon.com/lambda/pricing/>).
    fn lambda_durable_functions(&self) -> Alternative {
        let operations = 2.0 + self.mix.callbacks;
        let gigabytes = (2.0 * self.payload_kb() + 0.5 * self.mix.callbacks) * KB;
        let millis = self.function_ms() + self.mix.callbacks * self.callback_ms() + DURABLE_MS;
        Alternative {
            name: "Lambda durable functions",
            parts: vec![
                ("gateway", self.gateway()),
                (
                    "operations",
                    operations * self.prices.of("lambda_durable.operation"),
                ),
                (
                    "data",
                    gigabytes * self.prices.of("lambda_durable.data_written_gb")
                        + gigabytes * DURABLE_DAYS / 30.0
                            * self.prices.of("lambda_durable.data_retained_gb_month"),
                ),
                (
                    "functions",
                    self.gateway_function()
                        + self.function((millis, WORKER_MB))
                        + self.poll_functions(),
                ),
            ],
        }
    }

    /// A function starts a workflow with one activity for the work and one for the callback. Polls
    /// describe the workflow, which is not a billed action
    /// (<https://docs.temporal.io/cloud/actions>). The calculation assumes workers on Lambda that
    /// are never idle, and the plan without a base fee, whose support costs a tenth of the usage
    /// (<https://docs.temporal.io/cloud/pricing>).
    fn temporal_cloud(&self) -> Alternative {
        let actions = 2.0 + self.mix.callbacks;
        let retained = HISTORY_KB * KB * TEMPORAL_DAYS * 24.0;
        let usage = actions * self.prices.of("temporal_cloud.action")
            + retained * self.prices.of("temporal_cloud.storage_retained_gb_hour");
        Alternative {
            name: "Temporal Cloud",
            parts: vec![
                ("gateway", self.gateway()),
                (
                    "actions, history, support",
                    usage * (1.0 + self.prices.of("temporal_cloud.plan_share")),
                ),
                (
                    "functions",
                    self.gateway_function()
                        + self.work_function()
                        + self.callback_function()
                        + self.poll_functions(),
                ),
            ],
        }
    }

    fn gateway(&self) -> f64 {
        (1.0 + self.polls()) * self.prices.of("apigateway.http_request")
    }

    fn gateway_function(&self) -> f64 {
        let millis = GATEWAY_FUNCTION_MS + number(self.mix.aws_ms);
        self.function((millis, GATEWAY_FUNCTION_MB))
    }

    fn poll_functions(&self) -> f64 {
        self.polls() * self.gateway_function()
    }

    fn work_function(&self) -> f64 {
        if self.mix.target {
            return 0.0;
        }
        self.function((self.work_ms(), WORKER_MB))
    }

    fn callback_function(&self) -> f64 {
        self.mix.callbacks * self.function((self.callback_ms(), CALLBACK_MB))
    }

    /// The price of an invocation, by its milliseconds and MB.
    fn function(&self, (millis, memory_mb): (f64, f64)) -> f64 {
        let gigabyte_seconds = millis / 1000.0 * memory_mb / 1024.0;
        self.prices.of("lambda.request")
            + gigabyte_seconds * self.prices.of("lambda.gb_second.arm64")
    }

    fn work_ms(&self) -> f64 {
        number(self.mix.work_ms()) + FUNCTION_MS
    }

    /// The work's part of a function's duration that is not a target's own.
    fn function_ms(&self) -> f64 {
        if self.mix.target { 0.0 } else { self.work_ms() }
    }

    fn callback_ms(&self) -> f64 {
        number(self.mix.receiver_ms) + FUNCTION_MS
    }

    fn polls(&self) -> f64 {
        number(self.mix.polls)
    }

    fn payload_kb(&self) -> f64 {
        let sizes = self.mix.payload_bytes();
        number(sizes.iter().sum::<usize>()) / number(sizes.len()) / 1000.0
    }

    /// The item of state and result, with its keys.
    fn item_kb(&self) -> f64 {
        self.payload_kb() + 0.3
    }
}
