//! Points in time, in whole milliseconds: the resolution of stored records, ETags and wire bodies.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch, the unit of a TTL attribute.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time from `earlier` to this; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds from `now` to this, rounded up: a caller who returns too early has to return
    /// again.
    #[must_use]
    pub fn secs_from(self, now: Self) -> u32 {
        let millis = self.since(now).as_millis();
        u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
    }
}

/// A time as a caller writes it, of any precision: a [`Timestamp`], or a time between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    floor: Timestamp,
    /// Whether it is later than `floor`, by less than a millisecond.
    is_later: bool,
}

impl Moment {
    /// The latest timestamp that is not later than this.
    #[must_use]
    pub const fn floor(self) -> Timestamp {
        self.floor
    }

    /// The earliest timestamp that is not earlier than this.
    #[must_use]
    pub const fn ceil(self) -> Timestamp {
        Timestamp(self.floor.0.saturating_add(self.is_later as i64))
    }
}

/// The text is not a date and time of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time of RFC 3339")]
pub struct InvalidTime;

/// Reads an RFC 3339 date and time with any offset. Digits finer than a millisecond are cut off.
impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        text.parse().map(Moment::floor)
    }
}

/// Reads an RFC 3339 date and time with any offset and any number of decimals.
impl FromStr for Moment {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        // The parser accepts any byte between date and time. RFC 3339 has `T`, and suggests a
        // space.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
            return Err(InvalidTime);
        }
        let nanos = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| InvalidTime)?
            .unix_timestamp_nanos();
        // The parser ignores digits finer than a nanosecond. The grammar has one `.` only.
        let finer = text.split_once('.').is_some_and(|(_, fraction)| {
            let decimals = fraction.bytes().take_while(u8::is_ascii_digit);
            decimals.skip(9).any(|decimal| decimal != b'0')
        });
        let millis = i64::try_from(nanos.div_euclid(1_000_000)).map_err(|_| InvalidTime)?;
        Ok(Self {
            floor: Timestamp(millis),
            is_later: finer || nanos.rem_euclid(1_000_000) != 0,
        })
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// RFC 3339 in UTC with three decimals and `Z`, as callers see every time.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(format).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_three_decimals_and_z_and_survives_a_round_trip() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
            (1_700_000_000_100, "2023-11-14T22:13:20.100Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_millis(millis)));
        }
    }

    #[test]
    fn a_timestamp_is_read_with_any_offset_and_cut_to_the_millisecond() {
        assert_eq!(
            "1970-01-01T01:00:00.0019+01:00".parse(),
            Ok(Timestamp::from_millis(1))
        );
        assert_eq!("1970-01-01".parse::<Timestamp>(), Err(InvalidTime));
        assert_eq!("yesterday".parse::<Timestamp>(), Err(InvalidTime));
    }

    #[test]
    fn a_moment_lies_between_two_timestamps_unless_it_is_one() {
        for (text, floor, ceil) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1970-01-01t00:00:00z", 0, 0),
            ("1970-01-01 00:00:00.0000000000000Z", 0, 0),
            ("1970-01-01T00:00:00.001Z", 1, 1),
            ("1970-01-01T00:00:00.0010000000000000Z", 1, 1),
            ("1970-01-01T00:00:00.0005Z", 0, 1),
            ("1970-01-01T00:00:00.000000001Z", 0, 1),
            ("1970-01-01T00:00:00.0000000000000000000001Z", 0, 1),
            ("1970-01-01T00:00:00.9999999999999999999999Z", 999, 1000),
            ("1970-01-01T01:00:00.0015+01:00", 1, 2),
            ("1969-12-31T23:59:59.9995Z", -1, 0),
            ("1969-12-31T23:59:59.9990000001-00:00", -1, 0),
            // A leap second comes after the last timestamp of the second before it.
            ("1972-06-30T23:59:60Z", 78_796_799_999, 78_796_800_000),
            ("1972-06-30T23:59:60.5Z", 78_796_799_999, 78_796_800_000),
            ("1972-06-30T18:59:60-05:00", 78_796_799_999, 78_796_800_000),
        ] {
            let moment = text.parse::<Moment>().unwrap();
            assert_eq!(moment.floor(), Timestamp::from_millis(floor), "{text}");
            assert_eq!(moment.ceil(), Timestamp::from_millis(ceil), "{text}");
        }
    }

    #[test]
    fn a_moment_is_read_only_from_rfc_3339() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00,5Z",
            "1970-01-01_00:00:00Z",
            "1970-01-01T00:00:00 01:00",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01T24:00:00Z",
            "1970-01-01T12:00:60Z",
            "1970-02-30T00:00:00Z",
            "70-01-01T00:00:00Z",
            "+1970-01-01T00:00:00Z",
            " 1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z ",
            "1970-01-0éT00:00:00Z",
            "0",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(InvalidTime), "{text}");
        }
    }

    #[test]
    fn the_time_since_a_later_timestamp_is_zero() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
