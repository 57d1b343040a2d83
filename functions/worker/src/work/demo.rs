//! The work of the demonstration functions.

mod long;

use std::time::Duration;

use shared::catalogue::demo::{
    Countdown, CountdownArgs, CountdownOutput, Echo, Fail, FailArgs, FailMode, FailOutput, Object,
};

use super::{Work, WorkError};
use crate::context::Context;

impl Work for Echo {
    async fn run(args: Object, _context: Context) -> Result<Object, WorkError> {
        Ok(args)
    }
}

impl Work for Countdown {
    async fn run(args: CountdownArgs, context: Context) -> Result<CountdownOutput, WorkError> {
        for step in 1..=args.steps {
            context
                .sleep(Duration::from_millis(u64::from(args.step_ms)))
                .await;
            let fraction = f64::from(step) / f64::from(args.steps);
            context.progress(fraction, &format!("step {step} of {}", args.steps));
        }
        Ok(CountdownOutput { steps: args.steps })
    }
}

impl Work for Fail {
    async fn run(args: FailArgs, context: Context) -> Result<FailOutput, WorkError> {
        let attempt = context.attempt();
        if args.succeed_on_attempt.is_some_and(|from| from <= attempt) {
            return Ok(FailOutput { attempt });
        }
        match args.mode.unwrap_or_default() {
            FailMode::Error => {}
            FailMode::Panic => panic!("asked to panic"),
            FailMode::Exit => std::process::exit(1),
            FailMode::Hang => std::future::pending().await,
        }
        let code = args.code.as_deref().unwrap_or("DEMO_FAILURE");
        let message = args.message.as_deref().unwrap_or("asked to fail");
        Err(if args.retryable.unwrap_or_default() {
            WorkError::retryable(code, message)
        } else {
            WorkError::permanent(code, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::context::test::TestContext;

    #[test]
    fn countdown_reports_each_step_when_its_time_has_passed() {
        let test = TestContext::new();
        let args = CountdownArgs {
            steps: 2,
            step_ms: 500,
        };
        let mut run = Box::pin(Countdown::run(args, test.context()));
        assert_eq!((&mut run).now_or_never(), None);
        test.clock.advance(Duration::from_millis(500));
        assert_eq!((&mut run).now_or_never(), None);
        assert_eq!(test.reports(), [(0.5, "step 1 of 2".to_owned())]);
        test.clock.advance(Duration::from_millis(500));
        assert_eq!(run.now_or_never(), Some(Ok(CountdownOutput { steps: 2 })));
        assert_eq!(test.reports().len(), 2);
    }

    #[test]
    fn fail_fails_as_its_arguments_say_until_the_attempt_that_succeeds() {
        let fail = |attempt, args| {
            Fail::run(args, TestContext::new().attempt(attempt).context())
                .now_or_never()
                .unwrap()
        };
        assert_eq!(
            fail(1, FailArgs::default()),
            Err(WorkError::permanent("DEMO_FAILURE", "asked to fail"))
        );
        let args = || FailArgs {
            code: Some("MINE".into()),
            message: Some("so it goes".into()),
            retryable: Some(true),
            succeed_on_attempt: Some(2),
            mode: Some(FailMode::Error),
        };
        assert_eq!(
            fail(1, args()),
            Err(WorkError::retryable("MINE", "so it goes"))
        );
        assert_eq!(fail(2, args()), Ok(FailOutput { attempt: 2 }));
    }
}
