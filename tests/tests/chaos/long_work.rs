//! Work in legs, sleeps between them, and operations that start later: what may not happen to them.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::limits::ATTEMPTS_KEPT_MAX;
use shared::domain::time::Timestamp;

/// Returns the promises that an operation breaks, by what was submitted and how it ended.
pub(crate) fn broken(submitted: &Value, seen: &Value) -> Vec<&'static str> {
    let broken = [
        ("ran before its start", ran_early(submitted, seen)),
        (
            "resumed before the end of its sleep",
            resumed_early(submitted, seen),
        ),
        (
            "has another result, or took a leg twice",
            has_other_legs(submitted, seen),
        ),
    ];
    let broken = broken.into_iter().filter(|(_, is_broken)| *is_broken);
    broken.map(|(name, _)| name).collect()
}

fn ran_early(submitted: &Value, seen: &Value) -> bool {
    let start = time(&seen["starts_at"]);
    let is_missing = submitted["start_after_seconds"].is_number() && start.is_none();
    is_missing || time(&seen["started_at"]).is_some_and(|started_at| Some(started_at) < start)
}

fn resumed_early(submitted: &Value, seen: &Value) -> bool {
    let sleep_secs = submitted["arguments"]["wait_seconds"].as_u64();
    let sleep = Duration::from_secs(sleep_secs.unwrap_or_default());
    attempts(seen).windows(2).any(|two| {
        let has_continued = two[0]["outcome"] == "continued";
        let ended_at = time(&two[0]["ended_at"]).filter(|_| has_continued);
        let resumed_at = time(&two[1]["started_at"]);
        let pair = ended_at.zip(resumed_at);
        pair.is_some_and(|(ended_at, resumed_at)| resumed_at < ended_at + sleep)
    })
}

fn has_other_legs(submitted: &Value, seen: &Value) -> bool {
    let legs = &submitted["arguments"]["legs"];
    if seen["status"] != "completed" || legs.is_null() {
        return false;
    }
    let attempts = attempts(seen);
    let continued = attempts.iter().filter(|own| own["outcome"] == "continued");
    let legs_taken = continued.count() + 1;
    let shows_all = attempts.len() < ATTEMPTS_KEPT_MAX;
    seen["result"] != json!({"legs": legs}) || shows_all && *legs != legs_taken
}

fn attempts(seen: &Value) -> &[Value] {
    seen["attempts"].as_array().map_or(&[], Vec::as_slice)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
