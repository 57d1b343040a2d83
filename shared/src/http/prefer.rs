//! The `Prefer` header (RFC 7240): how long a caller prefers to wait for an operation's end.

use std::fmt;
use std::time::Duration;

use super::grammar::{Parameter, Reader, list_members};

/// The longest wait for an operation's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    secs: u32,
}

impl Wait {
    #[must_use]
    pub fn time(self) -> Duration {
        Duration::from_secs(u64::from(self.secs))
    }
}

/// The value of `Preference-Applied`: the wait that Ferry grants, which may be shorter than the
/// caller prefers.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wait={}", self.secs)
    }
}

/// The preference `wait` (RFC 7240, section 4.3), held to `secs_max`. A preference that is
/// malformed is ignored, as section 2 asks; of several `wait`s only the first counts, whatever its
/// value.
pub(super) fn prefer_wait(header: &str, secs_max: u32) -> Option<Wait> {
    let wait = list_members(header)
        .into_iter()
        .filter_map(preference)
        .find(|preference| preference.is("wait"))?;
    let digits = wait.value?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that do not fit in a `u32` are a long wait.
    let secs = digits.parse().unwrap_or(u32::MAX).min(secs_max);
    number.then_some(Wait { secs })
}

/// One preference. The parameters of `wait` have no meaning, but have to be well formed.
fn preference(member: &str) -> Option<Parameter<'_>> {
    let mut reader = Reader::new(member);
    let preference = reader.parameter()?;
    reader.parameters()?;
    Some(preference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_found_among_other_preferences_and_limited() {
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
            assert_eq!(read(header).as_deref(), wait, "{header}");
        }
    }

    #[test]
    fn a_quoted_string_is_only_a_value() {
        for (header, wait) in [
            ("note=\"please, wait=1, thanks\"", None),
            ("note=\"please, wait=1, thanks\", wait=2", Some("wait=2")),
            (r#"note="a \", wait=1, \"", wait=2"#, Some("wait=2")),
            (r#"note="a \\", wait=1"#, Some("wait=1")),
            ("respond-async; note=\", wait=1\"", None),
            ("respond-async; note=\"; \"; x, wait=1", Some("wait=1")),
            ("note=\"wait=1", None),
            ("wait=\"1, wait=2\"", None),
            ("wait=\"5\"", Some("wait=5")),
            (r#"wait="\5""#, Some("wait=5")),
            ("wait=\" 5\"", None),
            ("wait=\"\"", None),
            ("WAIT\t=\t5", Some("wait=5")),
            ("wait=5;", Some("wait=5")),
            ("wait=5; x; y=; z=\"\"", Some("wait=5")),
        ] {
            assert_eq!(read(header).as_deref(), wait, "{header}");
        }
    }

    #[test]
    fn a_malformed_preference_is_ignored_and_the_next_one_is_read() {
        for (header, wait) in [
            (",, wait=5,", Some("wait=5")),
            ("a b, wait=5", Some("wait=5")),
            ("=1, wait=5", Some("wait=5")),
            ("/, wait=5", Some("wait=5")),
            ("é, wait=5", Some("wait=5")),
            ("wait==1, wait=5", Some("wait=5")),
            ("wait=1 2, wait=5", Some("wait=5")),
            ("wait=1; =, wait=5", Some("wait=5")),
            ("wait=5 respond-async", None),
            ("respond-async wait=5", None),
            ("respond-async; wait=5", None),
            // Well formed, and the first: the others do not count.
            ("wait=soon, wait=5", None),
            ("wait, wait=5", None),
        ] {
            assert_eq!(read(header).as_deref(), wait, "{header}");
        }
    }

    fn read(header: &str) -> Option<String> {
        prefer_wait(header, 20).map(|wait| wait.to_string())
    }
}
