//! The time that a call has.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::forrst::protocol::error::{ErrorObject, Errors};
use crate::forrst::protocol::extensions::Extension;
use shared::domain::json::{Json, whole_number};
use shared::domain::limits::DEADLINE_SECS_MAX;
use shared::domain::time::Timestamp;
use shared::http::{Code, Fields, Members, Quantity};

/// Options of `deadline`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadlineOptions {
    /// What the caller said.
    pub limit: DeadlineLimit,
    /// As the caller said it.
    specified: Specified,
}

/// When a call's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineLimit {
    /// So long after the request came, from 1 ms to seven days.
    After(Duration),
    /// Then.
    At(Timestamp),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Specified {
    value: Json,
    unit: String,
}

/// How many milliseconds a unit of a deadline has; `None` for an unknown unit.
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
    ) -> Option<Self> {
        let value = fields.required(members, "value");
        let unit = fields
            .required(members, "unit")
            .and_then(|raw| fields.text("unit", raw))?;
        let limit = if unit == "iso8601" {
            let text = value.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
            let time = text.as_deref().and_then(Timestamp::parse);
            if value.is_some() && time.is_none() {
                fields.wrong("value", "must be an RFC 3339 date and time");
            }
            time.map(DeadlineLimit::At)
        } else if let Some(unit_millis) = unit_millis(&unit) {
            let most = u64::from(DEADLINE_SECS_MAX) * 1000 / unit_millis;
            let count =
                value.and_then(|raw| whole_number(raw).filter(|count| (1..=most).contains(count)));
            if value.is_some() && count.is_none() {
                fields.wrong("value", format!("must be a whole number from 1 to {most}"));
            }
            count.map(|count| DeadlineLimit::After(Duration::from_millis(count * unit_millis)))
        } else {
            fields.wrong(
                "unit",
                "must be millisecond, second, minute, hour or iso8601",
            );
            None
        };
        Some(Self {
            limit: limit?,
            specified: Specified {
                value: Json::compact(value?),
                unit,
            },
        })
    }

    /// When the time is up for a request that came at `start`.
    #[must_use]
    pub fn at(&self, start: Timestamp) -> Timestamp {
        match self.limit {
            DeadlineLimit::After(duration) => start + duration,
            DeadlineLimit::At(time) => time,
        }
    }

    /// As the caller said it: `{"value", "unit"}`.
    pub(in crate::forrst::protocol) fn specified(&self) -> Json {
        // Strings and JSON that was JSON before, so writing it cannot fail.
        Json::of(&self.specified).unwrap_or_else(|_| Json::empty_object())
    }

    /// The error of a call whose time was up by `now`.
    #[must_use]
    pub fn exceeded(&self, start: Timestamp, now: Timestamp) -> ErrorObject {
        ErrorObject::new(Code::DeadlineExceeded, "the deadline has passed").with_details(&json!({
            "deadline": self.specified,
            "elapsed": Quantity::of(now.since(start)),
        }))
    }
}

impl Extension<DeadlineOptions> {
    /// What is wrong with a deadline that is more than seven days away from a request that came at `start`, and the pointer to it.
    #[must_use]
    pub fn too_far(&self, start: Timestamp) -> Option<(String, String)> {
        let latest = start + Duration::from_secs(u64::from(DEADLINE_SECS_MAX));
        (self.options.at(start) > latest).then(|| {
            let detail = format!("must be within {DEADLINE_SECS_MAX} seconds");
            (self.pointer_to("value"), detail)
        })
    }

    /// The error of a deadline that had passed when its request came, at `start`. It was a point in time: it does not pass less when
    /// the call is made again.
    #[must_use]
    pub fn passed(&self, start: Timestamp) -> Option<Errors> {
        let passed = self.options.at(start) <= start;
        passed.then(|| Errors::from(self.options.exceeded(start, start)).lasting())
    }
}
