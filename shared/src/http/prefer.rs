//! The `Prefer` header (RFC 7240): how long a caller would rather wait for the end than be told to come back.

use std::fmt;
use std::time::Duration;

use crate::domain::limits::WAIT_SECS_MAX;

/// How long a caller is kept waiting at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    secs: u32,
}

impl Wait {
    /// The time itself.
    #[must_use]
    pub fn time(self) -> Duration {
        Duration::from_secs(u64::from(self.secs))
    }
}

/// As in `Preference-Applied`: what was granted, which may be less than was asked for.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wait={}", self.secs)
    }
}

/// The preference `wait` (RFC 7240, section 4.3), held to the longest that is granted. A preference that cannot be understood is
/// passed over, as section 2 asks; of several `wait`s the first counts.
#[must_use]
pub fn prefer_wait(header: &str) -> Option<Wait> {
    let value = header.split(',').find_map(|preference| {
        // What follows a semicolon is a parameter of the preference, and `wait` has none.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then_some(value)
    })?;
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let digits = unquoted.unwrap_or(value);
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that are no `u32` are merely many.
    let secs = digits.parse().unwrap_or(u32::MAX).min(WAIT_SECS_MAX);
    number.then_some(Wait { secs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_found_among_other_preferences_and_held_to_its_limit() {
        for (header, wait) in [
            ("wait=5", Some("wait=5")),
            ("respond-async, wait=10", Some("wait=10")),
            ("respond-async; foo=bar, Wait = \"7\"", Some("wait=7")),
            ("wait=7; foo=bar", Some("wait=7")),
            ("handling=strict; wait=7", None),
            ("wait=\"7", None),
            ("wait=0", Some("wait=0")),
            ("wait=20", Some("wait=20")),
            ("wait=21", Some("wait=20")),
            ("wait=99999999999999999999", Some("wait=20")),
            ("wait=5, wait=7", Some("wait=5")),
            ("wait", None),
            ("wait=", None),
            ("wait=-1", None),
            ("wait=1.5", None),
            ("wait=soon", None),
            ("respond-async", None),
            ("", None),
        ] {
            let read = prefer_wait(header).map(|wait| wait.to_string());
            assert_eq!(read.as_deref(), wait, "{header}");
        }
    }
}
