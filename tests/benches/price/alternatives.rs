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

/// The work of an operation.
pub(crate) struct Work {
    /// The duration of each leg, in milliseconds.
    pub(crate) leg_ms: f64,
    /// A target does it, whose function is left out.
    pub(crate) by_target: bool,
    pub(crate) legs: u32,
    /// How many of the legs follow a sleep, and its duration in days.
    pub(crate) sleeps: u32,
    pub(crate) sleep_days: f64,
}

impl Work {
    /// Work in these legs, which take no time.
    pub(crate) const fn in_legs(legs: u32) -> Self {
        Self {
            leg_ms: 0.0,
            by_target: false,
            legs,
            sleeps: 0,
            sleep_days: 0.0,
        }
    }

    fn of(mix: &Mix) -> Self {
        Self {
            leg_ms: number(mix.work_ms()),
            by_target: mix.target,
            ..Self::in_legs(1)
        }
    }
}

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
    let work = Work::of(mix);
    let service = Service { work, mix, prices };
    [
        service.step_functions_standard(),
        service.step_functions_express(),
        service.lambda_durable_functions(),
        service.temporal_cloud(),
    ]
}

/// The services on which work may have several legs and sleep between them for days.
pub(crate) fn of_long_work(work: Work, mix: &Mix, prices: &PriceList) -> [Alternative; 2] {
    let service = Service { work, mix, prices };
    [
        service.step_functions_standard(),
        service.lambda_durable_functions(),
    ]
}

struct Service<'a> {
    work: Work,
    mix: &'a Mix,
    prices: &'a PriceList,
}

impl Service<'_> {
    /// The gateway calls `StartExecution`. One state runs each leg, one sends the callback, and a
    /// [`Wait`][wait] is a state. A poll is `DescribeExecution`, which is free. The start and each
    /// entered state count as a transition; AWS's example also counts the end, which would add one
    /// (<https://aws.amazon.com/step-functions/pricing/>).
    ///
    /// [wait]: https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
    fn step_functions_standard(&self) -> Alternative {
        let states = f64::from(self.work.legs + self.work.sleeps);
        let transitions = 1.0 + states + self.mix.callbacks;
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
        let millis = self.leg_ms() + self.mix.callbacks * self.callback_ms() + EXPRESS_MS;
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

    /// A function starts a durable function, whose steps are the legs and the callback. Polls read
    /// the execution. A start, a step and a wait count as an operation; the payload and each step's
    /// result are written, and retained from then on (<https://aws.amazon.com/lambda/pricing/>).
    /// The calculation assumes that one invocation has time for all steps up to a wait. After a
    /// wait there is [another one][replay].
    ///
    /// [replay]: https://docs.aws.amazon.com/lambda/latest/dg/durable-basic-concepts.html
    fn lambda_durable_functions(&self) -> Alternative {
        let (legs, sleeps) = (f64::from(self.work.legs), f64::from(self.work.sleeps));
        let operations = 1.0 + legs + sleeps + self.mix.callbacks;
        let written_kb = (1.0 + legs) * self.payload_kb() + 0.5 * self.mix.callbacks;
        let gigabytes = written_kb * KB;
        let days = DURABLE_DAYS + sleeps * self.work.sleep_days;
        let millis = self.function_ms()
            + self.mix.callbacks * self.callback_ms()
            + DURABLE_MS * (1.0 + sleeps);
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
                        + gigabytes * days / 30.0
                            * self.prices.of("lambda_durable.data_retained_gb_month"),
                ),
                (
                    "functions",
                    self.gateway_function()
                        + self.function((millis, WORKER_MB))
                        + sleeps * self.prices.of("lambda.request")
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
        if self.work.by_target {
            return 0.0;
        }
        f64::from(self.work.legs) * self.function((self.leg_ms(), WORKER_MB))
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

    fn leg_ms(&self) -> f64 {
        self.work.leg_ms + FUNCTION_MS
    }

    /// The work's part of a function's duration that is not a target's own.
    fn function_ms(&self) -> f64 {
        if self.work.by_target {
            return 0.0;
        }
        f64::from(self.work.legs) * self.leg_ms()
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
