//! The work of `demo.long`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::catalogue::demo::{Long, LongArgs, LongOutput};

use crate::context::Context;
use crate::work::{LongWork, Next, WorkError};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    legs_done: u32,
}

impl LongWork for Long {
    type State = Progress;

    async fn run(
        args: LongArgs,
        state: Option<Progress>,
        context: Context,
    ) -> Result<Next<LongOutput, Progress>, WorkError> {
        let legs_done = state.map_or(0, |state| state.legs_done) + 1;
        let fraction = f64::from(legs_done) / f64::from(args.legs);
        context.progress(fraction, &format!("leg {legs_done} of {}", args.legs));
        if legs_done >= args.legs {
            return Ok(Next::Done(LongOutput { legs: legs_done }));
        }
        Ok(Next::Continue {
            state: Progress { legs_done },
            after: Duration::from_secs(args.wait_seconds.unwrap_or(0).into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::context::test::TestContext;

    #[test]
    fn each_leg_continues_from_the_state_of_the_last_one() {
        let mut state = None;
        let mut legs = 0;
        let test = TestContext::new();
        let output = loop {
            let args = LongArgs {
                legs: 3,
                wait_seconds: Some(20),
            };
            legs += 1;
            let next = Long::run(args, state.take(), test.context()).now_or_never();
            match next.unwrap().unwrap() {
                Next::Done(output) => break output,
                Next::Continue {
                    state: saved,
                    after,
                } => {
                    assert_eq!(after, Duration::from_secs(20));
                    state = Some(saved);
                }
            }
        };
        assert_eq!((legs, output), (3, LongOutput { legs: 3 }));
        assert_eq!(test.reports()[2], (1.0, "leg 3 of 3".to_owned()));
    }
}
