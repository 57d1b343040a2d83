//! Work in legs, whose states do not fit the head.

use std::time::Duration;

use serde_json::{Value, json};
use shared::catalogue::Function;
use shared::catalogue::demo::{Echo, Object};
use shared::domain::backoff::RetryPolicy;
use tests::samples::incompressible;
use worker::{Context, LongWork, Next, Runner, WorkError};

/// `demo.echo`, in as many legs and with such waits as its arguments say.
pub(crate) struct Saving;

pub(crate) static RUNNERS: [Runner; 1] = [Runner::of::<Saving>()];

impl Function for Saving {
    const NAME: &'static str = Echo::NAME;
    const VERSION: &'static str = Echo::VERSION;
    const DESCRIPTION: &'static str = Echo::DESCRIPTION;
    const ATTEMPTS_MAX: u32 = Echo::ATTEMPTS_MAX;
    const ATTEMPT_TIMEOUT: Duration = Echo::ATTEMPT_TIMEOUT;
    const DEADLINE_SECS: u32 = Echo::DEADLINE_SECS;
    const RETRY: RetryPolicy = Echo::RETRY;
    const DEMO: bool = Echo::DEMO;

    type Args = Object;
    type Output = Object;
}

impl LongWork for Saving {
    type State = Value;

    async fn run(
        args: Object,
        state: Option<Value>,
        _context: Context,
    ) -> Result<Next<Object, Value>, WorkError> {
        let plan: Value = serde_json::from_str(args.0.as_str()).unwrap();
        let legs_done = state.map_or(0, |state| state["legs_done"].as_u64().unwrap()) + 1;
        if Some(legs_done) == plan["legs"].as_u64() {
            return Ok(Next::Done(args));
        }
        Ok(Next::Continue {
            state: json!({"legs_done": legs_done, "text": incompressible(2000)}),
            after: Duration::from_secs(plan["wait_seconds"].as_u64().unwrap_or(0)),
        })
    }
}
