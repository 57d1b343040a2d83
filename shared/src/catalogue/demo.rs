//! Functions for demonstration and tests: they show progress, failures and retries on demand.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Function;
use crate::domain::backoff::RetryPolicy;
use crate::domain::json::Json;

const RETRY: RetryPolicy = RetryPolicy {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(10),
};

/// Any JSON object, kept exactly as it was sent.
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

/// `demo.echo`: its arguments back.
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

/// `demo.countdown`: takes its time and says how far it has come.
#[derive(Debug)]
pub struct Countdown;

/// What [`Countdown`] is called with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountdownArgs {
    /// Steps, 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub steps: u32,
    /// How long each takes, in milliseconds, at most 60,000.
    #[schemars(range(max = 60_000))]
    pub step_ms: u32,
}

/// What [`Countdown`] returns.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct CountdownOutput {
    /// Steps taken.
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

/// `demo.fail`: fails in the way that is asked for.
#[derive(Debug)]
pub struct Fail;

/// What [`Fail`] is called with; all of it may be left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailArgs {
    /// The error's code; `DEMO_FAILURE` when left out.
    pub code: Option<String>,
    /// The error's message.
    pub message: Option<String>,
    /// Whether another attempt may be made; none when left out.
    pub retryable: Option<bool>,
    /// The attempt, from 1, that succeeds after all, as do those after it.
    pub succeed_on_attempt: Option<u32>,
    /// How to fail; `error` when left out.
    pub mode: Option<FailMode>,
}

/// How [`Fail`] fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// It returns an error.
    #[default]
    Error,
    /// It panics.
    Panic,
    /// It ends the worker's process.
    Exit,
    /// It never returns.
    Hang,
}

/// What [`Fail`] returns when it succeeds.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct FailOutput {
    /// The attempt that succeeded.
    pub attempt: u32,
}

impl Function for Fail {
    const NAME: &'static str = "demo.fail";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Fails in the way that is asked for.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
    const DEADLINE_SECS: u32 = 600;
    const RETRY: RetryPolicy = RETRY;
    const DEMO: bool = true;

    type Args = FailArgs;
    type Output = FailOutput;
}
