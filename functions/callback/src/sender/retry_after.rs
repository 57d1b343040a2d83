//! How long a receiver asks to be left alone: `Retry-After`, RFC 9110, 10.2.3.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{HeaderMap, RETRY_AFTER};
use shared::domain::limits::CALLBACK_RETRY_AFTER_SECS_MAX;
use shared::domain::time::Timestamp;

/// Reads seconds or a date, held to the limit; a date that has passed is zero. `None` when there is no such header, or none
/// that can be read.
pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean a long time all the same.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        (Timestamp::from_millis(0) + date.duration_since(UNIX_EPOCH).ok()?).since(now)
    };
    Some(wait.min(Duration::from_secs(CALLBACK_RETRY_AFTER_SECS_MAX.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates_and_ignores_the_rest() {
        let now = "1994-11-06T08:49:00Z".parse::<Timestamp>().unwrap();
        for (value, expected_secs) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            // The three forms of RFC 9110, 5.6.7.
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
            ("Sun Nov  6 08:49:37 1994", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1 s", None),
            ("0x10", None),
            ("1, 2", None),
            ("1994-11-06T08:49:37Z", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            let expected = expected_secs.map(Duration::from_secs);
            assert_eq!(read(&headers, now), expected, "{value:?}");
        }
        assert_eq!(read(&HeaderMap::new(), now), None);
    }
}
