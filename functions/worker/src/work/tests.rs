//! Work that runs without queue and store.

use futures_util::FutureExt as _;
use serde_json::{Value, json};
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

/// Returns how many seconds each of its two legs had. Its state is that number in as many
/// nested arrays as its argument `nesting` says.
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
    type State = Value;

    async fn run(
        Object(args): Object,
        state: Option<Value>,
        context: Context,
    ) -> Result<Next<Object, Value>, WorkError> {
        let time_left = context.time_left().as_secs();
        let args: Value = serde_json::from_str(args.as_str()).unwrap();
        let nesting = args["nesting"].as_u64().unwrap_or(0);
        Ok(match state {
            None => Next::Continue {
                state: (0..nesting).fold(json!(time_left), |inner, _| json!([inner])),
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
fn a_leg_fails_whose_state_the_next_one_could_not_read() {
    for (nesting, code) in [(127, None), (128, Some("INTERNAL_ERROR"))] {
        let arguments = arguments(&json!({"nesting": nesting}));
        let leg = (TWO_LEGS.run)(arguments, None, TestContext::new().context());
        let ended = leg.now_or_never().unwrap();
        let failed = ended.as_ref().err().map(|error| {
            assert!(!error.retryable);
            error.error.code.as_str()
        });
        assert_eq!(failed, code, "{nesting}");
    }
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
