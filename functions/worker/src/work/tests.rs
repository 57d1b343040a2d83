//! Work that runs without queue and store.

use futures_util::FutureExt as _;
use serde_json::json;
use shared::catalogue::Function;
use shared::catalogue::demo::{Fail, Long, Object};
use shared::domain::backoff::RetryPolicy;
use shared::domain::limits::CLAIMS_MAX;

use super::*;
use crate::context::test::TestContext;

static LONG: Runner = Runner::of::<Long>();
static FAIL: Runner = Runner::of::<Fail>();
static TWO_LEGS: Runner = Runner::of::<TwoLegs>();

const WAIT: Duration = Duration::from_secs(1000);

/// Returns how many seconds each of its two legs had.
struct TwoLegs;

impl Function for TwoLegs {
    const NAME: &'static str = "test.legs";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Returns how long its legs had.";
    const ATTEMPTS_MAX: u32 = 3;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
    const DEADLINE_SECS: u32 = 3600;
    const RETRY: RetryPolicy = RetryPolicy {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(1),
    };

    type Args = Object;
    type Output = Object;
}

impl LongWork for TwoLegs {
    type State = u64;

    async fn run(
        _args: Object,
        state: Option<u64>,
        context: Context,
    ) -> Result<Next<Object, u64>, WorkError> {
        let time_left = context.time_left().as_secs();
        Ok(match state {
            None => Next::Continue {
                state: time_left,
                after: WAIT,
            },
            Some(first) => {
                let legs = json!({"legs": [first, time_left]});
                Next::Done(Object(Json::of(&legs).unwrap()))
            }
        })
    }
}

fn arguments(arguments: &serde_json::Value) -> Json {
    Json::of(arguments).unwrap()
}

#[test]
fn work_without_an_operation_continues_as_often_as_one_may() {
    let run = |legs| {
        let arguments = arguments(&json!({"legs": legs}));
        let context = TestContext::new().context();
        let ended = run_legs(Deployed::Compiled(&LONG), &arguments, &context).now_or_never();
        ended.unwrap()
    };
    let all = arguments(&json!({"legs": CLAIMS_MAX}));
    assert_eq!(run(CLAIMS_MAX), Ok(all));
    let error = run(CLAIMS_MAX + 1).unwrap_err();
    assert_eq!(error.error.code, FailureCode::ContinuedTooOften.as_str());
}

#[test]
fn each_leg_without_an_operation_has_the_time_of_an_attempt() {
    let test = TestContext::new();
    let (arguments, context) = (arguments(&json!({})), test.context());
    let mut run = Box::pin(run_legs(
        Deployed::Compiled(&TWO_LEGS),
        &arguments,
        &context,
    ));
    assert_eq!((&mut run).now_or_never(), None);
    test.clock.advance(WAIT);
    let legs = Json::of(&json!({"legs": [120, 120]})).unwrap();
    assert_eq!(run.now_or_never(), Some(Ok(legs)));
}

#[test]
fn a_leg_without_an_operation_ends_when_an_attempt_would() {
    let test = TestContext::new();
    let (arguments, context) = (arguments(&json!({"mode": "hang"})), test.context());
    let mut run = Box::pin(run_legs(Deployed::Compiled(&FAIL), &arguments, &context));
    assert_eq!((&mut run).now_or_never(), None);
    test.clock.advance(Fail::ATTEMPT_TIMEOUT * 9 / 10);
    assert_eq!((&mut run).now_or_never(), None);
    test.clock.advance(Fail::ATTEMPT_TIMEOUT / 10);
    let error = run.now_or_never().unwrap().unwrap_err();
    assert_eq!(error.error.code, FailureCode::DeadlineExceeded.as_str());
}
