//! Functions for demonstration and tests, with progress, failures and retries on demand.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Function;
use crate::domain::backoff::RetryPolicy;
use crate::domain::json::Json;

const RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(10),
};

/// Any JSON object, exactly as sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Json);

impl JsonSchema for Object {
    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// `demo.echo`: returns its arguments.
#[derive(Debug)]
pub struct Echo;

impl Function for Echo {
    const NAME: &'static str = "demo.echo";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Returns its arguments.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
    const DEADLINE_SECS: u32 = 3600;
    const RETRY: RetryPolicy = RETRY;
    const DEMO: bool = true;

    type Args = Object;
    type Output = Object;
}

/// `demo.countdown`: waits step by step and reports progress.
#[derive(Debug)]
pub struct Countdown;

/// The arguments of `demo.countdown`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountdownArgs {
    /// The number of steps, 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub steps: u32,
    /// The duration of a step, in milliseconds, at most 60,000.
    #[schemars(range(max = 60_000))]
    pub step_ms: u32,
}

/// The result of `demo.countdown`.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct CountdownOutput {
    /// The number of steps.
    pub steps: u32,
}

impl Function for Countdown {
    const NAME: &'static str = "demo.countdown";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Waits step by step and reports its progress.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
    const DEADLINE_SECS: u32 = 3600;
    const RETRY: RetryPolicy = RETRY;
    const DEMO: bool = true;

    type Args = CountdownArgs;
    type Output = CountdownOutput;
}

/// `demo.fail`: fails as its arguments say.
#[derive(Debug)]
pub struct Fail;

/// The arguments of `demo.fail`, all optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailArgs {
    /// The error's code; `DEMO_FAILURE` by default.
    pub code: Option<String>,
    /// The error's message.
    pub message: Option<String>,
    /// Whether the error is retryable; by default it is not.
    pub retryable: Option<bool>,
    /// The first attempt that succeeds, from 1; by default none does.
    pub succeed_on_attempt: Option<u32>,
    /// How to fail; by default with an error.
    pub mode: Option<FailMode>,
}

/// How `demo.fail` fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// Returns an error.
    #[default]
    Error,
    /// Panics.
    Panic,
    /// Ends the worker's process.
    Exit,
    /// Never returns.
    Hang,
}

/// The result of `demo.fail` when it succeeds.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct FailOutput {
    /// The attempt that succeeded.
    pub attempt: u32,
}

impl Function for Fail {
    const NAME: &'static str = "demo.fail";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Fails as its arguments say.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
    const DEADLINE_SECS: u32 = 600;
    const RETRY: RetryPolicy = RETRY;
    const DEMO: bool = true;

    type Args = FailArgs;
    type Output = FailOutput;
}

/// `demo.long`: works in legs.
#[derive(Debug)]
pub struct Long;

/// The arguments of `demo.long`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongArgs {
    /// The number of legs, 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub legs: u32,
    /// The wait before each further leg, in seconds, at most 604,800; none by default.
    #[schemars(range(max = 604_800))]
    pub wait_seconds: Option<u32>,
}

/// The result of `demo.long`.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct LongOutput {
    /// The number of legs.
    pub legs: u32,
}

impl Function for Long {
    const NAME: &'static str = "demo.long";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Works in legs, and waits between them.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
    const DEADLINE_SECS: u32 = 3600;
    const RETRY: RetryPolicy = RETRY;
    const DEMO: bool = true;

    type Args = LongArgs;
    type Output = LongOutput;
}
