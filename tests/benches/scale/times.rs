//! Quantiles and rates of times.

use std::time::Duration;

use tests::benchmark::number;

/// The time below which this share of all times lies.
pub(crate) fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let last = number(times.len() - 1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of the slice"
    )]
    let index = (last * part).round() as usize;
    times[index]
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// How many per second.
pub(crate) fn rate(count: usize, took: Duration) -> String {
    format!("{:.0}", number(count) / took.as_secs_f64())
}
