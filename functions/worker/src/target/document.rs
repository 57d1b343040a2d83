//! What a target gets of an attempt.

use std::time::Duration;

use serde::Serialize;
use shared::catalogue::Target;
use shared::domain::json::{Json, encode};
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;

/// How long before its end an attempt asks the target to be done, so that a result which comes in
/// time is still recorded; at most half of the attempt.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    operation_id: &'a str,
    function: &'a str,
    version: &'a str,
    attempt: u32,
    attempts_max: u32,
    deadline: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    arguments: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
}

/// The event of one invocation. `deadline` is the attempt's, and `metadata` is there if the target
/// gets it.
pub(crate) fn document(
    target: &Target,
    operation: &Operation,
    arguments: &Json,
    metadata: Option<&Json>,
    deadline: Timestamp,
    now: Timestamp,
) -> String {
    let margin = DEADLINE_MARGIN.min(deadline.since(now) / 2);
    encode(&Document {
        r#type: "ferry.attempt",
        timestamp: now.to_string(),
        data: Data {
            operation_id: operation.id.as_str(),
            function: &operation.function,
            version: &operation.function_version,
            attempt: operation.attempt,
            attempts_max: operation.attempts_max,
            deadline: (deadline - margin).to_string(),
            owner: target.send_owner.then(|| operation.owner.as_str()),
            arguments,
            metadata,
        },
    })
}
