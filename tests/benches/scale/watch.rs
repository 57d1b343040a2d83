//! Times, and what is made of many of them.

use std::time::{Duration, Instant};

/// When something began.
pub(crate) struct Watch(Instant);

impl Watch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark measures the machine's own time"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn took(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The time below which this part of all times lies.
pub(crate) fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let last = f64::from(u32::try_from(times.len() - 1).unwrap());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the slice"
    )]
    let place = (last * part).round() as usize;
    times[place]
}

/// In milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// How many in a second.
pub(crate) fn rate(count: usize, took: Duration) -> String {
    let count = f64::from(u32::try_from(count).unwrap());
    format!("{:.0}", count / took.as_secs_f64())
}
