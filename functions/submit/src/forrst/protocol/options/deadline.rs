//! The deadline that a caller sets for a call.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use shared::domain::json::{Json, whole_number};
use shared::domain::limits::DEADLINE_SECS_MAX;
use shared::domain::time::Timestamp;
use shared::request::{ErrorCode, Fields, Invalid, Members};
use shared::view::Quantity;

use crate::forrst::protocol::error::{ErrorObject, Errors};
use crate::forrst::protocol::extension::Extension;

#[derive(Debug, Clone, PartialEq)]
pub struct DeadlineOptions {
    pub limit: DeadlineLimit,
    specified: Specified,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineLimit {
    /// After the operation's start, from 1 ms to seven days.
    After(Duration),
    At(Timestamp),
}

/// A deadline as the caller wrote it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Specified {
    value: Json,
    unit: String,
}

/// The milliseconds of a unit; `None` for an unknown unit.
fn unit_millis(unit: &str) -> Option<u64> {
    match unit {
        "millisecond" => Some(1),
        "second" => Some(1000),
        "minute" => Some(60_000),
        "hour" => Some(3_600_000),
        _ => None,
    }
}

impl DeadlineOptions {
    pub(in crate::forrst::protocol) fn read(
        members: &mut Members<'_>,
        fields: &mut Fields,
    ) -> Result<Self, Invalid> {
        let value = fields.required(members, "value");
        let unit = fields
            .required(members, "unit")
            .and_then(|raw| fields.text("unit", raw))?;
        let limit = if unit == "iso8601" {
            value
                .and_then(|raw| fields.time("value", raw))
                .map(DeadlineLimit::At)
        } else if let Some(unit_millis) = unit_millis(&unit) {
            let most = u64::from(DEADLINE_SECS_MAX) * 1000 / unit_millis;
            value.and_then(|raw| {
                let count = whole_number(raw).filter(|count| (1..=most).contains(count));
                count
                    .map(|count| Duration::from_millis(count * unit_millis))
                    .map(DeadlineLimit::After)
                    .ok_or_else(|| {
                        fields.reject("value", format!("must be a whole number from 1 to {most}"))
                    })
            })
        } else {
            let detail = "must be millisecond, second, minute, hour or iso8601";
            Err(fields.reject("unit", detail))
        };
        Ok(Self {
            limit: limit?,
            specified: Specified {
                value: Json::compact(value?),
                unit,
            },
        })
    }

    /// The deadline of an operation that starts at `starts_at`.
    #[must_use]
    pub fn at(&self, starts_at: Timestamp) -> Timestamp {
        match self.limit {
            DeadlineLimit::After(duration) => starts_at + duration,
            DeadlineLimit::At(time) => time,
        }
    }

    /// As the caller wrote it.
    #[must_use]
    pub const fn specified(&self) -> &Specified {
        &self.specified
    }

    /// The error of a call that arrived at `arrived_at`, and whose deadline has passed by `now`.
    #[must_use]
    pub fn exceeded(&self, arrived_at: Timestamp, now: Timestamp) -> ErrorObject {
        ErrorObject::new(ErrorCode::DeadlineExceeded, "the deadline has passed").with_details(
            &json!({
                "deadline": self.specified,
                "elapsed": Quantity::of(now.since(arrived_at)),
            }),
        )
    }
}

impl Extension<DeadlineOptions> {
    /// The pointer to a deadline that the operation cannot have, and what is wrong with it. One
    /// that had passed when its request arrived is for [`Self::passed`].
    #[must_use]
    pub fn error(&self, arrived_at: Timestamp, starts_at: Timestamp) -> Option<(String, String)> {
        let deadline_at = self.options.at(starts_at);
        let latest = starts_at + Duration::from_secs(u64::from(DEADLINE_SECS_MAX));
        let detail = if deadline_at > latest {
            format!("must be within {DEADLINE_SECS_MAX} seconds")
        } else if arrived_at < starts_at && deadline_at <= starts_at {
            "must be after the operation's start".to_owned()
        } else {
            return None;
        };
        Some((self.pointer_to("value"), detail))
    }

    /// The error of a deadline that had passed when its request arrived. Such a deadline is a point
    /// in time, so a retry meets the same error.
    #[must_use]
    pub fn passed(&self, arrived_at: Timestamp) -> Option<Errors> {
        let passed = self.options.at(arrived_at) <= arrived_at;
        passed.then(|| Errors::from(self.options.exceeded(arrived_at, arrived_at)).permanent())
    }
}
